//! Notices of changed products by each transport, switched while everything runs.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use squall_services::{
    bus, catalog,
    challenge::{self, store::PRODUCTS},
};

use super::{
    machine::Machine,
    world::{World, row},
};

struct Shop {
    world: World,
    challenge: Arc<Machine>,
}

impl Shop {
    async fn open() -> Self {
        let world = World::new();
        let (platform, _) = world.machine("bus");
        let served = bus::run(platform.clone(), bus::Config::default());
        platform.spawn("service", async move { served.await.unwrap() });
        let (platform, _) = world.machine("catalog");
        let told = catalog::Config::webhooks(&["challenge"]).and_bus();
        let served = catalog::run(platform.clone(), told);
        platform.spawn("service", async move { served.await.unwrap() });
        let (platform, challenge) = world.machine("challenge");
        let config = challenge::Config {
            bus: Some("bus".to_owned()),
            ..Default::default()
        };
        let served = challenge::run(platform.clone(), config);
        platform.spawn("service", async move { served.await.unwrap() });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let shop = Shop { world, challenge };
        let pen = json!({ "name": "Pen", "category": "desk", "price": 500 });
        shop.must("catalog", "PUT /products/pen", pen).await;
        let write = json!({ "title": "Write daily", "sku": "pen", "quantity": 1 });
        shop.must("challenge", "PUT /challenges/c1", write).await;
        shop
    }

    async fn must(&self, service: &str, request: &str, body: Value) -> Value {
        let (status, body) = self.world.ask(service, request, None, body).await;
        assert_eq!(status, 200, "{request}: {body}");
        body
    }

    async fn reprice(&self, price: u64) {
        let body = json!({ "price": price });
        self.must("catalog", "PATCH /products/pen", body).await;
        self.world.pass(Duration::from_secs(2)).await;
    }

    fn copy(&self) -> Option<(u64, u64)> {
        row(&self.challenge, &PRODUCTS, "pen").map(|copy| (copy.version, copy.price))
    }
}

#[tokio::test]
async fn a_change_reaches_the_copy_by_the_transport_that_was_switched_to() {
    let shop = Shop::open().await;
    for (n, transport) in (2..).step_by(2).zip(["webhook", "pubsub", "stream"]) {
        let switch = json!({ "mode": "events", "transport": transport });
        let switched = shop.must("challenge", "PUT /sync", switch).await;
        assert_eq!(switched["transport"], transport);
        assert_eq!(
            shop.copy(),
            None,
            "what may have missed notices is forgotten"
        );
        shop.must("challenge", "GET /challenges/c1", Value::Null)
            .await;
        shop.reprice(n * 100).await;
        assert_eq!(shop.copy(), Some((n, n * 100)), "nobody asked: {transport}");

        shop.must("challenge", "PUT /sync", json!({ "mode": "live" }))
            .await;
        shop.reprice(n * 100 + 1).await;
        assert_eq!(
            shop.copy(),
            None,
            "told by {transport}, and not listened to"
        );
    }
}
