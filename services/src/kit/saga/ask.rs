//! Asking a step or an undo until something can be said about it.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use super::{
    Act, Call, Event, Role, Saga, SagaRecord, Step, Undo,
    drive::{Drive, Happened, cancelled, too_late, unavailable},
    registry::Asking,
};
use crate::{
    kit::{Context, Problem},
    planted_bug::Bug,
};

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

impl<S: Saga> Drive<'_, S> {
    /// Asks the intended step until something can be said about it.
    pub async fn forward(&self, saga: &mut SagaRecord<S::Data>) -> Happened {
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
            self.asks(asked.tries, None);
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
            let config = &self.inner.config;
            if compensatable {
                let random = self.inner.platform.random.as_ref();
                let wait = config.asking.wait(asked.tries, random);
                self.asks(asked.tries, Some(wait));
                self.pause(wait).await;
            } else if asked.tries + self.tried_before(saga, index) >= config.tries {
                return Some((Event::Spent, Some(format!("{}: {reason}", step.name))));
            } else {
                self.insist(asked.tries).await;
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
                if self.inner.has(Bug::TimeoutMeansNo) =>
            {
                tracing::info!(%reason, "step refused");
                Ok(Event::Refused(unavailable(reason)))
            }
            (Act::Unknown(reason), Role::Compensatable)
                if self.inner.has(Bug::UndoOnlyOnAnsweredNo) =>
            {
                tracing::info!(%reason, "step refused");
                self.halted.store(true, Relaxed);
                Ok(Event::Refused(unavailable(reason)))
            }
            (Act::Unknown(reason), Role::Compensatable)
                if self.inner.has(Bug::RollbackOvertakesLateSuccess) =>
            {
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
    pub async fn backward(&self, saga: &mut SagaRecord<S::Data>) -> Happened {
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
            self.asks(tries, None);
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
                Undo::Conflict(_) if self.inner.has(Bug::ConflictInCompensationGivesUp) => {
                    return happened(Event::Undone);
                }
                Undo::Retry(reason) | Undo::Conflict(reason) => reason,
            };
            span.in_scope(|| tracing::info!(%reason, "undo unknown"));
            if self.inner.has(Bug::StopAtFirstCompensationError) {
                self.halted.store(true, Relaxed);
                continue;
            }
            if self.inner.has(Bug::CompensationNotRetried) {
                return None;
            }
            if tries + self.tried_before(saga, index) >= self.inner.config.tries {
                return Some((Event::Spent, Some(format!("{undo}: {reason}"))));
            }
            self.insist(tries).await;
        }
    }

    /// Tries that count beside those of the step at `index`. Only for the planted bug `tries-added-up` are there any.
    fn tried_before(&self, saga: &SagaRecord<S::Data>, index: usize) -> u32 {
        match self.inner.has(Bug::TriesAddedUp) {
            false => 0,
            true => {
                let others = saga.steps.iter().enumerate().filter(|(at, _)| *at != index);
                others.map(|(_, step)| step.attempts).sum()
            }
        }
    }

    /// Waits before what can only succeed is asked again.
    async fn insist(&self, tries: u32) {
        let random = self.inner.platform.random.as_ref();
        let wait = self.inner.config.insisting.wait(tries, random);
        self.asks(tries, Some(wait));
        sleep(wait).await;
    }

    /// Shows how far the asking has come.
    fn asks(&self, tries: u32, wait: Option<Duration>) {
        let now_ms = self.inner.platform.clock.now_ms();
        let again_ms = wait.map(|wait| now_ms.saturating_add(wait.as_millis() as u64));
        self.driven.asks(Asking { tries, again_ms });
    }

    fn call(&self, saga: &SagaRecord<S::Data>, name: &str) -> (Context, String) {
        (saga.context.step(name), format!("{}-{name}", saga.id))
    }

    /// Why a saga that can still turn back is to do so.
    pub fn reason_to_stop(&self) -> Option<Problem> {
        if self.driven.is_cancel_requested() {
            return Some(cancelled());
        }
        (Instant::now() >= self.deadline).then(too_late)
    }

    /// Like [`reason_to_stop`](Self::reason_to_stop), once the step is done; from the last chance of a plan on there is none.
    fn reason_to_stop_after(&self, saga: &SagaRecord<S::Data>, step: &Step) -> Option<Problem> {
        if self.inner.has(Bug::CompensateAfterPivot) {
            return self.reason_to_stop();
        }
        if step.role != Role::Compensatable || self.open_ended {
            return None;
        }
        let why = self.reason_to_stop();
        if why.is_none() && saga.is_before_last_chance(&self.plan) && !self.driven.close() {
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
