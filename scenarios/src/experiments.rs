//! Measurements: runs whose results are tables and pages rather than verdicts.

use squall::{
    run::{self, Outcome, Spec, Verdict},
    scenario::Scenario,
    seed::Seed,
    storm::{Fault, Plan},
};

pub mod execution_modes;
pub mod isolation;
pub mod outbox_modes;
pub mod sync_windows;

/// Plays what is measured, without recording it.
///
/// # Panics
///
/// If the run itself went wrong.
pub fn survived(scenario: &impl Scenario, seed: Seed, storm: Vec<Fault>) -> Outcome {
    let spec = Spec::of(scenario, seed).under(Plan::new(storm));
    let outcome = run::run(scenario, &spec, false);
    must_survive(&outcome);
    outcome
}

/// Nothing was broken.
///
/// # Panics
///
/// If something was.
#[track_caller]
pub fn must_survive(outcome: &Outcome) {
    let violations = &outcome.violations;
    assert_eq!(outcome.verdict, Verdict::Survived, "{violations:#?}");
}
