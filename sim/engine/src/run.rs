//! One run: `(scenario, seed, plan) → (verdict, trace)`.

mod isolated;
mod lifecycle;
mod outcome;
mod this_program;

pub use isolated::{Died, isolated};
pub use outcome::{Outcome, Signature, Spec, Verdict};
pub use this_program::this_program;

use std::{cell::Cell, time::Duration};

use cpu_time::ThreadTime;

use crate::{
    scenario::{Scenario, variant_exists},
    world::{lock, panic_text, silence_service_panics},
};

/// What a run keeps and does beside running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Keep the whole trace, not only its hash.
    pub full: bool,
    /// Record, observe and check. Off only to measure what that costs.
    pub watch: bool,
    /// Take a census of all sites ([`Outcome::sites`]). The storm then goes on until the clients have ended, even where
    /// no fault is planned.
    pub census: bool,
    /// Note what the run covers.
    pub cover: bool,
}

impl Options {
    /// What a campaign's runs do, with the whole trace kept or not.
    pub const fn traced(full: bool) -> Self {
        Options {
            full,
            watch: true,
            census: false,
            cover: false,
        }
    }
}

impl Default for Options {
    /// What a campaign's runs do.
    fn default() -> Self {
        Options::traced(false)
    }
}

/// Runs it. `full` keeps the whole trace.
pub fn run(scenario: &dyn Scenario, spec: &Spec, full: bool) -> Outcome {
    run_with(scenario, spec, Options::traced(full))
}

/// Runs it with these options: on a fresh thread, in a child process if the scenario says so
/// ([`Scenario::isolation`]).
pub fn run_with(scenario: &dyn Scenario, spec: &Spec, options: Options) -> Outcome {
    let run = || on_thread(scenario, spec, options);
    match scenario.isolation() {
        None => run(),
        Some(isolation) => {
            let died = |end: &Died| end.outcome(spec.plan.clone(), options);
            isolated(isolation, run).unwrap_or_else(|end| died(&end))
        }
    }
}

fn on_thread(scenario: &dyn Scenario, spec: &Spec, options: Options) -> Outcome {
    silence_service_panics();
    let profile = scenario.profile();
    if let Err(unknown) = variant_exists(scenario, &spec.shape, spec.plant.as_deref()) {
        return Outcome::harness_failed(spec.plan.clone(), unknown.to_string());
    }
    let thread = std::thread::scope(|scope| {
        // A fresh thread: a reused one has other hash seeds and thread-locals (see `sim/src/guide/guarantees.md`).
        #[allow(clippy::disallowed_methods)]
        let builder = std::thread::Builder::new().name(scenario.name().to_owned());
        let run = builder.spawn_scoped(scope, || {
            let began = ThreadTime::now();
            let outcome = lifecycle::run_here(scenario, spec, &profile, options);
            (outcome, began.elapsed())
        });
        run.expect("the machine can start a thread").join()
    });
    let thread = thread.map(|(outcome, cpu)| {
        add_cpu_time(cpu);
        outcome
    });
    thread.unwrap_or_else(|panic| {
        Outcome::harness_failed(spec.plan.clone(), panic_text(&*panic).to_owned())
    })
}

thread_local! {
    /// CPU time of the runs that this thread has waited for. No run can see it.
    static CPU_TIME: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The CPU time of the runs that this thread has waited for since it asked last; those that panicked not counted.
pub fn take_cpu_time() -> Duration {
    CPU_TIME.take()
}

fn add_cpu_time(cpu: Duration) {
    CPU_TIME.set(CPU_TIME.get() + cpu);
}
