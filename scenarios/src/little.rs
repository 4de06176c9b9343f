//! Worlds made of a closure, for the tests of checks.

use std::time::Duration;

use squall::{
    Sim,
    fault::Crash,
    run::{Outcome, Spec, run},
    scenario::{Scenario, Setup},
    seed::Seed,
    storm::{Fault, Plan, Profile},
};

/// A scenario whose world a closure builds.
pub struct Little<B>(pub B);

impl<B: Fn(&Sim) + Send + Sync> Scenario for Little<B> {
    fn name(&self) -> &str {
        "little"
    }

    fn about(&self) -> &str {
        "a small world"
    }

    fn profile(&self) -> Profile {
        Profile::new(&[], &[])
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        (self.0)(sim)
    }
}

impl<B: Fn(&Sim) + Send + Sync> Little<B> {
    /// A run in which these nodes are down for a second, beginning at these instants.
    pub fn run(&self, crashes: &[(u64, &str)]) -> Outcome {
        let crash = |(at_ms, node): &(u64, &str)| {
            Fault::at_ms(
                *at_ms,
                Crash {
                    node: (*node).to_owned(),
                    down_ms: 1_000,
                },
            )
        };
        let spec = Spec::of(self, Seed(1)).under(Plan::new(crashes.iter().map(crash).collect()));
        run(self, &spec, false)
    }
}

/// What was broken: invariant and tag.
pub fn broken(outcome: &Outcome) -> Vec<(&str, &str)> {
    let violations = outcome.violations.iter();
    violations
        .map(|violation| (&*violation.invariant, &*violation.tag))
        .collect()
}

/// A client who is there for so long.
pub fn lasts(sim: &Sim, seconds: u64) {
    sim.client("somebody", move |client| async move {
        client.node().sleep(Duration::from_secs(seconds)).await;
    });
}
