//! The flows, and what they do to the money.

use std::time::Duration;

use serde_json::json;
use squall_services::shared::{
    payment::{CALLS_MAX, RECONCILED_EVERY},
    payment_provider::{Fault, KeyStyle, Operation, Rule},
};

use super::town::{
    AMOUNT, Plan, SAGA, Town, answered, half_a_minute, not_yet, order, refused, settle_down,
};

#[tokio::test]
async fn a_two_step_payment_holds_and_then_takes_the_amount_once() {
    let town = Town::hardened().await;
    let body = answered(town.create(SAGA, "two-step").await, 201);
    assert_eq!(body, json!({"payment_id": SAGA, "status": "authorized"}));
    assert_eq!(town.money(SAGA).await, (0, AMOUNT));
    let body = answered(town.capture(SAGA).await, 200);
    assert_eq!(body["status"], "captured");
    assert_eq!(town.money(SAGA).await, (AMOUNT, 0));
}

#[tokio::test]
async fn a_rebate_is_neither_held_nor_taken() {
    let town = Town::hardened().await;
    let ask = async |saga: &str, rebate: i64| {
        let body = json!({
            "saga_id": saga, "order_id": order(saga), "amount": AMOUNT, "rebate": rebate,
            "card": "visa", "mode": "two-step",
        });
        town.post("/payments", &format!("{saga}-payment-authorize"), body)
            .await
    };
    answered(ask(SAGA, 5).await, 201);
    assert_eq!(town.money(SAGA).await, (0, AMOUNT - 5));
    answered(town.capture(SAGA).await, 200);
    assert_eq!(town.money(SAGA).await, (AMOUNT - 5, 0));
    for rebate in [AMOUNT, -1] {
        refused(ask("SAGA-2", rebate).await, 400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn a_cancel_voids_a_hold_and_refunds_what_was_taken() {
    let town = Town::hardened().await;
    answered(town.create("SAGA-1", "two-step").await, 201);
    answered(town.create("SAGA-2", "two-step").await, 201);
    answered(town.capture("SAGA-2").await, 200);
    answered(town.create("SAGA-3", "one-step").await, 201);
    for (saga, status, refunds) in [
        ("SAGA-1", "voided", 0),
        ("SAGA-2", "refunded", 1),
        ("SAGA-3", "refunded", 1),
    ] {
        assert_eq!(answered(town.cancel(saga).await, 200)["status"], status);
        assert_eq!(town.money(saga).await, (0, 0), "{saga}");
        assert_eq!(town.ledger(saga).await[0].refunds, refunds, "{saga}");
        let (path, key) = (format!("/payments/{saga}/cancel"), format!("{saga}-again"));
        answered(town.post(&path, &key, json!(null)).await, 200);
        assert_eq!(town.ledger(saga).await[0].refunds, refunds, "{saga} twice");
    }
}

#[tokio::test]
async fn a_declined_card_leaves_nothing_and_is_repeated_as_declined() {
    let town = Town::hardened().await;
    for mode in ["two-step", "one-step"] {
        for _ in 0..2 {
            refused(
                town.create_with(mode, mode, "declined-7").await,
                409,
                "PAYMENT_DECLINED",
            );
        }
        refused(town.capture(mode).await, 409, "PAYMENT_DECLINED");
        assert_eq!(answered(town.cancel(mode).await, 200)["status"], "declined");
        assert!(town.ledger(mode).await.is_empty());
    }
}

#[tokio::test]
async fn a_cancel_that_overtakes_its_payment_leaves_a_tombstone() {
    let town = Town::hardened().await;
    assert_eq!(answered(town.cancel(SAGA).await, 200)["status"], "voided");
    for mode in ["two-step", "one-step"] {
        refused(town.create(SAGA, mode).await, 409, "INVALID_STATE");
    }
    assert!(town.ledger(SAGA).await.is_empty());
}

#[tokio::test]
async fn a_cancelled_payment_is_neither_captured_nor_made_again() {
    let town = Town::hardened().await;
    answered(town.create(SAGA, "two-step").await, 201);
    answered(town.cancel(SAGA).await, 200);
    refused(town.capture(SAGA).await, 409, "INVALID_STATE");
    let body = json!({
        "saga_id": SAGA, "order_id": order(SAGA), "amount": AMOUNT, "card": "visa", "mode": "two-step",
    });
    let again = town.post("/payments", "another-key", body).await;
    refused(again, 409, "INVALID_STATE");
    assert_eq!(town.ledger(SAGA).await.len(), 1);
    let repeated = answered(town.create(SAGA, "two-step").await, 201);
    assert_eq!(repeated["status"], "authorized", "the first answer again");
}

#[tokio::test]
async fn a_refused_capture_took_nothing_and_the_hold_can_be_given_up() {
    let town = Town::hardened().await;
    let made = town.create_with(SAGA, "two-step", "capture-declined").await;
    answered(made, 201);
    for _ in 0..2 {
        refused(town.capture(SAGA).await, 409, "PAYMENT_DECLINED");
    }
    assert_eq!(town.status(SAGA).await, "authorized");
    assert_eq!(answered(town.cancel(SAGA).await, 200)["status"], "voided");
    assert_eq!(town.money(SAGA).await, (0, 0));
}

#[tokio::test]
async fn a_hold_lapses_after_seven_days() {
    let town = Town::hardened().await;
    answered(town.create(SAGA, "two-step").await, 201);
    town.network.jump(7 * 24 * 3600 * 1000);
    assert_eq!(town.money(SAGA).await, (0, 0));
    refused(town.capture(SAGA).await, 409, "PAYMENT_DECLINED");
    assert_eq!(answered(town.cancel(SAGA).await, 200)["status"], "voided");
    assert_eq!(town.money(SAGA).await, (0, 0));
}

#[tokio::test]
async fn lost_answers_are_settled_by_asking_again_with_the_same_key() {
    for fault in [
        Fault::TimeoutAfter,
        Fault::TimeoutBefore,
        Fault::Slow(Duration::from_secs(9)),
    ] {
        for style in [KeyStyle::StoreAll, KeyStyle::StoreSuccesses] {
            let town = Town::with_keys(style).await;
            // Each demand is lost once, and made again.
            macro_rules! settled {
                ($operation:ident, $demand:expr, $status:literal) => {
                    town.always_fails(fault, Operation::$operation);
                    let first = $demand.await;
                    town.behaviour.clear();
                    if first.is_err() {
                        half_a_minute().await;
                        answered($demand.await, $status);
                    }
                };
            }
            settled!(Authorize, town.create(SAGA, "two-step"), 201);
            settled!(Capture, town.capture(SAGA), 200);
            settled!(Refund, town.cancel(SAGA), 200);
            let entries = town.ledger(SAGA).await;
            let done = entries.iter().map(|entry| (entry.captures, entry.refunds));
            assert_eq!(done.collect::<Vec<_>>(), [(1, 1)], "{fault:?} {style:?}");
            assert!(town.behaviour.applied()[fault.kind()] >= 3);
        }
    }
}

#[tokio::test]
async fn a_cancel_settles_an_unknown_authorization_before_it_voids() {
    let town = Town::with_keys(KeyStyle::StoreSuccesses).await;
    town.always_fails(Fault::TimeoutAfter, Operation::Authorize);
    not_yet(town.create(SAGA, "two-step").await);
    let money = town.money(SAGA).await;
    assert_eq!(money, (0, AMOUNT), "the hold that nobody knows of");
    not_yet(town.cancel(SAGA).await);
    assert_eq!(town.status(SAGA).await, "voiding");
    town.behaviour.clear();
    tokio::time::sleep(RECONCILED_EVERY * 2).await;
    let status = town.status(SAGA).await;
    assert_eq!(status, "voided", "carried through without anybody asking");
    assert_eq!(town.money(SAGA).await, (0, 0));
    assert_eq!(town.ledger(SAGA).await.len(), 1);
    assert_eq!(answered(town.cancel(SAGA).await, 200)["status"], "voided");
    refused(town.create(SAGA, "two-step").await, 409, "INVALID_STATE");
}

#[tokio::test]
async fn a_cancel_during_an_unknown_capture_or_charge_refunds_it() {
    for (mode, operation) in [
        ("two-step", Operation::Capture),
        ("one-step", Operation::Charge),
    ] {
        let town = Town::with_keys(KeyStyle::StoreSuccesses).await;
        town.always_fails(Fault::TimeoutAfter, operation);
        if mode == "two-step" {
            answered(town.create(SAGA, mode).await, 201);
            not_yet(town.capture(SAGA).await);
        } else {
            not_yet(town.create(SAGA, mode).await);
        }
        assert_eq!(town.money(SAGA).await, (AMOUNT, 0), "taken, unknown to us");
        not_yet(town.cancel(SAGA).await);
        town.behaviour.clear();
        half_a_minute().await;
        assert_eq!(answered(town.cancel(SAGA).await, 200)["status"], "refunded");
        let entry = &town.ledger(SAGA).await[0];
        let done = (entry.captures, entry.refunds, entry.net());
        assert_eq!(done, (1, 1, 0), "{mode}");
    }
}

#[tokio::test]
async fn an_error_that_the_gateway_repeats_is_asked_anew_under_another_attempt() {
    let town = Town::hardened().await;
    town.fails(Fault::Error, 1, Operation::Authorize);
    answered(town.create(SAGA, "two-step").await, 201);
    let key = |attempt| format!("/requests/{SAGA}-payment-authorize-{attempt}");
    let first = town.gateway_get(&key(1)).await;
    let second = town.gateway_get(&key(2)).await;
    let statuses = [first, second].map(|reply| reply.body["status"].as_u64());
    assert_eq!(statuses, [Some(500), Some(201)]);
    assert_eq!(town.ledger(SAGA).await.len(), 1);
}

#[tokio::test]
async fn a_refusal_ends_the_attempt_so_that_another_demand_asks_anew() {
    let town = Town::hardened().await;
    let made = town.create_with(SAGA, "two-step", "capture-declined").await;
    answered(made, 201);
    for key in ["first", "second"] {
        let path = format!("/payments/{SAGA}/capture");
        answered(town.post(&path, key, json!(null)).await, 409);
    }
    for (attempt, status) in [(1, 200), (2, 200), (3, 404)] {
        let path = format!("/requests/{SAGA}-payment-capture-{attempt}");
        assert_eq!(town.gateway_get(&path).await.status, status);
    }
}

#[tokio::test]
async fn an_unknown_outcome_never_raises_the_attempt() {
    let town = Town::with_keys(KeyStyle::StoreSuccesses).await;
    town.always_fails(Fault::Error, Operation::Authorize);
    for _ in 0..3 {
        not_yet(town.create(SAGA, "two-step").await);
        half_a_minute().await;
    }
    town.behaviour.clear();
    answered(town.create(SAGA, "two-step").await, 201);
    let path = format!("/requests/{SAGA}-payment-authorize-1");
    let first = town.gateway_get(&path).await;
    assert_eq!(first.body["status"], 201);
}

#[tokio::test]
async fn a_throttling_gateway_is_told_as_such_and_nothing_is_done() {
    let town = Town::hardened().await;
    town.behaviour.add(Rule::always(Fault::Throttle));
    assert!(not_yet(town.create(SAGA, "two-step").await).contains("PgThrottled"));
    town.behaviour.clear();
    assert!(town.ledger(SAGA).await.is_empty());
    half_a_minute().await;
    answered(town.create(SAGA, "two-step").await, 201);
}

#[tokio::test]
async fn at_most_ten_calls_reach_the_gateway_at_once_and_all_permits_come_back() {
    let town = Town::hardened().await;
    town.behaviour
        .add(Rule::always(Fault::Slow(Duration::from_millis(1500))));
    let sagas: Vec<String> = (0..60).map(|n| format!("SAGA-{n}")).collect();
    let created = sagas.iter().map(|saga| town.create(saga, "two-step"));
    let replies = futures_util::future::join_all(created).await;
    let granted = replies.iter().filter(|reply| reply.is_ok()).count();
    let rounds = (40..60).contains(&granted);
    assert!(rounds, "four rounds of ten fit into the wait: {granted}");
    for reply in replies.into_iter().filter(Result::is_err) {
        assert!(not_yet(reply).contains("PgThrottled"));
    }
    assert_eq!(town.behaviour.calls_max(), CALLS_MAX);
    assert_eq!(town.permits.available(), CALLS_MAX);
}

#[tokio::test]
async fn capture_and_cancel_of_one_payment_never_interleave() {
    for slow in [Operation::Capture, Operation::Void, Operation::Refund] {
        let town = Town::hardened().await;
        answered(town.create(SAGA, "two-step").await, 201);
        town.fails(Fault::Slow(Duration::from_secs(1)), 1, slow);
        let (captured, cancelled) =
            futures_util::future::join(town.capture(SAGA), town.cancel(SAGA)).await;
        let status = answered(cancelled, 200)["status"].clone();
        let captured = captured.expect("an answer").status;
        assert!(
            (captured == 200 && status == "refunded") || (captured == 409 && status == "voided"),
            "{captured} {status}"
        );
        assert_eq!(town.money(SAGA).await, (0, 0));
    }
}

#[tokio::test]
async fn a_repeat_in_flight_and_a_key_with_another_body_are_refused() {
    let town = Town::hardened().await;
    town.behaviour
        .add(Rule::next(Fault::Slow(Duration::from_secs(1)), 1));
    let first = town.create(SAGA, "two-step");
    let second = async {
        settle_down().await;
        town.create(SAGA, "two-step").await
    };
    let (first, second) = futures_util::future::join(first, second).await;
    answered(first, 201);
    assert_eq!(not_yet(second), "a request with the same key is under way");
    let other = json!({
        "saga_id": SAGA, "order_id": order(SAGA), "amount": 1, "card": "visa", "mode": "two-step",
    });
    let key = format!("{SAGA}-payment-authorize");
    refused(
        town.post("/payments", &key, other.clone()).await,
        422,
        "IDEMPOTENCY_MISMATCH",
    );
    refused(
        town.post("/payments", "another-key", other).await,
        409,
        "INVALID_STATE",
    );
}

#[tokio::test]
async fn a_webhook_settles_what_is_unknown_and_harms_nothing_when_late_or_forged() {
    let plan = Plan {
        refund_takes: Duration::from_secs(20),
        ..Plan::default()
    };
    let town = Town::build(plan).await;
    answered(town.create(SAGA, "one-step").await, 201);
    let late = Fault::LateDuplicateWebhook(Duration::from_secs(300));
    town.fails(late, 1, Operation::Refund);
    not_yet(town.cancel(SAGA).await);
    assert_eq!(town.status(SAGA).await, "refunding");
    tokio::time::sleep(Duration::from_secs(19)).await;
    let status = town.status(SAGA).await;
    assert_eq!(
        status, "refunded",
        "the gateway's notice came before our look"
    );
    let notice = json!({"reference": order(SAGA), "payment": "forged", "key": "forged"});
    let forged = town.post("/webhooks/pg", "unused", notice).await;
    answered(forged, 204);
    tokio::time::sleep(Duration::from_secs(400)).await;
    let entry = &town.ledger(SAGA).await[0];
    assert_eq!((entry.captures, entry.refunds), (1, 1));
    assert_eq!(town.behaviour.applied()["late-duplicate-webhook"], 1);
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let town = Town::hardened().await;
    let order = |amount: i64, saga: &str, mode: &str| json!({"saga_id": saga, "order_id": "O", "amount": amount, "card": "visa", "mode": mode});
    for (body, word) in [
        (order(0, "S", "two-step"), "amount"),
        (order(1, "no spaces", "two-step"), "saga_id"),
        (order(1, "S", "three-step"), "two-step"),
        (json!({"saga_id": "S"}), "order_id"),
    ] {
        let detail = refused(
            town.post("/payments", "key", body).await,
            400,
            "INVALID_REQUEST",
        );
        assert!(detail.contains(word), "{detail}");
    }
    refused(town.capture("SAGA-9").await, 404, "NOT_FOUND");
    assert_eq!(town.get("/payments/SAGA-9").await.status, 404);
    assert_eq!(town.get("/payments").await.status, 400);
    assert_eq!(town.get("/payments?order=O").await.body, json!([]));
}

#[tokio::test]
async fn an_orders_payments_are_listed_without_their_cards() {
    let town = Town::hardened().await;
    answered(town.create(SAGA, "two-step").await, 201);
    let reply = town.get(&format!("/payments?order={}", order(SAGA))).await;
    assert_eq!(
        reply.body,
        json!([{
            "payment_id": SAGA, "saga_id": SAGA, "order_id": order(SAGA), "amount": AMOUNT,
            "mode": "two-step", "status": "authorized", "version": 2,
        }])
    );
}

#[tokio::test]
async fn an_error_that_is_stored_is_found_out_although_its_repeats_have_opened_the_breaker() {
    let town = Town::hardened().await;
    town.fails(Fault::Error, 1, Operation::Charge);
    town.always_fails(Fault::TimeoutBefore, Operation::Lookup);
    for _ in 0..4 {
        let answer = town.create("S-1", "one-step").await;
        assert!(!answer.is_ok_and(|reply| reply.is_success()));
    }
    town.behaviour.clear();
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert_eq!(town.status("S-1").await, "charged");
}
