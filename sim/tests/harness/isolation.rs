//! A run in a child process gives what it gives in this one: all of it comes back.

use squall::{
    Isolation, Sim,
    run::{Options, Outcome, Spec, run_with, take_cpu_time},
    scenario::{Bug, Scenario, Setup, Shape},
    seed::Seed,
    storm::Profile,
};

use crate::bank::Bank;

/// The bank, each of whose runs has a process of its own.
struct Apart;

impl Scenario for Apart {
    fn name(&self) -> &str {
        Bank.name()
    }

    fn about(&self) -> &str {
        Bank.about()
    }

    fn shapes(&self) -> Vec<Shape> {
        Bank.shapes()
    }

    fn bugs(&self) -> Vec<Bug> {
        Bank.bugs()
    }

    fn profile(&self) -> Profile {
        Bank.profile()
    }

    fn isolation(&self) -> Option<Isolation> {
        Some(squall::in_child)
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        Bank.build(sim, setup);
    }
}

fn options() -> impl Iterator<Item = Options> {
    (0..8).map(|bits| Options {
        full: bits & 1 != 0,
        census: bits & 2 != 0,
        cover: bits & 4 != 0,
        ..Options::default()
    })
}

#[test]
fn a_run_in_a_child_gives_what_it_gives_here() {
    let check = |spec: &Spec, options: Options| -> Outcome {
        let here = run_with(&Bank, spec, options);
        assert_eq!(run_with(&Apart, spec, options), here);
        here
    };
    for seed in (0..12).map(Seed) {
        for options in options() {
            let outcome = check(&Spec::of(&Bank, seed), options);
            assert_eq!(outcome.trace.is_some(), options.full);
            assert_eq!(outcome.features.is_empty(), !options.cover);
        }
    }
    let mut broken = 0;
    for bug in Bank.bugs() {
        for seed in (0..8).map(Seed) {
            let spec = Spec {
                plant: Some(bug.name.to_owned()),
                ..Spec::of(&Bank, seed)
            };
            broken += check(&spec, Options::traced(true)).violations.len();
        }
    }
    assert!(broken > 0, "nothing was broken: nothing crossed");
    let unknown = Spec {
        shape: "none such".to_owned(),
        ..Spec::of(&Bank, Seed(0))
    };
    check(&unknown, Options::default());
}

#[test]
fn the_cpu_time_of_a_child_counts() {
    let _ = take_cpu_time();
    run_with(&Apart, &Spec::of(&Apart, Seed(1)), Options::default());
    assert!(!take_cpu_time().is_zero());
}
