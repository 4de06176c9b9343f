//! Each failure that the authors of system C list, reproduced with the bug that they describe by a storm that is aimed
//! at it, and gone from the hardened services in the very same storm.

use std::time::Duration;

use squall::{
    fault::{Crash, DelayBurst, LoseBurst, PowerLoss, Restart, SyncError},
    seed::Seed,
    site::Kind,
    storm::Fault,
    trace::What,
};
use squall_scenarios::{
    experiments::must_survive,
    stories::{
        StoryScenario,
        flows::{Flow, LAMP, at, at_event, at_send, orders, people::Deed},
    },
};
use squall_services::{
    planted_bug::{Bug, Bugs},
    shared::inventory::{model::ReservationState, store::RESERVATIONS},
};

#[test]
fn a_crash_after_the_reservation_leaves_the_stock_reserved_for_ever() {
    let flow = Flow {
        storm: vec![crash("order", "step done", "ann-1/inventory-reserve")],
        ..orders::completed()
    };
    leaves_the_stock_reserved(flow, Bug::NoJournal);
}

#[test]
fn a_crash_after_the_charge_takes_the_money_and_confirms_no_order() {
    let flow = orders::crash_without_journal();
    breaks(flow, Bug::NoJournal, "no lost refund");
}

#[test]
fn a_crash_in_the_middle_of_compensating_gives_the_money_back_and_not_the_stock() {
    let flow = Flow {
        storm: vec![crash("order", "step undone", "ann-1/payment-cancel")],
        ..orders::capture_refused()
    };
    leaves_the_stock_reserved(flow, Bug::NoJournal);
}

#[test]
fn a_refund_that_fails_inside_is_marked_done_and_was_never_asked() {
    let asks = (1..=9).map(|nth| lost("payment", "pg", "ann-1/payment-cancel", nth));
    let flow = Flow {
        storm: asks.collect(),
        ..orders::capture_refused()
    };
    breaks(flow, Bug::RefundMarkedNotAsked, "no lost refund");
}

#[test]
fn a_lost_answer_and_a_retry_without_a_key_reserve_twice() {
    breaks(orders::lost_answer(), Bug::NoKey, "stock adds up");
}

#[test]
fn an_order_whose_cancel_fails_stays_as_it_was() {
    let flow = Flow {
        storm: vec![crash("order", "saga compensated", "ann-1")],
        ..orders::out_of_stock()
    };
    breaks(flow, Bug::OrderCancelNotRetried, "every order ends");
}

#[test]
fn a_reserved_row_is_taken_by_another_saga_when_the_lock_heeds_reserving_only() {
    let slow = DelayBurst { by_ms: 1_500 };
    let flow = Flow {
        storm: vec![at_send("pg", "payment", "ann-1/payment-authorize", 1, slow)],
        rival: Some(Deed::buy("cho", LAMP, 1, "visa").after(Duration::from_millis(700))),
        ..orders::completed()
    };
    breaks(
        flow,
        Bug::SemanticLockReservingOnly,
        "a semantic lock has one owner",
    );
}

#[test]
fn a_semantic_lock_whose_reservation_never_followed_is_never_swept() {
    let goes_dark = PowerLoss {
        node: "inventory".to_owned(),
        down_ms: 5_000,
    };
    let flow = Flow {
        deed: Deed::buy("ann", LAMP, 1, "visa").or_cancel(Duration::from_millis(1_500)),
        storm: vec![at(
            "inventory",
            Kind::Commit,
            "ann-1/inventory-reserve",
            1,
            goes_dark,
        )],
        ..orders::completed()
    };
    breaks(flow, Bug::SemanticLockNeverSwept, "no leaked semantic lock");
}

#[test]
fn a_compensation_that_fails_is_only_logged_and_lost() {
    let asks = (1..=3).map(|nth| lost("order", "inventory", "ann-1/inventory-cancel", nth));
    let flow = Flow {
        storm: asks.collect(),
        ..orders::capture_refused()
    };
    leaves_the_stock_reserved(flow, Bug::CompensationNotRetried);
}

/// The bug lets the saga never end, and the stock that it has reserved stay so; without it neither happens.
fn leaves_the_stock_reserved(flow: Flow, bug: Bug) {
    let state_at_the_end = |bugs| {
        let flow = flow.clone();
        let trace = Flow { bugs, ..flow }
            .play(Seed(1))
            .trace
            .expect("a flow is recorded");
        let rows = trace
            .events
            .into_iter()
            .filter_map(|event| match event.what {
                What::Commit { rows, .. } if event.node == "inventory" => Some(rows.into_owned()),
                _ => None,
            });
        let mut reservation = rows.flatten().filter(|row| row.table == RESERVATIONS.name);
        let last = reservation
            .next_back()
            .and_then(|row| row.value)
            .expect("there is one");
        RESERVATIONS.decode(&last).expect("it is one").state
    };
    breaks(flow.clone(), bug, "every saga ends");
    assert_eq!(
        state_at_the_end(Bugs::NONE.with(bug)),
        ReservationState::Reserved
    );
    assert_ne!(state_at_the_end(Bugs::NONE), ReservationState::Reserved);
}

/// Nobody was told of it in between: a store that goes back to what it was is no order that goes back.
#[test]
fn a_commit_that_is_found_after_an_outage_and_then_lost_to_a_failed_sync_breaks_nothing() {
    let order = || "order".to_owned();
    let (no_sync, restart) = (SyncError { node: order() }, Restart { node: order() });
    let flow = Flow {
        storm: vec![
            at_event("order", "step done", "ann-1/inventory-confirm", no_sync),
            at("order", Kind::Sync, "ann-1", 5, restart),
        ],
        ..orders::completed()
    };
    let outcome = flow.play(Seed(1));
    assert!(outcome.faults.iter().all(|fault| fault.effective));
    let events = &outcome.trace.as_ref().expect("it is kept").events;
    let outages = events.iter().filter(|event| {
        matches!(&event.what, What::Commit { file, .. } if file == squall::trace::FOUND_AFTER_OUTAGE)
    });
    assert_eq!(outages.count(), 2, "found, and gone again");
    must_survive(&outcome);
}

/// The bug breaks the invariant; without it the same storm breaks nothing.
fn breaks(flow: Flow, bug: Bug, invariant: &str) {
    let bugs = Bugs::NONE;
    let hardened = Flow {
        bugs,
        ..flow.clone()
    };
    must_survive(&hardened.play(Seed(1)));
    let bugs = bugs.with(bug);
    let broken = Flow { bugs, ..flow }.play(Seed(1)).violations;
    let is_broken = broken.iter().any(|v| v.invariant == invariant);
    assert!(is_broken, "broken: {broken:?}");
}

fn crash(node: &str, event: &str, label: &str) -> Fault {
    let down = Crash {
        node: node.to_owned(),
        down_ms: 2_000,
    };
    at_event(node, event, label, down)
}

fn lost(node: &str, to: &str, label: &str, nth: u32) -> Fault {
    at_send(node, to, label, nth, LoseBurst {})
}
