//! An old process of a node that lives on while its successor boots.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use squall::{
    Client, Node, Sim,
    fault::{Cut, Isolate, Overlap, SlowNode},
    run::{Outcome, Verdict},
    scenario::Scenario,
    seed::Seed,
    site::Kind,
    storm::{Action, Fault, FaultKind, Plan, Profile, When},
    trace::{Life, What},
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::{
    bank::Bank,
    little::{
        Asking, Little, Log, at, crash, echo, events, for_ever, lasts, now, nth, pause, power_loss,
        seconds, ticks, turns,
    },
};

const DAY_MS: u64 = 86_400_000;

fn overlap(node: &str, for_ms: u64) -> Action {
    let node = node.to_owned();
    Action::Overlap(Overlap::new(node, for_ms))
}

/// A node that answers each line with the number of its process, and in each process tells so each 10 ms, and asks
/// "peer" each 50 ms on a connection of its own.
fn numbered(sim: &Sim, log: Log) {
    let (log, processes) = (log, Arc::new(AtomicU32::new(0)));
    echo(sim, "peer");
    sim.node("twin", move |node: Node| {
        let number = processes.fetch_add(1, Relaxed) + 1;
        ticks(&node, log, format!("tick {number}"));
        let (own, told) = (node.clone(), log);
        node.spawn(async move {
            loop {
                own.sleep(Duration::from_millis(50)).await;
                let line = format!("asks {number}");
                if Asking::default().ask(&own, "peer", &line).await.is_some() {
                    told.tell(now(), line);
                }
            }
        });
        async move {
            let mut listener = node.listen()?;
            loop {
                let mut caller = BufReader::new(listener.accept().await?);
                node.spawn(async move {
                    let mut line = String::new();
                    while let Ok(1..) = caller.read_line(&mut line).await {
                        let answer = format!("{number}\n");
                        let told = caller.write_all(answer.as_bytes()).await;
                        if told.is_err() || caller.flush().await.is_err() {
                            return;
                        }
                        line.clear();
                    }
                });
            }
            #[allow(unreachable_code)]
            Ok::<(), std::io::Error>(())
        }
    });
}

/// When the first and the last of these lines was told, in seconds.
fn span(told: &[(f64, String)], line: &str) -> Option<(f64, f64)> {
    let mut at = told
        .iter()
        .filter(|(_, told)| told == line)
        .map(|(at, _)| *at);
    let first = at.next()?;
    Some((first, at.next_back().unwrap_or(first)))
}

fn told(log: Log) -> Vec<(f64, String)> {
    log.take()
        .into_iter()
        .map(|(at, line)| (seconds(at), line))
        .collect()
}

#[track_caller]
fn assert_near(at: f64, expected: f64) {
    assert!((at - expected).abs() < 0.2, "{at} is not about {expected}");
}

#[test]
fn an_old_process_keeps_its_timers_and_connections_while_new_connections_reach_its_successor() {
    let log = Log::default();
    let outcome = Little(|sim: &Sim| {
        numbered(sim, log);
        sim.client("alice", move |client: Client| async move {
            let mut old = Asking::default();
            for _ in 0..40 {
                client.node().sleep(Duration::from_millis(100)).await;
                let on_old = old.ask(client.node(), "twin", "who").await;
                let on_new = Asking::default().ask(client.node(), "twin", "who").await;
                let told = |answer: Option<String>| answer.unwrap_or_else(|| "-".to_owned());
                log.tell(now(), format!("old {}", told(on_old)));
                log.tell(now(), format!("new {}", told(on_new)));
            }
        });
    })
    .run(vec![at(1_000, overlap("twin", 2_000))]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    assert!(outcome.faults[0].effective);
    let mut told = told(log);
    // The run goes on for a while when its client has ended.
    told.retain(|(at, _)| *at < 4.1);
    for (line, from, to) in [
        ("tick 1", 0.0, 3.0),
        ("asks 1", 0.05, 3.0),
        ("old 1", 0.1, 3.0),
        ("new 1", 0.1, 1.0),
        ("tick 2", 1.0, 4.0),
        ("asks 2", 1.05, 4.0),
        ("new 2", 1.1, 4.0),
        ("old 2", 3.2, 4.0),
    ] {
        let (first, last) = span(&told, line).unwrap_or_else(|| panic!("nobody told {line}"));
        assert_near(first, from);
        assert_near(last, to);
    }
    // The connection of the old process broke once.
    assert_eq!(told.iter().filter(|(_, line)| line == "old -").count(), 1);
    let turns = turns(&outcome, "twin");
    let turns: Vec<&str> = turns.into_iter().map(|(_, turn)| turn).collect();
    let all = [
        "boots",
        "an old process lives on",
        "boots",
        "the old process ends",
    ];
    assert_eq!(turns, all);
}

#[test]
fn no_two_processes_of_a_name_draw_the_same_numbers() {
    let log = Log::default();
    Little(|sim: &Sim| {
        sim.node("drawer", move |node: Node| async move {
            log.tell(now(), format!("boot {}", node.boot_id()));
            loop {
                log.tell(now(), format!("{}", node.random()));
                node.sleep(Duration::from_millis(100)).await;
            }
            #[allow(unreachable_code)]
            Ok::<(), String>(())
        });
        lasts(sim, 4);
    })
    .run(vec![
        at(500, crash("drawer", 100)),
        at(1_000, overlap("drawer", 2_000)),
        at(1_500, overlap("drawer", 2_000)),
        at(2_000, crash("drawer", 100)),
    ]);
    let lines = log.lines();
    let boots = lines.iter().filter(|line| line.starts_with("boot"));
    assert_eq!(boots.count(), 5);
    let distinct: BTreeSet<&String> = lines.iter().collect();
    assert_eq!(distinct.len(), lines.len());
    assert!(lines.len() > 60, "{}", lines.len());
}

#[test]
fn a_storm_with_two_processes_goes_the_same_way_twice() {
    let run = |pct| {
        let plan = Plan {
            pct,
            ..Plan::new(vec![
                nth("twin", Kind::Send("peer".into()), 5, overlap("twin", 1_000)),
                at(600, pause("twin", 500)),
                at(900, overlap("twin", 1_500)),
                at(1_200, power_loss("twin", 300)),
            ])
        };
        let log = Log::default();
        let outcome = Little(|sim: &Sim| {
            numbered(sim, log);
            lasts(sim, 4);
        })
        .run_plan(plan);
        assert_eq!(outcome.verdict, Verdict::Survived);
        (outcome.trace.expect("a full run").hash, log.lines())
    };
    for pct in [None, Some(3)] {
        assert_eq!(run(pct), run(pct));
    }
}

#[test]
fn the_healing_ends_an_old_process() {
    let log = Log::default();
    let outcome = Little(|sim: &Sim| {
        numbered(sim, log);
        lasts(sim, 2);
        sim.after_storm("last", |client: Client| async move {
            client.node().sleep(Duration::from_secs(2)).await;
        });
    })
    .run(vec![at(500, overlap("twin", DAY_MS))]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    let healed = events(&outcome)
        .iter()
        .find(|event| event.what == What::Healed)
        .map(|event| seconds(event.at))
        .expect("every run heals");
    let told = told(log);
    let (_, old) = span(&told, "tick 1").expect("it ticked");
    let (_, new) = span(&told, "tick 2").expect("it ticked");
    assert_near(old, healed);
    assert!(old <= healed && new > healed + 1.0, "{old} {healed} {new}");
}

/// Two processes of "twin" from 500 ms on, and this.
fn beside(faults: Vec<Fault>) -> (Outcome, Vec<(f64, String)>) {
    let log = Log::default();
    let all = [at(500, overlap("twin", 2_500))].into_iter().chain(faults);
    let outcome = Little(|sim: &Sim| {
        numbered(sim, log);
        lasts(sim, 4);
    })
    .run(all.collect());
    assert_eq!(outcome.verdict, Verdict::Survived);
    (outcome, told(log))
}

/// Whether any of these was told within that time.
fn within(told: &[(f64, String)], line: &str, from: f64, to: f64) -> bool {
    told.iter()
        .any(|(at, other)| other == line && (from..to).contains(at))
}

#[test]
fn what_befalls_a_node_befalls_the_successor_and_what_befalls_its_links_both() {
    for fault in [
        crash("twin", 500),
        power_loss("twin", 500),
        pause("twin", 500),
    ] {
        let (_, told) = beside(vec![at(1_000, fault.clone())]);
        assert!(!within(&told, "tick 2", 1.1, 1.4), "{fault}");
        assert!(within(&told, "tick 1", 1.1, 1.4), "{fault}");
        assert!(!within(&told, "tick 1", 3.1, 9.0), "{fault}");
        let later = match fault {
            Action::Pause(_) => "tick 2",
            _ => "tick 3",
        };
        assert!(within(&told, later, 3.1, 9.0), "{fault}");
    }
    let cut = Action::Cut(Cut::new("twin", "peer", true, 500));
    let isolate = Action::Isolate(Isolate::new("twin", 500));
    // One that began before the successor was there concerns it as well.
    for begins in [400, 1_000] {
        for fault in [&cut, &isolate] {
            let (outcome, told) = beside(vec![at(begins, fault.clone())]);
            assert!(outcome.faults[1].effective);
            let from = (begins as f64 / 1_000.0).max(0.55) + 0.05;
            let until = begins as f64 / 1_000.0 + 0.5;
            for line in ["asks 1", "asks 2"] {
                assert!(!within(&told, line, from, until), "{fault}: {line}");
                assert!(within(&told, line, until, until + 1.5), "{fault}: {line}");
            }
        }
    }
    let (_, told) = beside(vec![at(1_000, SlowNode::new("twin", 490, 1_000))]);
    for line in ["tick 1", "tick 2"] {
        let slow = told.iter();
        let slow = slow.filter(|(at, other)| other == line && (1.1..2.0).contains(at));
        assert!(slow.count() < 4, "{line}");
    }
}

#[test]
fn a_process_that_stands_still_as_its_successor_boots_goes_on_later() {
    let log = Log::default();
    Little(|sim: &Sim| {
        numbered(sim, log);
        lasts(sim, 4);
    })
    .run(vec![
        at(500, pause("twin", 1_500)),
        at(1_000, overlap("twin", 2_000)),
    ]);
    let told = told(log);
    assert!(!within(&told, "tick 1", 0.6, 1.9) && within(&told, "tick 1", 2.1, 2.9));
    assert!(within(&told, "tick 2", 1.1, 1.9) && !within(&told, "tick 1", 3.1, 9.0));
}

#[test]
fn an_old_process_that_ends_by_itself_is_not_started_again() {
    let outcome = Little(|sim: &Sim| {
        let processes = AtomicU32::new(0);
        sim.node("twin", move |node: Node| {
            let number = processes.fetch_add(1, Relaxed) + 1;
            async move {
                if number > 1 {
                    return for_ever().await;
                }
                node.sleep(Duration::from_millis(1_500)).await;
                Err("enough".to_owned())
            }
        });
        lasts(sim, 4);
    })
    .run(vec![at(1_000, overlap("twin", 2_000))]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    let ends = events(&outcome)
        .iter()
        .filter_map(|event| match &event.what {
            What::Node {
                event: turn,
                detail,
            } if *turn != Life::Boots && event.node == "twin" => {
                Some((turn.as_str(), detail.to_string()))
            }
            _ => None,
        });
    let ends: Vec<(&str, String)> = ends.collect();
    assert_eq!(
        ends,
        [
            ("an old process lives on", String::new()),
            ("the old process ends", "stops enough".to_owned())
        ]
    );
    assert!(!outcome.faults[0].effective);
}

#[test]
fn what_an_old_process_says_is_marked() {
    let outcome = Little(|sim: &Sim| {
        sim.node("twin", |node: Node| async move {
            loop {
                node.sleep(Duration::from_millis(100)).await;
                tracing::info!("here");
            }
            #[allow(unreachable_code)]
            Ok::<(), String>(())
        });
        lasts(sim, 2);
    })
    .run(vec![at(500, overlap("twin", 1_000))]);
    let mut said: BTreeMap<String, u32> = BTreeMap::new();
    for event in events(&outcome) {
        if let What::Log { fields, .. } = &event.what {
            *said.entry(fields.to_string()).or_default() += 1;
        }
    }
    assert_eq!(
        said.keys().collect::<Vec<_>>(),
        ["", "process=old"],
        "{said:?}"
    );
    assert_eq!(said["process=old"], 10);
}

#[test]
fn a_node_with_files_or_without_a_process_cannot_have_two() {
    let refused = |node: &str| {
        let outcome = Little(|sim: &Sim| {
            sim.node("keeper", |node: Node| async move {
                node.disk().open("bytes").map_err(|e| e.to_string())?;
                for_ever().await
            });
            lasts(sim, 1);
        })
        .run(vec![at(1, overlap(node, 100))]);
        match outcome.verdict {
            Verdict::HarnessFailed(why) => why,
            other => panic!("{node}: {other:?}"),
        }
    };
    for (node, why) in [
        (
            "keeper",
            "keeper can't have two processes at once: it keeps files, which its process locks: bytes",
        ),
        (
            "witness",
            "witness can't have two processes at once: it is a client",
        ),
    ] {
        assert!(refused(node).contains(why), "{}", refused(node));
    }
}

#[test]
fn a_plan_has_two_processes_only_where_the_scenario_says_that_it_can() {
    let refused = |profile: &Profile, node| {
        let plan = Plan::new(vec![at(1, overlap(node, 100))]);
        let checked = profile.check(&plan);
        checked.err().map(|wrong| wrong.to_string())
    };
    assert_eq!(refused(&Bank.profile(), "front"), None);
    let why = refused(&Bank.profile(), "vault").expect("it keeps files");
    assert!(
        why.ends_with("vault can't have two processes at once; front can"),
        "{why}"
    );
    let none = Profile {
        overlaps: Vec::new(),
        ..Bank.profile()
    };
    let why = refused(&none, "front").expect("nobody can");
    assert!(
        why.ends_with("no node of this scenario can have two processes at once"),
        "{why}"
    );
}

#[test]
fn one_storm_in_six_has_two_processes_mostly_where_one_owns_something_and_no_other_storm_changes() {
    let without = Profile {
        overlaps: Vec::new(),
        held: vec![("front", "asked")],
        ..Bank.profile()
    };
    let profile = Profile {
        overlaps: vec!["front"],
        ..without.clone()
    };
    assert!(profile.kinds().contains(&FaultKind::Overlap));
    assert!(!without.kinds().contains(&FaultKind::Overlap));
    let (mut drawn, mut aimed) = (0, 0);
    for seed in 0..4_000 {
        let (plan, mut before) = (profile.draw(Seed(seed)), without.draw(Seed(seed)));
        let Some((last, others)) = plan.faults.split_last() else {
            panic!("a storm has a fault");
        };
        let Action::Overlap(Overlap { node, for_ms }) = &last.action else {
            assert_eq!(plan, before);
            continue;
        };
        assert!(node == "front" && (1_000..=40_000).contains(for_ms));
        before.faults.truncate(others.len());
        assert_eq!(others, before.faults);
        drawn += 1;
        let at_event = |kind: &Kind| matches!(kind, Kind::Event(event) if event == "asked");
        aimed += u32::from(matches!(&last.when, When::Nth { kind, .. } if at_event(kind)));
    }
    assert!((560..780).contains(&drawn), "{drawn}");
    assert!(
        aimed * 10 > drawn * 7 && aimed < drawn,
        "{aimed} of {drawn}"
    );
}
