//! Each bug, once it strikes, costs money at the gateway; the hardened shape in the same trouble loses none.

use std::time::Duration;

use squall_services::{
    planted_bug::{Bug, Bugs},
    shared::{
        payment::RECONCILED_EVERY,
        payment_provider::{Fault, Operation},
    },
};

use super::town::{AMOUNT, SAGA, Town, half_a_minute};

/// Demands until it is done, as an orchestrator would; whether it was.
macro_rules! persist {
    ($ask:expr) => {{
        let mut done = false;
        for _ in 0..5 {
            match $ask.await {
                Ok(_) => {
                    done = true;
                    break;
                }
                Err(_) => half_a_minute().await,
            }
        }
        done
    }};
}

/// Captures minus refunds, and what is held, after the first answers of an operation were lost on the way.
async fn after_lost_answer(
    bugs: Bugs,
    operation: Operation,
    mode: &str,
    cancel: bool,
) -> (i64, i64) {
    let town = Town::with(bugs).await;
    town.fails(Fault::TimeoutAfter, 3, operation);
    assert!(persist!(town.create(SAGA, mode)));
    if mode == "two-step" && operation != Operation::Authorize {
        assert!(persist!(town.capture(SAGA)));
    }
    if cancel {
        assert!(persist!(town.cancel(SAGA)));
    }
    tokio::time::sleep(RECONCILED_EVERY * 2).await;
    assert!(town.behaviour.applied()["timeout-after"] > 0);
    town.money(SAGA).await
}

#[tokio::test]
async fn capture_without_key_takes_the_money_twice() {
    for (mode, operation) in [
        ("two-step", Operation::Capture),
        ("one-step", Operation::Charge),
    ] {
        let sound = after_lost_answer(Bugs::NONE, operation, mode, false).await;
        assert_eq!(sound, (AMOUNT, 0));
        let bug = Bugs::NONE.with(Bug::CaptureWithoutKey);
        let (taken, _) = after_lost_answer(bug, operation, mode, false).await;
        assert!(taken > AMOUNT, "{mode}: {taken}");
    }
}

#[tokio::test]
async fn refund_without_key_pays_back_twice() {
    let sound = after_lost_answer(Bugs::NONE, Operation::Refund, "one-step", true).await;
    assert_eq!(sound, (0, 0));
    let bug = Bugs::NONE.with(Bug::RefundWithoutKey);
    let (net, _) = after_lost_answer(bug, Operation::Refund, "one-step", true).await;
    assert!(net < 0, "{net}");
}

#[tokio::test]
async fn no_key_holds_the_amount_twice_and_gives_up_one_hold() {
    let sound = after_lost_answer(Bugs::NONE, Operation::Authorize, "two-step", true).await;
    assert_eq!(sound, (0, 0));
    let bug = Bugs::NONE.with(Bug::NoKey);
    let (_, held) = after_lost_answer(bug, Operation::Authorize, "two-step", true).await;
    assert!(held >= AMOUNT, "{held}");
}

#[tokio::test]
async fn timeout_means_no_forgets_a_hold() {
    let town = Town::with(Bugs::NONE.with(Bug::TimeoutMeansNo)).await;
    town.fails(Fault::TimeoutAfter, 3, Operation::Authorize);
    assert_eq!(town.create(SAGA, "two-step").await.unwrap().status, 409);
    assert!(persist!(town.cancel(SAGA)));
    tokio::time::sleep(RECONCILED_EVERY * 2).await;
    assert_eq!(town.money(SAGA).await, (0, AMOUNT));
}

#[tokio::test]
async fn refund_marked_not_asked_keeps_the_customers_money() {
    for (bugs, net) in [
        (Bugs::NONE, 0),
        (Bugs::NONE.with(Bug::RefundMarkedNotAsked), AMOUNT),
    ] {
        let town = Town::with(bugs).await;
        assert!(persist!(town.create(SAGA, "one-step")));
        town.fails(Fault::Throttle, 3, Operation::Refund);
        assert!(persist!(town.cancel(SAGA)));
        tokio::time::sleep(RECONCILED_EVERY * 2).await;
        assert_eq!(town.status(SAGA).await, "refunded");
        assert_eq!(town.money(SAGA).await, (net, 0));
    }
}

#[tokio::test]
async fn key_stored_after_effect_charges_twice_when_it_crashes_in_between() {
    for (bugs, net) in [
        (Bugs::NONE, AMOUNT),
        (Bugs::NONE.with(Bug::KeyStoredAfterEffect), 2 * AMOUNT),
    ] {
        let town = Town::with(bugs).await;
        town.reboot(2).await;
        let charge = town.create(SAGA, "one-step");
        let hung = tokio::time::timeout(Duration::from_secs(5), charge).await;
        let frozen = hung.is_err() && town.is_frozen();
        assert!(frozen, "killed after the effect's commit");
        town.reboot(usize::MAX).await;
        assert!(persist!(town.create(SAGA, "one-step")));
        assert_eq!(town.money(SAGA).await, (net, 0));
    }
}
