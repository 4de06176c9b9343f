//! Sagas, orders and keys that one build of the order service writes and the other one reads.

use std::time::Duration;

use serde_json::{Value, json};
use squall_services::{
    kit::{
        Code,
        format::{FIRST, NEWEST},
    },
    orchestration::orders::Config,
    planted_bug::{Bug, Bugs},
};
use tokio::time::{sleep, timeout};

use super::order::Town;

/// Two units at 1,500 won, of which the newest build gives one won in twenty back.
const AMOUNT: u64 = 3_000;
const REBATE: u64 = 150;

async fn town(bug: Option<Bug>) -> Town {
    Town::of(Config {
        bugs: bug.into_iter().collect::<Bugs>(),
        ..Config::default()
    })
    .await
}

async fn reboot(town: &Town, build: u32) {
    town.computer.crash();
    sleep(Duration::from_millis(20)).await;
    town.boot_as(build).await;
}

/// What has become of an order that `writer` began and `reader` went on with before anything was paid: with which amounts
/// and rebates the payment was asked for, and the order as `reader` shows it.
async fn carried_over(town: &Town, writer: u32, reader: u32) -> (Vec<(u64, Option<u64>)>, Value) {
    reboot(town, writer).await;
    town.trouble("inventory-reserve", 1_000, Some(Code::ServiceUnavailable));
    let _ = timeout(Duration::from_secs(1), town.try_to_place("k1")).await;
    assert!(town.bills().is_empty());
    reboot(town, reader).await;
    town.trouble("inventory-reserve", 0, None);
    sleep(Duration::from_secs(60)).await;
    let orders = town.orders().await;
    assert_eq!(orders[0]["status"], "COMPLETED");
    let repeat = town.place("k1").await;
    assert_eq!((repeat.status, &repeat.body), (201, &orders[0]));
    (town.bills(), orders[0].clone())
}

#[tokio::test]
async fn what_one_build_promised_the_other_keeps_both_ways() {
    for reader in [FIRST, NEWEST] {
        let (bills, order) = carried_over(&town(None).await, FIRST, reader).await;
        assert_eq!(bills, [(AMOUNT, None)], "{reader}");
        assert_eq!(order.get("rebate"), None, "{reader}");

        let (bills, order) = carried_over(&town(None).await, NEWEST, reader).await;
        assert_eq!(bills, [(AMOUNT, Some(REBATE))], "{reader}");
        assert_eq!(
            (&order["total"], &order["rebate"]),
            (&json!(AMOUNT), &json!(REBATE)),
            "{reader}"
        );
    }
}

#[tokio::test]
async fn a_build_that_drops_what_it_does_not_know_breaks_the_promise_of_the_other() {
    let dropped = Some(Bug::UnknownFieldsDropped);
    let (bills, order) = carried_over(&town(dropped).await, NEWEST, FIRST).await;
    assert_eq!(bills, [(AMOUNT, None)]);
    assert_eq!(order.get("rebate"), None);
    let (bills, _) = carried_over(&town(dropped).await, NEWEST, NEWEST).await;
    assert_eq!(bills, [(AMOUNT, Some(REBATE))]);
}

#[tokio::test]
async fn a_build_that_takes_a_default_gives_what_nobody_promised() {
    let default = Some(Bug::OldReaderTakesDefault);
    let (bills, order) = carried_over(&town(default).await, FIRST, NEWEST).await;
    assert_eq!(bills, [(AMOUNT, Some(REBATE))]);
    assert_eq!(order["rebate"], json!(REBATE));
    let (bills, _) = carried_over(&town(default).await, FIRST, FIRST).await;
    assert_eq!(bills, [(AMOUNT, None)]);
}
