//! The gateway by itself: its keys in both styles, and that it does what it is told.

use std::time::Duration;

use serde_json::json;
use squall_services::shared::payment_provider::{Fault, KEPT_MS, KeyStyle, Operation, Rule};

use super::town::{AMOUNT, SAGA, Told, Town, answered, not_yet, order, refused};

fn purchase(card: &str) -> serde_json::Value {
    json!({"reference": order(SAGA), "amount": AMOUNT, "card": card})
}

async fn charge(town: &Town, key: &str) -> Told {
    town.ask_gateway("/charges", key, purchase("visa")).await
}

#[tokio::test]
async fn the_same_key_is_one_effect_and_two_keys_are_two() {
    let town = Town::hardened().await;
    let first = answered(charge(&town, "a").await, 201);
    assert_eq!(answered(charge(&town, "a").await, 201), first);
    assert_eq!(town.money(SAGA).await, (AMOUNT, 0));
    answered(charge(&town, "b").await, 201);
    assert_eq!(town.money(SAGA).await, (2 * AMOUNT, 0));
    let other = town.ask_gateway("/charges", "a", purchase("other")).await;
    refused(other, 422, "IDEMPOTENCY_MISMATCH");
}

#[tokio::test]
async fn captures_and_refunds_are_taken_as_often_as_they_are_told() {
    let town = Town::hardened().await;
    let made = town.ask_gateway("/authorizations", "a", purchase("visa"));
    let id = answered(made.await, 201)["id"].clone();
    for key in ["b", "c"] {
        let hold = json!({"authorization": id});
        answered(town.ask_gateway("/captures", key, hold).await, 201);
    }
    assert_eq!(town.money(SAGA).await, (2 * AMOUNT, 0));
    let hold = json!({"authorization": id});
    let voided = town.ask_gateway("/voids", "d", hold).await;
    assert!(refused(voided, 409, "INVALID_STATE").contains("captured"));
    for key in ["e", "f", "g"] {
        let refund = json!({"payment": id, "amount": AMOUNT});
        answered(town.ask_gateway("/refunds", key, refund).await, 201);
    }
    assert_eq!(town.money(SAGA).await, (-AMOUNT, 0));
}

#[tokio::test]
async fn a_gateway_that_stores_everything_repeats_its_errors_for_a_day() {
    for (style, repeats) in [
        (KeyStyle::StoreAll, true),
        (KeyStyle::StoreSuccesses, false),
    ] {
        let town = Town::with_keys(style).await;
        town.behaviour.add(Rule::next(Fault::Error, 1));
        not_yet(charge(&town, "a").await);
        let again = charge(&town, "a").await;
        assert_eq!(again.is_err(), repeats, "{style:?}");
        town.network.jump(KEPT_MS as i64);
        answered(charge(&town, "a").await, 201);
    }
}

#[tokio::test]
async fn what_a_gateway_never_answers_may_or_may_not_be_done() {
    for (fault, done) in [(Fault::TimeoutBefore, 0), (Fault::TimeoutAfter, AMOUNT)] {
        let town = Town::hardened().await;
        town.fails(fault, 1, Operation::Charge);
        not_yet(charge(&town, "a").await);
        assert_eq!(town.money(SAGA).await, (done, 0), "{fault:?}");
        answered(charge(&town, "a").await, 201);
        assert_eq!(town.money(SAGA).await, (AMOUNT, 0), "{fault:?}");
    }
}

#[tokio::test]
async fn slow_work_goes_on_when_the_caller_has_hung_up() {
    let town = Town::hardened().await;
    let slow = Fault::Slow(Duration::from_secs(5));
    town.fails(slow, 1, Operation::Charge);
    let hangs_up = tokio::time::timeout(Duration::from_secs(1), charge(&town, "a"));
    assert!(hangs_up.await.is_err());
    assert!(town.ledger(SAGA).await.is_empty());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(town.money(SAGA).await, (AMOUNT, 0));
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let town = Town::hardened().await;
    let order = |reference: &str, amount: i64| json!({"reference": reference, "amount": amount, "card": "v"});
    let unknown = json!({"authorization": "R.1"});
    for (path, body, status, word) in [
        ("/charges", order("no spaces", 1), 400, "reference"),
        ("/charges", order("R", -1), 400, "amount"),
        ("/captures", unknown, 404, "R.1"),
    ] {
        let refused = answered(town.ask_gateway(path, "key", body).await, status);
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{refused}");
    }
}

#[tokio::test]
async fn its_behaviour_is_set_and_read_over_http() {
    let town = Town::hardened().await;
    let rules = json!([{"fault": "throttle", "operation": "charge", "times": 1}]);
    town.behave(&rules).await;
    refused(charge(&town, "a").await, 429, "TOO_MANY_REQUESTS");
    answered(charge(&town, "a").await, 201);
    let view = town.gateway_get("/behaviour").await.body;
    assert_eq!(view["applied"], json!({"throttle": 1}));
    assert_eq!(view["rules"], json!([]));
}
