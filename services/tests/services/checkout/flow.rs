use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use squall_services::{
    checkout::{
        coupon, data_platform,
        orders::{self, Config, Rollback, Variant, store::ORDERS},
        ranking,
    },
    kit::stub_faults::StubFaults,
    planted_bug::Bug,
    shared::{catalog, inventory, notification, user},
};
use tokio::time::sleep;

use crate::support::{
    machine::Machine,
    world::{Answer, World, code},
};

struct Shop {
    world: World,
    checkout: Arc<Machine>,
    data_platform: StubFaults,
    coupon: String,
}

impl Shop {
    /// Three pens at 100 won, and Kim, who has 1000 won and a coupon of 30.
    async fn open(config: Config) -> Self {
        let (world, bugs) = (World::new(), config.bugs);
        let data_platform = StubFaults::default();
        let inventory = inventory::Config {
            bugs,
            orchestrator: "checkout".to_owned(),
            ..Default::default()
        };
        let user = user::Config { bugs };
        let coupon = coupon::Config {
            bugs,
            ..Default::default()
        };
        let platform = data_platform.clone();
        let network = &world.network;
        network.serve("inventory", |p| inventory::run(p, inventory));
        network.serve("catalog", |p| catalog::run(p, Default::default()));
        network.serve("user", |p| user::run(p, user));
        network.serve("coupon", |p| coupon::run(p, coupon));
        network.serve("dataplatform", |p| data_platform::run(p, platform));
        network.serve("notification", |p| notification::run(p, Default::default()));
        network.serve("ranking", |p| ranking::run(p, Default::default()));
        let checkout = network.serve("checkout", |p| orders::run(p, config));
        sleep(Duration::from_millis(100)).await;
        let product = json!({ "name": "pen", "category": "things", "price": 100 });
        let user = json!({ "name": "Kim", "balance": 1000 });
        let terms = json!({ "discount": 30, "limit": 5 });
        let stock = json!({ "stock": 3 });
        world.must("catalog", "PUT /products/pen", product).await;
        world.must("inventory", "PUT /inventory/pen", stock).await;
        world.must("user", "PUT /users/kim", user).await;
        world.must("coupon", "PUT /campaigns/spring", terms).await;
        let (issue, kim) = ("POST /campaigns/spring/coupons", json!({ "user": "kim" }));
        let coupon = world.must("coupon", issue, kim).await;
        Shop {
            world,
            checkout,
            data_platform,
            coupon: coupon["id"].as_str().unwrap().to_owned(),
        }
    }

    async fn see(&self, service: &str, path: &str) -> Value {
        self.world.see(service, path).await
    }

    async fn rebuild(&self) -> Value {
        let request = "POST /projections/orders/rebuild";
        self.world.must("checkout", request, Value::Null).await
    }

    async fn buy(&self, key: &str, quantity: u64, coupon: bool) -> Answer {
        let mut body = json!({ "user": "kim", "sku": "pen", "quantity": quantity, "price": 1 });
        if coupon {
            body["coupon"] = self.coupon.clone().into();
        }
        let request = "POST /checkouts";
        self.world.ask("checkout", request, Some(key), body).await
    }

    /// Pens on the shelf and sold; won available and spent; the coupon's state.
    async fn books(&self) -> (u64, u64, u64, u64, String) {
        let pen = self.see("inventory", "/inventory/pen").await;
        let kim = self.see("user", "/users/kim").await;
        let coupon = format!("/coupons/{}", self.coupon);
        let coupon = self.see("coupon", &coupon).await;
        let number = |value: &Value| value.as_u64().unwrap();
        let state = match &coupon["state"] {
            Value::String(state) => state.clone(),
            state => state.as_object().unwrap().keys().next().unwrap().clone(),
        };
        (
            number(&pen["on_hand"]),
            number(&pen["sold"]),
            number(&kim["available"]),
            number(&kim["spent"]),
            state,
        )
    }
}

fn config(variant: Variant) -> Config {
    Config {
        variant,
        ..Config::default()
    }
}

fn gapped(bug: Bug) -> Config {
    Config {
        bugs: [bug].into_iter().collect(),
        ..Config::default()
    }
}

#[tokio::test]
async fn every_variant_sells_at_the_catalogs_price_less_the_coupon() {
    for variant in Variant::ALL {
        let shop = Shop::open(config(variant)).await;
        let (status, order) = shop.buy("k", 2, true).await;
        let told = (status, &order["status"]);
        assert_eq!(told, (201, &json!("COMPLETED")), "{variant:?}");
        assert_eq!([&order["total"], &order["discount"]], [170, 30]);
        let bought = (1, 2, 830, 170, "Used".to_owned());
        assert_eq!(shop.books().await, bought, "{variant:?}");
        assert_eq!(shop.buy("k", 2, true).await, (201, order), "{variant:?}");
        assert_eq!(shop.books().await, bought, "{variant:?}");
    }
}

#[tokio::test]
async fn whatever_is_refused_every_variant_leaves_nothing_behind() {
    for variant in Variant::ALL {
        for rollback in [Rollback::All, Rollback::Needed] {
            let config = Config {
                rollback,
                ..config(variant)
            };
            let shop = Shop::open(config).await;
            let untouched = (3, 0, 1000, 0, "Issued".to_owned());
            assert_eq!(shop.buy("k1", 4, true).await, code(409, "OUT_OF_STOCK"));
            assert_eq!(shop.books().await, untouched, "{variant:?}");
            let dear = json!({ "price": 900 });
            let patch = "PATCH /products/pen";
            shop.world.must("catalog", patch, dear).await;
            let refused = code(409, "INSUFFICIENT_BALANCE");
            assert_eq!(shop.buy("k2", 2, true).await, refused, "{variant:?}");
            assert_eq!(shop.books().await, untouched, "{variant:?}");
            assert_eq!(shop.buy("k2", 2, true).await, refused, "{variant:?}");
            let mismatch = code(422, "IDEMPOTENCY_MISMATCH");
            assert_eq!(shop.buy("k2", 1, true).await, mismatch);
        }
    }
}

#[tokio::test]
async fn a_coupon_that_is_taken_undoes_stock_and_balance() {
    for variant in Variant::ALL {
        let shop = Shop::open(config(variant)).await;
        assert_eq!(shop.buy("k1", 1, true).await.0, 201);
        assert_eq!(shop.buy("k2", 1, true).await, code(409, "INVALID_STATE"));
        let one_sold = (2, 1, 930, 70, "Used".to_owned());
        assert_eq!(shop.books().await, one_sold, "{variant:?}");
    }
}

#[tokio::test]
async fn the_read_side_is_rebuilt_from_the_events_as_it_was() {
    let shop = Shop::open(config(Variant::EventSourced)).await;
    let (_, order) = shop.buy("k1", 1, true).await;
    shop.buy("k2", 4, false).await;
    let facts = format!("/checkouts/{}/facts", order["id"].as_str().unwrap());
    let facts = shop.see("checkout", &facts).await;
    let names = facts.as_array().unwrap().iter();
    let names: Vec<&str> = names.filter_map(|fact| fact["name"].as_str()).collect();
    let begins = [
        "OrderCreated",
        "OrderRecordSucceeded",
        "StockDeductionRequested",
        "StockDeductionSucceeded",
        "BalanceDeductionRequested",
    ];
    assert_eq!(names[..5], begins);
    assert_eq!(names.last(), Some(&"OrderCompleted"));
    let before = shop.see("checkout", "/checkouts?user=kim").await;
    assert_eq!(shop.rebuild().await, json!({ "orders": 2 }));
    assert_eq!(shop.see("checkout", "/checkouts?user=kim").await, before);
    assert_eq!(before.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_read_side_that_was_lost_comes_back_from_the_events() {
    let shop = Shop::open(config(Variant::EventSourced)).await;
    let (_, order) = shop.buy("k1", 1, false).await;
    let id = order["id"].as_str().unwrap().to_owned();
    shop.rebuild().await;
    // The rebuild has written the row again: it is the last that touched it, and the same.
    let rebuilt = shop.checkout.row(&ORDERS, &id).unwrap();
    assert_eq!(serde_json::to_value(rebuilt).unwrap(), order);
}

#[tokio::test]
async fn there_is_nothing_to_rebuild_where_sagas_are_rows() {
    let shop = Shop::open(config(Variant::Journal)).await;
    let request = "POST /projections/orders/rebuild";
    let answer = shop.world.ask("checkout", request, None, Value::Null).await;
    assert_eq!(answer, code(409, "INVALID_STATE"));
}

#[tokio::test]
async fn subscribers_are_told_after_the_commit_and_again_until_they_have_heard() {
    let shop = Shop::open(config(Variant::Journal)).await;
    shop.data_platform.fail(2);
    let (status, order) = shop.buy("k", 2, false).await;
    assert_eq!(status, 201);
    sleep(Duration::from_secs(1)).await;
    let ranking = shop.see("ranking", "/ranking").await;
    assert_eq!(ranking, json!([{ "product": "pen", "sold": 2 }]));
    assert_eq!(shop.see("dataplatform", "/events").await, json!([]));
    sleep(Duration::from_secs(30)).await;
    let events = shop.see("dataplatform", "/events").await;
    let body = &events[0]["body"];
    let told = [&body["order"], &body["discounted"]];
    assert_eq!(told, [&order["id"], &json!(200)]);
    assert_eq!(events.as_array().map(Vec::len), Some(1));
    assert_eq!(shop.see("notification", "/messages").await[0]["to"], "kim");
}

#[tokio::test]
async fn events_in_memory_are_told_once_and_forgotten() {
    let shop = Shop::open(gapped(Bug::EventsOnlyInMemory)).await;
    shop.data_platform.fail(1);
    assert_eq!(shop.buy("k", 1, false).await.0, 201);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(shop.see("dataplatform", "/events").await, json!([]));
    let ranking = shop.see("ranking", "/ranking").await;
    assert_eq!(ranking, json!([{ "product": "pen", "sold": 1 }]));
}

#[tokio::test]
async fn subscribers_inside_the_transaction_hold_the_order_up() {
    let shop = Shop::open(gapped(Bug::SubscriberInsideTransaction)).await;
    shop.data_platform.slow(Duration::from_secs(1));
    let asked = tokio::time::Instant::now();
    assert_eq!(shop.buy("k", 1, false).await.0, 201);
    assert!(asked.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_price_of_the_clients_is_heard_only_by_who_trusts_it() {
    let shop = Shop::open(gapped(Bug::ClientPriceTrusted)).await;
    let (_, order) = shop.buy("k", 2, false).await;
    assert_eq!(order["total"], 2);
}
