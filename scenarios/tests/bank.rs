//! Every bug of the bank is found by random storms, and what is reported is the damage that it does.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use squall::{
    campaign::{Campaign, Seeds},
    check::Violation,
    run::{Spec, Verdict, run},
    scenario::Scenario,
    seed::Seed,
    testing,
};
use squall_scenarios::{
    catalogue,
    planted_bug::Planted,
    scenarios::{bugs_of, challenge_reward::ChallengeReward, order_saga::OrderSaga},
};

/// Storms in which a bug has to show.
const SEEDS: u64 = 2_000;

/// All of them; with `SQUALL_BUGS=order-saga/no-` only those whose names begin so.
#[test]
fn every_bug_is_found_by_the_damage_that_it_does() {
    let only = env::var("SQUALL_BUGS").unwrap_or_default();
    let scenarios = catalogue().scenarios;
    let mut bugs: Vec<(&dyn Scenario, &Planted)> = Vec::new();
    for scenario in &scenarios {
        let named = |planted: &Planted| format!("{}/{}", scenario.name(), planted.bug.name());
        let wanted = |bug: &&Planted| named(bug).starts_with(&only);
        let planted = bugs_of(&**scenario).iter().filter(wanted);
        bugs.extend(planted.map(|bug| (&**scenario, bug)));
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut missed = Vec::new();
        while let Some((scenario, planted)) = bugs.get(next.fetch_add(1, Relaxed)) {
            let finding = AssertUnwindSafe(|| is_found(*scenario, planted));
            if catch_unwind(finding).is_err() {
                missed.push(format!("{}/{}", scenario.name(), planted.bug.name()));
            }
        }
        missed
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let missed: Vec<String> = thread::scope(|threads| {
        let workers: Vec<_> = (0..processors).map(|_| threads.spawn(work)).collect();
        let missed = workers.into_iter().map(|worker| worker.join());
        missed
            .flat_map(|missed| missed.expect("panics are caught"))
            .collect()
    });
    assert!(
        missed.is_empty(),
        "not found as the bank has it: {missed:?}"
    );
}

#[test]
fn the_canary_of_the_catalogue_is_found() {
    let catalogue = catalogue();
    let (scenario, bug) = catalogue.canary.expect("silence needs a witness");
    let scenario = catalogue.get(scenario).expect("it is in the catalogue");
    let found = testing::finds(scenario, bug, SEEDS);
    assert!(found.violation.is_some(), "{found:?}");
}

#[test]
fn a_bug_that_a_scenario_lacks_cannot_be_planted() {
    let campaign = Campaign::over(&ChallengeReward, Seeds::up_to(1));
    let refused = campaign.with_planted("refund-without-key").err();
    let told = refused.expect("no money moves in it").to_string();
    assert!(
        told.starts_with(
            "challenge-reward has no bug 'refund-without-key'; there are: no-journal,"
        ),
        "{told}"
    );
}

#[test]
#[should_panic(expected = "order-saga has no bug 'no-jurnal' (did you mean 'no-journal'?)")]
fn a_test_that_misspells_a_bug_fails_at_once() {
    testing::finds(&OrderSaga, "no-jurnal", SEEDS);
}

fn is_found(scenario: &dyn Scenario, planted: &Planted) {
    let bug = planted.bug.name();
    let (seed, violation) = planted
        .likely
        .iter()
        .find_map(|seed| broken_by(scenario, bug, Seed(*seed)))
        .unwrap_or_else(|| search(scenario, bug));
    println!("{} + {bug}: seed {seed} found {violation}", scenario.name());
    assert!(
        planted.breaks.contains(&violation.invariant.as_str()),
        "{bug} was found by something else than its line names: {violation}"
    );
    let sound = run(scenario, &Spec::of(scenario, seed), false);
    assert_eq!(
        sound.verdict,
        Verdict::Survived,
        "seed {seed} breaks {} without {bug} too",
        scenario.name()
    );
}

/// What this one seed finds, if anything.
fn broken_by(scenario: &dyn Scenario, bug: &str, seed: Seed) -> Option<(Seed, Violation)> {
    let spec = Spec {
        plant: Some(bug.to_owned()),
        ..Spec::of(scenario, seed)
    };
    let found = run(scenario, &spec, false).worst().cloned();
    found.map(|violation| (seed, violation))
}

fn search(scenario: &dyn Scenario, bug: &str) -> (Seed, Violation) {
    let found = testing::finds(scenario, bug, SEEDS);
    let violation = found.violation.clone();
    let violation = violation
        .unwrap_or_else(|| panic!("{bug} only kept a run from coming to its end: {found:?}"));
    (found.seed, violation)
}
