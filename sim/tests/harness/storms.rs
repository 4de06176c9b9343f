//! What storms do, whether they say so truly, and that they end.

use std::{sync::Arc, time::Duration};

use squall::{
    Client, Node, Sim,
    campaign::{Campaign, Seeds},
    run::{Outcome, Spec, Verdict, run},
    scenario::Scenario,
    seed::Seed,
    site::Kind,
    storm::{Action, Fault, FaultKind},
    testing,
    trace::What,
};

use crate::{
    bank::Bank,
    little::{
        Asking, Little, Log, at, crash, echo, events, for_ever, lasts, now, nth, power_loss,
        seconds, send_to, turns,
    },
};

#[test]
fn every_kind_of_fault_bites_and_the_bank_survives_them_all() {
    let totals = testing::check(&Bank, 700);
    for kind in FaultKind::ALL {
        let name = match kind {
            FaultKind::Custom => "doubt",
            kind => kind.name(),
        };
        let count = totals.tally.faults.get(name).copied().unwrap_or_default();
        assert!(count.planned >= count.fired && count.fired >= count.effective);
        assert!(count.effective >= 3, "{name}: {count:?}");
    }
    assert_eq!(totals.tally.never_effective().count(), 0);
    assert_eq!(totals.tally.count("deposits"), 13 * totals.tally.runs);
    assert_eq!(totals.tally.count("probes"), 3 * totals.tally.runs);
}

#[test]
fn a_bug_in_the_bank_is_found() {
    let found = testing::finds(&Bank, "ack-before-commit", 200);
    assert_eq!(found.signature.invariant, "confirmed deposits are kept");
}

/// Every lasting fault, between two nodes that have nothing to do with each other, on a machine that does nothing.
fn in_vain() -> Vec<Fault> {
    let idle = || "idle".to_owned();
    let (from, to) = (|| "idle".to_owned(), || "other".to_owned());
    let for_ms = 500;
    [
        Action::SlowNode {
            node: idle(),
            wait_ms: 5,
            for_ms,
        },
        Action::Cut {
            from: from(),
            to: to(),
            both: true,
            for_ms,
        },
        Action::Isolate {
            node: idle(),
            for_ms,
        },
        Action::Flap {
            from: from(),
            to: to(),
            times: 3,
            each_ms: 50,
        },
        Action::Latency {
            from: from(),
            to: to(),
            extra_ms: 50,
            for_ms,
        },
        Action::Loss {
            from: from(),
            to: to(),
            percent: 50,
            for_ms,
        },
        Action::Trickle {
            from: from(),
            to: to(),
            bytes_per_s: 100,
            for_ms,
        },
        Action::Refuse {
            node: idle(),
            for_ms,
        },
        Action::HangConnects {
            node: idle(),
            for_ms,
        },
        Action::ResetConnections {
            from: from(),
            to: to(),
        },
        Action::HalfOpen {
            from: from(),
            to: to(),
        },
        Action::SlowDisk {
            node: idle(),
            extra_ms: 50,
            for_ms,
        },
        Action::SyncError { node: idle() },
        Action::WriteError { node: idle() },
        Action::DiskFull {
            node: idle(),
            for_ms,
        },
        Action::SectorError {
            node: idle(),
            choice: 0,
        },
        Action::ClockJump {
            node: idle(),
            by_ms: 1_000,
        },
        Action::ClockDrift {
            node: idle(),
            ppm: 1_000,
            for_ms,
        },
        Action::Custom {
            name: "odd".into(),
            node: idle(),
            amount: 1,
            for_ms,
        },
    ]
    .into_iter()
    .enumerate()
    .map(|(n, action)| at(100 + 600 * n as u64, action))
    .collect()
}

#[test]
fn a_fault_that_touched_nothing_says_so() {
    let outcome = Little(|sim: &Sim| {
        sim.node("idle", |_: Node| for_ever());
        echo(sim, "other");
        sim.client("alice", |client: Client| async move {
            for _ in 0..100 {
                client.node().sleep(Duration::from_millis(200)).await;
                Asking::default()
                    .insist(client.node(), "other", "hello")
                    .await;
            }
        });
    })
    .run(in_vain());
    assert_eq!(outcome.verdict, Verdict::Survived);
    assert!(outcome.faults.len() >= 19);
    for report in &outcome.faults {
        assert!(report.fired.is_some(), "{}", report.fault);
        assert!(!report.effective, "{}", report.fault);
    }
}

#[test]
fn a_fault_over_a_node_that_is_down_touches_nothing() {
    let outcome = Little(|sim: &Sim| {
        echo(sim, "peer");
        lasts(sim, 3);
    })
    .run(vec![
        at(100, crash("peer", 1_000)),
        at(500, power_loss("peer", 1_000)),
        at(
            600,
            Action::Pause {
                node: "peer".into(),
                for_ms: 100,
            },
        ),
        at(
            700,
            Action::Restart {
                node: "peer".into(),
            },
        ),
    ]);
    let effective: Vec<bool> = outcome.faults.iter().map(|f| f.effective).collect();
    assert_eq!(effective, [true, false, false, false]);
    assert!(outcome.faults.iter().all(|fault| fault.fired.is_some()));
    assert_eq!(turns(&outcome, "peer").len(), 3);
}

#[test]
fn an_answer_cannot_come_twice_and_does_not_count_as_duplicated() {
    let asks = |faults| {
        Little(|sim: &Sim| {
            echo(sim, "peer");
            sim.client("alice", |client: Client| async move {
                client.node().sleep(Duration::from_millis(50)).await;
                Asking::default()
                    .insist(client.node(), "peer", "hello")
                    .await;
            });
        })
        .run(faults)
    };
    let twice = || Action::DuplicateBurst { after_ms: 1 };
    let answer = asks(vec![nth("peer", send_to("alice"), 1, twice())]);
    assert!(answer.faults[0].fired.is_some() && !answer.faults[0].effective);
    let question = asks(vec![nth("alice", send_to("peer"), 1, twice())]);
    assert!(question.faults[0].effective);
}

#[test]
fn connections_are_reset_and_go_dead_whoever_opened_them() {
    for (from, to) in [("alice", "peer"), ("peer", "alice")] {
        let (from, to) = (|| from.to_owned(), || to.to_owned());
        for action in [
            Action::ResetConnections {
                from: from(),
                to: to(),
            },
            Action::HalfOpen {
                from: from(),
                to: to(),
            },
        ] {
            let outcome = Little(|sim: &Sim| {
                echo(sim, "peer");
                sim.client("alice", |client: Client| async move {
                    let mut asking = Asking::default();
                    for _ in 0..10 {
                        client.node().sleep(Duration::from_millis(100)).await;
                        asking.insist(client.node(), "peer", "hello").await;
                    }
                });
            })
            .run(vec![at(450, action)]);
            assert!(outcome.faults[0].effective, "{}", outcome.faults[0].fault);
        }
    }
}

/// When questions were answered, in seconds since the storm began.
fn answered(faults: Vec<Fault>) -> Vec<f64> {
    let log = Log::default();
    let told = log.clone();
    Little(move |sim: &Sim| {
        let told = told.clone();
        echo(sim, "peer");
        sim.client("alice", move |client: Client| async move {
            while seconds(now()) < 8.0 {
                client.node().sleep(Duration::from_millis(50)).await;
                let mut asking = Asking::default();
                let asked = asking.ask(client.node(), "peer", "hello");
                let asked = tokio::time::timeout(Duration::from_millis(100), asked).await;
                if let Ok(Some(_)) = asked {
                    told.tell(now(), "");
                }
            }
        });
    })
    .run(faults);
    let times = log.take().into_iter();
    times.map(|(at, _)| seconds(at) - 0.02).collect()
}

#[test]
fn the_end_of_one_fault_does_not_end_another() {
    let cut = |both, for_ms| Action::Cut {
        from: "alice".into(),
        to: "peer".into(),
        both,
        for_ms,
    };
    let isolate = Action::Isolate {
        node: "peer".into(),
        for_ms: 300,
    };
    let flap = Action::Flap {
        from: "peer".into(),
        to: "alice".into(),
        times: 2,
        each_ms: 100,
    };
    for shorter in [cut(true, 300), isolate, flap] {
        let told = shorter.to_string();
        let times = answered(vec![at(1_000, cut(true, 3_000)), at(1_500, shorter)]);
        let during = times.iter().filter(|at| (1.1..4.0).contains(*at)).count();
        assert_eq!(during, 0, "{told}");
        assert!(times.iter().filter(|at| **at < 1.0).count() > 10);
        assert!(times.iter().filter(|at| **at > 4.1).count() > 40, "{told}");
    }
    let latency = |extra_ms, for_ms| Action::Latency {
        from: "alice".into(),
        to: "peer".into(),
        extra_ms,
        for_ms,
    };
    let times = answered(vec![
        at(1_000, latency(500, 3_000)),
        at(1_500, latency(5, 300)),
    ]);
    assert_eq!(
        times.iter().filter(|at| (1.9..4.0).contains(*at)).count(),
        0
    );
}

/// The storms of random seeds, kept whole.
fn stormy(seeds: std::ops::Range<u64>) -> impl Iterator<Item = Outcome> {
    seeds.map(|seed| run(&Bank, &Spec::of(&Bank, Seed(seed)), true))
}

#[test]
fn after_the_healing_no_fault_begins_and_every_node_is_up_and_every_link_is_open() {
    let mut unfinished = 0;
    for outcome in stormy(0..100) {
        assert_eq!(outcome.verdict, Verdict::Survived);
        let events = events(&outcome);
        let is_healing = |what: &What<'_>| matches!(what, What::Fault { detail, .. } if detail == "all is healed");
        let healed = events
            .iter()
            .position(|event| is_healing(&event.what))
            .expect("every run heals");
        let (before, after) = events.split_at(healed);
        let count = |part: &[squall::trace::Event], word: &str| {
            let faults = part
                .iter()
                .filter(|event| matches!(&event.what, What::Fault { event, .. } if *event == word));
            faults.count()
        };
        assert_eq!(count(after, "begins") + count(after, "fires"), 0);
        unfinished += usize::from(count(before, "begins") > count(before, "ends"));

        for node in ["front", "vault"] {
            let mut up = false;
            for event in before.iter().filter(|event| event.node == node) {
                if let What::Node { event: turn, .. } = &event.what {
                    up = matches!(*turn, "boots" | "resumes" | "pauses");
                }
            }
            assert!(up, "{node} is down after the healing");
        }
        // Connections that a cut or a lost burst has killed stay dead: the prober's are new ones.
        let probing = after.iter().filter(|event| event.node == "prober");
        let fates: Vec<_> = probing
            .filter_map(|event| match &event.what {
                What::Burst { latency, fate, .. } => Some((*fate, *latency)),
                _ => None,
            })
            .collect();
        assert_eq!(fates.len(), 3);
        let open = |(fate, latency): &(&str, Duration)| {
            *fate == "sent" && *latency <= Duration::from_millis(10)
        };
        assert!(fates.iter().all(open), "{fates:?}");
    }
    assert!(
        unfinished > 20,
        "{unfinished} storms were cut short by the healing"
    );
}

#[test]
fn the_healing_ends_what_would_have_gone_on_for_a_day() {
    let day = 86_400_000;
    let node = || "peer".to_owned();
    let (from, to) = (|| "alice".to_owned(), || "peer".to_owned());
    for action in [
        crash("peer", day),
        power_loss("peer", day),
        Action::CrashLoop {
            node: node(),
            times: 1_000,
            down_ms: 1_000,
        },
        Action::Pause {
            node: node(),
            for_ms: day,
        },
        Action::SlowNode {
            node: node(),
            wait_ms: 2_000,
            for_ms: day,
        },
        Action::Cut {
            from: from(),
            to: to(),
            both: true,
            for_ms: day,
        },
        Action::Isolate {
            node: node(),
            for_ms: day,
        },
        Action::Flap {
            from: from(),
            to: to(),
            times: 1_000,
            each_ms: 60_000,
        },
        Action::Latency {
            from: from(),
            to: to(),
            extra_ms: 2_000,
            for_ms: day,
        },
        Action::Loss {
            from: from(),
            to: to(),
            percent: 99,
            for_ms: day,
        },
        Action::Trickle {
            from: to(),
            to: from(),
            bytes_per_s: 1,
            for_ms: day,
        },
        Action::Refuse {
            node: node(),
            for_ms: day,
        },
        Action::HangConnects {
            node: node(),
            for_ms: day,
        },
        Action::DiskFull {
            node: node(),
            for_ms: day,
        },
        Action::SlowDisk {
            node: node(),
            extra_ms: 5_000,
            for_ms: day,
        },
    ] {
        let told = action.to_string();
        let outcome = Little(|sim: &Sim| {
            sim.node("peer", |node: Node| async move {
                use redb::StorageBackend;
                use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
                let file = Arc::new(node.disk().open("file").map_err(|e| e.to_string())?);
                let mut listener = node.listen().map_err(|e| e.to_string())?;
                let mut at = 0;
                loop {
                    let accepted = listener.accept().await.map_err(|e| e.to_string())?;
                    let mut caller = BufReader::new(accepted);
                    let mut line = String::new();
                    let read = caller.read_line(&mut line);
                    let _ = tokio::time::timeout(Duration::from_secs(1), read).await;
                    at += 4096;
                    let wrote = Arc::new(std::sync::Mutex::new(false));
                    let (written, to) = (wrote.clone(), file.clone());
                    let job = move || {
                        let done = to.set_len(at + 4096).and_then(|()| to.write(at, &[1]));
                        *written.lock().unwrap() = done.is_ok();
                    };
                    node.execute(Box::new(job)).await;
                    if *wrote.lock().unwrap() {
                        let _ = caller.write_all(line.as_bytes()).await;
                        let _ = caller.flush().await;
                    }
                }
                #[allow(unreachable_code)]
                for_ever().await
            });
            sim.client("alice", |client: Client| async move {
                let mut served = false;
                while !served {
                    client.node().sleep(Duration::from_millis(200)).await;
                    let asked = Asking::default().ask(client.node(), "peer", "hello").await;
                    served = asked.is_some() && seconds(now()) > 1.0;
                }
            });
        })
        .run(vec![at(500, action)]);
        assert_eq!(outcome.verdict, Verdict::Survived, "{told}");
        assert!(outcome.faults[0].effective, "{told}");
        // The client gets no answer in the storm, which ends after 300 s, and one soon after it.
        let ended = seconds(outcome.ended);
        assert!(ended < 320.0, "{told}: {ended}");
    }
}

#[test]
fn a_campaign_counts_what_its_runs_report() {
    let mut campaign = Campaign::over(&Bank, Seeds::up_to(60));
    campaign.jobs = 2;
    let totals = campaign.run(&mut |_| ());
    let (mut planned, mut fired, mut effective) = (0, 0, 0);
    for outcome in stormy(0..60) {
        planned += outcome.plan.faults.len() as u64;
        fired += outcome.faults.iter().filter(|f| f.fired.is_some()).count() as u64;
        effective += outcome.faults.iter().filter(|f| f.effective).count() as u64;
    }
    let sum = |of: fn(&squall::campaign::FaultCount) -> u64| -> u64 {
        totals.tally.faults.values().map(of).sum()
    };
    assert_eq!(sum(|count| count.planned), planned);
    assert_eq!(sum(|count| count.fired), fired);
    assert_eq!(sum(|count| count.effective), effective);
}

#[test]
fn a_commit_is_a_site_of_the_node_that_made_it_only() {
    let outcome = run(
        &Bank,
        &Spec {
            plan: Some(squall::storm::Plan::new(vec![nth(
                "front",
                Kind::Commit,
                1,
                crash("front", 100),
            )])),
            ..Spec::of(&Bank, Seed(1))
        },
        false,
    );
    assert!(outcome.faults[0].fired.is_none());
    assert!(!Bank.profile().kinds().is_empty());
}

/// A node that syncs at these seconds, and which of its syncs failed.
fn failed_syncs(faults: Vec<Fault>, seconds: &'static [u64]) -> Vec<bool> {
    let log = Log::default();
    let told = log.clone();
    let outcome = Little(move |sim: &Sim| {
        let log = told.clone();
        sim.node("store", move |node: Node| {
            let log = log.clone();
            async move {
                use redb::StorageBackend;
                let file = node.disk().open("file").map_err(|e| e.to_string())?;
                file.set_len(4_096).map_err(|e| e.to_string())?;
                let mut slept = 0;
                for second in seconds {
                    node.sleep(Duration::from_secs(second - slept)).await;
                    slept = *second;
                    let _ = file.write(0, &[1]);
                    log.tell(now(), file.sync_data().is_err().to_string());
                }
                for_ever().await
            }
        });
        lasts(sim, 100);
    })
    .run(faults);
    assert_eq!(outcome.verdict, Verdict::Survived);
    log.lines().iter().map(|line| line == "true").collect()
}

#[test]
fn each_of_two_disk_errors_that_lie_in_wait_at_once_bites_by_itself() {
    let error = || Action::SyncError {
        node: "store".into(),
    };
    assert_eq!(
        failed_syncs(vec![at(0, error()), at(10, error())], &[1, 1, 1]),
        [true, true, false]
    );
    // The first is given up after a minute, the second is not.
    assert_eq!(
        failed_syncs(vec![at(0, error()), at(30_000, error())], &[70, 71]),
        [true, false]
    );
    assert_eq!(
        failed_syncs(vec![at(0, error()), at(10, error())], &[70]),
        [false]
    );
}

#[test]
fn a_link_that_flaps_twice_over_is_up_only_when_neither_flap_has_it_down() {
    let flap = |times, each_ms| Action::Flap {
        from: "front".into(),
        to: "back".into(),
        times,
        each_ms,
    };
    let log = Log::default();
    let told = log.clone();
    // Down from 0 to 2 s and from 4 to 6 s; down from 1 to 9 s, too.
    let outcome = Little(move |sim: &Sim| {
        echo(sim, "back");
        let log = told.clone();
        sim.client("front", move |client: Client| async move {
            for ask in [500, 2_500, 6_500, 9_500] {
                let due = Duration::from_millis(ask);
                let past = client.now().since_start() - Duration::from_millis(20);
                client.node().sleep(due.saturating_sub(past)).await;
                let answer = Asking::default().ask(client.node(), "back", "hello").await;
                log.tell(now(), answer.unwrap_or_default());
            }
        });
    })
    .run(vec![at(0, flap(2, 2_000)), at(1_000, flap(1, 8_000))]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    assert_eq!(log.lines(), ["", "", "", "hello"]);
}
