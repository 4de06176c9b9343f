//! Many runs of one scenario, on several threads: an [`Explorer`] says which, and they are folded in its order.
//!
//! Nothing in a campaign's [`Totals`] depends on the number of workers or on which of them was quicker, except where
//! a time limit ends it.

mod queue;
mod supply;
mod totals;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

pub use totals::{Coverage, Failure, FaultCount, Mismatch, Tally, Totals, Unheard, Verdicts};

use squall_core::{
    event::What,
    names::{Unknown, nearest},
    seed::{Seed, Seeds},
};
use squall_engine::{
    run::{Options, Outcome, Spec},
    scenario::{Scenario, bugs, default_shape, shapes},
    storm::Plan,
    world::panic_text,
};

use crate::strategy::{Explorer, Strategy, Trial};
use queue::{Job, Queue};
use supply::Supply;

/// What carries one run out: [`run::run_with`](squall_engine::run::run_with), or a fake in the tests of campaigns.
pub type Runner<'a> = &'a (dyn Fn(&dyn Scenario, &Spec, Options) -> Outcome + Sync);

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
    /// How storms are found.
    pub strategy: Strategy,
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
    /// Begin no run once this is set. What was run is still `seeds` from its start.
    pub stop: Option<Arc<AtomicBool>>,
}

/// How far a campaign has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Runs that are done.
    pub runs: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs that there will be, as far as that is known.
    pub planned: Option<u64>,
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
pub fn rate(runs: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        0.0
    } else {
        runs as f64 / elapsed.as_secs_f64()
    }
}

/// In how many letters a message that is waited for in vain may differ from the one that is meant: others are other
/// messages, which may come in other storms.
const TYPO: usize = 2;

/// Instead of the command that replays a run, where there is none.
pub const NOT_DRAWN: &str = "none: no seed draws this storm, and no file holds it";

/// One worker for each processor.
pub fn available_jobs() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl<'a> Campaign<'a> {
    /// The scenario's default shape over these seeds, with a worker for each processor.
    pub fn over(scenario: &'a dyn Scenario, seeds: Seeds) -> Self {
        Campaign {
            scenario,
            shape: default_shape(scenario).to_owned(),
            plant: None,
            seeds,
            strategy: Strategy::default(),
            jobs: available_jobs(),
            plan: None,
            plan_file: None,
            stop_at_first: false,
            limit: None,
            stop: None,
        }
    }

    /// What is run for a seed alone; the storm is that of the default strategy where the campaign's own goes by more.
    pub fn spec(&self, seed: Seed) -> Spec {
        let profile = self.scenario.profile();
        let plan = self.strategy.plan(&profile, seed);
        let plan = plan.unwrap_or_else(|| profile.draw(seed));
        self.spec_of(&Trial { seed, plan })
    }

    /// The run of this seed in this storm, or in the one that the seed alone draws.
    pub fn trial(&self, seed: Seed, plan: Option<&Plan>) -> Trial {
        let plan = plan.cloned().unwrap_or_else(|| self.spec(seed).plan);
        Trial { seed, plan }
    }

    /// What is run for a trial.
    pub fn spec_of(&self, trial: &Trial) -> Spec {
        Spec {
            shape: self.shape.clone(),
            plant: self.plant.clone(),
            seed: trial.seed,
            plan: self.plan.as_ref().unwrap_or(&trial.plan).clone(),
        }
    }

    /// The one command that replays a seed of this campaign.
    pub fn replay_command(&self, seed: Seed) -> String {
        let mut command = self.spec(seed).replay_command(self.scenario);
        match &self.plan_file {
            Some(file) => command += &format!(" --plan {}", quoted(&file.to_string_lossy())),
            None if self.strategy.is_told() => command += &format!(" --explore {}", self.strategy),
            None => {}
        }
        command
    }

    /// Whether this is the run that its seed draws by itself.
    pub fn draws(&self, trial: &Trial) -> bool {
        trial.plan == self.spec(trial.seed).plan
    }

    /// The one command that replays a run of this campaign, if there is one: a storm that no seed draws is replayed
    /// from a file.
    pub fn replay_of(&self, trial: &Trial) -> String {
        match self.draws(trial) {
            true => self.replay_command(trial.seed),
            false => NOT_DRAWN.to_owned(),
        }
    }

    /// Runs it. `progress` is told after each run, in the order of the trials.
    pub fn run(&self, progress: &mut dyn FnMut(Progress)) -> Totals {
        self.run_by(&squall_engine::run::run_with, progress)
    }

    /// Runs what an explorer wants to be run, whatever the campaign's own strategy and seeds.
    pub fn explore(
        &self,
        explorer: &mut dyn Explorer,
        progress: &mut dyn FnMut(Progress),
    ) -> Totals {
        self.explore_by(&squall_engine::run::run_with, explorer, progress)
    }

    /// [`run`](Self::run) with another runner.
    pub fn run_by(&self, runner: Runner<'_>, progress: &mut dyn FnMut(Progress)) -> Totals {
        self.explore_by(
            runner,
            &mut *self.strategy.explorer(self.scenario, self.seeds),
            progress,
        )
    }

    /// [`explore`](Self::explore) with another runner.
    pub fn explore_by(
        &self,
        runner: Runner<'_>,
        explorer: &mut dyn Explorer,
        progress: &mut dyn FnMut(Progress),
    ) -> Totals {
        let began = Instant::now();
        let queue = Queue::new(self.limit.and_then(|limit| began.checked_add(limit)));
        let jobs = (self.jobs.max(1) as u64).min(explorer.planned().unwrap_or(u64::MAX));
        let mut totals = Totals::of(self);
        let (results, arrivals) = mpsc::channel();
        thread::scope(|threads| {
            for _ in 0..jobs {
                let (results, queue) = (results.clone(), &queue);
                threads.spawn(move || {
                    while let Some(job) = queue.claim() {
                        let ordinal = job.ordinal;
                        if results.send((ordinal, self.once(runner, job))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(results);
            // Whatever ends this closure, a panic of `progress` too, must not leave workers waiting for more.
            let closing = queue.closes_on_drop();
            let stopped = || {
                self.stop
                    .as_ref()
                    .is_some_and(|stop| stop.load(Ordering::Relaxed))
            };
            let mut supply = Supply::new(explorer, &queue);
            supply.refill(0);
            let mut early = BTreeMap::new();
            let mut folded = 0;
            for (ordinal, ran) in arrivals {
                early.insert(ordinal, ran);
                while let Some(ran) = early.remove(&folded) {
                    folded += 1;
                    if self.stop_at_first && totals.tally.failed() > 0 {
                        queue.close();
                        continue;
                    }
                    supply.explorer().learn(&ran.trial, &ran.outcome);
                    totals.fold(ran, self);
                    if let Some(features) = supply.explorer().covered() {
                        totals.covers(features);
                    }
                    progress(Progress {
                        runs: totals.tally.runs,
                        failed: totals.tally.failed(),
                        planned: supply.explorer().planned(),
                        elapsed: began.elapsed(),
                    });
                    if stopped() {
                        queue.close();
                        continue;
                    }
                    supply.refill(folded);
                }
            }
            drop(closing);
        });
        self.look_for_what_was_meant(runner, &mut totals);
        totals
    }

    /// A run without faults shows what nodes log in place of what was waited for in vain.
    fn look_for_what_was_meant(&self, runner: Runner<'_>, totals: &mut Totals) {
        if totals.unheard.is_empty() {
            return;
        }
        let seed = self.seeds.nth(0).unwrap_or(Seed(0));
        let spec = self.spec(seed).calm();
        let outcome = guarded(runner, self.scenario, &spec, Options::traced(true));
        let trace = outcome.trace.unwrap_or_default();
        for unheard in &mut totals.unheard {
            let events = trace.events.iter();
            let logged = events.filter_map(|event| match &event.what {
                What::Log { message, .. } if event.node == unheard.node => Some(&**message),
                _ => None,
            });
            let logged: Vec<&str> = logged.collect();
            unheard.nearest = nearest(&unheard.message, &logged, TYPO).map(str::to_owned);
        }
    }

    /// One trial, and a second time if it is watched.
    fn once(&self, runner: Runner<'_>, job: Job) -> Ran {
        let spec = self.spec_of(&job.trial);
        let outcome = guarded(runner, self.scenario, &spec, job.options);
        let again = job
            .watched
            .then(|| guarded(runner, self.scenario, &spec, job.options).hash);
        let (seed, plan) = (spec.seed, spec.plan);
        Ran {
            trial: Trial { seed, plan },
            outcome,
            again,
        }
    }
}

impl Campaign<'_> {
    /// The same in another shape.
    pub fn in_shape(mut self, shape: &str) -> Result<Self, Unknown> {
        let place = format!("{} has", self.scenario.name());
        Unknown::unless_known(&place, "shape", shape, &shapes(self.scenario))?;
        self.shape = shape.to_owned();
        Ok(self)
    }

    /// The same with a bug planted.
    pub fn with_planted(mut self, bug: &str) -> Result<Self, Unknown> {
        let place = format!("{} has", self.scenario.name());
        Unknown::unless_known(&place, "bug", bug, &bugs(self.scenario))?;
        self.plant = Some(bug.to_owned());
        Ok(self)
    }
}

/// What a worker hands over.
struct Ran {
    trial: Trial,
    outcome: Outcome,
    /// The hash of the second run, if the trial is watched.
    again: Option<u64>,
}

/// Runs one spec. A panic that gets out of the runner is the harness's own and costs that run only.
pub fn guarded(
    runner: Runner<'_>,
    scenario: &dyn Scenario,
    spec: &Spec,
    options: Options,
) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| runner(scenario, spec, options))).unwrap_or_else(|panic| {
        Outcome::harness_failed(spec.plan.clone(), panic_text(&*panic).to_owned())
    })
}

/// A word as a POSIX shell reads it back.
pub fn quoted(word: &str) -> String {
    shlex::try_quote(word).unwrap_or(word.into()).into_owned()
}
