//! What a workflow is doing, and what it has done, as told to others.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kit::{
    Problem, Reader, StoreError,
    saga::{
        Engine, Saga, SagaRecord, SagaView, Status, StepStatus,
        facts::{Fact, FactRow},
        inner::Inner,
    },
};

/// A workflow in a listing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkflowView {
    /// Where it is, and what its steps have come to.
    #[serde(flatten)]
    pub saga: SagaView,
    /// What it waits for; `None` once it has ended.
    pub waits_for: Option<WaitsFor>,
}

/// A workflow with its whole history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkflowDetail {
    /// Where it is.
    #[serde(flatten)]
    pub workflow: WorkflowView,
    /// What a replay is given, oldest first.
    pub history: Vec<HistoryEntry>,
}

/// What keeps a workflow from going on at this instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "kebab-case")]
pub enum WaitsFor {
    /// The answer to a step or an undo.
    Answer {
        /// Which.
        step: String,
        /// The attempt that is under way, since the process began.
        attempt: u32,
    },
    /// The time at which a step or an undo is asked again.
    NextAttempt {
        /// Which.
        step: String,
        /// Attempts so far, since the process began.
        attempts: u32,
        /// When; wall clock.
        at_ms: u64,
    },
    /// The next recovery: no task drives it. A restart does so at once.
    Recovery {},
    /// An operator, who has to look at it and restart it.
    Person {
        /// Why.
        reason: String,
    },
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When it was committed; wall clock.
    pub at_ms: u64,
    /// What it tells.
    #[serde(flatten)]
    pub happened: Happened,
}

/// A [`Fact`] without the saga's private data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happened {
    /// It began.
    Began {
        /// When it turns back unless it has come to its pivot; wall clock.
        deadline_ms: u64,
    },
    /// It knows something else.
    Learned {},
    /// It turned back.
    TurnedBack {
        /// Why.
        why: Problem,
    },
    /// It took note of something.
    Noted {
        /// Of what.
        what: String,
        /// What it was.
        value: Value,
    },
    /// A step, or its undo, was asked for or came to something.
    Step {
        /// The step.
        step: String,
        /// Where it is now.
        status: StepStatus,
        /// How often it, or its undo, was asked until then.
        attempts: u32,
    },
    /// It came to another status.
    Came {
        /// Which.
        to: Status,
    },
}

impl<D> From<Fact<D>> for Happened {
    fn from(fact: Fact<D>) -> Self {
        match fact {
            Fact::Began { deadline_ms, .. } => Happened::Began { deadline_ms },
            Fact::Learned { .. } => Happened::Learned {},
            Fact::TurnedBack { why } => Happened::TurnedBack { why },
            Fact::Noted { what, value } => Happened::Noted { what, value },
            Fact::Step {
                step,
                status,
                attempts,
            } => Happened::Step {
                step,
                status,
                attempts,
            },
            Fact::Came { to, .. } => Happened::Came { to },
        }
    }
}

/// Where a workflow is, and what a replay of it is given.
pub type Told<D> = (SagaRecord<D>, Vec<HistoryEntry>);

impl<S: Saga> Engine<S> {
    /// A workflow and its journal, as committed. `None`: there is no such workflow.
    pub fn history(&self, id: &str) -> Result<Option<Told<S::Data>>, StoreError> {
        let Some(saga) = self.read(id)? else {
            return Ok(None);
        };
        let entry = |row: FactRow<S::Data>| HistoryEntry {
            at_ms: row.at_ms,
            happened: row.fact.into(),
        };
        let history = self.0.facts(id)?.into_iter().map(entry);
        Ok(Some((saga, history.collect())))
    }

    /// What a saga of this process waits for now.
    pub fn waits_for(
        &self,
        rows: &Reader,
        saga: &SagaRecord<S::Data>,
    ) -> Result<Option<WaitsFor>, StoreError> {
        if saga.status == Status::NeedsAttention {
            let letter = Inner::<S>::open_letter(rows, &saga.id)?;
            let reason = letter.map_or_else(String::new, |letter| letter.reason);
            return Ok(Some(WaitsFor::Person { reason }));
        }
        Ok(self.0.waits_for(saga))
    }
}

impl<S: Saga> Inner<S> {
    /// What a saga waits for that no person has to look at.
    fn waits_for(&self, saga: &SagaRecord<S::Data>) -> Option<WaitsFor> {
        if saga.status.is_ended() {
            return None;
        }
        let current = saga.current().map(|at| &saga.steps[at].name);
        let (Some(driven), Some(name)) = (self.registry.of(&saga.id), current) else {
            return Some(WaitsFor::Recovery {});
        };
        let plan = self.saga.steps(&saga.data).iter();
        let undo = plan
            .filter(|step| step.name == name)
            .find_map(|step| step.undo);
        let step = match saga.status {
            Status::Compensating => undo.unwrap_or(name),
            _ => name,
        };
        let (step, asking) = (step.to_owned(), driven.asking());
        Some(match asking.again_ms {
            Some(at_ms) => WaitsFor::NextAttempt {
                step,
                attempts: asking.tries,
                at_ms,
            },
            None => WaitsFor::Answer {
                step,
                attempt: asking.tries,
            },
        })
    }
}
