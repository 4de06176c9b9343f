//! The shop in the storm: its three services as they are, customers who order, and what must hold in the end.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use shop_kit::Bug;
use squall::{
    Client, Isolation, Processes, Sim, in_child,
    scenario::{self, Catalogue, Scenario, Setup},
    storm::Profile,
    unmodified,
};
use tokio::time::sleep;

struct Shop;

impl Scenario for Shop {
    fn name(&self) -> &str {
        "shop"
    }
    fn about(&self) -> &str {
        "orders over stock and ledger: axum, reqwest, redb, SQLite"
    }
    fn isolation(&self) -> Option<Isolation> {
        Some(in_child)
    }
    fn bugs(&self) -> Vec<scenario::Bug> {
        Bug::ALL
            .iter()
            .map(|bug| scenario::Bug {
                name: bug.name(),
                about: bug.about(),
            })
            .collect()
    }
    fn profile(&self) -> Profile {
        let links = [
            ("orders", "stock"),
            ("orders", "ledger"),
            ("ann", "orders"),
            ("ben", "orders"),
            ("cleo", "orders"),
        ];
        Profile {
            horizon_ms: 2_000,
            ..Profile::new(&["stock", "ledger", "orders"], &links)
        }
    }
    fn build(&self, sim: &Sim, setup: &Setup) {
        let bug = setup.plant.clone().unwrap_or_default();
        sim.clients_assert();
        sim.process("stock", async || {
            shop_stock::run(shop_stock::Config::from_env()?).await
        })
        .env("SHOP_BUG", &bug);
        sim.process("ledger", async || {
            shop_ledger::run(shop_ledger::Config::from_env()?).await
        })
        .env("SHOP_BUG", &bug)
        .env("LEDGER_ACCOUNTS", "ann=50,ben=50,cleo=50");
        sim.process("orders", async || {
            shop_orders::run(shop_orders::Config::from_env()?).await
        })
        .env("SHOP_BUG", &bug);
        let told = Told::default();
        for customer in ["ann", "ben", "cleo"] {
            let told = told.clone();
            sim.client(customer, unmodified(move |client| buy(client, told)));
        }
        sim.late_client("auditor", unmodified(move |_| audit(told)));
    }
}

/// The orders of which a customer was told that they are confirmed.
type Told = Arc<Mutex<Vec<String>>>;

fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(2))
        .no_proxy()
        .build()
        .expect("it needs nothing")
}

async fn buy(client: Client, told: Told) {
    let http = http();
    for n in 1..=3 {
        let (key, sku) = (
            format!("{}-{n}", client.name()),
            client.draw(|draw| *draw.pick(&["tea", "mug"])),
        );
        let qty = client.draw(|draw| draw.between(1, 3));
        if !client.does(&key) {
            continue;
        }
        client.invoked(&key, &format!("{qty} {sku}"));
        let order = json!({ "key": key, "customer": client.name(), "sku": sku, "qty": qty });
        for _ in 0..20 {
            let answer = http
                .post("http://orders:8080/orders")
                .json(&order)
                .send()
                .await;
            match answer.map(|answer| answer.status()) {
                Ok(StatusCode::CREATED) => {
                    told.lock().expect("nobody panics").push(key.clone());
                    client.ok(&key, "confirmed");
                    break;
                }
                Ok(StatusCode::CONFLICT) => {
                    client.failed(&key, "refused");
                    break;
                }
                _ => sleep(Duration::from_millis(300)).await,
            }
        }
    }
}

async fn get(url: &str) -> Value {
    for _ in 0..100 {
        if let Ok(answer) = http().get(url).send().await
            && answer.status().is_success()
            && let Ok(body) = answer.json().await
        {
            return body;
        }
        sleep(Duration::from_millis(300)).await;
    }
    panic!("{url} does not answer")
}

async fn audit(told: Told) {
    let mut orders = Value::Null;
    for looks in 0.. {
        orders = get("http://orders:8080/orders").await;
        let decided = orders
            .as_array()
            .into_iter()
            .flatten()
            .all(|o| o["state"] == "confirmed" || o["state"] == "refused");
        if decided && get("http://orders:8080/outbox").await == json!([]) {
            break;
        }
        assert!(looks < 200, "never settled: {orders}");
        sleep(Duration::from_millis(300)).await;
    }
    let all: Vec<&Value> = orders.as_array().into_iter().flatten().collect();
    let confirmed: Vec<&Value> = all
        .iter()
        .copied()
        .filter(|o| o["state"] == "confirmed")
        .collect();
    for key in told.lock().expect("nobody panics").iter() {
        assert!(
            confirmed.iter().any(|o| o["key"] == **key),
            "{key} was promised, and is not confirmed"
        );
    }
    let stock = get("http://stock:8080/items").await;
    for (sku, initial) in [("tea", 20), ("mug", 5)] {
        let item = &stock[sku];
        let sold: i64 = confirmed
            .iter()
            .filter(|o| o["sku"] == sku)
            .filter_map(|o| o["qty"].as_i64())
            .sum();
        let (free, reserved) = (item["free"].as_i64(), item["reserved"].as_i64());
        assert_eq!(
            (free, reserved, item["sold"].as_i64()),
            (Some(initial - sold), Some(0), Some(sold)),
            "free, reserved and sold of {sku}"
        );
    }
    let charges = get("http://ledger:8080/charges").await;
    for customer in ["ann", "ben", "cleo"] {
        let due: i64 = confirmed
            .iter()
            .filter(|o| o["customer"] == customer)
            .filter_map(|o| o["price"].as_i64())
            .sum();
        let paid: i64 = charges
            .as_array()
            .into_iter()
            .flatten()
            .filter(|c| c["customer"] == customer && c["refunded"] == false)
            .filter_map(|c| c["amount"].as_i64())
            .sum();
        assert_eq!(paid, due, "what {customer} was charged");
        assert_eq!(
            get("http://ledger:8080/accounts").await[customer],
            50 - due,
            "what {customer} has left"
        );
    }
}

fn main() -> ExitCode {
    squall::cli::main(Catalogue {
        scenarios: vec![Box::new(Shop)],
        canary: Some(("shop", "lost-update")),
    })
}
