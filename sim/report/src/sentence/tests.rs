//! Every kind of fault and every kind of site, in words.

use super::*;
use squall_core::fault::{
    ClockDrift, ClockJump, Crash, CrashLoop, Custom, Cut, DelayBurst, DiskFull, DuplicateBurst,
    FailNames, Fault, FaultKind, Flap, HalfOpen, HangConnects, Isolate, KillProcess, Latency,
    LoseBurst, Loss, LyingSyncs, NoDescriptors, Overlap, Pause, PowerLoss, Refuse, ResetBurst,
    ResetConnections, Restart, SectorError, SlowDisk, SlowNames, SlowNode, StaleNames, SyncError,
    Terminate, Trickle, UnreadableRow, Upgrade, When, WriteError,
};
use squall_core::time::VirtualTime;

const LINKS: [(&str, &str); 3] = [("ann", "order"), ("order", "payment"), ("payment", "pg")];

fn told(when: When, action: Action) -> String {
    let fault = Fault { when, action };
    sentence(&[report(fault, 1)], &LINKS)
}

fn report(fault: Fault, at: u64) -> FaultReport {
    FaultReport {
        fault,
        fired: Some(VirtualTime(at)),
        site: None,
        effective: true,
    }
}

fn site(node: &str, kind: Kind, label: &str, attempt: u32) -> When {
    When::Site(Site::new(node, kind, label, attempt))
}

fn nth(node: &str, kind: Kind, nth: u32) -> When {
    When::nth(node, kind, nth.into())
}

fn send(to: &str) -> Kind {
    Kind::Send(to.to_owned())
}

#[test]
fn every_kind_of_moment_has_its_words() {
    let step = "ann-1/payment-authorize";
    let done = || Kind::Event("step done".to_owned());
    let cases = [
        (When::AtMs(0), "as the storm begins"),
        (When::AtMs(309), "309 ms into the storm"),
        (When::AtMs(1_500), "1.5 s into the storm"),
        (
            site("order", send("payment"), step, 1),
            "just before it asks payment about ann-1's payment authorize",
        ),
        (
            site("order", send("payment"), step, 2),
            "just before it asks payment about ann-1's payment authorize the 2nd time",
        ),
        (
            site("payment", send("order"), step, 1),
            "just before payment answers it about ann-1's payment authorize",
        ),
        (
            site("payment", send("pg"), step, 1),
            "just before payment asks pg about ann-1's payment authorize",
        ),
        (
            site("order", send("catalog"), "c3", 1),
            "just before it sends to catalog for connection 3",
        ),
        (
            site("order", Kind::Commit, "ben-2", 1),
            "right after it commits for ben-2",
        ),
        (
            site("order", Kind::Commit, "ben-2", 3),
            "right after it commits for ben-2 the 3rd time",
        ),
        (
            site("order", Kind::Commit, "", 12),
            "right after it commits on its own account the 12th time",
        ),
        (
            site("payment", Kind::Commit, step, 1),
            "right after payment commits for ann-1's payment authorize",
        ),
        (
            site("order", Kind::Write, "ann-1", 4),
            "as it writes to disk for ann-1 the 4th time",
        ),
        (
            site("order", Kind::Sync, "ann-1", 1),
            "just before it syncs its disk for ann-1",
        ),
        (
            site("payment", Kind::Sync, "ann-1", 1),
            "just before payment syncs its disk for ann-1",
        ),
        (
            site("order", done(), step, 1),
            "as it logs \"step done\" for ann-1's payment authorize",
        ),
        (
            nth("order", send("payment"), 3),
            "just before its 3rd request to payment",
        ),
        (
            nth("payment", send("order"), 1),
            "just before payment's 1st answer to it",
        ),
        (
            nth("order", send("catalog"), 2),
            "just before its 2nd message to catalog",
        ),
        (nth("order", Kind::Commit, 6), "right after its 6th commit"),
        (
            nth("payment", Kind::Commit, 11),
            "right after payment's 11th commit",
        ),
        (nth("order", Kind::Write, 21), "at its 21st disk write"),
        (
            nth("order", Kind::Sync, 13),
            "just before its 13th disk sync",
        ),
        (nth("order", done(), 2), "at its 2nd \"step done\""),
        (
            site("order", Kind::Timer, step, 1),
            "just as its timer runs out for ann-1's payment authorize",
        ),
        (
            site("payment", Kind::Timer, "settler", 3),
            "just as payment's timer runs out in \"settler\" the 3rd time",
        ),
        (
            nth("order", Kind::Timer, 2),
            "just as its 2nd timer runs out",
        ),
        (
            site("order", Kind::Clock, step, 1),
            "just after it has read its clock for ann-1's payment authorize",
        ),
        (
            site("payment", Kind::Clock, "", 3),
            "just after payment has read its clock the 3rd time",
        ),
        (
            nth("order", Kind::Clock, 2),
            "just after its 2nd read of the clock",
        ),
    ];
    for (when, words) in cases {
        let node = "order".to_owned();
        let action = Action::Crash(Crash::new(node, 250));
        assert_eq!(
            told(when, action),
            format!("order crashes {words}; back 250 ms later")
        );
    }
}

#[test]
fn every_kind_of_fault_has_its_words() {
    let node = || "order".to_owned();
    let (from, to) = (|| "order".to_owned(), || "payment".to_owned());
    let for_ms = 2_000;
    let cases = [
        (
            Action::Crash(Crash::new(node(), 2_000)),
            "order crashes 1 s into the storm; back 2 s later",
        ),
        (
            Action::PowerLoss(PowerLoss::new(node(), 60_000)),
            "order loses power 1 s into the storm; back 1 min later",
        ),
        (
            Action::CrashLoop(CrashLoop::new(node(), 3, 500)),
            "order crashes 3 times, the first time 1 s into the storm; each time back 500 ms later",
        ),
        (
            Action::Pause(Pause::new(node(), for_ms)),
            "order stands still for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::Restart(Restart::new(node())),
            "order is restarted 1 s into the storm",
        ),
        (
            Action::Overlap(Overlap::new(node(), for_ms)),
            "order is taken for dead and its old process lives on for 2 s while a new one runs, beginning 1 s into the storm",
        ),
        (
            Action::SlowNode(SlowNode::new(node(), 50, for_ms)),
            "order is slow (each turn waits 50 ms) for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::Cut(Cut::new(from(), to(), true, for_ms)),
            "nothing passes between order and payment for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::Cut(Cut::new(from(), to(), false, for_ms)),
            "nothing from order reaches payment for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::Isolate(Isolate::new(node(), for_ms)),
            "order is cut off from all others for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::Flap(Flap::new(from(), to(), 2, 20)),
            "the link between order and payment fails 2 times for 20 ms, the first time 1 s into the storm",
        ),
        (
            Action::Latency(Latency::new(from(), to(), 5_000, for_ms)),
            "everything from order to payment takes 5 s longer for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::Loss(Loss::new(from(), to(), 17, for_ms)),
            "17 % of the packets from order to payment are lost for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::Trickle(Trickle::new(from(), to(), 100, for_ms)),
            "no more than 100 bytes a second pass from order to payment for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::Refuse(Refuse::new(node(), for_ms)),
            "order refuses connections for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::HangConnects(HangConnects::new(node(), for_ms)),
            "connects to order hang for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::ResetConnections(ResetConnections::new(from(), to())),
            "all connections between order and payment are reset 1 s into the storm",
        ),
        (
            Action::HalfOpen(HalfOpen::new(from(), to())),
            "all connections between order and payment silently die 1 s into the storm",
        ),
        (
            Action::SlowDisk(SlowDisk::new(node(), 200, for_ms)),
            "each commit of order takes 200 ms longer for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::SyncError(SyncError::new(node())),
            "order's disk fails the next sync 1 s into the storm",
        ),
        (
            Action::WriteError(WriteError::new(node())),
            "order's disk fails the next write 1 s into the storm",
        ),
        (
            Action::DiskFull(DiskFull::new(node(), for_ms)),
            "order's disk is full for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::SectorError(SectorError::new(node(), 3)),
            "a sector of order's disk becomes unreadable 1 s into the storm",
        ),
        (
            Action::Upgrade(Upgrade::new(node())),
            "order is restarted as its other build 1 s into the storm",
        ),
        (
            Action::UnreadableRow(UnreadableRow {
                node: node(),
                table: None,
                key: None,
                choice: 3,
                for_ms: 5_000,
            }),
            "some rows of order can't be read for 5 s, beginning 1 s into the storm",
        ),
        (
            Action::UnreadableRow(UnreadableRow {
                node: node(),
                table: Some("orders".to_owned()),
                key: Some("ORD-1".to_owned()),
                choice: 0,
                for_ms: 5_000,
            }),
            "the row orders/ORD-1 of order can't be read for 5 s, beginning 1 s into the storm",
        ),
        (
            Action::ClockJump(ClockJump::new(node(), -3_600_000)),
            "order's clock jumps 1 h back 1 s into the storm",
        ),
        (
            Action::ClockJump(ClockJump::new(node(), 90_000)),
            "order's clock jumps 90 s ahead 1 s into the storm",
        ),
        (
            Action::ClockDrift(ClockDrift::new(node(), 150, for_ms)),
            "order's clock runs 150 ppm fast for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::ClockDrift(ClockDrift::new(node(), -200_000, for_ms)),
            "order's clock runs 20 % slow for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::Custom(Custom::new(
                "pg-error".to_owned(),
                "pg".to_owned(),
                3,
                for_ms,
            )),
            "pg is struck by pg-error (3) for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::Terminate(Terminate::new(node())),
            "order is told to end 1 s into the storm",
        ),
        (
            Action::FailNames(FailNames::new(node(), for_ms)),
            "order resolves no names for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::SlowNames(SlowNames::new(node(), 300, for_ms)),
            "order resolves names 300 ms later for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::StaleNames(StaleNames::new(node(), 3, for_ms)),
            "order resolves names to old addresses for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::KillProcess(KillProcess::new(node(), 3)),
            "order loses one of its processes 1 s into the storm",
        ),
        (
            Action::LyingSyncs(LyingSyncs::new(node(), for_ms)),
            "order's disk lies about its syncs for 2 s, beginning 1 s into the storm",
        ),
        (
            Action::NoDescriptors(NoDescriptors::new(node(), for_ms)),
            "order has no descriptors left for 2 s, beginning 1 s into the storm",
        ),
    ];
    let mut untold: Vec<FaultKind> = FaultKind::ALL.to_vec();
    for (action, words) in cases {
        untold.retain(|kind| *kind != action.kind());
        assert_eq!(told(When::AtMs(1_000), action), words);
    }
    use FaultKind as K;
    let at_bursts = [
        K::LoseBurst,
        K::ResetBurst,
        K::DelayBurst,
        K::DuplicateBurst,
    ];
    assert_eq!(untold, at_bursts);
}

#[test]
fn what_befalls_a_message_says_which() {
    let step = "ann-1/payment-authorize";
    let cases = [
        (
            site("order", send("payment"), step, 1),
            Action::LoseBurst(LoseBurst {}),
            "order's request to payment (ann-1's payment authorize) is lost, and its connection is dead",
        ),
        (
            site("payment", send("order"), step, 2),
            Action::LoseBurst(LoseBurst {}),
            "payment's answer to order (ann-1's payment authorize, the 2nd time) is lost, and its connection is dead",
        ),
        (
            site("payment", send("order"), step, 1),
            Action::ResetBurst(ResetBurst {}),
            "a reset of the connection comes in place of payment's answer to order (ann-1's payment authorize)",
        ),
        (
            site("catalog", send("order"), "", 1),
            Action::DelayBurst(DelayBurst::new(20_000)),
            "catalog's message to order is 20 s late",
        ),
        (
            nth("order", send("payment"), 3),
            Action::DuplicateBurst(DuplicateBurst::new(5)),
            "order's 3rd request to payment comes again 5 ms later",
        ),
    ];
    for (when, action, words) in cases {
        assert_eq!(told(when, action), words);
    }
}

#[test]
fn a_disk_error_says_which_write_or_sync_fails() {
    let node = || "order".to_owned();
    let sync = || Action::SyncError(SyncError::new(node()));
    let cases = [
        (
            site("order", Kind::Sync, "ann-1", 1),
            sync(),
            "order's disk fails the 1st sync for ann-1",
        ),
        (
            site("order", Kind::Sync, "", 2),
            sync(),
            "order's disk fails the 2nd sync of its own",
        ),
        (
            nth("order", Kind::Sync, 6),
            sync(),
            "order's disk fails its 6th sync",
        ),
        (
            nth("order", Kind::Write, 2),
            Action::WriteError(WriteError::new(node())),
            "order's disk fails its 2nd write",
        ),
        (
            site("order", Kind::Commit, "ben-2", 1),
            Action::WriteError(WriteError::new(node())),
            "order's disk fails the next write right after it commits for ben-2",
        ),
    ];
    for (when, action, words) in cases {
        assert_eq!(told(when, action), words);
    }
}

#[test]
fn several_faults_are_told_in_the_order_in_which_they_happened() {
    let crash = |node: &str, ms| Fault::at_ms(ms, Crash::new(node, 1_000));
    let restart = Fault::new(
        site("order", Kind::Commit, "ann-1", 1),
        Restart::new("payment"),
    );
    let never = FaultReport {
        fired: None,
        ..report(crash("pg", 9), 9)
    };
    let storm = [
        report(crash("order", 300), 3),
        report(restart, 2),
        report(crash("payment", 100), 1),
        never.clone(),
    ];
    assert_eq!(
        sentence(&storm, &LINKS),
        "payment crashes 100 ms into the storm; back 1 s later, payment is restarted right after order commits for \
         ann-1, and order crashes 300 ms into the storm; back 1 s later"
    );
    assert_eq!(sentence(&[never], &LINKS), "it happens without any fault");
}
