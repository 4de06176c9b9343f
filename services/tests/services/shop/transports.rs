//! Notices of changed products by each transport, switched while everything runs.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use squall_services::{
    infrastructure::bus,
    rewards::challenge::{self, store::PRODUCTS},
    shared::catalog,
};

use crate::support::{machine::Machine, world::World};

struct Shop {
    world: World,
    challenge: Arc<Machine>,
}

impl Shop {
    async fn open() -> Self {
        let world = World::new();
        let told = catalog::Config::webhooks(&["challenge"]).and_bus();
        let config = challenge::Config {
            bus: Some("bus".to_owned()),
            ..Default::default()
        };
        world
            .serve("bus", |p| bus::run(p, Default::default()))
            .await;
        world.serve("catalog", |p| catalog::run(p, told)).await;
        let challenge = world
            .serve("challenge", |p| challenge::run(p, config))
            .await;
        world.pass(Duration::from_millis(500)).await;
        let pen = json!({ "name": "Pen", "category": "desk", "price": 500 });
        world.must("catalog", "PUT /products/pen", pen).await;
        let write = json!({ "title": "Write daily", "sku": "pen", "quantity": 1 });
        world.must("challenge", "PUT /challenges/c1", write).await;
        Shop { world, challenge }
    }

    async fn reprice(&self, price: u64) {
        let body = json!({ "price": price });
        let patch = "PATCH /products/pen";
        self.world.must("catalog", patch, body).await;
        self.world.pass(Duration::from_secs(2)).await;
    }

    fn copy(&self) -> Option<(u64, u64)> {
        let copy = self.challenge.row(&PRODUCTS, "pen")?;
        Some((copy.version, copy.price))
    }
}

#[tokio::test]
async fn a_change_reaches_the_copy_by_the_transport_that_was_switched_to() {
    let shop = Shop::open().await;
    for (n, transport) in (2..).step_by(2).zip(["webhook", "pubsub", "stream"]) {
        let switch = json!({ "mode": "events", "transport": transport });
        let switched = shop.world.must("challenge", "PUT /sync", switch).await;
        assert_eq!(switched["transport"], transport);
        assert_eq!(
            shop.copy(),
            None,
            "what may have missed notices is forgotten"
        );
        shop.world.see("challenge", "/challenges/c1").await;
        shop.reprice(n * 100).await;
        assert_eq!(shop.copy(), Some((n, n * 100)), "nobody asked: {transport}");

        let live = json!({ "mode": "live" });
        shop.world.must("challenge", "PUT /sync", live).await;
        shop.reprice(n * 100 + 1).await;
        assert_eq!(
            shop.copy(),
            None,
            "told by {transport}, and not listened to"
        );
    }
}
