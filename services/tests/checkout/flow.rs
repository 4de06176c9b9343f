use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use squall_services::{
    catalog,
    checkout::{self, Config, Rollback, Variant, store::ORDERS},
    coupon, dataplatform,
    gap::Gap,
    inventory,
    kit::{StoreError, temper::Temper},
    notification, ranking, user,
};
use tokio::time::sleep;

use super::{
    machine::Machine,
    world::{Answer, World, code, row},
};

struct Shop {
    world: World,
    checkout: Arc<Machine>,
    data_platform: Temper,
    coupon: String,
}

macro_rules! serve {
    ($world:ident, $service:ident, $config:expr) => {{
        let (platform, machine) = $world.machine(stringify!($service));
        let (served, config) = (platform.clone(), $config);
        platform.spawn("service", async move {
            $service::run(served, config).await.unwrap();
        });
        machine
    }};
}

impl Shop {
    /// Three pens at 100 won, and Kim, who has 1000 won and a coupon of 30.
    async fn open(config: Config) -> Self {
        let (world, gaps) = (World::new(), config.gaps);
        let data_platform = Temper::default();
        let temper = data_platform.clone();
        let inventory = inventory::Config {
            gaps,
            orchestrator: "checkout".to_owned(),
            ..Default::default()
        };
        serve!(world, inventory, inventory);
        serve!(world, catalog, catalog::Config::default());
        serve!(
            world,
            user,
            user::Config {
                gaps,
                ..Default::default()
            }
        );
        serve!(
            world,
            coupon,
            coupon::Config {
                gaps,
                ..Default::default()
            }
        );
        serve!(world, dataplatform, dataplatform::Config { temper });
        serve!(world, notification, notification::Config::default());
        serve!(world, ranking, ranking::Config::default());
        let checkout = serve!(world, checkout, config);
        sleep(Duration::from_millis(100)).await;
        let mut shop = Shop {
            world,
            checkout,
            data_platform,
            coupon: String::new(),
        };
        let pen = json!({ "name": "pen", "category": "things", "price": 100 });
        shop.must("catalog", "PUT /products/pen", pen).await;
        shop.must("inventory", "PUT /inventory/pen", json!({ "stock": 3 }))
            .await;
        let kim = json!({ "name": "Kim", "balance": 1000 });
        shop.must("user", "PUT /users/kim", kim).await;
        let terms = json!({ "discount": 30, "limit": 5 });
        shop.must("coupon", "PUT /campaigns/spring", terms).await;
        let (path, kim) = ("POST /campaigns/spring/coupons", json!({ "user": "kim" }));
        let coupon = shop.must("coupon", path, kim).await;
        shop.coupon = coupon["id"].as_str().unwrap().to_owned();
        shop
    }

    async fn must(&self, service: &str, request: &str, body: Value) -> Value {
        let (status, body) = self.world.ask(service, request, Some("setup"), body).await;
        assert!((200..300).contains(&status), "{request}: {status} {body}");
        body
    }

    async fn see(&self, service: &str, path: &str) -> Value {
        let request = format!("GET {path}");
        self.world.ask(service, &request, None, Value::Null).await.1
    }

    async fn buy(&self, key: &str, quantity: u64, coupon: bool) -> Answer {
        let mut body = json!({ "user": "kim", "sku": "pen", "quantity": quantity, "price": 1 });
        if coupon {
            body["coupon"] = self.coupon.clone().into();
        }
        self.world
            .ask("checkout", "POST /checkouts", Some(key), body)
            .await
    }

    /// Pens on the shelf and sold; won available and spent; the coupon's state.
    async fn books(&self) -> (u64, u64, u64, u64, String) {
        let pen = self.see("inventory", "/inventory/pen").await;
        let kim = self.see("user", "/users/kim").await;
        let coupon = self
            .see("coupon", &format!("/coupons/{}", self.coupon))
            .await;
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

#[tokio::test]
async fn every_variant_sells_at_the_catalogs_price_less_the_coupon() {
    for variant in Variant::ALL {
        let shop = Shop::open(config(variant)).await;
        let (status, order) = shop.buy("k", 2, true).await;
        assert_eq!(
            (status, &order["status"]),
            (201, &json!("COMPLETED")),
            "{variant:?}"
        );
        assert_eq!(
            (&order["total"], &order["discount"]),
            (&json!(170), &json!(30))
        );
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
            let shop = Shop::open(Config {
                rollback,
                ..config(variant)
            })
            .await;
            let untouched = (3, 0, 1000, 0, "Issued".to_owned());
            assert_eq!(shop.buy("k1", 4, true).await, code(409, "OUT_OF_STOCK"));
            assert_eq!(shop.books().await, untouched, "{variant:?}");
            let dear = json!({ "price": 900 });
            shop.must("catalog", "PATCH /products/pen", dear).await;
            let refused = code(409, "INSUFFICIENT_BALANCE");
            assert_eq!(shop.buy("k2", 2, true).await, refused, "{variant:?}");
            assert_eq!(shop.books().await, untouched, "{variant:?}");
            assert_eq!(shop.buy("k2", 2, true).await, refused, "{variant:?}");
            assert_eq!(
                shop.buy("k2", 1, true).await,
                code(422, "IDEMPOTENCY_MISMATCH")
            );
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
    let facts = shop
        .see(
            "checkout",
            &format!("/checkouts/{}/facts", order["id"].as_str().unwrap()),
        )
        .await;
    let names: Vec<&str> = facts
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|fact| fact["name"].as_str())
        .collect();
    assert_eq!(
        names[..5],
        [
            "OrderCreated",
            "OrderRecordSucceeded",
            "StockDeductionRequested",
            "StockDeductionSucceeded",
            "BalanceDeductionRequested",
        ]
    );
    assert_eq!(names.last(), Some(&"OrderCompleted"));
    let before = shop.see("checkout", "/checkouts?user=kim").await;
    let rebuilt = shop
        .must("checkout", "POST /projections/orders/rebuild", Value::Null)
        .await;
    assert_eq!(rebuilt, json!({ "orders": 2 }));
    assert_eq!(shop.see("checkout", "/checkouts?user=kim").await, before);
    assert_eq!(before.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_read_side_that_was_lost_comes_back_from_the_events() -> Result<(), StoreError> {
    let shop = Shop::open(config(Variant::EventSourced)).await;
    let (_, order) = shop.buy("k1", 1, false).await;
    let id = order["id"].as_str().unwrap().to_owned();
    shop.must("checkout", "POST /projections/orders/rebuild", Value::Null)
        .await;
    // The rebuild has written the row again: it is the last that touched it, and the same.
    let rebuilt = row(&shop.checkout, &ORDERS, &id).unwrap();
    assert_eq!(serde_json::to_value(rebuilt).unwrap(), order);
    Ok(())
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
    let told = shop.see("dataplatform", "/events").await;
    let body = &told[0]["body"];
    assert_eq!(
        (&body["order"], &body["discounted"]),
        (&order["id"], &json!(200))
    );
    assert_eq!(told.as_array().map(Vec::len), Some(1));
    assert_eq!(shop.see("notification", "/messages").await[0]["to"], "kim");
}

#[tokio::test]
async fn events_in_memory_are_told_once_and_forgotten() {
    let shop = Shop::open(Config {
        gaps: [Gap::EventsOnlyInMemory].into_iter().collect(),
        ..config(Variant::Journal)
    })
    .await;
    shop.data_platform.fail(1);
    assert_eq!(shop.buy("k", 1, false).await.0, 201);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(shop.see("dataplatform", "/events").await, json!([]));
    let ranking = shop.see("ranking", "/ranking").await;
    assert_eq!(ranking, json!([{ "product": "pen", "sold": 1 }]));
}

#[tokio::test]
async fn subscribers_inside_the_transaction_hold_the_order_up() {
    let shop = Shop::open(Config {
        gaps: [Gap::SubscriberInsideTransaction].into_iter().collect(),
        ..config(Variant::Journal)
    })
    .await;
    shop.data_platform.slow(Duration::from_secs(1));
    let asked = tokio::time::Instant::now();
    assert_eq!(shop.buy("k", 1, false).await.0, 201);
    assert!(asked.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_price_of_the_clients_is_heard_only_by_who_trusts_it() {
    let shop = Shop::open(Config {
        gaps: [Gap::ClientPriceTrusted].into_iter().collect(),
        ..config(Variant::Journal)
    })
    .await;
    let (_, order) = shop.buy("k", 2, false).await;
    assert_eq!(order["total"], 2);
}
