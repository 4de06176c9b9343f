//! Many runs of one scenario: a seed each, on several threads, folded in the order of the seeds.
//!
//! Nothing in a campaign's [`Totals`] depends on the number of workers or on which of them was quicker, except where
//! a time limit ends it.

pub(crate) mod names;
mod queue;
mod seeds;
mod totals;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

pub use names::Unknown;
pub use seeds::{Seeds, SeedsError};
pub use totals::{Failure, FaultCount, Mismatch, Tally, Totals, Verdicts};

use crate::{
    run::{Outcome, Spec, Verdict},
    scenario::Scenario,
    seed::Seed,
    storm::Plan,
    time::VirtualTime,
    world::panic_text,
};
use queue::Queue;

/// What carries one run out: [`run::run`](crate::run::run), or a fake in the tests of campaigns.
pub(crate) type Runner<'a> = &'a (dyn Fn(&dyn Scenario, &Spec, bool) -> Outcome + Sync);

/// Every seed that this divides is run twice and must give the same hash both times.
const WATCH_EVERY: u64 = 100;

/// How far the quickest worker may be ahead of the slowest: bounds the outcomes that wait for their turn.
const WINDOW: u64 = 256;

/// Runs of one scenario, in one shape, over a range of seeds.
pub struct Campaign<'a> {
    /// The scenario.
    pub scenario: &'a dyn Scenario,
    /// One of its shapes.
    pub shape: String,
    /// One of its bugs, planted.
    pub plant: Option<String>,
    /// The seeds.
    pub seeds: Seeds,
    /// The number of worker threads.
    pub jobs: usize,
    /// One storm for all seeds; each seed draws its own when `None`.
    pub plan: Option<Plan>,
    /// Where that plan was read, for the replay commands.
    pub plan_file: Option<PathBuf>,
    /// End with the first seed that fails.
    pub stop_at_first: bool,
    /// Begin no run after this much real time, save for the first few. What was run is still `seeds` from its start.
    pub limit: Option<Duration>,
}

/// How far a campaign has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Runs that are done.
    pub runs: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Real time since the campaign began.
    pub elapsed: Duration,
}

impl Progress {
    /// Runs per second of real time.
    pub fn rate(&self) -> f64 {
        rate(self.runs, self.elapsed)
    }
}

/// Runs per second of real time; 0 if none was taken.
pub(crate) fn rate(runs: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        0.0
    } else {
        runs as f64 / elapsed.as_secs_f64()
    }
}

/// One worker for each processor.
pub fn available_jobs() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl<'a> Campaign<'a> {
    /// The scenario's default shape over these seeds, with a worker for each processor.
    pub fn over(scenario: &'a dyn Scenario, seeds: Seeds) -> Self {
        Campaign {
            scenario,
            shape: Spec::of(scenario, Seed(0)).shape,
            plant: None,
            seeds,
            jobs: available_jobs(),
            plan: None,
            plan_file: None,
            stop_at_first: false,
            limit: None,
        }
    }

    /// What is run for a seed.
    pub fn spec(&self, seed: Seed) -> Spec {
        Spec {
            shape: self.shape.clone(),
            plant: self.plant.clone(),
            seed,
            plan: self.plan.clone(),
        }
    }

    /// The one command that replays a seed of this campaign.
    pub fn replay_command(&self, seed: Seed) -> String {
        let command = self.spec(seed).replay_command(self.scenario);
        match &self.plan_file {
            Some(file) => format!("{command} --plan {}", quoted(&file.to_string_lossy())),
            None => command,
        }
    }

    /// Runs it. `progress` is told after each run, in the order of the seeds.
    pub fn run(&self, progress: &mut dyn FnMut(Progress)) -> Totals {
        self.run_by(&crate::run::run, progress)
    }

    pub(crate) fn run_by(&self, runner: Runner<'_>, progress: &mut dyn FnMut(Progress)) -> Totals {
        let began = Instant::now();
        let queue = Queue::new(self.seeds, WINDOW, self.limit.map(|limit| began + limit));
        let jobs = (self.jobs.max(1) as u64).min(self.seeds.len());
        let mut totals = Totals::of(self);
        let (results, arrivals) = mpsc::channel();
        thread::scope(|threads| {
            for _ in 0..jobs {
                let (results, queue) = (results.clone(), &queue);
                threads.spawn(move || {
                    while let Some((ordinal, seed)) = queue.claim() {
                        if results.send((ordinal, self.once(runner, seed))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(results);
            // Whatever ends this closure, a panic of `progress` too, must not leave workers waiting for room.
            let closing = queue.closes_on_drop();
            let mut early = BTreeMap::new();
            let mut folded = 0;
            for (ordinal, ran) in arrivals {
                early.insert(ordinal, ran);
                while let Some(ran) = early.remove(&folded) {
                    folded += 1;
                    queue.folded(folded);
                    if self.stop_at_first && totals.tally.failed() > 0 {
                        queue.close();
                        continue;
                    }
                    totals.fold(ran);
                    progress(Progress {
                        runs: totals.tally.runs,
                        failed: totals.tally.failed(),
                        elapsed: began.elapsed(),
                    });
                }
            }
            drop(closing);
        });
        totals
    }

    /// One seed, and a second time if it is watched.
    fn once(&self, runner: Runner<'_>, seed: Seed) -> Ran {
        let spec = self.spec(seed);
        let outcome = guarded(runner, self.scenario, &spec, false);
        let again = seed
            .0
            .is_multiple_of(WATCH_EVERY)
            .then(|| guarded(runner, self.scenario, &spec, false).hash);
        Ran {
            seed,
            outcome,
            again,
        }
    }
}

/// What a worker hands over.
struct Ran {
    seed: Seed,
    outcome: Outcome,
    /// The hash of the second run, if the seed is watched.
    again: Option<u64>,
}

/// Runs one spec. A panic that gets out of the runner is the harness's own and costs that run only.
pub(crate) fn guarded(
    runner: Runner<'_>,
    scenario: &dyn Scenario,
    spec: &Spec,
    full: bool,
) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| runner(scenario, spec, full))).unwrap_or_else(|panic| {
        Outcome {
            verdict: Verdict::HarnessFailed(panic_text(&*panic).to_owned()),
            violations: Vec::new(),
            hash: 0,
            plan: spec.plan.clone().unwrap_or_else(Plan::calm),
            faults: Vec::new(),
            counts: BTreeMap::new(),
            ended: VirtualTime::ZERO,
            trace: None,
        }
    })
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
