//! One run: `(scenario, seed, plan) → (verdict, trace)`.

mod outcome;
mod sim;

pub use outcome::{Outcome, Signature, Spec, Verdict};
pub use sim::Sim;

/// Runs it, on a fresh thread. `full` keeps the whole trace.
pub fn run(scenario: &dyn crate::scenario::Scenario, spec: &Spec, full: bool) -> Outcome {
    let _ = (scenario, spec, full);
    unreachable!("replaced when the world lands")
}
