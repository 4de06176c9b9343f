//! The lives of nodes: how they die, what is left of them, and how they come back.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use redb::StorageBackend;
use squall::{
    Client, Node, Sim,
    campaign::{Campaign, Seeds},
    fault::{Pause, Restart, SlowNode},
    run::{Outcome, Verdict},
    trace::Row,
};

use crate::little::{
    Asking, Little, Log, at, crash, echo, for_ever, lasts, now, power_loss, seconds, ticks, turns,
};

/// Tells what it is when it is dropped.
struct Last<F: FnMut()>(F);

impl<F: FnMut()> Drop for Last<F> {
    fn drop(&mut self) {
        (self.0)()
    }
}

/// A node that writes one byte and syncs it, writes a second and does not, and tells what its next life finds.
fn two_bytes(log: Log) -> impl Fn(&Sim) {
    move |sim: &Sim| {
        sim.node("keeper", move |node: Node| async move {
            let file = node.disk().open("bytes").map_err(|e| e.to_string())?;
            let mut found = [0; 2];
            let kept = file.len().map_err(|e| e.to_string())? >= 8192;
            if kept {
                let both = (
                    file.read(0, &mut found[..1]),
                    file.read(4096, &mut found[1..]),
                );
                assert!(both.0.is_ok() && both.1.is_ok());
            }
            log.tell(now(), format!("{kept} {found:?}"));
            if !kept {
                file.set_len(8192).map_err(|e| e.to_string())?;
                file.write(0, &[1]).map_err(|e| e.to_string())?;
                file.sync_data().map_err(|e| e.to_string())?;
                file.write(4096, &[2]).map_err(|e| e.to_string())?;
            }
            for_ever().await
        });
        lasts(sim, 3);
    }
}

#[test]
fn a_crash_loses_memory_and_keeps_the_page_cache() {
    let log = Log::default();
    let little = Little(two_bytes(log));
    for seed in 0..20 {
        let outcome = little.run_seed(seed, vec![at(500, crash("keeper", 300))]);
        assert_eq!(outcome.verdict, Verdict::Survived);
        assert_eq!(log.lines(), ["false [0, 0]", "true [1, 2]"]);
    }
}

#[test]
fn a_power_loss_keeps_what_was_synced_and_may_take_the_rest() {
    let log = Log::default();
    let little = Little(two_bytes(log));
    let mut second = Vec::new();
    for seed in 0..40 {
        little.run_seed(seed, vec![at(500, power_loss("keeper", 300))]);
        let lines = log.lines();
        assert!(lines[1].starts_with("true [1, "), "{lines:?}");
        second.push(lines[1].ends_with("2]"));
    }
    assert!(second.contains(&true) && second.contains(&false));
}

#[test]
fn a_task_of_an_earlier_life_never_runs_again() {
    let log = Log::default();
    let outcome = Little(move |sim: &Sim| {
        let lives = Arc::new(Mutex::new(0));
        sim.node("ticker", move |node: Node| {
            *lives.lock().unwrap() += 1;
            ticks(&node, log, format!("life {}", lives.lock().unwrap()));
            for_ever()
        });
        lasts(sim, 3);
    })
    .run(vec![
        at(500, crash("ticker", 200)),
        at(1_000, power_loss("ticker", 200)),
        at(1_500, Restart::new("ticker")),
    ]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    let born: Vec<f64> = turns(&outcome, "ticker")
        .into_iter()
        .filter(|(_, turn)| *turn == "boots")
        .map(|(at, _)| seconds(at))
        .collect();
    let died: Vec<f64> = turns(&outcome, "ticker")
        .into_iter()
        .filter(|(_, turn)| *turn != "boots")
        .map(|(at, _)| seconds(at))
        .chain([f64::MAX])
        .collect();
    assert_eq!((born.len(), died.len()), (4, 4));
    let ticks = log.take();
    for life in 1..=4 {
        let own: Vec<f64> = ticks
            .iter()
            .filter(|(_, line)| *line == format!("life {life}"))
            .map(|(at, _)| seconds(*at))
            .collect();
        assert!(own.len() > 20, "life {life}");
        assert!(
            own.iter()
                .all(|at| (born[life - 1]..=died[life - 1]).contains(at))
        );
    }
}

#[test]
fn destructors_of_a_dead_process_reach_neither_disk_nor_network_nor_checks() {
    let log = Log::default();
    let outcome = Little(move |sim: &Sim| {
        echo(sim, "peer");
        sim.always("nothing is committed", |_, findings| {
            findings.broken("committed", &[], "nothing", "a commit");
        });
        sim.node("dying", move |node: Node| async move {
            let file = node.disk().open("file").map_err(|e| e.to_string())?;
            let found = file.len().map_err(|e| e.to_string())?;
            log.tell(now(), format!("finds {found} bytes"));
            let stream = node.connect("peer").await.map_err(|e| e.to_string())?;
            let own = node.clone();
            let _last = Last(move || {
                let wrote = file.set_len(100).is_ok() || file.write(0, &[9]).is_ok();
                let row = Row::new("t", "k", None);
                own.committed("file", vec![row]);
                own.fail("again");
                own.spawn(async move { log.tell(now(), "a task runs") });
                let (opened, listens) = (own.disk().open("other"), own.listen());
                log.tell(
                    now(),
                    format!(
                        "dies: alive {}, wrote {wrote}, opened {}, listens {}",
                        own.is_alive(),
                        opened.is_ok(),
                        listens.is_ok(),
                    ),
                );
            });
            let _stream = stream;
            for_ever().await
        });
        lasts(sim, 2);
    })
    .run(vec![at(500, crash("dying", 300))]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    let inert = "dies: alive false, wrote false, opened false, listens false";
    assert_eq!(
        log.lines(),
        ["finds 0 bytes", inert, "finds 0 bytes", inert]
    );
}

#[test]
fn handles_that_outlive_their_process_are_inert_in_its_next_life() {
    let log = Log::default();
    Little(move |sim: &Sim| {
        type Kept = Option<(Node, squall::disk::File)>;
        let kept = Arc::new(Mutex::new(Kept::None));
        echo(sim, "peer");
        sim.node("reborn", move |node: Node| {
            let kept = kept.clone();
            async move {
                let file = node.disk().open("file").map_err(|e| e.to_string())?;
                let old = kept.lock().unwrap().replace((node.clone(), file));
                if let Some((old, file)) = old {
                    old.spawn(async move { log.tell(now(), "a task of the old life") });
                    old.fail("the old life");
                    let connected = old.connect("peer").await.is_ok();
                    log.tell(
                        now(),
                        format!(
                            "{} {connected} {}",
                            old.is_alive(),
                            file.write(0, &[1]).is_ok()
                        ),
                    );
                    log.tell(now(), node.is_alive().to_string());
                }
                for_ever().await
            }
        });
        lasts(sim, 2);
    })
    .run(vec![at(500, crash("reborn", 300))]);
    assert_eq!(log.lines(), ["false false false", "true"]);
}

#[test]
fn a_paused_node_does_nothing_while_time_goes_on() {
    let log = Log::default();
    let pause = |ms, for_ms| {
        let node = "ticker".to_owned();
        at(ms, Pause::new(node, for_ms))
    };
    let outcome = Little(move |sim: &Sim| {
        sim.node("ticker", move |node: Node| {
            ticks(&node, log, "tick".to_owned());
            for_ever()
        });
        lasts(sim, 5);
    })
    .run(vec![
        pause(500, 1_000),
        pause(2_000, 300),
        pause(2_100, 900),
    ]);
    let still = |from: f64, to: f64| {
        let turns = turns(&outcome, "ticker");
        let at: Vec<f64> = turns.iter().map(|(at, _)| seconds(*at)).collect();
        assert!(at.iter().any(|at| (at - from).abs() < 0.1), "{turns:?}");
        assert!(at.iter().any(|at| (at - to).abs() < 0.1), "{turns:?}");
    };
    still(0.52, 1.52);
    still(2.02, 3.02);
    let ticks: Vec<f64> = log.take().into_iter().map(|(at, _)| seconds(at)).collect();
    let between = |from, to| ticks.iter().filter(|at| (from..to).contains(*at)).count();
    assert_eq!(between(0.525, 1.515), 0);
    assert_eq!(
        between(2.03, 3.01),
        0,
        "a pause inside a pause does not end it"
    );
    assert!(between(1.6, 2.0) > 30 && between(3.1, 4.0) > 80);
}

#[test]
fn a_pause_ends_with_the_life_that_was_paused() {
    let log = Log::default();
    Little(move |sim: &Sim| {
        sim.node("ticker", move |node: Node| {
            ticks(&node, log, "tick".to_owned());
            for_ever()
        });
        lasts(sim, 5);
    })
    .run(vec![
        at(500, Pause::new("ticker", 3_000)),
        at(1_000, crash("ticker", 500)),
    ]);
    let ticks: Vec<f64> = log.take().into_iter().map(|(at, _)| seconds(at)).collect();
    assert!(!ticks.iter().any(|at| (0.53..1.5).contains(at)));
    assert!(ticks.iter().filter(|at| (1.6..2.6).contains(*at)).count() > 80);
}

#[test]
fn every_turn_of_a_slow_node_waits() {
    let log = Log::default();
    let outcome = Little(move |sim: &Sim| {
        sim.node("ticker", move |node: Node| {
            ticks(&node, log, "tick".to_owned());
            for_ever()
        });
        lasts(sim, 4);
    })
    .run(vec![at(1_000, SlowNode::new("ticker", 90, 2_000))]);
    assert!(outcome.faults[0].effective);
    let ticks: Vec<f64> = log.take().into_iter().map(|(at, _)| seconds(at)).collect();
    let between = |from, to| ticks.iter().filter(|at| (from..to).contains(*at)).count();
    assert!(between(0.0, 1.0) > 90);
    assert!(
        (18..=22).contains(&between(1.02, 3.02)),
        "{}",
        between(1.02, 3.02)
    );
    assert!(between(3.1, 4.0) > 80);
}

/// When a node is up, that ends its process `after` each boot, in seconds.
fn boots_of(ends: impl Fn(Node) + Send + Sync + Clone + 'static, lives: Duration) -> Vec<f64> {
    let outcome = Little(move |sim: &Sim| {
        let ends = ends.clone();
        sim.node("failing", move |node: Node| {
            let ends = ends.clone();
            async move {
                node.sleep(lives).await;
                ends(node.clone());
                if lives.is_zero() {
                    return Ok(());
                }
                Err("it cannot go on")
            }
        });
        lasts(sim, 60);
    })
    .run(vec![]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    let turns = turns(&outcome, "failing").into_iter();
    turns
        .filter(|(_, turn)| *turn == "boots")
        .map(|(at, _)| seconds(at))
        .collect()
}

#[test]
fn a_process_that_ends_is_started_again_later_and_later() {
    let fails = |node: Node| node.fail("no reason");
    let life = Duration::from_millis(1);
    for boots in [
        boots_of(fails, life),
        boots_of(|_| (), life),
        boots_of(|_| (), Duration::ZERO),
    ] {
        let gaps: Vec<f64> = boots.windows(2).map(|two| two[1] - two[0]).collect();
        for (gap, backoff) in gaps
            .iter()
            .zip([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 6.4, 6.4])
        {
            assert!((backoff..backoff + 0.01).contains(gap), "{gaps:?}");
        }
        assert!(gaps.len() >= 9);
    }
}

#[test]
fn a_process_that_lived_long_is_started_again_at_once() {
    let boots = boots_of(|_| (), Duration::from_secs(11));
    let gaps: Vec<f64> = boots.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(
        gaps.len() >= 4 && gaps.iter().all(|gap| *gap < 11.2),
        "{gaps:?}"
    );
}

#[test]
fn a_panic_in_a_service_is_a_violation_and_the_campaign_goes_on() {
    let panics = Little(|sim: &Sim| {
        sim.node("careless", |node: Node| async move {
            let own = node.clone();
            node.spawn(async move {
                own.sleep(Duration::from_millis(100)).await;
                panic!("there is nothing here");
            });
            for_ever().await
        });
        lasts(sim, 2);
    });
    let outcome = panics.run(vec![]);
    assert_eq!(outcome.verdict, Verdict::Violated);
    let [violation] = &outcome.violations[..] else {
        panic!("{:?}", outcome.violations);
    };
    assert_eq!(violation.invariant, "no service panics");
    assert_eq!(violation.entities, ["careless"]);
    assert_eq!(violation.found, "there is nothing here");
    let last = turns(&outcome, "careless").pop().expect("it booted");
    assert_eq!(last.1, "panics");

    let totals = Campaign::over(&panics, Seeds::up_to(20)).run(&mut |_| ());
    assert_eq!(
        (totals.tally.verdicts.violated, totals.tally.runs),
        (20, 20)
    );
}

#[test]
fn a_panic_while_booting_is_a_service_s_too() {
    let outcome = Little(|sim: &Sim| {
        sim.node("careless", |_: Node| {
            assert!(
                now() > squall::time::VirtualTime(u64::MAX),
                "not in this world"
            );
            for_ever()
        });
        lasts(sim, 1);
    })
    .run(vec![]);
    assert_eq!(outcome.violations[0].invariant, "no service panics");
}

/// A node that panics in a destructor: of a task that ends, or else only when it is killed.
fn panics_in_a_destructor(ends: bool) -> Outcome {
    Little(move |sim: &Sim| {
        sim.node("careless", move |node: Node| async move {
            let own = node.clone();
            node.spawn(async move {
                let _last = Last(|| panic!("in a destructor"));
                own.sleep(Duration::from_millis(100)).await;
                if !ends {
                    std::future::pending::<()>().await;
                }
            });
            for_ever().await
        });
        lasts(sim, 2);
    })
    .run(vec![at(500, crash("careless", 100))])
}

#[test]
fn a_panic_in_a_destructor_is_a_violation_unless_the_process_was_killed() {
    let outcome = panics_in_a_destructor(true);
    assert_eq!(outcome.violations[0].invariant, "no service panics");
    // A process that is killed runs no destructors in reality.
    let outcome = panics_in_a_destructor(false);
    assert_eq!(
        (outcome.verdict, outcome.violations),
        (Verdict::Survived, vec![])
    );
    assert!(outcome.faults[0].effective);
}

#[test]
fn a_node_that_dies_in_the_middle_of_a_poll_cannot_panic_any_more() {
    let outcome = Little(|sim: &Sim| {
        sim.node("writer", |node: Node| async move {
            node.sleep(Duration::from_millis(200)).await;
            let file = node.disk().open("file").expect("nothing fails");
            file.set_len(4096)
                .expect("nothing fails, unless power does");
            for_ever().await
        });
        lasts(sim, 2);
    })
    .run(vec![crate::little::nth(
        "writer",
        squall::site::Kind::Write,
        1,
        power_loss("writer", 100),
    )]);
    assert!(outcome.faults[0].effective);
    assert_eq!(
        (outcome.verdict, outcome.violations),
        (Verdict::Survived, vec![])
    );
}

#[test]
fn storms_kill_no_clients() {
    let outcome = Little(|sim: &Sim| {
        echo(sim, "peer");
        sim.client("alice", |client: Client| async move {
            for _ in 0..10 {
                client.node().sleep(Duration::from_millis(100)).await;
                Asking::default()
                    .insist(client.node(), "peer", "hello")
                    .await;
            }
        });
    })
    .run(vec![
        at(300, crash("alice", 100)),
        at(600, power_loss("alice", 100)),
    ]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    assert!(!outcome.faults.iter().any(|fault| fault.effective));
}

#[test]
fn every_node_is_killed_at_the_end_and_nothing_of_it_is_left() {
    let life = Arc::new(());
    let held = life.clone();
    let little = Little(move |sim: &Sim| {
        for name in ["one", "two"] {
            let (held, world) = (held.clone(), sim.clone());
            sim.node(name, move |node: Node| {
                let (held, _world) = (held.clone(), world.clone());
                async move {
                    for _ in 0..3 {
                        let (held, own) = (held.clone(), node.clone());
                        node.spawn(async move {
                            let _held = (held, own);
                            std::future::pending::<()>().await;
                        });
                    }
                    let mut listener = node.listen().map_err(|e| e.to_string())?;
                    let mut streams = Vec::new();
                    loop {
                        streams.push(listener.accept().await.map_err(|e| e.to_string())?);
                    }
                    #[allow(unreachable_code)]
                    for_ever().await
                }
            });
        }
        let held = held.clone();
        sim.client("alice", move |client: Client| async move {
            let stream = client.node().connect("one").await;
            let (own, held) = (client.node().clone(), held);
            client.node().spawn(async move {
                let _held = (stream, own, held);
                std::future::pending::<()>().await;
            });
            client.node().sleep(Duration::from_secs(1)).await;
        });
    });
    for faults in [
        vec![],
        vec![at(900, crash("one", 50_000))],
        vec![at(900, Pause::new("two", 50_000))],
    ] {
        assert_eq!(little.run(faults).verdict, Verdict::Survived);
    }
    drop(little);
    assert_eq!(Arc::strong_count(&life), 1);
}

#[test]
fn a_task_that_yields_lets_the_others_have_their_turns() {
    for seed in 0..8 {
        let log = Log::default();
        let outcome = Little(move |sim: &Sim| {
            sim.node("busy", move |node: Node| async move {
                let other = Arc::new(Mutex::new(false));
                let done = other.clone();
                node.spawn(async move { *done.lock().unwrap() = true });
                while !*other.lock().unwrap() {
                    tokio::task::yield_now().await;
                }
                log.tell(now(), "the other had its turn");
                for_ever().await
            });
            lasts(sim, 1);
        })
        .run_seed(seed, vec![]);
        assert_eq!(outcome.verdict, Verdict::Survived);
        assert_eq!(log.lines(), ["the other had its turn"], "seed {seed}");
    }
}
