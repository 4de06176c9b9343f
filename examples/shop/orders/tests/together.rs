//! The three services on real sockets and files.

use std::{collections::BTreeMap, net, path::Path, time::Duration};

use anyhow::Result;
use reqwest::{Client, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shop_kit::{Bug, Bugs};
use shop_ledger::Entry;
use shop_orders::{Order, State};
use shop_stock::Item;
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime, task::spawn_blocking, time::sleep};

/// A service on a runtime of its own.
struct Service {
    listener: net::TcpListener,
    runtime: Option<Runtime>,
}

impl Service {
    /// One that does not accept yet.
    fn new() -> Service {
        let listener = net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
        listener.set_nonblocking(true).expect("it is a socket");
        let runtime = None;
        Service { listener, runtime }
    }

    fn url(&self) -> String {
        let address = self.listener.local_addr().expect("it is bound");
        format!("http://{address}")
    }

    fn start<F: Future<Output = Result<()>> + Send>(
        &mut self,
        serve: impl FnOnce(TcpListener) -> F + Send + 'static,
    ) {
        let runtime = Runtime::new().expect("there are threads");
        let listener = self.listener.try_clone().expect("there are descriptors");
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("it is a socket");
            serve(listener).await.expect("it serves");
        });
        self.runtime = Some(runtime);
    }

    /// Ends it wherever it is.
    async fn crash(&mut self) {
        let runtime = self.runtime.take();
        spawn_blocking(|| drop(runtime)).await.expect("it ends");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Shop {
    data: TempDir,
    stock: Service,
    ledger: Service,
    orders: Service,
    client: Client,
}

impl Shop {
    /// One in which only the stock service and the order service run.
    fn new(bugs: Bugs) -> Shop {
        let mut shop = Shop {
            data: TempDir::new().expect("there is space"),
            stock: Service::new(),
            ledger: Service::new(),
            orders: Service::new(),
            client: Client::new(),
        };
        let config = shop_stock::Config {
            port: 0,
            data: shop.file("stock.redb"),
            items: "tea=20@3,mug=5@8".parse().expect("it is well written"),
            bugs,
        };
        shop.stock
            .start(|listener| shop_stock::serve(listener, config));
        shop.start_orders();
        shop
    }

    fn file(&self, name: impl AsRef<Path>) -> std::path::PathBuf {
        self.data.path().join(name)
    }

    fn start_ledger(&mut self, bugs: Bugs) {
        let config = shop_ledger::Config {
            port: 0,
            data: self.file("ledger.sqlite"),
            journal: "delete".to_owned(),
            accounts: "ann=100,ben=100".parse().expect("it is well written"),
            bugs,
        };
        self.ledger
            .start(|listener| shop_ledger::serve(listener, config));
    }

    fn start_orders(&mut self) {
        let config = shop_orders::Config {
            port: 0,
            data: self.file("orders.redb"),
            stock: self.stock.url(),
            ledger: self.ledger.url(),
            patience: Duration::from_secs(5),
            tries: 20,
            bugs: Bugs::default(),
        };
        self.orders
            .start(|listener| shop_orders::serve(listener, config));
    }

    async fn get<T: DeserializeOwned>(&self, of: &Service, path: &str) -> T {
        let answer = self.client.get(of.url() + path).send().await;
        answer
            .expect("it answers")
            .json()
            .await
            .expect("it is JSON")
    }

    async fn post(&self, to: &Service, path: &str, body: &Value) -> StatusCode {
        let request = self.client.post(to.url() + path).json(body);
        request.send().await.expect("it answers").status()
    }

    /// What must hold once nothing is under way.
    async fn holds(&self) {
        while !self
            .get::<Vec<String>>(&self.orders, "/outbox")
            .await
            .is_empty()
        {
            sleep(Duration::from_millis(10)).await;
        }
        let orders: Vec<Order> = self.get(&self.orders, "/orders").await;
        let items: BTreeMap<String, Item> = self.get(&self.stock, "/items").await;
        let accounts: BTreeMap<String, i64> = self.get(&self.ledger, "/accounts").await;
        let charges: Vec<Entry> = self.get(&self.ledger, "/charges").await;
        let confirmed = || {
            orders.iter().filter_map(|order| match order.state {
                State::Confirmed { price } => Some((&order.place, price)),
                _ => None,
            })
        };
        for (sku, first) in [("tea", 20), ("mug", 5)] {
            let sold = confirmed().filter(|(order, _)| order.sku == sku);
            let sold: i64 = sold.map(|(order, _)| i64::from(order.qty)).sum();
            let item = items[sku];
            assert_eq!(
                (item.free, item.reserved, item.sold),
                (first - sold, 0, sold),
                "{sku}"
            );
            assert!(item.free >= 0, "{sku}");
        }
        for (name, balance) in accounts {
            let paid = confirmed().filter(|(order, _)| order.customer == name);
            let paid: i64 = paid.map(|(_, price)| price).sum();
            assert_eq!(balance, 100 - paid, "{name}");
        }
        for (order, price) in confirmed() {
            let charged = charges.iter().filter(|charge| charge.key == order.key);
            let charged: Vec<_> = charged
                .map(|charge| (charge.amount, charge.refunded))
                .collect();
            assert_eq!(charged, [(price, false)], "{}", order.key);
        }
    }
}

fn order(key: &str, customer: &str, sku: &str, qty: u32) -> Value {
    json!({ "key": key, "customer": customer, "sku": sku, "qty": qty })
}

#[tokio::test]
async fn what_there_is_goes_to_as_many_as_it_lasts_for() {
    let mut shop = Shop::new(Bugs::default());
    shop.start_ledger(Bugs::default());
    let keys: Vec<_> = (0..30).map(|key| format!("order-{key}")).collect();
    let orders = keys.iter().enumerate().map(|(n, key)| {
        let customer = if n % 2 == 0 { "ann" } else { "ben" };
        let url = shop.orders.url() + "/orders";
        let request = shop.client.post(url).json(&order(key, customer, "tea", 1));
        tokio::spawn(async { request.send().await.expect("it answers").status() })
    });
    let mut confirmed = 0;
    for order in orders.collect::<Vec<_>>() {
        confirmed += usize::from(order.await.expect("it ends") == StatusCode::CREATED);
    }
    assert_eq!(confirmed, 20);
    shop.holds().await;
}

#[tokio::test]
async fn an_order_survives_a_crash() {
    let mut shop = Shop::new(Bugs::default());
    let url = shop.orders.url();
    let request = shop
        .client
        .post(url.clone() + "/orders")
        .json(&order("ann-1", "ann", "tea", 2));
    let unheard = tokio::spawn(request.send());
    let state = async |shop: &Shop| {
        let order: Value = shop.get(&shop.orders, "/orders/ann-1").await;
        order["state"].as_str().map(str::to_owned)
    };
    while state(&shop).await.as_deref() != Some("charging") {
        sleep(Duration::from_millis(10)).await;
    }
    shop.orders.crash().await;
    // Nobody answers, or the server says that nobody will.
    if let Ok(answer) = unheard.await.expect("it ends") {
        assert!(answer.status().is_server_error(), "{answer:?}");
    }
    shop.start_orders();
    shop.start_ledger(Bugs::default());
    let again = shop
        .post(&shop.orders, "/orders", &order("ann-1", "ann", "tea", 2))
        .await;
    assert_eq!(again, StatusCode::CREATED);
    shop.holds().await;
}

#[tokio::test]
async fn what_is_cancelled_costs_nothing() {
    let mut shop = Shop::new(Bugs::default());
    let url = shop.orders.url() + "/orders";
    let request = shop
        .client
        .post(&url)
        .json(&order("ann-1", "ann", "tea", 2));
    let placed = tokio::spawn(request.send());
    let cancelled = loop {
        let answer = shop.client.delete(format!("{url}/ann-1")).send().await;
        let status = answer.expect("it answers").status();
        if status != StatusCode::NOT_FOUND {
            break status;
        }
    };
    assert_eq!(cancelled, StatusCode::OK);
    let placed = placed.await.expect("it ends").expect("it answers");
    assert_eq!(placed.status(), StatusCode::CONFLICT);
    shop.start_ledger(Bugs::default());
    shop.holds().await;
}

#[tokio::test]
async fn what_comes_again_counts_once_unless_the_bug_is_there() {
    for (bugs, times) in [(Bugs::default(), 1), (Bug::NoIdempotency.into(), 2)] {
        let mut shop = Shop::new(bugs.clone());
        shop.start_ledger(bugs);
        for _ in 0..2 {
            let reserve = json!({ "key": "k", "sku": "tea", "qty": 2 });
            let reserved = shop.post(&shop.stock, "/reservations", &reserve).await;
            assert_eq!(reserved, StatusCode::OK);
            let charge = json!({ "key": "k", "customer": "ann", "amount": 6 });
            let charged = shop.post(&shop.ledger, "/charges", &charge).await;
            assert_eq!(charged, StatusCode::NO_CONTENT);
        }
        let tea: Item = shop.get(&shop.stock, "/items/tea").await;
        assert_eq!(tea.reserved, 2 * times);
        let charges: Vec<Entry> = shop.get(&shop.ledger, "/charges").await;
        assert_eq!(charges.len() as i64, times);
    }
}

#[tokio::test]
async fn what_comes_after_its_end_is_refused() {
    let mut shop = Shop::new(Bugs::default());
    shop.start_ledger(Bugs::default());
    let delete = async |of: &Service, path: &str| {
        let answer = shop.client.delete(of.url() + path).send().await;
        assert_eq!(answer.expect("it answers").status(), StatusCode::NO_CONTENT);
    };
    delete(&shop.stock, "/reservations/k").await;
    delete(&shop.ledger, "/charges/k").await;
    let reserve = json!({ "key": "k", "sku": "tea", "qty": 2 });
    let reserved = shop.post(&shop.stock, "/reservations", &reserve).await;
    assert_eq!(reserved, StatusCode::GONE);
    let charge = json!({ "key": "k", "customer": "ann", "amount": 6 });
    let charged = shop.post(&shop.ledger, "/charges", &charge).await;
    assert_eq!(charged, StatusCode::GONE);
}
