//! A saga by its plan and the same as a workflow sell the same, and pay for it differently. Run with `--nocapture` for the
//! table.

mod tables;

use squall::seed::Seed;
use squall_scenarios::experiments::execution_modes::{Measured, measure, table};
use squall_services::orchestration::orders::Execution;

fn both(seed: u64) -> [Measured; 2] {
    [Execution::Saga, Execution::Workflow].map(|execution| measure(Seed(seed), execution))
}

#[test]
fn a_workflow_costs_a_commit_more_than_a_saga_and_keeps_all_that_happened() {
    for seed in 0..3 {
        let [saga, workflow] = both(seed);
        assert_eq!(
            (saga.took.len(), workflow.took.len()),
            (9, 9),
            "seed {seed}"
        );
        assert_eq!((saga.commits, workflow.commits), (9 * 5, 9 * 6));
        assert!(workflow.kept > saga.kept, "{workflow:?}");
        let (saga, workflow) = (saga.times().0, workflow.times().0);
        assert!(workflow < saga + saga / 10, "{workflow:?} and {saga:?}");
    }
}

#[test]
fn after_a_crash_both_end_what_was_begun_in_the_same_time() {
    for seed in 0..3 {
        let [saga, workflow] = both(seed);
        for ((step, saga), (_, workflow)) in saga.recoveries.iter().zip(&workflow.recoveries) {
            let apart = saga.abs_diff(*workflow);
            assert!(apart < *saga / 10, "{step}: {saga:?} and {workflow:?}");
        }
    }
}

#[test]
fn what_durable_execution_costs_is_measured() {
    let table = table(Seed(1));
    tables::review(
        "execution-modes",
        "What an order costs by its saga's plan, and as a workflow that is replayed.",
        &table,
    );
}
