//! Whatever is sent to whatever route of whatever service, the answer is a sound one: no 5xx, no lost connection, and
//! every refusal a problem that says what is wrong.
//!
//! Nobody lists routes here: they are [read](routes) from the services' sources, and what a body has to look like is
//! [learnt](learn) from what the routes say about a worse one.

mod learn;
mod nasty;
mod routes;
mod town;

use std::collections::BTreeSet;

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use squall_services::systems::SYSTEMS;

use self::{
    learn::Learnt,
    nasty::{Nasty, nasty},
    routes::Route,
    town::{Request, Town},
};

/// Requests to each system. Every one of its routes gets some hundred of them.
const REQUESTS: usize = 12_000;

/// What is wrong with the answer to a request, if anything.
async fn wrong(town: &Town, service: &str, request: &Request) -> Result<u16, String> {
    let told = town.send(service, request).await;
    let answer = match told {
        Ok(answer) => answer,
        Err(lost) => return Err(lost),
    };
    match answer.fault() {
        Some(fault) => Err(format!("{fault}\n{} {}", answer.status, answer.body)),
        None => Ok(answer.status),
    }
}

/// The routes that a service of the town has, with a body that each takes.
async fn inhabited(town: &Town) -> Vec<(&'static str, Route, Learnt)> {
    let mut found = Vec::new();
    for service in town.services() {
        for route in routes::all() {
            if town.has(service, &route).await {
                let learnt = learn::body_of(town, service, &route).await;
                found.push((service, route, learnt));
            }
        }
    }
    found
}

#[tokio::test]
async fn every_route_is_somebodys_and_takes_a_body_that_its_refusals_explain() {
    let mut met = BTreeSet::new();
    for system in SYSTEMS {
        let town = Town::open(system).await;
        for (service, route, learnt) in inhabited(&town).await {
            assert!(
                learnt.is_taken,
                "{service}: nobody learns from its refusals what {route} takes, beyond {}: {}",
                learnt.body, learnt.last
            );
            met.insert(route);
        }
    }
    let all: BTreeSet<Route> = routes::all().into_iter().collect();
    assert!(all.len() > 100, "{} routes are in the sources", all.len());
    let unmet: Vec<String> = all.difference(&met).map(Route::to_string).collect();
    assert_eq!(unmet, [""; 0], "no service of any system has these");
}

/// What was sent when something was wrong, made as small as it gets.
async fn smallest(
    town: &Town,
    runner: &mut TestRunner,
    strategy: &impl Strategy<Value = Nasty>,
    answers: &[(&'static str, Route, Learnt)],
) -> Option<String> {
    let mut tree = strategy.new_tree(runner).expect("nothing is filtered out");
    let send = async |nasty: Nasty| {
        let (service, route, learnt) = &answers[nasty.which.index(answers.len())];
        let request = nasty.request(route, learnt);
        let fault = wrong(town, service, &request).await.err()?;
        Some(format!("{service}: {route}\n{request}\n{fault}"))
    };
    let mut fault = send(tree.current()).await?;
    while tree.simplify() {
        loop {
            match send(tree.current()).await {
                Some(simpler) => {
                    fault = simpler;
                    break;
                }
                None if tree.complicate() => {}
                None => return Some(fault),
            }
        }
    }
    Some(fault)
}

async fn bears(system: &str) {
    let town =
        Town::open(squall_services::systems::System::named(system).expect("it is one")).await;
    let answers = inhabited(&town).await;
    let (mut runner, strategy) = (TestRunner::deterministic(), nasty());
    for _ in 0..REQUESTS {
        if let Some(fault) = smallest(&town, &mut runner, &strategy, &answers).await {
            panic!("{system}: {fault}");
        }
    }
    assert_eq!(town.failures(), [""; 0], "a service has given up");
    for (status, least) in [
        (200, 500),
        (400, 500),
        (404, 100),
        (405, 100),
        (413, 10),
        (415, 100),
    ] {
        let met = town.met(status);
        assert!(
            met >= least,
            "{system}: {met} answers with the status {status}, which tests little"
        );
    }
}

#[tokio::test]
async fn nasty_requests_to_rewards_are_answered_soundly() {
    bears("rewards").await;
}

#[tokio::test]
async fn nasty_requests_to_orders_are_answered_soundly() {
    bears("orders").await;
}

#[tokio::test]
async fn nasty_requests_to_checkout_are_answered_soundly() {
    bears("checkout").await;
}

#[tokio::test]
async fn nasty_requests_to_purchases_are_answered_soundly() {
    bears("purchases").await;
}

#[tokio::test]
async fn nasty_requests_to_choreography_are_answered_soundly() {
    bears("choreography").await;
}
