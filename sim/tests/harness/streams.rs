//! What is taken out of a storm leaves the rest as it was: this is what makes shrinking work.

use std::time::Duration;

use squall::{
    Client, Sim,
    run::{Outcome, Spec, run},
    scenario::{Scenario, Setup},
    seed::Seed,
    storm::{Plan, Profile},
    trace::What,
};

use crate::little::{Asking, echo, events};

/// Two pairs that have nothing to do with each other. Storms come over the eastern one.
struct TwoPairs;

impl Scenario for TwoPairs {
    fn name(&self) -> &str {
        "two-pairs"
    }

    fn about(&self) -> &str {
        "a stormy pair and a quiet one"
    }

    fn profile(&self) -> Profile {
        Profile::new(&["east"], &[("alice", "east")])
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        echo(sim, "east");
        echo(sim, "west");
        sim.client("alice", |client| asks(client, "east"));
        sim.client("bob", |client| asks(client, "west"));
    }
}

/// Draws what to ask and when, and asks until answered, on a few connections.
async fn asks(client: Client, peer: &'static str) {
    let mut asking = Asking::default();
    for n in 0..12 {
        let (pause, word) = client.draw(|stream| (stream.between(20, 400), stream.bits()));
        client.node().sleep(Duration::from_millis(pause)).await;
        if n % 4 == 0 {
            asking = Asking::default();
        }
        let op = format!("{}-{n}", client.name());
        client.invoked(&op, &word.to_string());
        asking.insist(client.node(), peer, &word.to_string()).await;
        client.ok(&op, "answered");
    }
}

/// What the clients did, in the order in which each did it.
fn operations(outcome: &Outcome) -> [Vec<String>; 2] {
    ["alice", "bob"].map(|name| {
        let own = events(outcome).iter().filter(|event| event.node == name);
        own.filter_map(|event| match &event.what {
            What::Client { op, phase, detail } => Some(format!("{op} {phase} {detail}")),
            _ => None,
        })
        .collect()
    })
}

/// Every burst between two nodes, with its latency.
fn bursts(outcome: &Outcome, a: &str, b: &str) -> Vec<String> {
    let described = events(outcome)
        .iter()
        .filter_map(|event| match &event.what {
            What::Burst {
                to,
                connection,
                bytes,
                label,
                latency,
                fate,
            } if (event.node == a && to == b) || (event.node == b && to == a) => Some(format!(
                "{} {connection} [{label}] {} {latency:?} {fate}",
                event.node,
                String::from_utf8_lossy(bytes)
            )),
            _ => None,
        });
    described.collect()
}

#[test]
fn a_fault_taken_away_leaves_the_workload_and_the_latencies_of_other_links_as_they_were() {
    let spec = |seed, plan: &Plan| Spec::of(&TwoPairs, Seed(seed)).under(plan.clone());
    let (mut compared, mut disturbed) = (0, 0);
    for seed in 0..40 {
        let plan = TwoPairs.profile().draw(Seed(seed));
        let whole = run(&TwoPairs, &spec(seed, &plan), true);
        assert_eq!(bursts(&whole, "bob", "west").len(), 24);
        for fault in 0..plan.faults.len() {
            let mut fewer = plan.clone();
            fewer.faults.remove(fault);
            let fewer = run(&TwoPairs, &spec(seed, &fewer), true);
            assert_eq!(operations(&whole), operations(&fewer), "seed {seed}");
            let [mine, theirs] = [&whole, &fewer].map(|run| bursts(run, "bob", "west"));
            assert_eq!(mine, theirs, "seed {seed} without fault {fault}");
            compared += 1;
            let [mine, theirs] = [&whole, &fewer].map(|run| bursts(run, "alice", "east"));
            disturbed += usize::from(mine != theirs);
        }
    }
    assert!(
        compared > 80 && disturbed > compared / 4,
        "{disturbed} of {compared}"
    );
}

#[test]
fn a_burst_that_a_storm_did_not_reach_travels_as_long_as_without_the_storm() {
    for seed in 0..20 {
        let stormy = run(&TwoPairs, &Spec::of(&TwoPairs, Seed(seed)), true);
        let calm = run(&TwoPairs, &Spec::of(&TwoPairs, Seed(seed)).calm(), true);
        assert_eq!(
            bursts(&stormy, "bob", "west"),
            bursts(&calm, "bob", "west"),
            "seed {seed}"
        );
        assert_eq!(operations(&stormy), operations(&calm), "seed {seed}");
    }
}
