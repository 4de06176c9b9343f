//! Order, inventory and catalog together: rewards, and many hands for the last units.

use futures_util::future::join_all;
use serde_json::{Value, json};
use squall_services::{
    kit::{CallError, Code, Reply},
    orchestration::orders,
    shared::{catalog, inventory},
};

use crate::support::{machine::Network, world::World};

/// A shop with so many teas.
async fn open(stock: u64) -> World {
    let world = World::over(Network::default());
    world
        .serve("catalog", |p| catalog::run(p, Default::default()))
        .await;
    world
        .serve("inventory", |p| inventory::run(p, Default::default()))
        .await;
    world
        .serve("order", |p| orders::run(p, Default::default()))
        .await;
    let product = json!({"name": "Tea", "category": "drinks", "price": 1500});
    world.must("catalog", "PUT /products/tea", product).await;
    let stock = json!({ "stock": stock });
    world.must("inventory", "PUT /inventory/tea", stock).await;
    world
}

async fn reward(shop: &World, key: &str) -> Result<Reply, CallError> {
    let body = json!({"user": "alice", "sku": "tea", "quantity": 1, "challenge_completion": "C1"});
    shop.call("order", "POST /api/orders", Some(key), &body)
        .await
}

#[tokio::test]
async fn the_stock_of_a_reward_that_is_taken_back_is_on_the_shelf_again() {
    let shop = open(3).await;
    let before = shop.see("inventory", "/inventory/tea").await;
    let order = reward(&shop, "r1").await.unwrap().body;
    assert_eq!(order["status"], "CONFIRMED", "{order}");
    let units = |product: &Value| (product["on_hand"].clone(), product["reserved"].clone());
    let during = shop.see("inventory", "/inventory/tea").await;
    assert_eq!(units(&during), (json!(2), json!(0)), "{during}");
    let cancel = format!("PATCH /api/orders/{}/status", order["id"].as_str().unwrap());
    let cancelled = json!({"status": "CANCELLED"});
    let order = shop.must("order", &cancel, cancelled).await;
    assert_eq!(order["status"], "CANCELLED");
    let after = shop.see("inventory", "/inventory/tea").await;
    assert_eq!(units(&after), units(&before), "{after}");
    assert_eq!(after["lock"], Value::Null);
}

#[tokio::test]
async fn many_hands_for_the_last_units_get_each_unit_once() {
    let shop = open(3).await;
    let keys: Vec<_> = (0..12).map(|n| format!("r{n}")).collect();
    let replies = join_all(keys.iter().map(|key| reward(&shop, key))).await;
    let (mut made, mut sold_out) = (0, 0);
    for reply in replies {
        match reply.unwrap() {
            reply if reply.status == 201 => made += 1,
            reply if reply.problem().code == Code::OutOfStock => sold_out += 1,
            reply => panic!("{}", reply.body),
        }
    }
    assert_eq!((made, sold_out), (3, 9));
    assert_eq!(shop.see("inventory", "/inventory/tea").await["on_hand"], 0);
}
