use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use serde_json::{Value, json};
use squall_services::{
    kit::{
        http::Body,
        outbox::{OUTBOX, PUBLISHED},
    },
    shared::catalog::{
        self, Config,
        store::{Change, VERSIONS, version_key},
    },
};

use crate::support::{
    machine::{Machine, start},
    world::{Answer, World, code},
};

async fn open(world: &World, subscribers: &[&str]) -> Arc<Machine> {
    let config = Config::webhooks(subscribers);
    world
        .serve("catalog", |platform| catalog::run(platform, config))
        .await
}

async fn put(world: &World, sku: &str, price: u64) -> Answer {
    let body = json!({ "name": sku, "category": "desk", "price": price });
    world
        .ask("catalog", &format!("PUT /products/{sku}"), None, body)
        .await
}

async fn reprice(world: &World, sku: &str, price: u64) -> Answer {
    let path = format!("PATCH /products/{sku}");
    world
        .ask("catalog", &path, None, json!({ "price": price }))
        .await
}

/// A subscriber that refuses what it is told to, and what it accepted.
#[derive(Clone, Default)]
struct Subscriber {
    refuses_pens: Arc<AtomicBool>,
    accepted: Arc<Mutex<Vec<(String, u64)>>>,
}

impl Subscriber {
    fn serve(&self, world: &World, name: &str) {
        let hear = |State(me): State<Subscriber>, Body(change): Body<Change>| async move {
            if change.sku == "pen" && me.refuses_pens.load(Ordering::SeqCst) {
                return StatusCode::CONFLICT;
            }
            me.accepted
                .lock()
                .unwrap()
                .push((change.sku, change.version));
            StatusCode::OK
        };
        let router = Router::new()
            .route("/webhooks/products", post(hear))
            .with_state(self.clone());
        world.stand_in(name, router);
    }

    fn accepted(&self) -> Vec<(String, u64)> {
        self.accepted.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn every_change_makes_the_next_version_and_the_history_keeps_all() {
    let world = World::new();
    let machine = open(&world, &[]).await;
    let (status, created) = put(&world, "pen", 500).await;
    assert_eq!(
        (status, &created["version"], &created["on_sale"]),
        (200, &json!(1), &json!(true))
    );
    assert_eq!(
        put(&world, "pen", 500).await.1["version"],
        1,
        "nothing changed"
    );
    assert_eq!(reprice(&world, "pen", 600).await.1["version"], 2);
    let off = json!({ "on_sale": false });
    let (_, off) = world.ask("catalog", "PATCH /products/pen", None, off).await;
    assert_eq!((&off["version"], &off["price"]), (&json!(3), &json!(600)));
    let offered = |version| {
        let row = machine
            .row(&VERSIONS, &version_key("pen", version))
            .unwrap();
        (row.price, row.on_sale)
    };
    assert_eq!(
        [1, 2, 3].map(offered),
        [(500, true), (600, true), (600, false)]
    );

    put(&world, "ink", 900).await;
    let all = world.see("catalog", "/products").await;
    assert_eq!(all.as_array().map(Vec::len), Some(2));
    let none = world.see("catalog", "/products?category=toys").await;
    assert_eq!(none, json!([]));
}

#[tokio::test]
async fn changes_are_told_in_order_once_the_subscriber_is_there() {
    let world = World::new();
    let machine = open(&world, &["challenge"]).await;
    put(&world, "pen", 500).await;
    for price in [600, 700, 800] {
        reprice(&world, "pen", price).await;
    }
    world.pass(Duration::from_secs(3)).await;
    let challenge = Subscriber::default();
    challenge.serve(&world, "challenge");
    world.pass(Duration::from_secs(15)).await;
    let pens = (1..=4).map(|version| ("pen".to_owned(), version));
    assert_eq!(challenge.accepted(), pens.collect::<Vec<_>>());
    for number in 1..=4 {
        let key = format!("{number:016}");
        assert_eq!(machine.row(&OUTBOX, &key), None, "it is sent");
        assert!(machine.row(&PUBLISHED, &key).is_some());
    }
}

#[tokio::test]
async fn a_refused_notice_holds_up_its_own_product_only() {
    let world = World::new();
    open(&world, &["challenge"]).await;
    let challenge = Subscriber::default();
    challenge.serve(&world, "challenge");
    challenge.refuses_pens.store(true, Ordering::SeqCst);
    put(&world, "pen", 500).await;
    reprice(&world, "pen", 600).await;
    put(&world, "ruler", 300).await;
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(challenge.accepted(), [("ruler".to_owned(), 1)]);
    challenge.refuses_pens.store(false, Ordering::SeqCst);
    world.pass(Duration::from_secs(11)).await;
    assert_eq!(
        challenge.accepted()[1..],
        [("pen".to_owned(), 1), ("pen".to_owned(), 2)]
    );
}

#[tokio::test]
async fn an_outbox_of_an_earlier_life_is_taken_up_on_boot() {
    let before = World::new();
    let old = open(&before, &["challenge"]).await;
    put(&before, "pen", 500).await;

    let world = World::new();
    let challenge = Subscriber::default();
    challenge.serve(&world, "challenge");
    let (platform, _) = world.network.successor(&old, 2);
    start(&platform, |platform| {
        catalog::run(platform, Config::webhooks(&["challenge"]))
    });
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(challenge.accepted(), [("pen".to_owned(), 1)]);
}

#[tokio::test]
async fn bad_requests_are_refused_with_an_explanation() {
    let world = World::new();
    open(&world, &[]).await;
    let product =
        |name: &str, price: i64| json!({ "name": name, "category": "desk", "price": price });
    for (request, body, refused) in [
        ("GET /products/pen", Value::Null, (404, "NOT_FOUND")),
        (
            "PATCH /products/pen",
            json!({ "price": 1 }),
            (404, "NOT_FOUND"),
        ),
        (
            "PUT /products/pen",
            product("pen", -1),
            (400, "INVALID_REQUEST"),
        ),
        (
            "PUT /products/pen",
            product("", 1),
            (400, "INVALID_REQUEST"),
        ),
        (
            "PUT /products/a%20b",
            product("pen", 1),
            (400, "INVALID_REQUEST"),
        ),
    ] {
        let answer = world.ask("catalog", request, None, body).await;
        assert_eq!(answer, code(refused.0, refused.1), "{request}");
    }
}
