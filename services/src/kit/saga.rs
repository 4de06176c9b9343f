//! Durable sagas: what was begun is finished, or undone, whatever crashes in between.
//!
//! A saga is a list of [`Step`]s, each an action with its undo declared beside it. Compensatable steps come first, then
//! the pivot (go / no-go), then retriable steps, which only move forward (Garcia-Molina and Salem, *Sagas*, SIGMOD 1987;
//! the three roles are those of Zhang et al., *Ensuring Relaxed Atomicity for Flexible Transactions*, SIGMOD 1994).
//!
//! The journal is one row per saga, or its facts ([`Journal`]). An intent is durable before its call is made, and the
//! outcome of a step shares a commit with the intent of the next, so a saga of *n* remote steps costs *n* + 1 commits.
//! The service's own rows change in those very commits ([`Saga::on_change`]).
//!
//! A saga has one owner. Where replicas share the store, the owner is in the journal and every commit is fenced by the
//! saga's version: see `owner`.
//!
//! Who says what comes next is a policy ([`Execution`]): the plan, or a function that is run again from its beginning after
//! a crash ([`workflow`]).
//!
//! What this does *not* do: isolate sagas from each other (that is the semantic lock's work).

pub mod api;
mod ask;
mod drive;
mod engine;
pub mod facts;
mod inner;
mod journal;
mod model;
mod owner;
mod policy;
mod registry;
mod replies;
mod tables;
#[cfg(test)]
mod tests;
mod view;
pub mod workflow;

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};

pub use inner::Engine;
pub use model::{Event, Illegal, Role, SagaRecord, Status, Step, StepRecord, StepStatus};
pub use policy::{Backoff, Config, Execution, Journal};
pub use replies::{offered, settled, undone};
pub use tables::{
    Beat, DEAD_LETTERS, DRIVERS, DeadLetter, OPEN_LETTERS, OPEN_SAGAS, OpenSaga, Owner, table,
};
pub use view::SagaView;
pub use workflow::{Stopped, Workflow};

use super::{Context, Problem, StoreError, Writer};

/// A kind of saga, or several that share a store and a data type: what its steps do.
///
/// Actions and undos may be asked again with the same key, in this life of the process or in a later one: the callee
/// must make them idempotent by that key. An undo may be asked of an action that never arrived, or that arrives later: it must
/// leave a tombstone.
#[async_trait]
pub trait Saga: Send + Sync + 'static {
    /// What the saga knows; stored with every commit.
    type Data: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;

    /// The kind's name, for the journal.
    fn kind(&self, data: &Self::Data) -> &'static str;

    /// The steps in their order. Must depend only on what never changes in `data`.
    fn steps(&self, data: &Self::Data) -> &'static [Step];

    /// Where sagas run as workflows ([`Execution::Workflow`]): what is done, from the beginning to the end, each time that
    /// it is asked. By default the steps, one after another.
    ///
    /// # Errors
    /// [`Stopped`], as soon as the workflow says so.
    async fn run(&self, workflow: &mut Workflow<'_, Self>) -> Result<(), Stopped>
    where
        Self: Sized,
    {
        for step in self.steps(workflow.data()) {
            workflow.step(*step).await?;
        }
        Ok(())
    }

    /// Carries out a remote step.
    async fn act(&self, step: &'static str, data: &mut Self::Data, call: Call<'_>) -> Act;

    /// Undoes a remote compensatable step, whether or not it was ever done. `undo` is the undo's name.
    async fn undo(&self, undo: &'static str, data: &mut Self::Data, call: Call<'_>) -> Undo;

    /// Changes the service's own rows in the very commit in which the saga changes. Called for every commit but the
    /// first, whose rows [`Engine::start`] is given; it may be called again for a state that it has seen.
    fn on_change(
        &self,
        tx: &mut Writer<'_>,
        saga: &SagaRecord<Self::Data>,
    ) -> Result<(), StoreError>;

    /// Told after each commit but the first, once it is durable.
    fn committed(&self, saga: &SagaRecord<Self::Data>) {
        let _ = saga;
    }

    /// Told when another replica has taken the saga over.
    fn lost(&self, saga_id: &str) {
        let _ = saga_id;
    }

    /// Told of the data of a saga that was read and is driven on: another build may have written it.
    fn taken_up(&self, data: &mut Self::Data) {
        let _ = data;
    }

    /// Told of the data of a saga that does once more, under another id, what another one has done. Only for the planted
    /// bug `letter-redriven-twice`.
    fn begins_anew(&self, data: &mut Self::Data, saga_id: &str) {
        let _ = (data, saga_id);
    }

    /// What a fact is called in the business's own words, where sagas are kept as [`Journal::Facts`].
    fn fact_name(&self, fact: &facts::Fact<Self::Data>) -> String {
        fact.name()
    }
}

/// What a step's call to a peer carries.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The saga on whose behalf this happens.
    pub saga_id: &'a str,
    /// To be passed on: the saga's context, one step further (`alice-2-place/inventory-reserve`).
    pub context: &'a Context,
    /// The idempotency key, the same at every attempt: `{sagaId}-{step or undo}`.
    pub key: &'a str,
}

/// The outcome of an action.
#[derive(Clone, Debug)]
pub enum Act {
    /// It was done.
    Done,
    /// It was definitively not done and will not be. After the pivot there is no such answer: it counts as unknown.
    Refused(Problem),
    /// It may or may not have been done.
    Unknown(String),
    /// Another saga is in the way; the problem is what the client is told when patience runs out.
    Busy(Problem),
    /// It was refused for good, and a part of it was or may have been done: it is undone with the steps before it.
    Partly(Problem),
}

/// The outcome of an undo.
#[derive(Clone, Debug)]
pub enum Undo {
    /// Its effect is gone, or will never come to be.
    Done,
    /// That is not certain yet.
    Retry(String),
    /// Its row changed meanwhile: certainly nothing was done this time.
    Conflict(String),
}
