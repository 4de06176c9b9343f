use std::{collections::BTreeSet, io, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{Client, Node, storm::FaultKind};

const SECOND: Duration = Duration::from_secs(1);

/// Answers each byte with its double.
async fn double(node: Node) -> io::Result<()> {
    let mut listener = node.listen()?;
    loop {
        let mut stream = listener.accept().await?;
        node.spawn(async move {
            while let Ok(n) = stream.read_u8().await {
                tracing::info!("asked");
                if stream.write_u8(n * 2).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn ask(client: &Client, n: u8) -> io::Result<u8> {
    let asked = async {
        let mut stream = client.connect("double").await?;
        stream.write_u8(n).await?;
        stream.flush().await?;
        stream.read_u8().await
    };
    tokio::time::timeout(SECOND, asked).await?
}

/// Asks until there is an answer, five times.
async fn patient(client: Client) {
    for n in 1..=5 {
        while ask(&client, n).await.is_err() {
            client.sleep(SECOND / 2).await;
        }
        client.ok(&format!("ask {n}"), "answered");
        client.sleep(SECOND / 10).await;
    }
}

/// Has no patience.
async fn demanding(client: Client) {
    for n in 1..=5 {
        client.sleep(SECOND / 10).await;
        assert_eq!(ask(&client, n).await.ok(), Some(2 * n), "the double of {n}");
    }
}

fn world(
    client: fn(Client) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
) -> impl Fn(&Sim) {
    move |sim| {
        sim.node("double", double);
        sim.client("asker", client);
    }
}

#[test]
fn a_world_that_a_closure_builds_survives_its_storms() {
    let totals = storms("doubles")
        .seeds(50)
        .run(world(|c| Box::pin(patient(c))));
    assert_eq!(totals.tally.count("calls ok"), 250);
    let fired: u64 = totals.tally.faults.values().map(|fault| fault.fired).sum();
    assert!(fired > 50, "{fired} faults");
}

#[test]
fn the_profile_follows_from_a_run_without_faults() {
    let storms = storms("doubles").profile(|profile| profile.never.push(FaultKind::Crash));
    let build = world(|c| Box::pin(patient(c)));
    let profile = storms.over(&build).profile();
    assert_eq!(profile.nodes, ["double"]);
    assert_eq!(profile.links, [("asker", "double")]);
    assert_eq!(profile.events, [("double", "asked")]);
    assert_eq!(profile.never, [FaultKind::Crash]);
    assert!((8..20).contains(&profile.bursts), "{profile:?}");
}

#[test]
fn an_assertion_of_a_client_is_a_finding_and_the_test_replays_it_from_its_file() {
    let storms = storms("impatient").seeds(200);
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let build = world(|c| Box::pin(demanding(c)));
    let told = storms
        .checked(&run_with, &build, scratch.path())
        .unwrap_err();
    assert!(told.contains("VIOLATED impatient"), "{told}");
    assert!(
        told.contains("what asker asserts (sim/src/storms/tests.rs:"),
        "{told}"
    );
    assert!(told.contains("the smallest storm"), "{told}");
    let last = told.lines().last().unwrap();
    let file = last
        .split(['=', ' '])
        .find(|word| word.ends_with(".json"))
        .unwrap();
    assert!(
        last.starts_with("replay: SQUALL_REPLAY=") && last.contains("cargo test"),
        "{last}"
    );

    let world = storms.over(&build);
    let again = replayed::replay(&run_with, &world, Path::new(file)).unwrap_err();
    assert!(again.contains("It fails again as recorded"), "{again}");
    let other = super::storms("patient");
    let calm = other.over(&build);
    assert!(
        replayed::replay(&run_with, &calm, Path::new(file))
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_planted_bug_is_found_by_what_it_breaks() {
    let found = storms("twice").seeds(500).finds(|sim| {
        world(|c| Box::pin(patient(c)))(sim);
        let mut seen = BTreeSet::new();
        let counted = sim.goal("asked twice");
        sim.hear("double", "asked", move |scope, _| {
            if !seen.insert(scope.op.clone()) {
                counted.hit();
            }
        });
        sim.finally("the server is asked", Duration::ZERO, |_, findings| {
            let name = format!("never {}", "so");
            findings.broken(name, &[], "questions", "none");
        });
    });
    assert_eq!(found.signature.invariant, "the server is asked");
    assert_eq!(found.signature.tag, "never so");
}

#[test]
fn one_run_is_given_whole() {
    let outcome = storms("doubles")
        .plan(Plan::calm())
        .one(Seed(3), world(|c| Box::pin(patient(c))));
    assert!(outcome.trace.is_some_and(|trace| trace.events.len() > 20));
    assert_eq!(outcome.counts["calls ok"], 5);
}
