//! The order service among peers that keep their books and answer as they are told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use squall_services::{
    kit::{CallError, Code, Context, Peer, PeerPolicy, Reply, format},
    orchestration::orders::{self, Config, PaymentMode},
    ports::Platform,
};
use tokio::time::sleep;

use crate::support::{
    computer::Computer,
    machine::{Network, start},
};

/// What the peers did, and what they shall do.
#[derive(Default)]
struct Books {
    /// `name op key`, in order.
    calls: Vec<String>,
    /// Refusals by step; `None` as a code: the work is done and the answer is an error.
    trouble: BTreeMap<&'static str, (usize, Option<Code>)>,
    /// What payments were asked for with.
    bills: Vec<Value>,
    /// Steps by saga that stand.
    standing: BTreeMap<String, Vec<String>>,
}

type Shared = State<Arc<Mutex<Books>>>;

fn work(books: &Shared, name: &str, saga: &str, headers: &HeaderMap) -> Response {
    let text = |name: &str| headers.get(name).map_or("-", |v| v.to_str().unwrap());
    let mut books = books.lock().unwrap();
    let key = text("idempotency-key").replace(saga, "SAGA");
    let baggage = text("baggage").replace(saga, "SAGA");
    books.calls.push(format!("{name} {baggage} {key}"));
    let trouble = books.trouble.iter_mut().find(|(step, _)| **step == name);
    let trouble = trouble.and_then(|(_, (times, code))| {
        *times = times.checked_sub(1)?;
        Some(*code)
    });
    if let Some(Some(code)) = trouble {
        return code.because("as told").into_response();
    }
    let standing = books.standing.entry(saga.to_owned()).or_default();
    match name {
        "inventory-cancel" => standing.retain(|s| !s.starts_with("inventory")),
        "payment-cancel" => standing.retain(|s| !s.starts_with("payment")),
        _ if standing.iter().any(|s| s == name) => {}
        _ => standing.push(name.to_owned()),
    }
    match trouble {
        Some(None) => Code::ServiceUnavailable.because("as told").into_response(),
        _ => (StatusCode::CREATED, Json(json!({}))).into_response(),
    }
}

async fn first(books: Shared, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let name = match body["mode"].as_str() {
        Some("two-step") => "payment-authorize",
        Some("one-step") => "payment-charge",
        _ => "inventory-reserve",
    };
    if name.starts_with("payment") {
        books.lock().unwrap().bills.push(body.clone());
    }
    work(&books, name, body["saga_id"].as_str().unwrap(), &headers)
}

fn peer_router(name: &'static str, books: &Arc<Mutex<Books>>) -> Router {
    let path = match name {
        "payment" => "/payments",
        _ => "/reservations",
    };
    let later = move |books: Shared,
                      Path((saga, action)): Path<(String, String)>,
                      headers: HeaderMap| async move {
        work(&books, &format!("{name}-{action}"), &saga, &headers)
    };
    let product = |Path(sku): Path<String>| async move {
        match sku.as_str() {
            "unknown" => Code::NotFound.because("no such product").into_response(),
            sku => Json(json!({
                "sku": sku, "name": "Tea", "category": "drinks",
                "price": if sku == "gift" { 0 } else { 1500 }, "version": 7, "on_sale": sku != "retired",
            }))
            .into_response(),
        }
    };
    Router::new()
        .route(path, post(first))
        .route(&format!("{path}/{{saga}}/{{action}}"), post(later))
        .route("/products/{sku}", get(product))
        .with_state(books.clone())
}

pub struct Town {
    pub computer: Computer,
    books: Arc<Mutex<Books>>,
    config: Config,
    client: Peer,
    context: Context,
}

/// A request for so many teas.
fn tea(quantity: u64) -> Value {
    json!({"user": "alice", "sku": "tea", "quantity": quantity, "card": "card-1"})
}

/// A status, and that of the order that was told.
fn told(reply: &Reply) -> (u16, &str) {
    (reply.status, reply.body["status"].as_str().unwrap())
}

impl Town {
    async fn new(payment: PaymentMode) -> Self {
        Town::of(Config {
            payment,
            ..Config::default()
        })
        .await
    }

    async fn two_step() -> Self {
        Town::new(PaymentMode::TwoStep).await
    }

    pub async fn of(config: Config) -> Self {
        let network = Network::default();
        let books = Arc::<Mutex<Books>>::default();
        for name in ["catalog", "inventory", "payment"] {
            network.stand_in(name, peer_router(name, &books));
        }
        let client = network.machine("client").0;
        let policy = PeerPolicy {
            attempts: 1,
            timeout: Duration::from_secs(30),
            ..PeerPolicy::internal()
        };
        let town = Town {
            computer: Computer::new(&network, "order"),
            books,
            config: Config {
                // Whether the breaker opens is not this test's subject.
                payment_calls: PeerPolicy {
                    breaker_threshold: 1.1,
                    ..PeerPolicy::payment()
                },
                ..config
            },
            client: Peer::new(&client, "order", policy),
            context: Context::fresh(&client, "alice-1-place"),
        };
        town.boot().await;
        town
    }

    pub async fn boot(&self) {
        self.boot_as(format::FIRST).await;
    }

    /// Boots the order service as this build.
    pub async fn boot_as(&self, build: u32) {
        let platform = Platform {
            build,
            ..self.computer.boot()
        };
        start(&platform, |platform| {
            orders::run(platform, self.config.clone())
        });
        sleep(Duration::from_millis(10)).await;
    }

    pub fn trouble(&self, step: &'static str, times: usize, code: Option<Code>) {
        let mut books = self.books.lock().unwrap();
        books.trouble.insert(step, (times, code));
    }

    pub async fn call(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Value,
    ) -> Result<Reply, CallError> {
        let called = self.client.call(&self.context, method, path, key, &body);
        called.await
    }

    /// A request that is answered.
    pub async fn ask(&self, method: &str, path: &str, key: Option<&str>, body: Value) -> Reply {
        self.call(method, path, key, body).await.unwrap()
    }

    pub async fn post(&self, path: &str) -> Reply {
        self.ask("POST", path, None, Value::Null).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, None, Value::Null).await
    }

    /// Places an order of two teas, where the service may be gone.
    pub async fn try_to_place(&self, key: &str) -> Result<Reply, CallError> {
        self.call("POST", "/orders", Some(key), tea(2)).await
    }

    pub async fn place(&self, key: &str) -> Reply {
        self.try_to_place(key).await.unwrap()
    }

    async fn reward(&self, key: &str) -> Reply {
        let body =
            json!({"user": "alice", "sku": "tea", "quantity": 1, "challenge_completion": "C1"});
        self.ask("POST", "/api/orders", Some(key), body).await
    }

    async fn cancel(&self, order: &Value) -> Reply {
        let path = format!("/orders/{}/status", order["id"].as_str().unwrap());
        let body = json!({"status": "CANCELLED"});
        self.ask("PATCH", &path, None, body).await
    }

    /// Alice's orders.
    pub async fn orders(&self) -> Vec<Value> {
        let orders = self.get("/orders?user=alice").await.body;
        orders.as_array().unwrap().clone()
    }

    /// A request that redrives the first dead letter.
    pub async fn redrive(&self) -> String {
        let letters = self.get("/dead-letters").await.body;
        let id = letters[0]["id"].as_str().unwrap();
        format!("/dead-letters/{id}/redrive")
    }

    async fn sagas(&self, status: &str) -> Vec<Value> {
        let sagas = self.get(&format!("/sagas?status={status}")).await.body;
        sagas.as_array().unwrap().clone()
    }

    /// The amounts and rebates that payments were asked for with.
    pub fn bills(&self) -> Vec<(u64, Option<u64>)> {
        let bills = &self.books.lock().unwrap().bills;
        let bill = |bill: &Value| (bill["amount"].as_u64().unwrap(), bill["rebate"].as_u64());
        bills.iter().map(bill).collect()
    }

    pub fn calls(&self) -> Vec<String> {
        self.books.lock().unwrap().calls.clone()
    }

    pub fn standing(&self) -> Vec<String> {
        let books = self.books.lock().unwrap();
        books.standing.values().flatten().cloned().collect()
    }
}

#[tokio::test]
async fn an_order_is_placed_at_the_catalogs_price_with_five_commits_and_one_key_per_call() {
    let town = Town::two_step().await;
    let reply = town.place("k1").await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    let order = reply.body.clone();
    assert_eq!(order["status"], "COMPLETED");
    let price = ["unit_price", "price_version", "total"].map(|name| &order[name]);
    assert_eq!(price, [1500, 7, 3000]);
    let call = |step: &str| format!("{step} op=alice-1-place/{step},saga=SAGA SAGA-{step}");
    let steps = [
        "inventory-reserve",
        "payment-authorize",
        "payment-capture",
        "inventory-confirm",
    ];
    assert_eq!(town.calls(), steps.map(call));
    assert_eq!(town.computer.commits(), 5);

    let again = town.place("k1").await;
    assert_eq!((again.status, &again.body), (201, &order));
    assert_eq!(town.calls().len(), 4);
    let other = town.ask("POST", "/orders", Some("k1"), tea(3)).await;
    assert_eq!(other.problem().code, Code::IdempotencyMismatch);

    let id = order["id"].as_str().unwrap();
    assert_eq!(town.get(&format!("/orders/{id}")).await.body, order);
    assert_eq!(town.orders().await, std::slice::from_ref(&order));
    assert_eq!(town.get("/orders?user=al").await.body, json!([]));
    let saga = order["saga_id"].as_str().unwrap();
    let saga = town.get(&format!("/sagas/{saga}")).await.body;
    assert_eq!(saga["status"], "Completed");
    assert!(town.sagas("Running").await.is_empty());
    assert_eq!(town.sagas("Completed").await, [saga]);
    assert_eq!(town.get("/sagas/SAGA-0").await.status, 404);
    let late = town.cancel(&order).await.problem();
    assert_eq!(late.code, Code::InvalidState, "it is cancelled no more");
}

#[tokio::test]
async fn what_cannot_be_ordered_is_refused_with_its_reason() {
    let town = Town::two_step().await;
    let order = |sku: &str, quantity: u64| json!({"user": "alice", "sku": sku, "quantity": quantity, "card": "c"});
    let cases = [
        (order("tea", 0), Code::InvalidRequest),
        (order("tea", 1001), Code::InvalidRequest),
        (order("tea/../x", 1), Code::InvalidRequest),
        (order("unknown", 1), Code::NotFound),
        (order("retired", 1), Code::NotForSale),
        (order("gift", 1), Code::InvalidRequest),
    ];
    for (n, (body, code)) in cases.into_iter().enumerate() {
        let key = format!("k{n}");
        let reply = town.ask("POST", "/orders", Some(&key), body).await;
        assert_eq!(reply.problem().code, code);
    }
    let reply = town.ask("POST", "/orders", None, tea(1)).await;
    assert_eq!(reply.problem().code, Code::IdempotencyKeyMissing);
    assert_eq!(town.get("/orders").await.status, 400);
    assert_eq!(town.get("/orders/ORD-0").await.status, 404);
    assert!(town.calls().is_empty());
}

#[tokio::test]
async fn a_refusal_cancels_the_order_and_gives_back_what_was_taken() {
    for (step, code) in [
        ("inventory-reserve", Code::OutOfStock),
        ("payment-authorize", Code::PaymentDeclined),
        ("payment-capture", Code::PaymentDeclined),
    ] {
        let town = Town::two_step().await;
        town.trouble(step, 1, Some(code));
        let reply = town.place("k1").await;
        assert_eq!(reply.problem().code, code, "{step}");
        assert_eq!(town.place("k1").await.problem().code, code, "it is final");
        assert!(town.standing().is_empty());
        let orders = town.orders().await;
        assert_eq!(
            (orders.len(), &orders[0]["status"]),
            (1, &json!("CANCELLED"))
        );
    }
}

#[tokio::test]
async fn a_basket_is_ordered_once_whatever_the_keys_and_again_once_its_order_came_to_nothing() {
    let town = Town::two_step().await;
    let place = async |key: &str, quantity| {
        let mut basket = tea(quantity);
        basket["basket"] = json!("b1");
        town.ask("POST", "/orders", Some(key), basket).await
    };
    town.trouble("payment-authorize", 1, Some(Code::PaymentDeclined));
    let declined = place("phone-1", 1).await;
    assert_eq!(declined.problem().code, Code::PaymentDeclined);
    let first = place("phone-2", 1).await;
    let again = place("tablet-1", 1).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    let other = place("tablet-2", 2).await;
    assert_eq!(other.problem().code, Code::IdempotencyMismatch);
    assert_eq!(town.orders().await.len(), 2);
}

#[tokio::test]
async fn a_transient_refusal_frees_the_key() {
    let town = Town::two_step().await;
    town.trouble("inventory-reserve", 100, Some(Code::SagaInProgress));
    let reply = town.place("k1").await;
    assert_eq!(told(&reply), (202, "PENDING"));
    // A peer takes the refusal of a repeat in flight for what it is: an outcome that is not known yet.
    let repeat = town.try_to_place("k1").await;
    let unknown = matches!(repeat, Err(CallError::Unknown { .. }));
    assert!(unknown, "{repeat:?}");
    sleep(Duration::from_secs(6)).await;
    town.trouble("inventory-reserve", 0, None);
    assert_eq!(town.place("k1").await.status, 201);
    let orders = town.orders().await;
    let mut states: Vec<&str> = orders.iter().flat_map(|o| o["status"].as_str()).collect();
    states.sort_unstable();
    assert_eq!(states, ["CANCELLED", "COMPLETED"]);
}

#[tokio::test]
async fn one_step_payment_is_given_back_by_a_user_cancel_before_the_order_is_confirmed() {
    let town = Town::new(PaymentMode::OneStep).await;
    assert_eq!(town.place("k1").await.body["status"], "COMPLETED");
    town.trouble("payment-charge", 1000, None);
    let reply = town.place("k2").await;
    assert_eq!(reply.status, 202);
    let cancelled = town.cancel(&reply.body).await;
    assert_eq!(told(&cancelled), (200, "CANCELLED"));
    assert_eq!(town.cancel(&reply.body).await.status, 200);
    assert_eq!(town.place("k2").await.problem().code, Code::InvalidState);
    assert_eq!(town.standing().len(), 3, "of the first order only");
}

#[tokio::test]
async fn a_crash_at_any_instant_leaves_one_whole_order_per_key() {
    let town = Town::two_step().await;
    town.trouble("payment-capture", 2, None);
    for n in 0..8 {
        let key = format!("k{n}");
        let placing = town.try_to_place(&key);
        let _ = tokio::time::timeout(Duration::from_millis(1 + n * 40), placing).await;
        town.computer.crash();
        sleep(Duration::from_millis(20)).await;
        town.boot().await;
        sleep(Duration::from_secs(5)).await;
        let reply = town.place(&key).await;
        assert_eq!(reply.status, 201, "{key}: {}", reply.body);
    }
    assert_eq!(town.orders().await.len(), 8);
    let books = town.books.lock().unwrap();
    assert!(books.standing.values().all(|steps| steps.len() == 4));
    assert_eq!(books.standing.len(), 8);
}

#[tokio::test]
async fn a_reward_is_live_until_it_is_taken_back_with_its_stock() {
    let town = Town::two_step().await;
    let reply = town.reward("r1").await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(reply.body["status"], "CONFIRMED");
    assert_eq!(reply.body["total"], 0);
    assert_eq!(town.standing(), ["inventory-reserve", "inventory-confirm"]);
    town.trouble("inventory-cancel", 4, None);
    let cancelled = town.cancel(&reply.body).await;
    assert_eq!(told(&cancelled), (200, "CANCELLED"));
    assert!(town.standing().is_empty());
    assert_eq!(town.cancel(&reply.body).await.status, 200);
}

#[tokio::test]
async fn a_reward_cancelled_by_a_key_that_was_never_seen_is_refused_when_it_arrives() {
    let town = Town::two_step().await;
    let cancel = |key: &str| json!({"user": "alice", "key": key});
    let path = "/api/orders/cancel";
    let reply = town.ask("POST", path, None, cancel("r1")).await;
    assert_eq!(told(&reply), (200, "CANCELLED"));
    assert_eq!(town.reward("r1").await.problem().code, Code::InvalidState);
    for key in [String::new(), "a b".to_owned(), "k".repeat(201)] {
        let reply = town.ask("POST", path, None, cancel(&key)).await;
        assert_eq!(reply.problem().code, Code::InvalidRequest, "{key}");
    }
    assert!(town.calls().is_empty());

    town.trouble("inventory-reserve", 1000, Some(Code::SagaInProgress));
    assert_eq!(town.reward("r2").await.status, 202);
    let reply = town.ask("POST", path, None, cancel("r2")).await;
    assert_eq!(told(&reply), (200, "CANCELLED"));
    town.trouble("inventory-reserve", 0, None);
    assert_eq!(town.reward("r2").await.problem().code, Code::InvalidState);
    assert!(town.standing().is_empty());
}

#[tokio::test]
async fn an_order_that_cannot_be_undone_is_told_as_it_is_and_ends_when_redriven() {
    let town = Town::two_step().await;
    town.trouble("payment-capture", 1, Some(Code::PaymentDeclined));
    town.trouble("payment-cancel", 1000, Some(Code::ServiceUnavailable));
    let reply = town.place("k1").await;
    assert_eq!(told(&reply), (202, "CANCELLING"));
    sleep(Duration::from_secs(300)).await;
    assert_eq!(town.sagas("NeedsAttention").await.len(), 1);
    town.trouble("payment-cancel", 0, None);
    assert_eq!(town.post(&town.redrive().await).await.status, 202);
    sleep(Duration::from_secs(1)).await;
    assert!(town.sagas("NeedsAttention").await.is_empty());
    assert_eq!(town.sagas("Compensated").await.len(), 1);
    assert_eq!(town.place("k1").await.problem().code, Code::PaymentDeclined);
    assert!(town.standing().is_empty());
}

/// The ids in a listing, page after page of one row, along the links.
async fn listed_one_by_one(town: &Town, path: &str) -> Vec<String> {
    let (base, _) = path.split_once('?').unwrap();
    let (mut ids, mut place) = (Vec::new(), Some(format!("{path}&limit=1")));
    while let Some(path) = place {
        let page = town.get(&path).await;
        let rows = page.body.as_array().unwrap().iter();
        let before = ids.len();
        ids.extend(rows.map(|row| row["id"].as_str().unwrap().to_owned()));
        assert_eq!(ids.len(), before + 1, "{path}");
        place = page.next.map(|next| format!("{base}{next}"));
    }
    ids
}

#[tokio::test]
async fn sagas_of_every_status_are_listed_to_the_last_page() {
    let town = Town::two_step().await;
    let place = async |keys: &[&str]| {
        let mut sagas = Vec::new();
        for key in keys {
            let order = town.place(key).await.body;
            sagas.push(order["saga_id"].as_str().unwrap().to_owned());
        }
        sagas
    };
    let completed = place(&["k1", "k2", "k3"]).await;
    town.trouble("payment-capture", 4, Some(Code::PaymentDeclined));
    town.trouble("payment-cancel", 1000, Some(Code::ServiceUnavailable));
    let stuck = place(&["k4", "k5"]).await;
    sleep(Duration::from_secs(300)).await;
    let under_way = place(&["k6", "k7"]).await;
    let all: Vec<String> = [&*completed, &*stuck, &*under_way].concat();
    for (asked, mut expected) in [
        ("status=Completed", completed),
        ("status=NeedsAttention", stuck),
        ("status=Compensating", under_way),
        ("colour=red", all),
    ] {
        expected.sort();
        let listed = listed_one_by_one(&town, &format!("/sagas?{asked}")).await;
        assert_eq!(listed, expected, "{asked}");
    }
}
