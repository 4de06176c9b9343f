//! One saga's way from where it is to its end.

use std::{
    mem,
    sync::{Arc, atomic::AtomicBool},
};

use tokio::time::Instant;
use tracing::Instrument;

use super::{
    Event, Saga, SagaRecord, Status, Step, facts::Fact, inner::Inner, journal::Committed,
    model::UndoOrder, registry::Driven,
};
use crate::{
    kit::{Code, Problem},
    planted_bug::Bug,
};

/// What happened, and if retries were spent, on what.
pub(super) type Happened = Option<(Event, Option<String>)>;

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

impl<S: Saga> Drive<'_, S> {
    /// From where the saga is to where it rests, by its plan.
    pub async fn by_plan(mut self, mut saga: SagaRecord<S::Data>) -> Option<SagaRecord<S::Data>> {
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
        let undo_order = match self.inner.has(Bug::CompensateInOrder) {
            true => UndoOrder::AsDone,
            false => UndoOrder::Reverse,
        };
        saga.apply_in(undo_order, &self.plan, event, now)
            .expect("the driver reports only what fits the state that it reads");
        let comes_to_pivot = !was_at_pivot
            && saga.is_at_pivot(plan)
            && matches!(saga.status, Status::Running | Status::Completed);
        if saga.status.is_ended() && self.inner.has(Bug::AckBeforeCommit) {
            self.driven.announce(saga.clone());
        }
        let said = mem::take(&mut self.said);
        self.inner.commit(saga, comes_to_pivot, said, why).await
    }
}

/// Says which action or undo is about to be asked.
pub(super) fn log_intent<D>(plan: &[Step], saga: &SagaRecord<D>) {
    let Some(index) = saga.current() else { return };
    let step = match saga.status {
        Status::Compensating => plan[index].undo.unwrap_or(plan[index].name),
        _ => plan[index].name,
    };
    tracing::info!(step, "step intended");
}

pub(super) fn cancelled() -> Problem {
    Code::InvalidState.because("cancelled by the user")
}

pub(super) fn too_late() -> Problem {
    unavailable("it could not be done in time; nothing of it is left".to_owned())
}

pub(super) fn unavailable(detail: String) -> Problem {
    Code::ServiceUnavailable.because(detail)
}
