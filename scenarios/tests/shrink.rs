//! Failures of the reference services become small: a fault or two, and the one request that matters.

use std::{collections::BTreeSet, time::Duration};

use squall::{
    run::{Spec, run},
    scenario::Scenario,
    seed::Seed,
    shrink::{Budget, Shrunk, shrink},
    storm::Plan,
    testing,
    trace::What,
};
use squall_scenarios::scenarios::{challenge_reward::ChallengeReward, order_saga::OrderSaga};

fn budget(jobs: usize, runs: u64) -> Budget {
    Budget {
        runs,
        jobs,
        time: Duration::from_secs(3_600),
    }
}

/// The first failure of a planted bug, made small.
fn shrunk(scenario: &dyn Scenario, bug: &str, budget: Budget) -> Shrunk {
    let found = testing::finds(scenario, bug, 2_000);
    let spec = Spec {
        plant: Some(bug.to_owned()),
        ..Spec::of(scenario, found.seed)
    };
    let shrunk = shrink(scenario, &spec, &found.signature, budget).expect("runs are deterministic");
    let outcome = run(scenario, &shrunk.spec, false);
    let signature = outcome.signature(scenario.name(), &spec.shape);
    assert_eq!(signature, Some(found.signature), "{bug}");
    assert_eq!(outcome.hash, shrunk.outcome.hash);
    println!("{bug}: {:?}; {:?}", shrunk.spec.plan, shrunk.effort);
    println!("{:?} from {:?}", shrunk.after, shrunk.before);
    shrunk
}

fn becomes_small(scenario: &dyn Scenario, bug: &str) {
    let shrunk = shrunk(scenario, bug, budget(2, 400));
    assert!(shrunk.after.faults <= 2, "{}", shrunk.spec.plan.to_json());
    assert!(shrunk.after.requests <= 3, "{:?}", shrunk.after);
}

#[test]
fn a_forgotten_journal_becomes_small() {
    becomes_small(&OrderSaga, "no-journal");
}

#[test]
fn an_answer_before_the_commit_becomes_small() {
    becomes_small(&OrderSaga, "ack-before-commit");
}

#[test]
fn a_capture_without_a_key_becomes_small() {
    becomes_small(&OrderSaga, "capture-without-key");
}

#[test]
fn a_reward_whose_timeout_is_taken_for_a_no_becomes_small() {
    becomes_small(&ChallengeReward, "timeout-means-no");
}

#[test]
fn the_number_of_jobs_changes_nothing() {
    let alone = shrunk(&OrderSaga, "no-journal", budget(1, 60));
    let together = shrunk(&OrderSaga, "no-journal", budget(4, 60));
    assert_eq!(alone.spec, together.spec);
    assert_eq!(alone.outcome.hash, together.outcome.hash);
    assert_eq!(alone.effort.runs, together.effort.runs);
}

/// A request: its client, its operation, and its first line and body.
type Request = (String, String, String);

/// The requests that clients make of their entry in calm weather.
fn requests(scenario: &dyn Scenario, without: &[&str]) -> Vec<Request> {
    let spec = Spec::of(scenario, Seed(11)).under(Plan {
        without: without.iter().map(|&name| name.to_owned()).collect(),
        ..Plan::calm()
    });
    let trace = run(scenario, &spec, true).trace;
    let events = trace.expect("it is asked for").events;
    let is_client = |name: &str| {
        events
            .iter()
            .any(|event| event.node == name && matches!(event.what, What::Client { .. }))
    };
    let sent = events.iter().filter_map(|event| match &event.what {
        // Who comes late repeats what the others have asked for.
        What::Burst { bytes, label, .. }
            if is_client(&event.node) && !["late", "latecomer"].contains(&&*event.node) =>
        {
            let text = String::from_utf8_lossy(bytes);
            let (head, body) = text.split_once("\r\n\r\n")?;
            let line = head.lines().next()?;
            Some((
                event.node.clone(),
                label.to_string(),
                format!("{line} {body}"),
            ))
        }
        _ => None,
    });
    let mut sent: Vec<_> = sent.collect();
    sent.sort();
    // How often somebody has to ask depends on what is answered, and so on others.
    sent.dedup();
    sent
}

#[test]
fn leaving_something_out_changes_nothing_of_what_the_others_do() {
    for scenario in [&OrderSaga as &dyn Scenario, &ChallengeReward] {
        let all = requests(scenario, &[]);
        let clients = all.iter().map(|(client, ..)| client.as_str());
        let operations = all.iter().map(|(_, op, _)| op.as_str());
        let names: BTreeSet<&str> = clients.chain(operations).collect();
        assert!(names.len() >= 8, "{names:?}");
        for left_out in names {
            // A look and a twin belong to their deed. Which order is a customer's latest depends on what was ordered before.
            let is_gone = |(client, op, _): &&Request| {
                let deed = op.strip_suffix("-look").or(op.strip_suffix("-twin"));
                client == left_out || op == left_out || deed == Some(left_out)
            };
            let others = |requests: &[Request]| -> Vec<Request> {
                let others = requests.iter().filter(|request| !is_gone(request));
                others
                    .filter(|(_, op, _)| !op.ends_with("-cancel"))
                    .cloned()
                    .collect()
            };
            if left_out.ends_with("-look") {
                continue;
            }
            let rest = requests(scenario, &[left_out]);
            assert_eq!(others(&rest), others(&all), "without {left_out}");
            assert_eq!(rest.iter().find(is_gone), None, "without {left_out}");
        }
    }
}
