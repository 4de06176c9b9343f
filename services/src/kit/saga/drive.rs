//! One saga's way from where it is to its end.

use std::{
    mem,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::time::Instant;
use tracing::Instrument;

use super::{
    Event, Execution, Saga, SagaRecord, Status, Step, ask::cancelled, engine::Inner, facts::Fact,
    journal::Committed, model::UndoOrder, registry::Driven, workflow,
};
use crate::gap::Gap;

/// A deadline that does not come.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What drives a saga besides its record.
pub(super) struct Drive<'a, S: Saga> {
    pub inner: &'a Arc<Inner<S>>,
    pub driven: &'a Driven<S::Data>,
    /// The steps in their order; of a workflow, those that it has come to.
    pub plan: Vec<Step>,
    /// Steps may be added to the plan: whoever adds one looks whether there is a reason to stop.
    pub open_ended: bool,
    /// What the next commit journals before what it changes.
    pub said: Vec<Fact<S::Data>>,
    /// When the saga turns back unless it has come to its pivot.
    pub deadline: Instant,
    /// An earlier life may have asked the step under way.
    pub resumed: bool,
    /// No undo is asked any more: the rest counts as undone. Only unsound shapes come here.
    pub halted: AtomicBool,
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
        mut saga: SagaRecord<S::Data>,
        driven: Arc<Driven<S::Data>>,
    ) {
        saga.context
            .span()
            .in_scope(|| tracing::info!(status = ?saga.status, "saga resumed"));
        self.saga.taken_up(&mut saga.data);
        self.drive(saga, driven, true).await;
    }

    async fn drive(
        self: &Arc<Self>,
        saga: SagaRecord<S::Data>,
        driven: Arc<Driven<S::Data>>,
        resumed: bool,
    ) {
        // The wall clock may jump: it is asked once, and never for more than the whole deadline.
        let left = saga
            .deadline_ms
            .saturating_sub(self.platform.clock.now_ms());
        let left = match self.has(Gap::NoSagaDeadline) {
            true => NEVER,
            false => Duration::from_millis(left).min(self.config.deadline),
        };
        let drive = Drive {
            inner: self,
            driven: &driven,
            plan: Vec::new(),
            open_ended: self.config.execution == Execution::Workflow,
            said: Vec::new(),
            deadline: Instant::now() + left,
            resumed,
            halted: AtomicBool::new(false),
        };
        let (id, span) = (saga.id.clone(), saga.context.span());
        let rests = match self.config.execution {
            Execution::Saga => drive.by_plan(saga).await,
            Execution::Workflow => workflow::replay(drive, saga).await,
        };
        match rests {
            Some(saga) => driven.announce(saga),
            None => {
                span.in_scope(|| tracing::info!("saga lost"));
                self.saga.lost(&id);
            }
        }
        self.registry.release(&id, &driven);
    }
}

impl<S: Saga> Drive<'_, S> {
    /// From where the saga is to where it rests, by its plan.
    async fn by_plan(mut self, mut saga: SagaRecord<S::Data>) -> Option<SagaRecord<S::Data>> {
        self.plan = self.inner.saga.steps(&saga.data).to_vec();
        let forgotten = saga.intend_again(&self.plan, self.inner.platform.clock.now_ms());
        self.resumed &= !forgotten;
        self.onward(saga).await
    }

    /// From where the saga is to where it rests: its end, or a person. `None`: another replica owns it by now.
    pub async fn onward(mut self, mut saga: SagaRecord<S::Data>) -> Option<SagaRecord<S::Data>> {
        while saga.status.is_open() {
            let event = match saga.status {
                Status::Running => self.forward(&mut saga).await,
                _ => self.backward(&mut saga).await,
            };
            let Some((event, why)) = event else { break };
            saga = self.turn(saga, event, why).await?;
            self.resumed = false;
        }
        Some(saga)
    }

    /// Applies and journals an event. `None`: another replica owns the saga by now.
    pub async fn turn(
        &mut self,
        before: SagaRecord<S::Data>,
        event: Event,
        why: Option<String>,
    ) -> Option<SagaRecord<S::Data>> {
        let (was, span) = (before.status, before.context.span());
        let committed = self.commit(before.clone(), event, why.clone());
        let saga = match committed.instrument(span.clone()).await {
            Committed::Yes(saga) => *saga,
            Committed::Lost => return None,
            Committed::Cancelled => {
                let event = Event::DoneButTurnBack(cancelled());
                match self
                    .commit(before, event, None)
                    .instrument(span.clone())
                    .await
                {
                    Committed::Yes(saga) => *saga,
                    Committed::Lost | Committed::Cancelled => return None,
                }
            }
        };
        span.in_scope(|| {
            if was == Status::Running && saga.refusal.is_some() {
                tracing::info!("compensating");
            }
            match saga.status {
                Status::Running | Status::Compensating => log_intent(&self.plan, &saga),
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
        &mut self,
        mut saga: SagaRecord<S::Data>,
        event: Event,
        why: Option<String>,
    ) -> Committed<S::Data> {
        let now = self.inner.platform.clock.now_ms();
        let plan = self.inner.saga.steps(&saga.data);
        let was_at_pivot = saga.is_at_pivot(plan);
        let undo_order = match self.inner.has(Gap::CompensateInOrder) {
            true => UndoOrder::AsDone,
            false => UndoOrder::Reverse,
        };
        saga.apply_in(undo_order, &self.plan, event, now)
            .expect("the driver reports only what fits the state that it reads");
        let comes_to_pivot = !was_at_pivot
            && saga.is_at_pivot(plan)
            && matches!(saga.status, Status::Running | Status::Completed);
        if saga.status.is_ended() && self.inner.has(Gap::AckBeforeCommit) {
            self.driven.announce(saga.clone());
        }
        let said = mem::take(&mut self.said);
        self.inner.commit(saga, comes_to_pivot, said, why).await
    }
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
