//! System C once more: the same orders, customers and storms as in `order-saga`, but a saga is a function that is run again
//! from its beginning after a crash, and answered from its journal as far as that goes.

use std::time::Duration;

use squall::{
    Sim,
    scenario::{Scenario, Setup},
    storm::Profile,
};
use squall_services::{orchestration::orders::Execution, planted_bug::Bug};

use crate::{
    invariants::workflows,
    planted_bug,
    scenarios::order_saga::{self, OrderSaga},
};

/// The scenario `order-workflow`.
pub struct OrderWorkflow;

/// What durable execution does not bring along: keys, locks, versions, a limit on calls. And the pitfall of its own.
const DOCUMENTED: &[Bug] = &[
    Bug::WorkflowNotDeterministic,
    Bug::NoKey,
    Bug::SemanticLockReservingOnly,
    Bug::NoVersionCheck,
    Bug::NoBulkhead,
];

crate::planted_bugs! {
    /// What its journal is for, and what it does not bring along.
    NoJournal at 4 => "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock";
    JournalAfterCall at 137 => "no lost refund" | "no leaked reservation" | "no leaked semantic lock" | "no oversell";
    WorkflowNotDeterministic at 130 => "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock";
    TimeoutMeansNo at 19 => "no lost refund" | "ledger and payment records agree" | "no leaked reservation"
        | "no leaked semantic lock" | "no oversell";
    CompensationNotRetried => "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock";
    CompensateAfterPivot => "a saga turns back before its pivot only";
    RecoveryOnlyFailed at 29 => "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock" | "no oversell";
    RecoveryForgetsCompensating at 91 => "every order ends" | "every saga ends" | "no lost refund"
        | "no leaked reservation" | "no leaked semantic lock";
    NoKey at 8 => "no double charge, no double refund" | "one key, one effect" | "stock adds up" | "no lost refund";
    SemanticLockReservingOnly => "a semantic lock has one owner";
    NoVersionCheck at 35 => "stock adds up" | "no oversell";
    NoBulkhead at 5 => "calls to the gateway are bounded";
    RebuildInTwoCommits at 13 => "a workflow is what its journal tells";
    LetterRedrivenTwice at 135 => "a dead letter is sent on its way once";
    TriesAddedUp at 90 => "a dead letter comes no sooner than its schedule";
    AcceptedToldAsRefused => "whoever asks again is answered, promptly and alike";
    KeySettledAfterTheEnd at 4 => "whoever asks again is answered, promptly and alike";
    UnreadableIsAbsent at 8 => "a workflow is what its journal tells";
    IntentByKeyOnly => "one intent, one effect";
}

impl Scenario for OrderWorkflow {
    planted_bug::described! {
        "order-workflow": "order-saga by durable execution: a saga is a function that is replayed from its journal after a crash",
        documented: "durable execution without keys, locks, versions and limits: expected to fail",
    }

    fn profile(&self) -> Profile {
        let mut profile = OrderSaga.profile();
        profile.held.push(("order", "rebuild begins"));
        profile
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        let bugs = planted_bug::bugs(setup, DOCUMENTED);
        // Short enough that it often passes while a process is down.
        let deadline = sim.seed().stream("deadline").between(2, 20);
        order_saga::build(sim, bugs, |order| {
            order.execution = Execution::Workflow;
            order.saga_deadline = Duration::from_secs(deadline);
        });
        workflows::watch(sim);
        sim.sometimes_logged("a workflow was replayed", "order", "workflow replayed");
    }
}
