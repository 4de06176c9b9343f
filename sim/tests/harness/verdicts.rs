//! How runs end, and what is judged when.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use squall::{
    Client, Node, Sim,
    campaign::{Campaign, Seeds},
    check::Class,
    fault::{Cut, Restart},
    run::{Signature, Spec, Verdict, run},
    seed::Seed,
    storm::Plan,
    trace::{Row, What},
};

use crate::little::{Little, at, echo, events, for_ever, lasts, seconds};

fn row(key: &str) -> Vec<Row> {
    vec![Row::new("rows", key, Some(b"1".to_vec()))]
}

#[test]
fn what_should_sometimes_happen_is_known_even_when_it_never_does() {
    let outcome = Little(|sim: &Sim| {
        sim.sometimes("a row was written", |commit| !commit.rows.is_empty());
        sim.sometimes("a row was deleted", |commit| {
            commit.rows.iter().any(|row| row.value.is_none())
        });
        sim.sometimes_logged("the door opened", "door", "opens");
        sim.sometimes_logged("the door closed", "door", "closes");
        sim.sometimes_logged_where("the door opened wide", "door", "opens", |_, fields| {
            fields == "wide=true"
        });
        let goal = sim.goal("a client was there");
        sim.node("door", |node: Node| async move {
            node.committed("door", row("a"));
            node.committed("door", row("b"));
            tracing::info!(wide = false, "opens");
            tracing::info!(wide = true, "opens");
            std::future::pending::<Result<(), String>>().await
        });
        sim.client("alice", |client: Client| async move {
            goal.hit();
            client.reached("a client saw it");
        });
    })
    .run(vec![]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    let sometimes: Vec<(&str, u64)> = outcome
        .sometimes
        .iter()
        .map(|(name, times)| (name.as_str(), *times))
        .collect();
    let expected = [
        ("a client saw it", 1),
        ("a client was there", 1),
        ("a row was deleted", 0),
        ("a row was written", 2),
        ("the door closed", 0),
        ("the door opened", 2),
        ("the door opened wide", 1),
    ];
    assert_eq!(sometimes, expected);
}

#[test]
fn a_goal_that_panics_is_a_failure_of_the_harness() {
    let outcome = Little(|sim: &Sim| {
        sim.sometimes("nobody knows", |_| panic!("no idea"));
        sim.node("door", |node: Node| async move {
            node.committed("door", row("a"));
            std::future::pending::<Result<(), String>>().await
        });
        lasts(sim, 1);
    })
    .run(vec![]);
    let Verdict::HarnessFailed(why) = &outcome.verdict else {
        panic!("{:?}", outcome.verdict);
    };
    assert!(why.contains("no idea"), "{why}");
}

#[test]
fn clients_that_do_not_end_make_a_run_stuck() {
    let outcome = Little(|sim: &Sim| {
        lasts(sim, 1);
        sim.client("waiting", |_: Client| std::future::pending());
    })
    .run(vec![]);
    let Verdict::Stuck(why) = &outcome.verdict else {
        panic!("{:?}", outcome.verdict);
    };
    assert!(why.starts_with("1 clients did not end"), "{why}");
    assert!(seconds(outcome.ended) >= 1_200.0);
    let signature = outcome.signature("little", "hardened").expect("a failure");
    assert_eq!(signature.invariant, "stuck");
}

#[test]
fn a_preparation_that_does_not_end_makes_a_run_stuck() {
    let outcome = Little(|sim: &Sim| {
        lasts(sim, 1);
        sim.prepare(|_: Client| std::future::pending());
    })
    .run(vec![]);
    assert!(matches!(outcome.verdict, Verdict::Stuck(why) if why.contains("preparation")));
}

#[test]
fn the_preparation_ends_before_clients_begin_and_storms_come() {
    let prepared = Arc::new(AtomicBool::new(false));
    let (begins, ends) = (prepared.clone(), prepared.clone());
    let outcome = Little(move |sim: &Sim| {
        let (begins, ends) = (begins.clone(), ends.clone());
        echo(sim, "peer");
        sim.prepare(|client: Client| async move {
            client.node().sleep(Duration::from_secs(7)).await;
            ends.store(true, Relaxed);
        });
        sim.client("alice", |client: Client| async move {
            if !begins.load(Relaxed) {
                client.broken("order", "too early", &[], "prepared", "not so");
            }
            client.node().sleep(Duration::from_secs(1)).await;
        });
    })
    .run(vec![at(0, Restart::new("peer"))]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    assert!(prepared.load(Relaxed));
    let fired = outcome.faults[0].fired.expect("it fired");
    assert!((7.0..7.1).contains(&seconds(fired)), "{fired}");
}

/// A node that sets things right so many seconds after the run began; what is not right is a violation `bound` after
/// the storm.
fn comes_right(after: u64, bound: u64) -> squall::run::Outcome {
    Little(move |sim: &Sim| {
        sim.node("late", move |node: Node| async move {
            node.sleep(Duration::from_secs(after)).await;
            node.committed("file", row("right"));
            for_ever().await
        });
        sim.finally(
            "all comes right",
            Duration::from_secs(bound),
            |truth, findings| {
                if truth.row("late", "rows", "right").is_none() {
                    findings.broken("never", &["late"], "a row", "none");
                }
            },
        );
        lasts(sim, 1);
    })
    .run(vec![])
}

#[test]
fn a_finally_invariant_is_judged_at_its_bound_and_not_before() {
    let survived = comes_right(30, 60);
    assert_eq!(survived.verdict, Verdict::Survived);
    // As soon as all is right and quiet the run ends, not at the bound.
    assert!(
        (30.0..45.0).contains(&seconds(survived.ended)),
        "{}",
        survived.ended
    );

    let violated = comes_right(90, 60);
    assert_eq!(violated.verdict, Verdict::Violated);
    let [violation] = &violated.violations[..] else {
        panic!("{:?}", violated.violations);
    };
    assert_eq!(
        (&*violation.invariant, &*violation.tag),
        ("all comes right", "never")
    );
    assert!(
        (60.0..64.0).contains(&seconds(violation.at)),
        "{}",
        violation.at
    );
}

#[test]
fn each_finally_invariant_has_a_bound_of_its_own() {
    let outcome = Little(|sim: &Sim| {
        for (name, bound) in [("soon", 20), ("later", 200)] {
            sim.finally(name, Duration::from_secs(bound), move |_, findings| {
                findings.broken("always", &[], "something else", "this");
            });
        }
        lasts(sim, 1);
    })
    .run(vec![]);
    let broken: Vec<_> = outcome
        .violations
        .iter()
        .map(|v| (&*v.invariant, seconds(v.at) as u64))
        .collect();
    assert_eq!(broken, [("soon", 20), ("later", 200)]);
}

#[test]
fn all_is_healed_before_a_finally_invariant_is_judged() {
    let outcome = Little(|sim: &Sim| {
        echo(sim, "peer");
        // Right only if the link works: the node commits what it was answered.
        sim.node("asking", |node: Node| async move {
            let mut asking = crate::little::Asking::default();
            node.sleep(Duration::from_secs(1)).await;
            asking.insist(&node, "peer", "hello").await;
            node.committed("file", row("answered"));
            for_ever().await
        });
        sim.finally("answered", Duration::from_secs(20), |truth, findings| {
            if truth.row("asking", "rows", "answered").is_none() {
                findings.broken("never", &[], "an answer", "none");
            }
        });
        lasts(sim, 1);
    })
    .run(vec![at(10, Cut::new("asking", "peer", true, 100_000))]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    assert!(outcome.faults[0].effective);
}

#[test]
fn a_run_ends_early_if_what_is_broken_keeps_itself_busy() {
    let busy = |breaks: bool| {
        Little(move |sim: &Sim| {
            sim.node("mill", move |node: Node| async move {
                if breaks {
                    node.committed("mill", row("a"));
                }
                loop {
                    node.sleep(Duration::from_micros(100)).await;
                }
                #[expect(unreachable_code, reason = "it says what ends the process")]
                Ok::<_, String>(())
            });
            sim.always("no rows", |commit, findings| {
                for row in commit.rows {
                    findings.broken("written", &[&row.key], "none", "one");
                }
            });
            lasts(sim, 60);
        })
        .run(vec![])
    };
    let sound = busy(false);
    assert_eq!(sound.verdict, Verdict::Survived);
    assert!(seconds(sound.ended) > 60.0, "{:?}", sound.ended);
    let broken = busy(true);
    assert_eq!(broken.verdict, Verdict::Violated);
    assert!(
        (15.0..30.0).contains(&seconds(broken.ended)),
        "{:?}",
        broken.ended
    );
}

#[test]
fn an_always_invariant_sees_each_commit_at_once_and_the_run_goes_on() {
    let outcome = Little(|sim: &Sim| {
        sim.node("writer", |node: Node| async move {
            for n in 1..=100 {
                node.sleep(Duration::from_millis(100)).await;
                node.committed("file", row(&n.to_string()));
            }
            for_ever().await
        });
        sim.always("no fifth", |commit, findings| {
            assert!(commit.acknowledged);
            if commit.rows.iter().any(|row| row.key == "5") {
                findings.broken("fifth", &["5"], "four", "five");
            }
        });
        sim.always("no tenth", |commit, findings| {
            if commit.rows.iter().any(|row| row.key.ends_with('0')) {
                findings.broken("tenth", &[&commit.rows[0].key], "nine", "ten");
            }
        });
        lasts(sim, 60);
    })
    .run(vec![]);
    assert_eq!(outcome.verdict, Verdict::Violated);
    let seen: Vec<_> = outcome
        .violations
        .iter()
        .map(|v| (&*v.tag, (seconds(v.at) * 10.0) as u64))
        .collect();
    // Three of the ten that are alike.
    let expected = [("fifth", 5), ("tenth", 10), ("tenth", 20), ("tenth", 30)];
    assert_eq!(seen, expected);
    assert_eq!(outcome.counts["violations not listed"], 7);
    assert!(seconds(outcome.ended) > 60.0, "{}", outcome.ended);
    let told = events(&outcome).iter().any(
        |event| matches!(&event.what, What::Violation { invariant, .. } if invariant == "no fifth"),
    );
    assert!(told, "the trace shows the violation");
}

#[test]
fn damage_is_reported_before_what_only_a_look_inside_shows() {
    let outcome = Little(|sim: &Sim| {
        sim.node("writer", |node: Node| async move {
            for n in 1..=2 {
                node.sleep(Duration::from_secs(1)).await;
                node.committed("file", row(&n.to_string()));
            }
            for_ever().await
        });
        sim.inside("a row is marked");
        sim.always("a row is marked", |_, findings| {
            findings.broken("unmarked", &[], "a mark", "none");
        });
        sim.always("one row", |commit, findings| {
            if commit.rows[0].key == "2" {
                findings.broken("two", &[], "one", "two");
            }
        });
        lasts(sim, 5);
    })
    .run(vec![]);
    let seen: Vec<_> = outcome
        .violations
        .iter()
        .map(|v| (&*v.invariant, v.class))
        .collect();
    let expected = [
        ("a row is marked", Class::Inside),
        ("one row", Class::Damage),
    ];
    assert_eq!(seen, expected);
    let signature = outcome.signature("little", "hardened").expect("a failure");
    assert_eq!(signature.invariant, "one row");
    let inside = Signature {
        invariant: "a row is marked".to_owned(),
        tag: "unmarked".to_owned(),
        ..signature
    };
    assert!(outcome.shows(&inside), "be it among others");
}

/// The text of a failure that is no finding about services.
fn harness_failure(build: impl Fn(&Sim) + Send + Sync + 'static) -> String {
    let little = Little(build);
    let outcome = little.run(vec![]);
    let Verdict::HarnessFailed(text) = outcome.verdict else {
        panic!("{:?}", outcome.verdict);
    };
    let totals = Campaign::over(&little, Seeds::up_to(3)).run(&mut |_| ());
    assert_eq!(
        totals.tally.verdicts.harness_failed, 3,
        "the campaign goes on"
    );
    text
}

#[test]
fn a_panic_in_the_scenario_is_no_finding_about_its_services() {
    let text = harness_failure(|_| panic!("in build"));
    assert_eq!(text, "in build");

    let text = harness_failure(|sim| {
        lasts(sim, 5);
        sim.client("alice", |_: Client| async { panic!("in a client") });
    });
    assert_eq!(text, "client alice: in a client");

    let text = harness_failure(|sim| {
        sim.prepare(|_: Client| async { panic!("in the preparation") });
    });
    assert_eq!(text, "client setup: in the preparation");

    let text = harness_failure(|sim| {
        sim.node("writer", |node: Node| async move {
            node.committed("file", row("1"));
            for_ever().await
        });
        sim.always("careless", |_, _| panic!("in a check"));
        lasts(sim, 5);
    });
    assert_eq!(text, "invariant \"careless\": in a check");

    let text = harness_failure(|sim| {
        sim.finally("careless", Duration::from_secs(1), |_, _| panic!("at last"));
        lasts(sim, 1);
    });
    assert_eq!(text, "invariant \"careless\": at last");

    let text = harness_failure(|sim| {
        echo(sim, "twice");
        echo(sim, "twice");
    });
    assert_eq!(text, "two nodes are called \"twice\"");
}

#[test]
fn a_task_for_the_real_tokio_is_noticed() {
    let text = harness_failure(|sim| {
        sim.client("alice", |_: Client| async {
            #[allow(clippy::disallowed_methods)]
            tokio_real::spawn(async {});
        });
    });
    assert!(text.contains("real tokio::spawn"), "{text}");
}

#[test]
fn what_a_client_sees_broken_is_a_violation() {
    let outcome = Little(|sim: &Sim| {
        sim.client("alice", |client: Client| async move {
            client.broken("reads", "stale", &["x"], "2", "1");
        });
    })
    .run(vec![]);
    assert_eq!(outcome.verdict, Verdict::Violated);
    let violation = &outcome.violations[0];
    assert_eq!((&*violation.invariant, &*violation.tag), ("reads", "stale"));
}

#[test]
fn a_misspelt_shape_or_bug_is_told_and_nothing_is_run() {
    let little = Little(|sim: &Sim| lasts(sim, 1));
    let good = Spec::of(&little, Seed(1));
    assert_eq!(run(&little, &good, false).verdict, Verdict::Survived);
    for (spec, told) in [
        (
            Spec {
                shape: "hardend".into(),
                ..good.clone()
            },
            "little has no shape 'hardend' (did you mean 'hardened'?)",
        ),
        (
            Spec {
                plant: Some("no-journal".into()),
                ..good.clone()
            },
            "little has no bug 'no-journal'",
        ),
    ] {
        let outcome = run(&little, &spec, false);
        match &outcome.verdict {
            Verdict::HarnessFailed(why) => assert!(why.contains(told), "{why}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(outcome.ended.since_start(), Duration::ZERO);
    }
}

#[test]
fn a_name_that_is_left_out_and_that_nobody_goes_by_is_told() {
    let little = Little(|sim: &Sim| {
        for name in ["alice", "ben"] {
            sim.client(name, move |client: Client| async move {
                for n in 1..=2 {
                    let op = format!("{name}-{n}");
                    if client.does(&op) {
                        client.invoked(&op, "");
                    }
                }
            });
        }
    });
    let without = |names: &[&str]| {
        let spec = Spec::of(&little, Seed(1)).under(Plan {
            without: names.iter().map(|&name| name.to_owned()).collect(),
            ..Plan::calm()
        });
        run(&little, &spec, false)
    };
    let outcome = without(&["alice", "ben-2", "alise", "ben-3"]);
    assert_eq!(outcome.unmet, ["alise", "ben-3"]);
    let asked = outcome
        .operations
        .iter()
        .map(|one| (&*one.name, &*one.client));
    assert_eq!(
        asked.collect::<Vec<_>>(),
        [("ben-1", "ben"), ("ben-2", "ben")]
    );
    assert_eq!(outcome.counts["calls invoked"], 1);
    let nothing = without(&[]);
    assert!(nothing.unmet.is_empty() && nothing.operations.is_empty());
}
