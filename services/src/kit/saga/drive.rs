//! One saga's way from where it is to its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use super::{
    Act, Call, Event, Role, Saga, SagaRecord, Status, Step, Undo, engine::Inner,
    journal::Committed, registry::Driven,
};
use crate::kit::{Code, Context, Problem};

/// A deadline that does not come.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What drives a saga besides its record.
struct Drive<'a, S: Saga> {
    inner: &'a Arc<Inner<S>>,
    driven: &'a Driven<S::Data>,
    plan: &'static [Step],
    /// When the saga turns back unless it has come to its pivot.
    deadline: Instant,
    /// An earlier life may have asked the step under way.
    resumed: bool,
    /// No undo is asked any more: the rest counts as undone. Only unsound shapes come here.
    halted: AtomicBool,
}

impl<S: Saga> Inner<S> {
    /// Drives a saga whose first row was just committed.
    pub(super) async fn drive_new(
        self: &Arc<Self>,
        saga: SagaRecord<S::Data>,
        driven: Arc<Driven<S::Data>>,
    ) {
        saga.context.span().in_scope(|| {
            tracing::info!(kind = %saga.kind, "saga starts");
            log_intent(self.saga.steps(&saga.data), &saga);
        });
        self.drive(saga, driven, false).await;
    }

    /// Drives a saga that an earlier life, or an earlier task, left.
    pub(super) async fn drive_resumed(
        self: &Arc<Self>,
        saga: SagaRecord<S::Data>,
        driven: Arc<Driven<S::Data>>,
    ) {
        saga.context
            .span()
            .in_scope(|| tracing::info!(status = ?saga.status, "saga resumed"));
        self.drive(saga, driven, true).await;
    }

    async fn drive(
        self: &Arc<Self>,
        mut saga: SagaRecord<S::Data>,
        driven: Arc<Driven<S::Data>>,
        resumed: bool,
    ) {
        // The wall clock may jump: it is asked once, and never for more than the whole deadline.
        let left = saga
            .deadline_ms
            .saturating_sub(self.platform.clock.now_ms());
        let left = match self.defences.deadline {
            true => Duration::from_millis(left).min(self.config.deadline),
            false => NEVER,
        };
        let plan = self.saga.steps(&saga.data);
        let forgotten = saga.intend_again(plan, self.platform.clock.now_ms());
        let mut drive = Drive {
            inner: self,
            driven: &driven,
            plan,
            deadline: Instant::now() + left,
            resumed: resumed && !forgotten,
            halted: AtomicBool::new(false),
        };
        while saga.status.is_open() {
            let event = match saga.status {
                Status::Running => drive.forward(&mut saga).await,
                _ => drive.backward(&mut saga).await,
            };
            let Some((event, why)) = event else { break };
            let Some(next) = drive.turn(saga.clone(), event, why).await else {
                saga.context.span().in_scope(|| tracing::info!("saga lost"));
                self.saga.lost(&saga.id);
                self.registry.release(&saga.id, &driven);
                return;
            };
            saga = next;
            drive.resumed = false;
        }
        driven.announce(saga.clone());
        self.registry.release(&saga.id, &driven);
    }
}

/// What is known of the step under way.
#[derive(Default)]
struct Asked {
    tries: u32,
    /// An attempt may have been carried out, or may yet be.
    doubtful: bool,
    busy_since: Option<Instant>,
}

impl Asked {
    fn doubt(&mut self, reason: String) -> String {
        tracing::info!(%reason, "step unknown");
        self.doubtful = true;
        reason
    }
}

/// What happened, and if retries were spent, on what.
type Happened = Option<(Event, Option<String>)>;

impl<S: Saga> Drive<'_, S> {
    /// Applies and journals an event. `None`: another replica owns the saga by now.
    async fn turn(
        &self,
        before: SagaRecord<S::Data>,
        event: Event,
        why: Option<String>,
    ) -> Option<SagaRecord<S::Data>> {
        let was = before.status;
        let saga = match self.commit(before.clone(), event, why.clone()).await {
            Committed::Yes(saga) => *saga,
            Committed::Lost => return None,
            Committed::Cancelled => {
                let event = Event::DoneButTurnBack(cancelled());
                match self.commit(before, event, None).await {
                    Committed::Yes(saga) => *saga,
                    Committed::Lost | Committed::Cancelled => return None,
                }
            }
        };
        saga.context.span().in_scope(|| {
            if was == Status::Running && saga.refusal.is_some() {
                tracing::info!("compensating");
            }
            match saga.status {
                Status::Running | Status::Compensating => log_intent(self.plan, &saga),
                Status::Completed => tracing::info!("saga completed"),
                Status::Compensated => tracing::info!("saga compensated"),
                Status::NeedsAttention => {
                    let reason = why.as_deref().unwrap_or_default();
                    tracing::info!("saga needs attention");
                    tracing::error!(saga = %saga.id, reason, "alert");
                }
            }
        });
        Some(saga)
    }

    async fn commit(
        &self,
        mut saga: SagaRecord<S::Data>,
        event: Event,
        why: Option<String>,
    ) -> Committed<S::Data> {
        let now = self.inner.platform.clock.now_ms();
        saga.apply_in(self.inner.defences.undo_order, self.plan, event, now)
            .expect("the driver reports only what fits the state that it reads");
        if saga.status.is_ended() && !self.inner.defences.commit_before_ack {
            self.driven.announce(saga.clone());
        }
        self.inner.commit(saga, why).await
    }

    /// Asks the intended step until something can be said about it.
    async fn forward(&self, saga: &mut SagaRecord<S::Data>) -> Happened {
        let index = saga.current()?;
        let step = &self.plan[index];
        let compensatable = step.role == Role::Compensatable;
        let (context, key) = self.call(saga, step.name);
        let span = context.span();
        let mut asked = Asked {
            doubtful: self.resumed,
            ..Asked::default()
        };
        loop {
            if compensatable && let Some(why) = self.reason_to_stop() {
                return happened(match asked.doubtful || asked.tries > 0 {
                    true => Event::Abandoned(why),
                    false => Event::Refused(why),
                });
            }
            asked.tries += 1;
            saga.steps[index].attempts = asked.tries;
            let call = Call {
                saga_id: &saga.id,
                context: &context,
                key: &key,
            };
            let acting = self.inner.saga.act(step.name, &mut saga.data, call);
            let act = acting.instrument(span.clone()).await;
            let reason = match span.in_scope(|| self.judge(saga, step, act, &mut asked)) {
                Ok(event) => return happened(event),
                Err(reason) => reason,
            };
            let (config, random) = (&self.inner.config, self.inner.platform.random.as_ref());
            if compensatable {
                self.pause(config.asking.wait(asked.tries, random)).await;
            } else if asked.tries >= config.tries {
                return Some((Event::Spent, Some(format!("{}: {reason}", step.name))));
            } else {
                sleep(config.insisting.wait(asked.tries, random)).await;
            }
        }
    }

    /// What an answer means; the error is a reason to ask again.
    fn judge(
        &self,
        saga: &SagaRecord<S::Data>,
        step: &Step,
        act: Act,
        asked: &mut Asked,
    ) -> Result<Event, String> {
        match (act, step.role) {
            (Act::Done, _) => {
                tracing::info!("step done");
                let stop = self.reason_to_stop_after(saga, step);
                Ok(match stop {
                    None => Event::Done,
                    Some(why) if step.role == Role::Compensatable => Event::DoneButTurnBack(why),
                    Some(why) => Event::DoneTurnBackTooLate(why),
                })
            }
            (Act::Refused(why), Role::Compensatable) => {
                tracing::info!(reason = %why, "step refused");
                // A refusal that may not last does not bind an attempt that is still on its way.
                match asked.doubtful || why.code.is_transient() {
                    true => Ok(Event::Abandoned(why)),
                    false => Ok(Event::Refused(why)),
                }
            }
            (Act::Refused(why), Role::Pivot) => {
                tracing::info!(reason = %why, "step refused");
                Ok(Event::Refused(why))
            }
            (Act::Busy(why), Role::Compensatable) => {
                let since = *asked.busy_since.get_or_insert_with(Instant::now);
                if since.elapsed() < self.inner.config.busy_patience {
                    return Err(why.to_string());
                }
                tracing::info!(reason = %why, "step refused");
                Ok(Event::Abandoned(why))
            }
            (Act::Unknown(reason), Role::Compensatable | Role::Pivot)
                if !self.inner.defences.unknown_is_unknown =>
            {
                tracing::info!(%reason, "step refused");
                Ok(Event::Refused(unavailable(reason)))
            }
            (Act::Unknown(reason), Role::Compensatable)
                if !self.inner.defences.undo_without_answer =>
            {
                tracing::info!(%reason, "step refused");
                self.halted.store(true, Relaxed);
                Ok(Event::Refused(unavailable(reason)))
            }
            (Act::Unknown(reason), Role::Compensatable) if !self.inner.defences.ask_again => {
                let reason = asked.doubt(reason);
                Ok(Event::Abandoned(unavailable(reason)))
            }
            (Act::Partly(why), Role::Compensatable) => {
                tracing::info!(reason = %why, "step refused");
                Ok(Event::Abandoned(why))
            }
            (Act::Unknown(reason), _) => Err(asked.doubt(reason)),
            (Act::Refused(why) | Act::Busy(why) | Act::Partly(why), _) => {
                Err(asked.doubt(why.to_string()))
            }
        }
    }

    /// Asks the intended undo until it is done.
    async fn backward(&self, saga: &mut SagaRecord<S::Data>) -> Happened {
        let index = saga.current()?;
        let undo = self.plan[index]
            .undo
            .expect("only compensatable steps are undone, and each declares its undo");
        let (context, key) = self.call(saga, undo);
        let span = context.span();
        let mut tries = 0;
        loop {
            if self.halted.load(Relaxed) {
                return happened(Event::Undone);
            }
            tries += 1;
            saga.steps[index].attempts = tries;
            let call = Call {
                saga_id: &saga.id,
                context: &context,
                key: &key,
            };
            let undoing = self.inner.saga.undo(undo, &mut saga.data, call);
            let reason = match undoing.instrument(span.clone()).await {
                Undo::Done => {
                    span.in_scope(|| tracing::info!("step undone"));
                    return happened(Event::Undone);
                }
                Undo::Conflict(_) if !self.inner.defences.conflict_is_retried => {
                    return happened(Event::Undone);
                }
                Undo::Retry(reason) | Undo::Conflict(reason) => reason,
            };
            span.in_scope(|| tracing::info!(%reason, "undo unknown"));
            if !self.inner.defences.undo_goes_on {
                self.halted.store(true, Relaxed);
                continue;
            }
            if !self.inner.defences.undo_insists {
                return None;
            }
            if tries >= self.inner.config.tries {
                return Some((Event::Spent, Some(format!("{undo}: {reason}"))));
            }
            let random = self.inner.platform.random.as_ref();
            sleep(self.inner.config.insisting.wait(tries, random)).await;
        }
    }

    fn call(&self, saga: &SagaRecord<S::Data>, name: &str) -> (Context, String) {
        (saga.context.step(name), format!("{}-{name}", saga.id))
    }

    fn reason_to_stop(&self) -> Option<Problem> {
        if self.driven.is_cancel_requested() {
            return Some(cancelled());
        }
        (Instant::now() >= self.deadline)
            .then(|| unavailable("it could not be done in time; nothing of it is left".to_owned()))
    }

    /// Like [`reason_to_stop`](Self::reason_to_stop), once the step is done; from the last chance on there is none.
    fn reason_to_stop_after(&self, saga: &SagaRecord<S::Data>, step: &Step) -> Option<Problem> {
        if !self.inner.defences.pivot_is_final {
            return self.reason_to_stop();
        }
        if step.role != Role::Compensatable {
            return None;
        }
        let why = self.reason_to_stop();
        if why.is_none() && saga.is_before_last_chance(self.plan) && !self.driven.close() {
            return self.reason_to_stop();
        }
        why
    }

    /// Waits, but not past a cancel or the deadline.
    async fn pause(&self, wait: Duration) {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let _ = timeout(wait.min(left), self.driven.cancelled.notified()).await;
    }
}

fn happened(event: Event) -> Happened {
    Some((event, None))
}

fn cancelled() -> Problem {
    Problem::new(Code::InvalidState, "cancelled by the user")
}

fn unavailable(detail: String) -> Problem {
    Problem::new(Code::ServiceUnavailable, detail)
}

/// Says which action or undo is about to be asked.
fn log_intent<D>(plan: &[Step], saga: &SagaRecord<D>) {
    let Some(index) = saga.current() else { return };
    let step = match saga.status {
        Status::Compensating => plan[index].undo.unwrap_or(plan[index].name),
        _ => plan[index].name,
    };
    tracing::info!(step, "step intended");
}
