//! The power of the harness, measured: how many storms, and how much CPU time, each strategy needs to find each
//! bug that can be planted.
//!
//! A measurement runs on one thread and ends with the first run that fails, or at its cut-off. The seeds of a bug's
//! campaigns do not overlap. CPU time is that of the threads that the runs had to themselves: what other programs do
//! on the machine does not count.

mod summary;

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use summary::{Figure, Power, summarise};

use squall_core::seed::{Seed, Seeds};
use squall_engine::{
    check::Class,
    run::{self, Options, Outcome},
    scenario::Scenario,
};

use crate::{
    campaign::{Campaign, Failure, Runner},
    failure::Build,
    shrink::{Budget, shrink_by},
    strategy::{Explorer, Strategy, Trial},
};

/// The version of the lines that this build reads and writes.
pub const MEASURED_VERSION: u32 = 4;

/// The distance between the first seeds of a bug's campaigns.
const APART: u64 = 1_000_000;

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The scenario.
    pub scenario: String,
    /// The bug that is planted into its first shape.
    pub bug: String,
    /// How storms are found.
    #[serde(alias = "way")]
    pub strategy: String,
    /// Which of the campaigns; from 0.
    pub campaign: u64,
    /// The storms after which it is given up.
    pub cut_off: u64,
    /// Only damage counts as a failure; what only a look inside shows does not.
    pub damage: bool,
}

/// What came of it: one line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Format version: [`MEASURED_VERSION`].
    pub version: u32,
    /// The build whose power it is.
    pub build: Build,
    /// What was measured.
    pub task: Task,
    /// Storms, the one that found it included.
    pub runs: u64,
    /// CPU time of these runs, in microseconds.
    pub cpu_us: u64,
    /// What was found; `None` if it was given up.
    pub found: Option<Found>,
}

/// How a bug showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The seed.
    pub seed: Seed,
    /// The invariant that spoke.
    pub invariant: String,
    /// The way in which it was broken.
    pub tag: String,
    /// Whether it is damage.
    pub class: Class,
    /// Faults of the storm.
    pub faults: u64,
    /// What was left of it when it was made small, if it was.
    pub small: Option<Small>,
}

/// A failure made small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Small {
    /// What happens in it, in one sentence.
    pub sentence: String,
    /// Faults that are left.
    pub faults: u64,
    /// Requests that are left.
    pub requests: u64,
    /// Runs that it took.
    pub runs: u64,
    /// Real time that they took, in milliseconds.
    pub elapsed_ms: u64,
}

impl Measured {
    /// CPU time of the runs.
    pub fn cpu(&self) -> Duration {
        Duration::from_micros(self.cpu_us)
    }
}

/// Tells in one sentence what happens in a run that is left of a failure of this scenario.
pub type Tell<'a> = &'a (dyn Fn(&dyn Scenario, &Outcome) -> String + Sync);

/// Measures, and makes what it finds small if that is to be told. `None` if `stop` was set before it was done.
pub fn measure(
    runner: Runner<'_>,
    scenario: &dyn Scenario,
    strategy: Strategy,
    task: &Task,
    tell: Option<Tell<'_>>,
    stop: &Arc<AtomicBool>,
) -> Option<Measured> {
    let first = Seed(task.campaign.checked_mul(APART.max(task.cut_off))?);
    let campaign = Campaign {
        plant: Some(task.bug.clone()),
        strategy,
        jobs: 1,
        stop_at_first: true,
        stop: Some(stop.clone()),
        ..Campaign::over(scenario, Seeds::starting_at(first, task.cut_off)?)
    };
    let cpu = Mutex::new(Duration::ZERO);
    let timed = |scenario: &dyn Scenario, spec: &run::Spec, options: Options| {
        let _ = run::take_cpu_time();
        let mut outcome = runner(scenario, spec, options);
        if task.damage {
            outcome.overlook_insides();
        }
        *cpu.lock().unwrap_or_else(PoisonError::into_inner) += run::take_cpu_time();
        outcome
    };
    let mut explorer = AtMost {
        inner: strategy.explorer(campaign.scenario, campaign.seeds),
        left: task.cut_off,
    };
    let totals = campaign.explore_by(&timed, &mut explorer, &mut |_| {});
    // A failure of the harness itself is no finding.
    let found = totals.failures.iter().find(|failure| failure.is_finding());
    let found = found.map(|failure| Found {
        seed: failure.seed,
        invariant: failure.signature.invariant.clone(),
        tag: failure.signature.tag.clone(),
        class: failure
            .violation
            .as_ref()
            .map(|v| v.class)
            .unwrap_or_default(),
        faults: failure.faults.len() as u64,
        small: tell.and_then(|tell| small(runner, &campaign, failure, tell)),
    });
    if found.is_none() && stop.load(std::sync::atomic::Ordering::Relaxed) {
        return None;
    }
    let cpu = *cpu.lock().unwrap_or_else(PoisonError::into_inner);
    Some(Measured {
        version: MEASURED_VERSION,
        build: Build::present(),
        task: task.clone(),
        runs: totals.tally.runs,
        cpu_us: cpu.as_micros() as u64,
        found,
    })
}

/// Makes a failure small on this thread alone; `None` if it does not happen again.
fn small(
    runner: Runner<'_>,
    campaign: &Campaign<'_>,
    failure: &Failure,
    tell: Tell<'_>,
) -> Option<Small> {
    let budget = Budget {
        jobs: 1,
        ..Budget::default()
    };
    let spec = campaign.spec_of(&failure.trial(campaign));
    let shrunk = shrink_by(runner, campaign.scenario, &spec, &failure.signature, budget).ok()?;
    Some(Small {
        sentence: tell(campaign.scenario, &shrunk.outcome),
        faults: shrunk.after.faults as u64,
        requests: shrunk.after.requests as u64,
        runs: shrunk.effort.runs,
        elapsed_ms: shrunk.effort.runs_ms,
    })
}

/// An explorer that ends after a number of trials.
struct AtMost<'a> {
    inner: Box<dyn Explorer + 'a>,
    left: u64,
}

impl Explorer for AtMost<'_> {
    fn next(&mut self) -> Vec<Trial> {
        if self.left == 0 {
            return Vec::new();
        }
        let mut trials = self.inner.next();
        trials.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= trials.len() as u64;
        trials
    }

    fn learn(&mut self, trial: &Trial, outcome: &Outcome) {
        self.inner.learn(trial, outcome);
    }

    fn options(&self, trial: &Trial) -> Options {
        self.inner.options(trial)
    }

    fn is_blind(&self) -> bool {
        self.inner.is_blind()
    }
}
