//! Faults that are aimed at what is timed, that last, that come late, and that meet a row.

use std::{collections::BTreeMap, time::Duration};

use squall::{
    Client, Node, Sim,
    campaign::{Campaign, Seeds},
    explore::Sweep,
    fault::{
        ClockJump, Crash, Cut, DelayBurst, DiskFull, DuplicateBurst, HangConnects, Isolate, Pause,
        PowerLoss, Refuse, UnreadableRow,
    },
    run::Verdict,
    scenario::{Scenario, Setup},
    seed::Seed,
    site::Kind,
    storm::{Action, Fault, FaultKind, Profile, When},
};
use tracing::Instrument;

use crate::{
    bank::Bank,
    little::{Asking, Little, Log, at, echo, for_ever, lasts, now, nth, pause, seconds, send_to},
};

const STORMS: u64 = 4_000;

fn drawn(profile: &Profile) -> Vec<Fault> {
    (0..STORMS)
        .flat_map(|seed| profile.draw(Seed(seed)).faults)
        .collect()
}

/// How long a fault of those that may be an outage lasts.
fn outage_ms(action: &Action) -> u64 {
    match action {
        Action::Crash(Crash { down_ms: ms, .. })
        | Action::PowerLoss(PowerLoss { down_ms: ms, .. })
        | Action::Pause(Pause { for_ms: ms, .. })
        | Action::Isolate(Isolate { for_ms: ms, .. })
        | Action::Cut(Cut { for_ms: ms, .. })
        | Action::DiskFull(DiskFull { for_ms: ms, .. })
        | Action::HangConnects(HangConnects { for_ms: ms, .. })
        | Action::Refuse(Refuse { for_ms: ms, .. }) => *ms,
        _ => 0,
    }
}

#[test]
fn one_storm_in_twelve_or_so_has_an_outage_of_minutes_whatever_its_kind() {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for fault in drawn(&Bank.profile()) {
        let lasts = outage_ms(&fault.action);
        assert!(lasts <= 900_000, "{fault}");
        if lasts >= 120_000 {
            *kinds.entry(fault.action.kind().name()).or_default() += 1;
        }
    }
    assert_eq!(kinds.len(), 8, "{kinds:?}");
    let outages: u64 = kinds.values().sum();
    assert!((STORMS / 16..STORMS / 9).contains(&outages), "{outages}");
}

#[test]
fn some_messages_come_minutes_late() {
    let late: Vec<u64> = drawn(&Bank.profile())
        .iter()
        .filter_map(|fault| match fault.action {
            Action::DelayBurst(DelayBurst { by_ms: late })
            | Action::DuplicateBurst(DuplicateBurst { after_ms: late }) => Some(late),
            _ => None,
        })
        .collect();
    let minutes = late.iter().filter(|late| **late >= 30_000).count();
    assert!(late.len() / 5 < minutes && minutes < late.len() / 2);
    assert!(late.iter().all(|late| *late <= 600_000));
}

#[test]
fn clocks_jump_and_processes_stand_still_where_something_is_held() {
    let profile = Profile {
        held: vec![("vault", "stored")],
        ..Bank.profile()
    };
    let is_held = |fault: &&Fault| {
        let stored = Kind::Event("stored".to_owned());
        matches!(&fault.when, When::Nth { node, kind, .. } if node == "vault" && *kind == stored)
    };
    for kind in [FaultKind::ClockJump, FaultKind::Pause] {
        let drawn = drawn(&profile);
        let of_kind: Vec<&Fault> = drawn
            .iter()
            .filter(|fault| fault.action.kind() == kind)
            .collect();
        let held: Vec<&Fault> = of_kind.iter().copied().filter(is_held).collect();
        let share = held.len() as f64 / of_kind.len() as f64;
        assert!((0.25..0.7).contains(&share), "{kind}: {share}");
        let other = held
            .iter()
            .filter(|fault| fault.action.nodes() != ["vault"]);
        assert!(other.count() > held.len() / 16, "{kind} strikes others too");
        for fault in held {
            if let Action::ClockJump(ClockJump { by_ms, .. }) = fault.action {
                assert!((100..=120_000).contains(&by_ms.unsigned_abs()), "{fault}");
            }
        }
    }
}

/// A node that reads its clock and acts upon what it read a moment later.
fn reader(log: Log) -> impl Fn(&Sim) + Send + Sync + use<> {
    move |sim: &Sim| {
        sim.node("reader", move |node: Node| async move {
            node.sleep(Duration::from_millis(100)).await;
            for op in ["ann-1", "ben-1"] {
                let reads = async {
                    let read = node.now_ms();
                    node.sleep(Duration::from_millis(5)).await;
                    let stale = node.now_ms() - read;
                    log.tell(now(), format!("{op} {stale}"));
                };
                let span = tracing::info_span!("work", op);
                reads.instrument(span).await;
            }
            for_ever().await
        });
        lasts(sim, 3);
    }
}

#[test]
fn whoever_stands_still_at_a_read_of_its_clock_acts_upon_what_is_stale() {
    let log = Log::default();
    let fault = nth("reader", Kind::Clock, 3, pause("reader", 20_000));
    let outcome = Little(reader(log)).run(vec![fault]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    let report = &outcome.faults[0];
    assert!(report.fired.is_some() && report.effective);
    let site = report.site.as_ref().expect("it was met at a site");
    assert_eq!((&site.kind, &*site.label), (&Kind::Clock, "ben-1"));
    let lines = log.lines();
    let stale: Vec<u64> = lines
        .iter()
        .map(|line| line[6..].parse().expect("milliseconds"))
        .collect();
    assert!(
        stale[0] < 20 && (20_000..20_100).contains(&stale[1]),
        "{lines:?}"
    );
}

/// A node that says so when it holds something, and reads its clock before.
struct Holds;

impl Scenario for Holds {
    fn name(&self) -> &str {
        "holds"
    }

    fn about(&self) -> &str {
        "a node that holds something"
    }

    fn profile(&self) -> Profile {
        Profile {
            held: vec![("holder", "held")],
            ..Profile::new(&["holder"], &[])
        }
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        sim.node("holder", |node: Node| async move {
            node.sleep(Duration::from_millis(100)).await;
            let _ = node.now_ms();
            tracing::info!("held");
            tracing::info!("told");
            node.sleep(Duration::from_millis(100)).await;
            let _ = node.now_ms();
            for_ever().await
        });
        lasts(sim, 3);
    }
}

#[test]
fn a_sweep_lets_clocks_jump_where_something_is_held_and_processes_stand_still_where_they_read_them()
{
    let seeds = Seeds::one(Seed(1));
    let mut explorer = Sweep::new(&Holds, seeds, 0);
    Campaign::over(&Holds, seeds).explore(&mut explorer, &mut |_| ());
    let mut cells: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in explorer.matrix().rows {
        for cell in row.cells {
            cells
                .entry(cell.column)
                .or_default()
                .push(match &row.site.kind {
                    Kind::Event(event) => event.clone(),
                    other => format!("{other:?}"),
                });
        }
    }
    for column in ["clock ahead", "clock back"] {
        assert_eq!(cells[column], ["held"], "{column}");
    }
    assert!(cells["stale clock"].iter().all(|kind| kind == "Clock"));
    assert_eq!(cells["stale clock"].len(), 2);
    for column in ["crash before", "pause"] {
        assert!(cells[column].iter().all(|kind| kind != "Clock"), "{column}");
    }
}

#[test]
fn the_storm_waits_for_a_message_that_is_minutes_late() {
    let late_ms = 400_000;
    for action in [
        Action::DelayBurst(DelayBurst::new(late_ms)),
        Action::DuplicateBurst(DuplicateBurst::new(late_ms)),
    ] {
        let outcome = Little(|sim: &Sim| {
            echo(sim, "peer");
            sim.client("alice", |client: Client| async move {
                client.node().sleep(Duration::from_millis(50)).await;
                let asked = Asking::default().ask(client.node(), "peer", "hello").await;
                client.ok("alice-1", &format!("{asked:?}"));
            });
        })
        .run(vec![nth("alice", send_to("peer"), 1, action)]);
        assert_eq!(outcome.verdict, Verdict::Survived);
        assert!(outcome.faults[0].effective);
        assert!(seconds(outcome.ended) > 400.0, "{:?}", outcome.ended);
    }
}

/// A node that looks at three rows every 100 ms.
fn looks(sim: &Sim, log: Log) {
    sim.node("shelf", move |node: Node| async move {
        loop {
            node.sleep(Duration::from_millis(100)).await;
            for (table, key) in [("books", "1"), ("books", "2"), ("discs", "1")] {
                if node.readable(table, key).is_err() {
                    log.tell(now(), format!("{table}/{key}"));
                }
            }
        }
        #[expect(unreachable_code, reason = "it says what ends the process")]
        Ok::<_, String>(())
    });
    lasts(sim, 5);
}

#[test]
fn rows_are_unreadable_for_a_while_even_across_a_crash_and_it_counts_when_a_read_meets_one() {
    let unreadable = |table: &str, key: &str, for_ms| {
        Action::UnreadableRow(UnreadableRow {
            node: "shelf".into(),
            table: Some(table.into()),
            key: Some(key.into()),
            choice: 0,
            for_ms,
        })
    };
    let log = Log::default();
    let outcome = Little(move |sim: &Sim| looks(sim, log)).run(vec![
        at(1_000, unreadable("books", "2", 2_000)),
        at(1_200, unreadable("books", "2", 500)),
        at(1_500, unreadable("books", "3", 500)),
        at(2_000, crate::little::crash("shelf", 200)),
    ]);
    let effective: Vec<bool> = outcome.faults.iter().map(|f| f.effective).collect();
    // Nobody reads the row of the third.
    assert_eq!(effective, [true, true, false, true]);
    let told = log.take();
    assert!(told.iter().all(|(_, row)| row == "books/2"), "{told:?}");
    let times: Vec<f64> = told.iter().map(|(at, _)| seconds(*at) - 0.02).collect();
    let within = |from, to| times.iter().any(|at| (from..to).contains(at));
    assert!(within(1.0, 1.2) && within(1.8, 2.0) && within(2.3, 2.99));
    assert!(!within(0.0, 0.99) && !within(3.05, 9.0));
}
