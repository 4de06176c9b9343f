//! Shrinking: the smallest storm and workload that still fail in the same way.
//!
//! The seed of world and workload stays; taking a fault, a client or a request away changes nothing that the others
//! draw. What does change with any plan is the schedule, so each candidate is tried under a few schedules, the present
//! one first. Faults and requests are dropped by delta debugging (Zeller, Hildebrandt, IEEE TSE 2002); what is left is
//! weakened, aimed at named sites, shortened and rounded. Every step must fail with the same [`Signature`].
//!
//! The result does not depend on the number of jobs, except where the limit of real time ends it.

mod aim;
mod context;
mod ddmin;
mod observed;
mod passes;
mod reaim;
mod trial_runner;
mod weaken;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::campaign::{Runner, available_jobs};
use observed::Observed;
use squall_core::time::VirtualTime;
use squall_engine::{
    run::{Outcome, Signature, Spec},
    scenario::Scenario,
};
use trial_runner::TrialRunner;

/// What shrinking may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Runs, at most; 0 does not shrink at all.
    pub runs: u64,
    /// No run begins after this much real time.
    pub time: Duration,
    /// Runs at the same time.
    pub jobs: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            runs: 1_000,
            time: Duration::from_secs(10),
            jobs: available_jobs(),
        }
    }
}

/// How big a failing run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Faults of its storm.
    pub faults: usize,
    /// Clients that called anything.
    pub clients: usize,
    /// Distinct operations that they called for.
    pub requests: usize,
    /// Virtual time from its beginning to its end, in nanoseconds.
    pub ended: VirtualTime,
}

/// What it took to shrink a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effort {
    /// Runs that were needed.
    pub runs: u64,
    /// Real time of these runs, added up over all jobs, in milliseconds: their CPU time, where nothing else runs.
    pub runs_ms: u64,
    /// Whether the budget ended it before there was nothing left to try.
    pub cut_short: bool,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Runs that are done.
    pub runs: u64,
    /// Runs that there may be.
    pub runs_max: u64,
    /// Faults that are left.
    pub faults: usize,
    /// Requests that are left.
    pub requests: usize,
}

/// Is told after each run, by whichever thread carried it out.
pub type Watch<'a> = &'a (dyn Fn(Progress) + Sync);

/// A failure made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What fails: its plan is said.
    pub spec: Spec,
    /// That run, with its whole trace.
    pub outcome: Outcome,
    /// The run that was given.
    pub before: Sizes,
    /// The run that is left.
    pub after: Sizes,
    /// What it took.
    pub effort: Effort,
}

/// A failure that did not happen when it was run again: the run is not deterministic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the failure \"{expected}\" did not happen again when the same seed and storm were run once more ({found}): the run \
     is not deterministic"
)]
pub struct NotReproduced {
    /// The failure that there was.
    pub expected: Signature,
    /// What happened instead.
    pub found: String,
}

/// Makes a failure small.
///
/// # Errors
///
/// When the failure does not happen again.
pub fn shrink(
    scenario: &dyn Scenario,
    spec: &Spec,
    signature: &Signature,
    budget: Budget,
) -> Result<Shrunk, NotReproduced> {
    shrink_by(
        &squall_engine::run::run_with,
        scenario,
        spec,
        signature,
        budget,
    )
}

pub(crate) fn shrink_by(
    runner: Runner<'_>,
    scenario: &dyn Scenario,
    spec: &Spec,
    signature: &Signature,
    budget: Budget,
) -> Result<Shrunk, NotReproduced> {
    shrink_watched(runner, scenario, spec, signature, budget, &|_| {})
}

/// [`shrink`] with another runner, telling how far it has come.
///
/// # Errors
///
/// When the failure does not happen again.
pub fn shrink_watched(
    runner: Runner<'_>,
    scenario: &dyn Scenario,
    spec: &Spec,
    signature: &Signature,
    budget: Budget,
    watch: Watch<'_>,
) -> Result<Shrunk, NotReproduced> {
    let mut trials = TrialRunner::new(runner, scenario, spec, signature, budget, watch);
    let first = trials.run_in_full(&spec.plan);
    if !first.shows(signature) {
        let seen = first.signature(scenario.name(), &spec.shape);
        return Err(NotReproduced {
            expected: signature.clone(),
            found: seen.map_or("it survived".to_owned(), |other| format!("\"{other}\" did")),
        });
    }
    let before = Sizes::of(&first);
    let observed = Observed::of(first);
    let last = passes::reduce(&mut trials, observed);
    let outcome = last.outcome;
    let spec = spec.clone().under(outcome.plan.clone());
    let after = Sizes::of(&outcome);
    Ok(Shrunk {
        spec,
        outcome,
        before,
        after,
        effort: trials.effort(),
    })
}
