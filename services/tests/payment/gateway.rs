//! The gateway by itself: its keys in both styles, and that it does what it is told.

use std::time::Duration;

use serde_json::json;
use squall_services::pg::{Fault, KEPT_MS, KeyStyle, Operation, Rule};

use crate::town::{AMOUNT, Plan, Town, answered, not_yet, order};

const SAGA: &str = "SAGA-1";

fn purchase(card: &str) -> serde_json::Value {
    json!({"reference": order(SAGA), "amount": AMOUNT, "card": card})
}

#[tokio::test]
async fn the_same_key_is_one_effect_and_two_keys_are_two() {
    let town = Town::hardened().await;
    let first = answered(
        town.ask_gateway("/charges", "a", purchase("visa")).await,
        201,
    );
    let again = answered(
        town.ask_gateway("/charges", "a", purchase("visa")).await,
        201,
    );
    assert_eq!(first, again);
    assert_eq!(town.money(SAGA).await, (AMOUNT, 0));
    answered(
        town.ask_gateway("/charges", "b", purchase("visa")).await,
        201,
    );
    assert_eq!(town.money(SAGA).await, (2 * AMOUNT, 0));
    let other = town.ask_gateway("/charges", "a", purchase("other")).await;
    assert_eq!(answered(other, 422)["code"], "IDEMPOTENCY_MISMATCH");
}

#[tokio::test]
async fn captures_and_refunds_are_taken_as_often_as_they_are_told() {
    let town = Town::hardened().await;
    let id = answered(
        town.ask_gateway("/authorizations", "a", purchase("visa"))
            .await,
        201,
    )["id"]
        .clone();
    for key in ["b", "c"] {
        let hold = json!({"authorization": id});
        answered(town.ask_gateway("/captures", key, hold).await, 201);
    }
    assert_eq!(town.money(SAGA).await, (2 * AMOUNT, 0));
    let voided = town
        .ask_gateway("/voids", "d", json!({"authorization": id}))
        .await;
    assert!(
        answered(voided, 409)["detail"]
            .as_str()
            .unwrap()
            .contains("captured")
    );
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
        let town = Town::build(Plan {
            style,
            ..Plan::default()
        })
        .await;
        town.behaviour.add(Rule::next(Fault::Error, 1));
        not_yet(town.ask_gateway("/charges", "a", purchase("visa")).await);
        let again = town.ask_gateway("/charges", "a", purchase("visa")).await;
        assert_eq!(again.is_err(), repeats, "{style:?}");
        town.clock.advance(Duration::from_millis(KEPT_MS));
        answered(
            town.ask_gateway("/charges", "a", purchase("visa")).await,
            201,
        );
    }
}

#[tokio::test]
async fn what_a_gateway_never_answers_may_or_may_not_be_done() {
    for (fault, done) in [(Fault::TimeoutBefore, 0), (Fault::TimeoutAfter, AMOUNT)] {
        let town = Town::hardened().await;
        town.behaviour
            .add(Rule::next(fault, 1).on(Operation::Charge));
        not_yet(town.ask_gateway("/charges", "a", purchase("visa")).await);
        assert_eq!(town.money(SAGA).await, (done, 0), "{fault:?}");
        answered(
            town.ask_gateway("/charges", "a", purchase("visa")).await,
            201,
        );
        assert_eq!(town.money(SAGA).await, (AMOUNT, 0), "{fault:?}");
    }
}

#[tokio::test]
async fn slow_work_goes_on_when_the_caller_has_hung_up() {
    let town = Town::hardened().await;
    town.behaviour
        .add(Rule::next(Fault::Slow(Duration::from_secs(5)), 1).on(Operation::Charge));
    let call = town.ask_gateway("/charges", "a", purchase("visa"));
    assert!(
        tokio::time::timeout(Duration::from_secs(1), call)
            .await
            .is_err()
    );
    assert!(town.ledger(SAGA).await.is_empty());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(town.money(SAGA).await, (AMOUNT, 0));
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let town = Town::hardened().await;
    for (path, body, status, word) in [
        (
            "/charges",
            json!({"reference": "no spaces", "amount": 1, "card": "v"}),
            400,
            "reference",
        ),
        (
            "/charges",
            json!({"reference": "R", "amount": -1, "card": "v"}),
            400,
            "amount",
        ),
        ("/captures", json!({"authorization": "R.1"}), 404, "R.1"),
    ] {
        let refused = answered(town.ask_gateway(path, "key", body).await, status);
        assert!(
            refused["detail"].as_str().unwrap().contains(word),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn its_behaviour_is_set_and_read_over_http() {
    let town = Town::hardened().await;
    let rules = json!([{"fault": "throttle", "operation": "charge", "times": 1}]);
    town.behave(&rules).await;
    let refused = town.ask_gateway("/charges", "a", purchase("visa")).await;
    assert_eq!(answered(refused, 429)["code"], "TOO_MANY_REQUESTS");
    answered(
        town.ask_gateway("/charges", "a", purchase("visa")).await,
        201,
    );
    let view = town.gateway_get("/behaviour").await.body;
    assert_eq!(view["applied"], json!({"throttle": 1}));
    assert_eq!(view["rules"], json!([]));
}
