//! Where candidates are run: several at a time, judged as if one after the other.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use squall_core::seed;
use squall_engine::{
    run::{Options, Outcome, Signature, Spec},
    scenario::Scenario,
    storm::Plan,
};

use super::{Budget, Effort, Progress, Watch};
use crate::campaign::{Runner, guarded};

/// The most schedules under which a candidate is tried.
pub(super) const SCHEDULES_MAX: usize = 8;

/// Runs candidates within a budget, and counts.
pub(super) struct TrialRunner<'a> {
    runner: Runner<'a>,
    pub scenario: &'a dyn Scenario,
    spec: &'a Spec,
    signature: &'a Signature,
    jobs: usize,
    runs_max: u64,
    deadline: Instant,
    watch: Watch<'a>,
    /// The size of what is left, for progress reports.
    pub left: (usize, usize),
    runs: u64,
    cpu: Duration,
    cut_short: bool,
    /// Plans that did not fail as they should.
    survived: BTreeSet<String>,
}

impl<'a> TrialRunner<'a> {
    pub fn new(
        runner: Runner<'a>,
        scenario: &'a dyn Scenario,
        spec: &'a Spec,
        signature: &'a Signature,
        budget: Budget,
        watch: Watch<'a>,
    ) -> Self {
        TrialRunner {
            runner,
            scenario,
            spec,
            signature,
            jobs: budget.jobs.max(1),
            runs_max: budget.runs,
            deadline: Instant::now() + budget.time,
            watch,
            left: (0, 0),
            runs: 0,
            cpu: Duration::ZERO,
            cut_short: false,
            survived: BTreeSet::new(),
        }
    }

    pub fn effort(&self) -> Effort {
        Effort {
            runs: self.runs,
            runs_ms: self.cpu.as_millis() as u64,
            cut_short: self.cut_short,
        }
    }

    /// Whether the budget is used up; if so, something was left untried.
    pub fn is_spent(&mut self) -> bool {
        let spent = self.runs >= self.runs_max || Instant::now() >= self.deadline;
        self.cut_short |= spent;
        spent
    }

    /// Runs a plan with its whole trace.
    pub fn run_in_full(&mut self, plan: &Plan) -> Outcome {
        self.run_alone(plan, Options::traced(true))
    }

    /// Runs a plan and notes every site that it meets.
    pub fn census(&mut self, plan: &Plan) -> Outcome {
        let options = Options {
            census: true,
            ..Options::default()
        };
        self.run_alone(plan, options)
    }

    fn run_alone(&mut self, plan: &Plan, options: Options) -> Outcome {
        let (outcome, took) = self.run(plan, options);
        self.runs += 1;
        self.cpu += took;
        self.tell(0);
        outcome
    }

    fn tell(&self, under_way: u64) {
        let (faults, requests) = self.left;
        (self.watch)(Progress {
            runs: self.runs + under_way,
            runs_max: self.runs_max,
            faults,
            requests,
        });
    }

    /// Whether this run fails as it should.
    pub fn fails(&self, outcome: &Outcome) -> bool {
        outcome.shows(self.signature)
    }

    /// The first of the candidates that fails, with the schedule under which it does. All are tried under the schedule
    /// of each first, then under others.
    pub fn first_failing(
        &mut self,
        candidates: &[Plan],
        schedules: usize,
    ) -> Option<(usize, Plan)> {
        let mut trials: Vec<(usize, Plan)> = Vec::new();
        for turn in 0..schedules.clamp(1, SCHEDULES_MAX) {
            for (place, plan) in candidates.iter().enumerate() {
                let plan = Plan {
                    schedule: self.schedule(plan.schedule, turn),
                    ..plan.clone()
                };
                if !self.survived.contains(&plan.to_json()) {
                    trials.push((place, plan));
                }
            }
        }
        if trials.is_empty() || self.is_spent() {
            return None;
        }
        let room = self.runs_max.saturating_sub(self.runs) as usize;
        if trials.len() > room {
            trials.truncate(room);
            self.cut_short = true;
        }
        let found = self.race(&trials);
        let tried = found.map_or(trials.len(), |first| first + 1);
        let survivors = &trials[..found.unwrap_or(trials.len())];
        if !self.cut_short {
            let told = survivors.iter().map(|(_, plan)| plan.to_json());
            self.survived.extend(told);
        }
        self.runs += tried as u64;
        found.map(|first| trials.swap_remove(first))
    }

    /// The schedules to try: the plan's own, the run's own, then others that follow from the seed.
    fn schedule(&self, own: Option<u64>, turn: usize) -> Option<u64> {
        match (turn, own) {
            (0, own) => own,
            (1, Some(_)) => None,
            _ => Some(
                self.spec
                    .seed
                    .keyed(&[seed::hash(b"shrunk schedule"), turn as u64]),
            ),
        }
    }

    /// The place of the first trial that fails. Trials are begun in order and none is begun behind one that failed, so
    /// that whatever comes before the result has been run.
    fn race(&mut self, trials: &[(usize, Plan)]) -> Option<usize> {
        let next = AtomicUsize::new(0);
        let first = AtomicUsize::new(usize::MAX);
        let late = AtomicBool::new(false);
        let cpu = Mutex::new(Duration::ZERO);
        let done = AtomicU64::new(0);
        let work = || {
            loop {
                let place = next.fetch_add(1, Relaxed);
                if place >= trials.len() || place > first.load(Relaxed) {
                    break;
                }
                if Instant::now() >= self.deadline {
                    late.store(true, Relaxed);
                    break;
                }
                let (outcome, took) = self.run(&trials[place].1, Options::default());
                self.tell(done.fetch_add(1, Relaxed) + 1);
                *cpu.lock().expect("nobody panics under this lock") += took;
                if self.fails(&outcome) {
                    first.fetch_min(place, Relaxed);
                }
            }
        };
        thread::scope(|threads| {
            for _ in 1..self.jobs.min(trials.len()) {
                threads.spawn(work);
            }
            work();
        });
        self.cpu += cpu.into_inner().expect("nobody panics under this lock");
        self.cut_short |= late.into_inner();
        Some(first.into_inner()).filter(|first| *first < usize::MAX)
    }

    fn run(&self, plan: &Plan, options: Options) -> (Outcome, Duration) {
        let spec = self.spec.clone().under(plan.clone());
        let began = Instant::now();
        let outcome = guarded(self.runner, self.scenario, &spec, options);
        (outcome, began.elapsed())
    }
}
