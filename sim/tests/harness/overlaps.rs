//! Faults that overlap: each has an effect and an end of its own.

use std::time::Duration;

use squall::{
    Client, Node, Sim,
    fault::{Cut, Flap, Isolate, Latency, SyncError},
    run::Verdict,
    storm::{Action, Fault},
};

use crate::little::{Asking, Little, Log, at, echo, for_ever, lasts, now, seconds};

/// When questions were answered, in seconds since the storm began.
fn answered(faults: Vec<Fault>) -> Vec<f64> {
    let log = Log::default();
    Little(move |sim: &Sim| {
        echo(sim, "peer");
        sim.client("alice", move |client: Client| async move {
            while seconds(now()) < 8.0 {
                client.node().sleep(Duration::from_millis(50)).await;
                let mut asking = Asking::default();
                let asked = asking.ask(client.node(), "peer", "hello");
                let asked = tokio::time::timeout(Duration::from_millis(100), asked).await;
                if let Ok(Some(_)) = asked {
                    log.tell(now(), "");
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
    let cut = |both, for_ms| Action::Cut(Cut::new("alice", "peer", both, for_ms));
    let isolate = Action::Isolate(Isolate::new("peer", 300));
    let flap = Action::Flap(Flap::new("peer", "alice", 2, 100));
    for shorter in [cut(true, 300), isolate, flap] {
        let told = shorter.to_string();
        let times = answered(vec![at(1_000, cut(true, 3_000)), at(1_500, shorter)]);
        let during = times.iter().filter(|at| (1.1..4.0).contains(*at)).count();
        assert_eq!(during, 0, "{told}");
        assert!(times.iter().filter(|at| **at < 1.0).count() > 10);
        assert!(times.iter().filter(|at| **at > 4.1).count() > 40, "{told}");
    }
    let latency =
        |extra_ms, for_ms| Action::Latency(Latency::new("alice", "peer", extra_ms, for_ms));
    let times = answered(vec![
        at(1_000, latency(500, 3_000)),
        at(1_500, latency(5, 300)),
    ]);
    assert_eq!(
        times.iter().filter(|at| (1.9..4.0).contains(*at)).count(),
        0
    );
}

/// A node that syncs at these seconds, and which of its syncs failed.
fn failed_syncs(faults: Vec<Fault>, seconds: &'static [u64]) -> Vec<bool> {
    let log = Log::default();
    let outcome = Little(move |sim: &Sim| {
        sim.node("store", move |node: Node| async move {
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
        });
        lasts(sim, 100);
    })
    .run(faults);
    assert_eq!(outcome.verdict, Verdict::Survived);
    log.lines().iter().map(|line| line == "true").collect()
}

#[test]
fn each_of_two_disk_errors_that_lie_in_wait_at_once_bites_by_itself() {
    let error = || Action::SyncError(SyncError::new("store"));
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
    let flap = |times, each_ms| Action::Flap(Flap::new("front", "back", times, each_ms));
    let log = Log::default();
    // Down from 0 to 2 s and from 4 to 6 s; down from 1 to 9 s, too.
    let outcome = Little(move |sim: &Sim| {
        echo(sim, "back");
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
