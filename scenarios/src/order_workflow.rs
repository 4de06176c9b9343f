//! System C once more: the same orders, customers and storms as in `order-saga`, but a saga is a function that is run again
//! from its beginning after a crash, and answered from its journal as far as that goes.

use std::time::Duration;

use squall::{
    Sim,
    scenario::{Bug, Scenario, Setup, Shape},
    storm::Profile,
};
use squall_services::{gap::Gap, order::Execution};

use crate::{
    bank,
    invariants::workflows,
    order_saga::{self, OrderSaga},
};

/// The scenario `order-workflow`.
pub struct OrderWorkflow;

/// What durable execution does not bring along: keys, locks, versions, a limit on calls. And the pitfall of its own.
const DOCUMENTED: &[Gap] = &[
    Gap::WorkflowNotDeterministic,
    Gap::NoKey,
    Gap::SemanticLockReservingOnly,
    Gap::NoVersionCheck,
    Gap::NoBulkhead,
];

/// What its journal is for, and what it does not bring along.
const BUGS: &[Gap] = &[
    Gap::NoJournal,
    Gap::JournalAfterCall,
    Gap::WorkflowNotDeterministic,
    Gap::TimeoutMeansNo,
    Gap::CompensationNotRetried,
    Gap::CompensateAfterPivot,
    Gap::RecoveryOnlyFailed,
    Gap::RecoveryForgetsCompensating,
    Gap::NoKey,
    Gap::SemanticLockReservingOnly,
    Gap::NoVersionCheck,
    Gap::NoBulkhead,
    Gap::RebuildInTwoCommits,
    Gap::LetterRedrivenTwice,
    Gap::TriesAddedUp,
    Gap::AcceptedToldAsRefused,
    Gap::KeySettledAfterTheEnd,
    Gap::UnreadableIsAbsent,
    Gap::IntentByKeyOnly,
];

impl Scenario for OrderWorkflow {
    fn name(&self) -> &str {
        "order-workflow"
    }

    fn about(&self) -> &str {
        "order-saga by durable execution: a saga is a function that is replayed from its journal after a crash"
    }

    fn shapes(&self) -> Vec<Shape> {
        bank::shapes("durable execution without keys, locks, versions and limits: expected to fail")
    }

    fn bugs(&self) -> Vec<Bug> {
        bank::bugs(BUGS)
    }

    fn profile(&self) -> Profile {
        let mut profile = OrderSaga.profile();
        profile.held.push(("order", "rebuild begins"));
        profile
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        let gaps = bank::gaps(setup, DOCUMENTED);
        // Short enough that it often passes while a process is down.
        let deadline = sim.seed().stream("deadline").between(2, 20);
        order_saga::build(sim, gaps, |order| {
            order.execution = Execution::Workflow;
            order.saga_deadline = Duration::from_secs(deadline);
        });
        workflows::watch(sim);
        sim.sometimes_logged("a workflow was replayed", "order", "workflow replayed");
    }
}
