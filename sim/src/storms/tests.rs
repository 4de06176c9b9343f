use std::{collections::BTreeSet, io, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use squall_engine::run::Verdict;

use squall_core::fault::{Crash, CrashLoop, FaultKind};
use squall_engine::{Client, Node};

use super::*;

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
fn the_same_is_a_scenario_of_a_command_line_with_bugs_to_plant() {
    let impatient = ("impatient", "the client does not wait for a late answer");
    let doubles = storms("doubles").about("doubles numbers").bugs([impatient]);
    let scenario = doubles.scenario(|sim, setup| match setup.plant.as_deref() {
        Some("impatient") => world(|c| Box::pin(demanding(c)))(sim),
        _ => world(|c| Box::pin(patient(c)))(sim),
    });
    assert_eq!(scenario.about(), "doubles numbers");
    assert_eq!(scenario.profile().nodes, ["double"]);
    testing::check(&*scenario, 20);
    testing::finds(&*scenario, "impatient", 200);
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

/// Waits for an answer, or for this long.
async fn answers_within(client: &Client, wait: Duration) -> bool {
    tokio::time::timeout(wait, async {
        while ask(client, 1).await.is_err() {
            client.sleep(SECOND / 10).await;
        }
    })
    .await
    .is_ok()
}

type Fault = fn(&Sim);

/// One run without drawn faults in which the client itself breaks something, and mends it, or not.
fn broken_by_hand(breaks: Fault, mends: Option<Fault>) -> Outcome {
    storms("by hand")
        .plan(Plan::calm())
        .one(Seed(1), move |sim| {
            sim.node("double", double);
            let storm = sim.clone();
            sim.client("asker", move |client: Client| async move {
                assert!(answers_within(&client, SECOND).await);
                breaks(&storm);
                client.sleep(SECOND / 10).await;
                assert!(
                    !answers_within(&client, 10 * SECOND).await,
                    "it is not broken"
                );
                if let Some(mends) = mends {
                    mends(&storm);
                    assert!(
                        answers_within(&client, 60 * SECOND).await,
                        "it stays broken"
                    );
                }
            });
            sim.late_client("latecomer", |client: Client| async move {
                assert!(
                    answers_within(&client, SECOND).await,
                    "the end did not heal it"
                );
            });
        })
}

#[test]
fn faults_by_hand_last_until_they_are_undone_or_the_clients_have_ended() {
    let faults: [(Fault, Fault); 5] = [
        (|sim| sim.crash("double"), |sim| sim.boot("double")),
        (|sim| sim.power_loss("double"), |sim| sim.boot("double")),
        (|sim| sim.pause("double"), |sim| sim.resume("double")),
        (
            |sim| sim.partition("asker", "double"),
            |sim| sim.repair("asker", "double"),
        ),
        (
            |sim| sim.hold("double", "asker"),
            |sim| sim.release("double", "asker"),
        ),
    ];
    for (place, (breaks, mends)) in faults.into_iter().enumerate() {
        for mends in [Some(mends), None] {
            let outcome = broken_by_hand(breaks, mends);
            assert_eq!(outcome.violations, [], "fault {place}");
            assert_eq!(outcome.verdict, Verdict::Survived, "fault {place}");
            assert!(outcome.faults.is_empty(), "it is in no plan");
            let [report] = &*outcome.by_hand else {
                panic!("{:?}", outcome.by_hand)
            };
            assert!(report.fired.is_some() && report.effective, "{report:?}");
        }
    }
}

#[test]
fn a_fault_by_hand_before_the_storm_comes_with_it_and_stays_out_of_what_shrinks() {
    let storms = storms("early").seeds(30);
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let build = |sim: &Sim| {
        sim.node("double", double);
        sim.crash("double");
        sim.client("asker", |client: Client| async move {
            assert!(answers_within(&client, SECOND).await);
        });
    };
    let told = storms
        .checked(&run_with, &build, scratch.path())
        .unwrap_err();
    assert!(told.contains("30 of 30 storms"), "{told}");
    assert!(
        told.contains("double crashes as the storm begins"),
        "{told}"
    );
    assert!(told.contains("0 faults, 0 clients"), "{told}");
}

#[test]
#[should_panic(expected = "no node is called \"vault\"; there are: double")]
fn a_fault_by_hand_names_a_node_that_is_there() {
    let outcome = storms("misnamed").one(Seed(0), |sim| {
        sim.node("double", double);
        sim.crash("vault");
    });
    if let Verdict::HarnessFailed(message) = outcome.verdict {
        panic!("{message}");
    }
}

#[test]
#[should_panic(expected = "no node is called \"duoble\"; there are: double, asker")]
fn a_goal_that_listens_to_no_node_says_so_at_the_start() {
    storms("misspelt").seeds(3).run(|sim| {
        world(|c| Box::pin(patient(c)))(sim);
        sim.sometimes_logged("asked at all", "duoble", "asked");
    });
}

#[test]
fn an_outage_is_felt_until_what_it_held_back_has_come_through() {
    let outcome = storms("felt").plan(Plan::calm()).one(Seed(1), |sim| {
        sim.node("double", double);
        let (storm, weather) = (sim.clone(), sim.weather());
        sim.client("asker", |client: Client| async move {
            let mut stream = client.connect("double").await.unwrap();
            storm.partition("asker", "double");
            stream.write_u8(1).await.unwrap();
            stream.flush().await.unwrap();
            client.sleep(100 * SECOND).await;
            storm.repair("asker", "double");
            let repaired = client.now();
            stream.read_u8().await.unwrap();
            let later = client.now().since(repaired);
            assert!(later > 2 * SECOND, "TCP has backed off for {later:?} only");
            assert!(weather.explains(SECOND), "it is felt no more");
            client.sleep(2 * SECOND).await;
            assert!(!weather.explains(SECOND), "it is felt still");
        });
    });
    assert_eq!(outcome.violations, []);
}

#[test]
fn a_node_that_is_down_already_stays_down_until_it_is_booted_and_then_nothing_is_felt_any_more() {
    let soon = Crash::new("double", 2_000);
    let fault = crate::storm::Fault {
        when: crate::storm::When::AtMs(0),
        action: soon.into(),
    };
    let plan = Plan::new(vec![fault]);
    let outcome = storms("down").plan(plan).one(Seed(1), |sim| {
        sim.node("double", double);
        let (storm, weather) = (sim.clone(), sim.weather());
        sim.client("asker", |client: Client| async move {
            client.sleep(SECOND).await;
            storm.pause("double");
            storm.crash("double");
            assert!(!answers_within(&client, 60 * SECOND).await, "it is back");
            storm.boot("double");
            assert!(answers_within(&client, 60 * SECOND).await);
            client.sleep(2 * SECOND).await;
            assert!(!weather.explains(SECOND), "something is felt still");
        });
    });
    assert_eq!(outcome.violations, []);
}

#[test]
#[should_panic(expected = "it recurs at most 1000 times")]
fn a_fault_by_hand_goes_no_further_than_a_plan_may() {
    let outcome = storms("beyond").one(Seed(0), |sim| {
        sim.node("double", double);
        sim.inflict(CrashLoop::new("double", u32::MAX, 1));
    });
    if let Verdict::HarnessFailed(message) = outcome.verdict {
        panic!("{message}");
    }
}

#[test]
fn what_is_inflicted_by_hand_without_end_leaves_a_world_that_settles_alone() {
    let storms = storms("stubborn").plan(Plan::calm());
    let outcome = storms.one(Seed(1), |sim| {
        sim.node("double", double);
        let storm = sim.clone();
        sim.operator("saboteur", move |client: Client| async move {
            for _ in 0..1_000 {
                storm.crash("double");
                client.sleep(SECOND / 10).await;
                storm.boot("double");
                client.sleep(SECOND / 10).await;
            }
        });
        sim.client("asker", |client: Client| async move {
            client.sleep(2 * SECOND).await;
        });
    });
    assert_eq!(outcome.verdict, Verdict::Survived);
    let last = outcome.by_hand.last().and_then(|report| report.fired);
    let last = last.expect("it was crashed").since_start();
    assert!((SECOND..3 * SECOND).contains(&last), "{last:?}");
    assert!(outcome.ended.since_start() > last + 2 * SECOND);
}

#[test]
fn a_message_that_no_node_logs_is_told_with_the_one_that_is_meant() {
    let totals = storms("misheard").seeds(3).run(|sim| {
        world(|c| Box::pin(patient(c)))(sim);
        sim.sometimes_logged("a question came", "double", "askd");
        sim.sometimes_logged("a question came again", "double", "asked");
        sim.hear("double", "quite another thing", |_, _| ());
    });
    let unheard = totals.unheard.iter();
    let unheard = unheard.map(|one| (&*one.message, one.nearest.as_deref()));
    let unheard: Vec<_> = unheard.collect();
    let expected = [("askd", Some("asked")), ("quite another thing", None)];
    assert_eq!(unheard, expected);
    let told = squall_report::summary::tables(&[totals], squall_report::Style::PLAIN);
    assert!(told.contains("double never logged \"askd\""), "{told}");
}
