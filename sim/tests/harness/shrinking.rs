//! Failures of a small system become small.

use std::time::Duration;

use squall::{
    failure::FailureFile,
    run::{Spec, Verdict, run},
    seed::Seed,
    shrink::{Budget, Shrunk, shrink},
    storm::Plan,
    testing,
};

use crate::bank::Bank;

fn shrunk(bug: &str, jobs: usize) -> (FailureFile, Shrunk) {
    let found = testing::finds(&Bank, bug, 500);
    let spec = Spec {
        plant: Some(bug.to_owned()),
        ..Spec::of(&Bank, found.seed)
    };
    let budget = Budget {
        runs: 1_000,
        time: Duration::from_secs(3_600),
        jobs,
    };
    let shrunk = shrink(&Bank, &spec, &found.signature, budget).expect("it happens again");
    let again = run(&Bank, &shrunk.spec, false);
    assert_eq!(
        again.signature("bank", &spec.shape),
        Some(found.signature.clone())
    );
    (FailureFile::of(&found.signature, &shrunk), shrunk)
}

#[test]
fn planted_bugs_become_a_fault_or_two_and_fewer_requests() {
    for bug in ["commit-without-sync", "ack-before-commit"] {
        let (_, shrunk) = shrunk(bug, 2);
        println!("{bug}: {:?} ({:?})", shrunk.outcome.faults, shrunk.effort);
        let after = shrunk.after;
        assert!((1..=2).contains(&after.faults), "{bug}: {after:?}");
        let before = shrunk.before;
        assert!(
            after.requests < before.requests,
            "{bug}: {before:?} {after:?}"
        );
        assert!(!shrunk.effort.cut_short, "{bug}: {:?}", shrunk.effort);
        let sound = Spec {
            plant: None,
            ..shrunk.spec.clone()
        };
        assert_eq!(run(&Bank, &sound, false).verdict, Verdict::Survived);
    }
}

#[test]
fn the_number_of_jobs_changes_nothing_of_what_is_left() {
    let (alone, one) = shrunk("ack-before-commit", 1);
    let (together, other) = shrunk("ack-before-commit", 4);
    assert_eq!(alone.plan, together.plan);
    assert_eq!(alone.trace, together.trace);
    assert_eq!(one.effort.runs, other.effort.runs);
}

#[test]
fn a_file_that_is_read_back_gives_the_same_run() {
    let (file, shrunk) = shrunk("ack-before-commit", 2);
    let back = FailureFile::parse(&file.to_json(), "it").expect("just written");
    assert_eq!(back, file);
    let outcome = run(&Bank, &back.spec(), true);
    assert!(back.is_same_run(&outcome));
    let trace = outcome.trace.expect("it is asked for");
    assert_eq!(back.trace.parts_from(&trace), None);
    assert_eq!(Some(trace), shrunk.outcome.trace);
}

#[test]
fn whoever_stays_away_does_nothing_and_the_others_do_not_notice() {
    let calm = |without: &[&str]| {
        let plan = Plan {
            without: without.iter().map(|&name| name.to_owned()).collect(),
            ..Plan::calm()
        };
        let spec = Spec::of(&Bank, Seed(5)).under(plan);
        run(&Bank, &spec, false)
    };
    let calls = |without: &[&str]| calm(without).counts["calls ok"];
    assert_eq!(calls(&[]), 10);
    assert_eq!(calls(&["alice"]), 5);
    assert_eq!(calls(&["alice", "bob-3", "bob-5"]), 3);
    assert_eq!(calls(&["nobody"]), 10);
    let refused = calm(&["vault"]).verdict;
    let told = matches!(&refused, Verdict::HarnessFailed(why) if why.contains("it is a service"));
    assert!(told, "{refused:?}");
}
