//! What storms do, and whether they say so truly.

use std::time::Duration;

use squall::{
    Client, Node, Sim,
    campaign::{Campaign, Seeds},
    fault::{
        ClockDrift, ClockJump, Custom, Cut, DiskFull, DuplicateBurst, Flap, HalfOpen, HangConnects,
        Isolate, Latency, Loss, Overlap, Pause, Refuse, ResetConnections, Restart, SectorError,
        SlowDisk, SlowNode, SyncError, Trickle, UnreadableRow, Upgrade, WriteError,
    },
    run::Verdict,
    storm::{Action, Fault, FaultKind},
    testing,
};

use crate::{
    bank::{Bank, stormy},
    little::{Asking, Little, at, crash, echo, for_ever, lasts, nth, power_loss, send_to, turns},
};

#[test]
fn every_kind_of_fault_bites_and_the_bank_survives_them_all() {
    let totals = testing::check(&Bank, 700);
    let of_programs = crate::plans::kinds_of_programs();
    for kind in FaultKind::ALL
        .iter()
        .filter(|kind| !of_programs.contains(kind))
    {
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
        Action::SlowNode(SlowNode::new(idle(), 5, for_ms)),
        Action::Cut(Cut::new(from(), to(), true, for_ms)),
        Action::Isolate(Isolate::new(idle(), for_ms)),
        Action::Flap(Flap::new(from(), to(), 3, 50)),
        Action::Latency(Latency::new(from(), to(), 50, for_ms)),
        Action::Loss(Loss::new(from(), to(), 50, for_ms)),
        Action::Trickle(Trickle::new(from(), to(), 100, for_ms)),
        Action::Refuse(Refuse::new(idle(), for_ms)),
        Action::HangConnects(HangConnects::new(idle(), for_ms)),
        Action::ResetConnections(ResetConnections::new(from(), to())),
        Action::HalfOpen(HalfOpen::new(from(), to())),
        Action::SlowDisk(SlowDisk::new(idle(), 50, for_ms)),
        Action::SyncError(SyncError::new(idle())),
        Action::WriteError(WriteError::new(idle())),
        Action::DiskFull(DiskFull::new(idle(), for_ms)),
        Action::SectorError(SectorError::new(idle(), 0)),
        Action::UnreadableRow(UnreadableRow {
            node: idle(),
            table: None,
            key: None,
            choice: 0,
            for_ms,
        }),
        Action::Overlap(Overlap::new(idle(), for_ms)),
        Action::ClockJump(ClockJump::new(idle(), 1_000)),
        Action::ClockDrift(ClockDrift::new(idle(), 1_000, for_ms)),
        Action::Custom(Custom::new("odd".into(), idle(), 1, for_ms)),
        Action::Upgrade(Upgrade::new(idle())),
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
    assert!(outcome.faults.len() >= 20);
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
        at(600, Pause::new("peer", 100)),
        at(700, Restart::new("peer")),
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
    let twice = || Action::DuplicateBurst(DuplicateBurst::new(1));
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
            Action::ResetConnections(ResetConnections::new(from(), to())),
            Action::HalfOpen(HalfOpen::new(from(), to())),
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
