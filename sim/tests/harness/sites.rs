//! Faults aimed at places: they strike there, exactly, and the place has a name.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use squall::{
    Client, Node, Sim,
    fault::{DelayBurst, DuplicateBurst, LoseBurst},
    run::{Outcome, Spec, Verdict, run},
    scenario::Scenario,
    seed::Seed,
    site::Kind,
    storm::{Action, Fault, Plan, When},
    testing,
    trace::{Event, What},
};

use crate::{
    bank::{self, Bank},
    little::{
        Asking, Little, Log, at, crash, echo, events, for_ever, lasts, now, nth, pause, power_loss,
        send_to, site, turns,
    },
};

/// Alice asks a peer six questions, three on each of two connections.
fn questions(faults: Vec<Fault>) -> Outcome {
    Little(|sim: &Sim| {
        echo(sim, "peer");
        sim.client("alice", |client: Client| async move {
            for _ in 0..2 {
                let mut asking = Asking::default();
                for n in 0..3 {
                    client.node().sleep(Duration::from_millis(200)).await;
                    asking.insist(client.node(), "peer", &format!("{n}?")).await;
                }
            }
        });
    })
    .run(faults)
}

/// The bursts of a node, as (label, bytes, fate).
fn sent(outcome: &Outcome, node: &str) -> Vec<(String, String, &'static str)> {
    let own = events(outcome).iter().filter(|event| event.node == node);
    own.filter_map(|event| match &event.what {
        What::Burst {
            label, bytes, fate, ..
        } => {
            let bytes = String::from_utf8_lossy(bytes).trim_end().to_owned();
            Some((label.to_string(), bytes, fate.as_str()))
        }
        _ => None,
    })
    .collect()
}

#[test]
fn a_fault_aimed_at_a_named_site_strikes_there_and_nowhere_else() {
    let calm = sent(&questions(vec![]), "alice");
    assert_eq!(calm.len(), 6);
    assert!(calm.iter().all(|(_, _, fate)| *fate == "sent"));
    let (first, second) = (&calm[0].0, &calm[3].0);
    assert_ne!(first, second, "each connection has a label of its own");
    for (label, attempt, hit) in [(first, 1, 0), (first, 3, 2), (second, 2, 4)] {
        for (action, fate) in [
            (Action::LoseBurst(LoseBurst {}), "lost"),
            (Action::DelayBurst(DelayBurst::new(50)), "delayed"),
            (Action::DuplicateBurst(DuplicateBurst::new(5)), "duplicated"),
        ] {
            let outcome = questions(vec![site("alice", send_to("peer"), label, attempt, action)]);
            assert_eq!(outcome.verdict, Verdict::Survived);
            let report = &outcome.faults[0];
            assert!(report.fired.is_some() && report.effective);
            let When::Site(aimed) = &report.fault.when else {
                panic!("it was aimed at a site");
            };
            assert_eq!(report.site.as_ref(), Some(aimed));
            let sent = sent(&outcome, "alice");
            assert_eq!(sent[..hit], calm[..hit]);
            assert_eq!((&sent[hit].0, &sent[hit].1), (&calm[hit].0, &calm[hit].1));
            let struck = sent.iter().filter(|(_, _, fate)| *fate != "sent");
            assert_eq!(struck.collect::<Vec<_>>(), [&sent[hit]]);
            assert_eq!(sent[hit].2, fate);
        }
    }
}

#[test]
fn a_site_that_is_never_reached_sets_nothing_off() {
    for fault in [
        site(
            "alice",
            send_to("peer"),
            "nobody/nothing",
            1,
            crash("peer", 1),
        ),
        nth("alice", send_to("peer"), 99, crash("peer", 1)),
        nth("peer", Kind::Commit, 1, crash("peer", 1)),
        nth("peer", Kind::Event("never".into()), 1, crash("peer", 1)),
    ] {
        let outcome = questions(vec![fault]);
        let report = &outcome.faults[0];
        assert!(report.fired.is_none() && report.site.is_none() && !report.effective);
        assert_eq!(turns(&outcome, "peer").len(), 1);
    }
}

/// What a kind of site is called, whichever message or event it is.
pub fn name_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Send(_) => "send",
        Kind::Commit => "commit",
        Kind::Write => "write",
        Kind::Sync => "sync",
        Kind::Event(_) => "event",
        Kind::Timer => "timer",
        Kind::Clock => "clock",
    }
}

#[test]
fn the_site_that_was_met_replays_the_storm_as_its_number_did() {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..150 {
        let mut plan = Bank.profile().draw(Seed(seed));
        let write = 1 + seed as u32 % 60;
        plan.faults
            .push(nth("vault", Kind::Write, write, power_loss("vault", 500)));
        let timer = 1 + seed as u32 % 2;
        plan.faults
            .push(nth("front", Kind::Timer, timer, crash("front", 300)));
        let read = 1 + seed as u32 % 8;
        plan.faults
            .push(nth("vault", Kind::Clock, read, pause("vault", 2_000)));
        let spec = |plan: Plan| Spec::of(&Bank, Seed(seed)).under(plan);
        let by_number = run(&Bank, &spec(plan.clone()), true);
        let mut named = plan.clone();
        for (fault, report) in named.faults.iter_mut().zip(&by_number.faults) {
            let When::Nth { node, kind, .. } = &fault.when else {
                assert!(report.site.is_none());
                continue;
            };
            assert_eq!(report.fired.is_some(), report.site.is_some());
            let Some(site) = &report.site else { continue };
            assert_eq!((&site.node, &site.kind), (node, kind));
            *kinds.entry(name_of(kind)).or_default() += 1;
            fault.when = When::Site(site.clone());
        }
        let by_name = run(&Bank, &spec(named), true);
        assert_eq!(by_number.trace, by_name.trace, "seed {seed}");
        let met = |outcome: &Outcome| -> Vec<_> {
            let reports = outcome.faults.iter();
            reports
                .map(|r| (r.fired, r.site.clone(), r.effective))
                .collect()
        };
        assert_eq!(met(&by_number), met(&by_name), "seed {seed}");
    }
    for kind in ["send", "commit", "write", "sync", "event", "timer", "clock"] {
        assert!(kinds.get(kind).is_some_and(|n| *n >= 3), "{kinds:?}");
    }
}

/// A node that makes ten commits, after each of which it says so, and begins a life by saying what it finds.
fn commits(log: Log) -> impl Fn(&Sim) + use<> {
    move |sim: &Sim| {
        sim.read_stores_with(bank::read);
        sim.node("vault", move |node: Node| async move {
            let database = Arc::new(bank::open(&node)?);
            let found = bank::deposits(&database).map_err(|e| e.to_string())?;
            log.tell(now(), format!("finds {}", found.len()));
            // Boots are over when storms begin.
            node.sleep(Duration::from_millis(100)).await;
            for n in found.len() + 1..=10 {
                node.sleep(Duration::from_millis(50)).await;
                bank::store(&node, &database, format!("{n:02}"), "entry".into(), true).await;
                log.tell(now(), format!("learns {n}"));
            }
            for_ever().await
        });
        sim.at_end(|truth| vec![("rows", truth.rows("vault", "deposits").count() as u64)]);
        lasts(sim, 3);
    }
}

fn commits_in(outcome: &Outcome) -> impl Iterator<Item = &Event> {
    let all = events(outcome).iter();
    all.filter(|event| event.node == "vault" && matches!(event.what, What::Commit { .. }))
}

#[test]
fn a_node_that_dies_at_a_commit_has_committed_and_never_learns_of_it() {
    for death in [crash("vault", 300), power_loss("vault", 600)] {
        let log = Log::default();
        let outcome = Little(commits(log)).run(vec![nth("vault", Kind::Commit, 4, death)]);
        assert_eq!(outcome.verdict, Verdict::Survived);
        assert!(outcome.faults[0].effective);
        let lines = log.lines();
        assert_eq!(
            lines[..5],
            ["finds 0", "learns 1", "learns 2", "learns 3", "finds 4"],
            "{lines:?}"
        );
        assert_eq!(outcome.counts["rows"], 10);
        assert_eq!(commits_in(&outcome).count(), 10, "no commit is told twice");
    }
}

#[test]
fn wherever_power_fails_inside_a_commit_the_next_life_finds_what_was_acknowledged_or_in_flight() {
    let (mut fired, mut in_flight_lost, mut in_flight_kept) = (0, 0, 0);
    let sites = [(Kind::Write, 1..=75), (Kind::Sync, 1..=11)];
    let storms = sites.into_iter().flat_map(|(kind, numbers)| {
        numbers.map(move |n| nth("vault", kind.clone(), n, power_loss("vault", 500)))
    });
    for (seed, storm) in storms.enumerate() {
        let log = Log::default();
        let told = storm.to_string();
        let outcome = Little(commits(log)).run_seed(seed as u64, vec![storm]);
        assert_eq!(
            outcome.verdict,
            Verdict::Survived,
            "{told}: {:?}",
            outcome.violations
        );
        assert_eq!(outcome.counts["rows"], 10, "{told}");
        if outcome.faults[0].fired.is_none() {
            continue;
        }
        fired += 1;
        let lines = log.lines();
        let death = lines.iter().rposition(|line| line.starts_with("finds"));
        let death = death.expect("it came back");
        let learned = lines[..death]
            .iter()
            .filter(|line| line.starts_with("learns"))
            .count();
        let found: usize = lines[death]["finds ".len()..].parse().expect("a number");
        assert!(
            found == learned || found == learned + 1,
            "{told}: {lines:?}"
        );
        in_flight_kept += usize::from(found > learned);
        in_flight_lost += usize::from(found == learned);
        // What nobody acknowledged is told by the harness, which found it on the disk; nothing is told twice.
        let outage = commits_in(&outcome).filter(
            |event| matches!(&event.what, What::Commit { file, .. } if file.contains("outage")),
        );
        assert_eq!(outage.count(), found - learned, "{told}");
        assert_eq!(commits_in(&outcome).count(), 10, "{told}");
    }
    assert!(fired > 60, "{fired}");
    assert!(
        in_flight_lost > 0 && in_flight_kept > 0,
        "{in_flight_lost} {in_flight_kept}"
    );
}

#[test]
fn what_only_the_page_cache_kept_of_an_unfinished_commit_may_be_lost_with_the_next_power_loss() {
    let mut taken_back = 0;
    for sync in 3..=12 {
        for (seed, next) in (1..=2).flat_map(|next| (0..10).map(move |seed| (seed, next))) {
            let log = Log::default();
            let outcome = Little(commits(log)).run_seed(
                seed,
                vec![
                    nth("vault", Kind::Sync, sync, crash("vault", 100)),
                    nth("vault", Kind::Sync, sync + next, power_loss("vault", 500)),
                ],
            );
            assert_eq!(
                outcome.verdict,
                Verdict::Survived,
                "{:?}",
                outcome.violations
            );
            assert_eq!(outcome.counts["rows"], 10);
            let deletes = |what: &What<'_>| match what {
                What::Commit { rows, .. } => rows.iter().any(|row| row.value.is_none()),
                _ => false,
            };
            taken_back += events(&outcome).iter().filter(|e| deletes(&e.what)).count();
        }
    }
    assert!(taken_back > 0);
}

#[test]
fn a_commit_that_is_not_synced_is_missed_when_the_process_dies() {
    let found = testing::finds(&Bank, "commit-without-sync", 50);
    assert_eq!(found.signature.invariant, "acknowledged is durable");
    assert_eq!(found.signature.tag, "commit lost");
    for death in [crash("vault", 300), power_loss("vault", 600)] {
        let spec = |plant: Option<&str>| Spec {
            plant: plant.map(str::to_owned),
            plan: Plan::new(vec![at(1_500, death.clone())]),
            ..Spec::of(&Bank, Seed(3))
        };
        let outcome = run(&Bank, &spec(Some("commit-without-sync")), false);
        assert_eq!(outcome.verdict, Verdict::Violated);
        let violation = &outcome.violations[0];
        assert_eq!(violation.entities[0], "vault");
        assert_eq!(violation.found, "no such row");
        assert_eq!(run(&Bank, &spec(None), false).verdict, Verdict::Survived);
    }
}

#[test]
fn a_node_dies_at_the_event_that_it_logs() {
    let log = Log::default();
    let outcome = Little(move |sim: &Sim| {
        sim.node("vault", move |node: Node| async move {
            node.sleep(Duration::from_millis(100)).await;
            for n in 1..=3 {
                node.sleep(Duration::from_millis(10)).await;
                tracing::info!("stored");
                // The poll goes on, but the node is dead: nothing that it does has an effect.
                log.tell(now(), format!("{n} {}", node.is_alive()));
            }
            for_ever().await
        });
        lasts(sim, 1);
    })
    .run(vec![nth(
        "vault",
        Kind::Event("stored".into()),
        2,
        crash("vault", 5_000),
    )]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    assert_eq!(log.lines()[..2], ["1 true", "2 false"]);
    assert_eq!(turns(&outcome, "vault")[1].1, "crashes");
}

#[test]
fn a_commit_is_a_site_of_the_node_that_made_it_only() {
    let outcome = run(
        &Bank,
        &Spec::of(&Bank, Seed(1)).under(Plan::new(vec![nth(
            "front",
            Kind::Commit,
            1,
            crash("front", 100),
        )])),
        false,
    );
    assert!(outcome.faults[0].fired.is_none());
    assert!(!Bank.profile().kinds().is_empty());
}
