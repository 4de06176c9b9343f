//! The saga's state machine: plain data, and one total transition function.

use serde::{Deserialize, Serialize};

use crate::kit::{Context, Problem};

/// What a step means for those before and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Can be undone; comes before the pivot.
    Compensatable,
    /// The go / no-go: once it is done the saga only moves forward. While its outcome is unknown, nothing is undone.
    Pivot,
    /// Succeeds when asked often enough; comes after the pivot.
    Retriable,
}

/// One step as declared: an action and, beside it, its undo.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// `{service}-{action}`: `inventory-reserve`.
    pub name: &'static str,
    /// The undo's name, of the same form; every compensatable step has one, no other has.
    pub undo: Option<&'static str>,
    /// Its role.
    pub role: Role,
    /// Happens within the commit that comes to it, through [`on_change`](super::Saga::on_change), and cannot fail.
    pub local: bool,
}

impl Step {
    const fn new(name: &'static str, undo: Option<&'static str>, role: Role) -> Self {
        Step {
            name,
            undo,
            role,
            local: false,
        }
    }

    /// A step that can be undone.
    pub const fn compensatable(name: &'static str, undo: &'static str) -> Self {
        Step::new(name, Some(undo), Role::Compensatable)
    }

    /// The go / no-go.
    pub const fn pivot(name: &'static str) -> Self {
        Step::new(name, None, Role::Pivot)
    }

    /// A step that only moves forward.
    pub const fn retriable(name: &'static str) -> Self {
        Step::new(name, None, Role::Retriable)
    }

    /// The same step, carried out (and undone) by this service's own commit rather than by a call.
    pub const fn local(self) -> Self {
        Step {
            local: true,
            ..self
        }
    }
}

/// Where a saga is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Moving forward.
    Running,
    /// Undoing what was or may have been done.
    Compensating,
    /// Every step is done.
    Completed,
    /// Nothing of it is left.
    Compensated,
    /// Retries are spent: a person must look, and redrive it.
    NeedsAttention,
}

impl Status {
    /// Whether nothing will happen any more.
    pub fn is_ended(self) -> bool {
        matches!(self, Status::Completed | Status::Compensated)
    }

    /// Whether a driver has work to do.
    pub fn is_open(self) -> bool {
        matches!(self, Status::Running | Status::Compensating)
    }
}

/// Where a step is. A step that was never intended has no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StepStatus {
    /// About to be asked, or asked; after a crash nobody knows which.
    Intended,
    /// It was done.
    Done,
    /// It was definitively not done.
    Failed,
    /// It may have been done.
    Unknown,
    /// Its undo is about to be asked, or asked.
    CompensationIntended,
    /// Its undo is done.
    Compensated,
}

/// A step as journalled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The step's name.
    pub name: String,
    /// Where it is.
    pub status: StepStatus,
    /// How often it, or its undo, was asked in its present status by the process that last recorded it.
    pub attempts: u32,
}

/// A saga as journalled: one row.
///
/// Invariants: while `Running`, the last of `steps` is `Intended` and all before it are `Done` (a workflow begins with none);
/// while `Compensating`,
/// exactly one is `CompensationIntended`, and those behind it are `Failed` or `Compensated`. `refusal` is set if and only if the saga turned back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaRecord<D> {
    /// `SAGA-XXXXXXXX`, unique within the service.
    pub id: String,
    /// What kind of saga it is.
    pub kind: String,
    /// Where it is.
    pub status: Status,
    /// Who asked: a recovery continues the same trace.
    pub context: Context,
    /// What the saga knows.
    pub data: D,
    /// When it turns back unless it has come to its pivot; wall clock.
    pub deadline_ms: u64,
    /// The steps that were intended, in order.
    pub steps: Vec<StepRecord>,
    /// Why it turned back.
    pub refusal: Option<Problem>,
    /// When it began; wall clock.
    pub created_ms: u64,
    /// When it completed or was compensated; wall clock.
    pub ended_ms: Option<u64>,
    /// Raised by every commit where replicas share the journal, and compared before: it fences off whoever lost the
    /// saga to another. 0 where one process owns all sagas.
    #[serde(default, skip_serializing_if = "is_unversioned")]
    pub version: u64,
}

fn is_unversioned(version: &u64) -> bool {
    *version == 0
}

/// What can happen to a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The step under way was done; on to the next.
    Done,
    /// The step under way was done, but the saga turns back for this reason.
    DoneButTurnBack(Problem),
    /// The same from the pivot on, where there is no way back: only for the planted bug `compensate-after-pivot`.
    DoneTurnBackTooLate(Problem),
    /// The step under way was definitively not done.
    Refused(Problem),
    /// Nobody waits for the outcome of the step under way any longer: it is undone with the others.
    Abandoned(Problem),
    /// The undo under way is done.
    Undone,
    /// The retries of the action or undo under way are spent.
    Spent,
    /// A person sends it on its way again.
    Redriven,
}

/// In which order steps are undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UndoOrder {
    /// The newest first.
    Reverse,
    /// The oldest first: unsound.
    AsDone,
}

/// The event does not fit the saga's state: a defect in the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to a saga that is {status:?} at {step}")]
pub struct Illegal {
    /// What happened.
    pub event: Event,
    /// Where the saga is.
    pub status: Status,
    /// Its last step.
    pub step: String,
}

impl<D> SagaRecord<D> {
    /// The saga's first row: leading local steps are done, the first remote step is intended.
    pub fn begin(
        (id, kind): (String, &str),
        context: Context,
        data: D,
        plan: &[Step],
        now_ms: u64,
        deadline_ms: u64,
    ) -> Self {
        let mut saga = Self::fresh((id, kind), context, data, now_ms, deadline_ms);
        saga.advance(plan, now_ms);
        saga
    }

    /// A saga that nothing was intended for yet.
    pub(super) fn fresh(
        (id, kind): (String, &str),
        context: Context,
        data: D,
        now_ms: u64,
        deadline_ms: u64,
    ) -> Self {
        SagaRecord {
            context: context.with_saga(&id),
            id,
            kind: kind.to_owned(),
            status: Status::Running,
            data,
            deadline_ms,
            steps: Vec::new(),
            refusal: None,
            created_ms: now_ms,
            ended_ms: None,
            version: 0,
        }
    }

    /// The status of a step, `None` if it was never intended.
    pub fn step(&self, name: &str) -> Option<StepStatus> {
        let step = self.steps.iter().find(|step| step.name == name)?;
        Some(step.status)
    }

    /// Whether the saga has come to its pivot, so that nothing but the pivot's refusal can turn it back. One that begins
    /// with its pivot is there from the start.
    pub fn is_at_pivot(&self, plan: &[Step]) -> bool {
        let leaves = |step: &Step| step.role != Role::Compensatable;
        let passed = |step: &Step| leaves(step) && self.step(step.name).is_some();
        self.status == Status::Completed
            || plan.first().is_some_and(leaves)
            || plan.iter().any(passed)
    }

    /// The step whose action or undo is under way, as an index into the plan.
    pub fn current(&self) -> Option<usize> {
        self.steps.iter().rposition(|step| {
            matches!(
                step.status,
                StepStatus::Intended | StepStatus::CompensationIntended
            )
        })
    }

    /// Whether being done with the step under way takes the saga to its pivot or its end: the last instant to turn back.
    pub fn is_before_last_chance(&self, plan: &[Step]) -> bool {
        for step in plan.iter().skip(self.steps.len()) {
            if step.role != Role::Compensatable {
                return true;
            }
            if !step.local {
                return false;
            }
        }
        true
    }

    /// What the event makes of the saga.
    pub fn apply(&mut self, plan: &[Step], event: Event, now_ms: u64) -> Result<(), Illegal> {
        self.apply_in(UndoOrder::Reverse, plan, event, now_ms)
    }

    pub(super) fn apply_in(
        &mut self,
        order: UndoOrder,
        plan: &[Step],
        event: Event,
        now_ms: u64,
    ) -> Result<(), Illegal> {
        let last = self.steps.len().saturating_sub(1);
        let role = plan.get(last).map(|step| step.role);
        match (self.status, role, &event) {
            (Status::Running, _, Event::Done) => {
                if let Some(step) = self.steps.last_mut() {
                    step.status = StepStatus::Done;
                }
                self.advance(plan, now_ms);
            }
            (Status::Running, None, Event::DoneButTurnBack(why)) if self.steps.is_empty() => {
                self.turn_back(order, plan, StepStatus::Done, why.clone(), now_ms);
            }
            (Status::Running, Some(Role::Compensatable), Event::DoneButTurnBack(why))
            | (Status::Running, Some(_), Event::DoneTurnBackTooLate(why)) => {
                self.turn_back(order, plan, StepStatus::Done, why.clone(), now_ms);
            }
            (Status::Running, Some(Role::Compensatable), Event::Abandoned(why)) => {
                self.turn_back(order, plan, StepStatus::Unknown, why.clone(), now_ms);
            }
            (Status::Running, Some(Role::Compensatable | Role::Pivot), Event::Refused(why)) => {
                self.turn_back(order, plan, StepStatus::Failed, why.clone(), now_ms);
            }
            (Status::Compensating, _, Event::Undone) => {
                if let Some(current) = self.current() {
                    self.steps[current].status = StepStatus::Compensated;
                }
                self.retreat(order, plan, now_ms);
            }
            (Status::Running | Status::Compensating, _, Event::Spent) => {
                self.status = Status::NeedsAttention;
            }
            (Status::NeedsAttention, _, Event::Redriven) => {
                self.status = match self.refusal {
                    Some(_) => Status::Compensating,
                    None => Status::Running,
                };
            }
            _ => {
                return Err(Illegal {
                    event,
                    status: self.status,
                    step: self.steps.last().map_or("-", |s| &s.name).to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Intends the next remote step, doing the local ones on the way; completes the saga if there is none.
    pub(super) fn advance(&mut self, plan: &[Step], now_ms: u64) {
        for step in plan.iter().skip(self.steps.len()) {
            let status = if step.local {
                StepStatus::Done
            } else {
                StepStatus::Intended
            };
            self.steps.push(StepRecord {
                name: step.name.to_owned(),
                status,
                attempts: 0,
            });
            if status == StepStatus::Intended {
                return;
            }
        }
        self.status = Status::Completed;
        self.ended_ms = Some(now_ms);
    }

    /// Intends the step under way if the journal does not know of it.
    pub(super) fn intend_again(&mut self, plan: &[Step], now_ms: u64) -> bool {
        let forgotten = self.status == Status::Running && self.current().is_none();
        if forgotten {
            self.advance(plan, now_ms);
        }
        forgotten
    }

    /// The saga without the intent of its next step.
    pub(super) fn without_intent(mut self) -> Self {
        self.steps
            .retain(|step| step.status != StepStatus::Intended);
        self
    }

    fn turn_back(
        &mut self,
        order: UndoOrder,
        plan: &[Step],
        last: StepStatus,
        why: Problem,
        now_ms: u64,
    ) {
        if let Some(step) = self.steps.last_mut() {
            step.status = last;
        }
        self.refusal = Some(why);
        self.status = Status::Compensating;
        self.retreat(order, plan, now_ms);
    }

    /// Intends the next undo, newest first, undoing the local ones and those without an undo on the way; ends the saga
    /// if there is none.
    fn retreat(&mut self, order: UndoOrder, plan: &[Step], now_ms: u64) {
        let steps = self.steps.len().min(plan.len());
        for nth in 0..steps {
            let index = match order {
                UndoOrder::Reverse => steps - 1 - nth,
                UndoOrder::AsDone => nth,
            };
            let (record, step) = (&mut self.steps[index], &plan[index]);
            match record.status {
                StepStatus::Failed | StepStatus::Compensated => {}
                _ if step.local || step.undo.is_none() => record.status = StepStatus::Compensated,
                _ => {
                    record.status = StepStatus::CompensationIntended;
                    record.attempts = 0;
                    return;
                }
            }
        }
        self.status = Status::Compensated;
        self.ended_ms = Some(now_ms);
    }
}
