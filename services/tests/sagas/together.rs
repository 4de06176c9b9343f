//! Order, inventory and catalog together: rewards, and many hands for the last units.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use squall_services::{
    catalog, inventory,
    kit::{CallError, Code, Context, Peer, PeerPolicy, Reply},
    order,
};
use tokio::time::sleep;

use crate::machine::Network;

struct Shop {
    network: Network,
    context: Context,
}

impl Shop {
    async fn open(stock: u64) -> Shop {
        let network = Network::default();
        let (platform, _) = network.machine("catalog");
        let running = catalog::run(platform.clone(), catalog::Config::default());
        platform.spawn("catalog", async move { running.await.unwrap() });
        let (platform, _) = network.machine("inventory");
        let running = inventory::run(platform.clone(), inventory::Config::default());
        platform.spawn("inventory", async move { running.await.unwrap() });
        let (platform, _) = network.machine("order");
        let running = order::run(platform.clone(), order::Config::default());
        platform.spawn("order", async move { running.await.unwrap() });
        sleep(Duration::from_millis(20)).await;
        let shop = Shop {
            context: Context::fresh(&platform, "alice-1-reward"),
            network,
        };
        let product = json!({"name": "Tea", "category": "drinks", "price": 1500});
        shop.told("catalog", "PUT", "/products/tea", None, product)
            .await;
        let stock = json!({ "stock": stock });
        shop.told("inventory", "PUT", "/inventory/tea", None, stock)
            .await;
        shop
    }

    async fn call(
        &self,
        peer: &str,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Value,
    ) -> Result<Reply, CallError> {
        let policy = PeerPolicy {
            attempts: 1,
            timeout: Duration::from_secs(20),
            ..PeerPolicy::internal()
        };
        let peer = Peer::new(&self.network.machine("client").0, peer, policy);
        peer.call(&self.context, method, path, key, &body).await
    }

    async fn told(
        &self,
        peer: &str,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Value,
    ) -> Value {
        let reply = self.call(peer, method, path, key, body).await.unwrap();
        assert!(reply.is_success(), "{path}: {}", reply.body);
        reply.body
    }

    async fn reward(&self, key: &str) -> Result<Reply, CallError> {
        let body =
            json!({"user": "alice", "sku": "tea", "quantity": 1, "challenge_completion": "C1"});
        self.call("order", "POST", "/api/orders", Some(key), body)
            .await
    }

    async fn product(&self) -> Value {
        self.told("inventory", "GET", "/inventory/tea", None, Value::Null)
            .await
    }
}

#[tokio::test]
async fn the_stock_of_a_reward_that_is_taken_back_is_on_the_shelf_again() {
    let shop = Shop::open(3).await;
    let before = shop.product().await;
    let order = shop.reward("r1").await.unwrap().body;
    assert_eq!(order["status"], "CONFIRMED", "{order}");
    let units = |product: &Value| (product["on_hand"].clone(), product["reserved"].clone());
    let during = shop.product().await;
    assert_eq!(units(&during), (json!(2), json!(0)), "{during}");
    let path = format!("/api/orders/{}/status", order["id"].as_str().unwrap());
    let cancel = json!({"status": "CANCELLED"});
    let order = shop.told("order", "PATCH", &path, None, cancel).await;
    assert_eq!(order["status"], "CANCELLED");
    let after = shop.product().await;
    assert_eq!(units(&after), units(&before), "{after}");
    assert_eq!(after["lock"], Value::Null);
}

#[tokio::test]
async fn many_hands_for_the_last_units_get_each_unit_once() {
    let shop = Shop::open(3).await;
    let keys: Vec<_> = (0..12).map(|n| format!("r{n}")).collect();
    let replies = join_all(keys.iter().map(|key| shop.reward(key))).await;
    let (mut made, mut sold_out) = (0, 0);
    for reply in replies {
        match reply.unwrap() {
            reply if reply.status == 201 => made += 1,
            reply if reply.problem().code == Code::OutOfStock => sold_out += 1,
            reply => panic!("{}", reply.body),
        }
    }
    assert_eq!((made, sold_out), (3, 9));
    assert_eq!(shop.product().await["on_hand"], 0);
}
