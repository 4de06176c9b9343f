//! What must hold in the end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;

/// By order, what customers were told of it: it is true, now and ever.
#[derive(Clone, Default)]
pub struct Told(Arc<Mutex<BTreeMap<String, &'static str>>>);

impl Told {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, &'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tell(&self, key: &str, state: &'static str) {
        let before = self.all().insert(key.to_owned(), state);
        assert_eq!(before.unwrap_or(state), state, "{key} was told both");
    }

    pub fn of(&self, key: &str) -> Option<&'static str> {
        self.all().get(key).copied()
    }
}

pub fn http() -> reqwest::Client {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(8));
    client.no_proxy().build().expect("it needs nothing")
}

/// What a service answers, once it does.
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

/// The rows of a list that have these fields.
fn having<'v>(list: &'v Value, fields: &Value) -> Vec<&'v Value> {
    let fields = fields.as_object().expect("fields and their values");
    let rows = list.as_array().into_iter().flatten();
    rows.filter(|row| fields.iter().all(|(field, value)| row[field] == *value))
        .collect()
}

fn sum(rows: &[&Value], field: &str) -> i64 {
    rows.iter().filter_map(|row| row[field].as_i64()).sum()
}

/// Waits until every order is decided and the outbox empty.
async fn settled() -> Value {
    for _ in 0..200 {
        let orders = get("http://orders:8080/orders").await;
        let confirmed = having(&orders, &json!({ "state": "confirmed" })).len();
        let refused = having(&orders, &json!({ "state": "refused" })).len();
        if orders.as_array().map(Vec::len) == Some(confirmed + refused)
            && get("http://orders:8080/outbox").await == json!([])
        {
            return orders;
        }
        sleep(Duration::from_millis(300)).await;
    }
    panic!("it never settles")
}

/// What customers were told is so, and goods and money add up.
pub async fn audit(told: Told) {
    let orders = settled().await;
    for (key, state) in told.all().iter() {
        let kept = having(&orders, &json!({ "key": key, "state": state }));
        assert_eq!(kept.len(), 1, "{key} was {state}");
    }
    let items = get("http://stock:8080/items").await;
    for (sku, initial, price) in [("tea", 9, 3), ("mug", 5, 8)] {
        let confirmed = having(&orders, &json!({ "sku": sku, "state": "confirmed" }));
        let sold = sum(&confirmed, "qty");
        assert!(sold <= initial, "{sold} {sku} of {initial} are sold");
        let left = json!({ "free": initial - sold, "reserved": 0, "sold": sold, "price": price });
        assert_eq!(items[sku], left, "{sku}");
    }
    let charges = get("http://ledger:8080/charges").await;
    let accounts = get("http://ledger:8080/accounts").await;
    for customer in ["ann", "ben", "cleo"] {
        let confirmed = having(
            &orders,
            &json!({ "customer": customer, "state": "confirmed" }),
        );
        let due = sum(&confirmed, "price");
        let paid = having(
            &charges,
            &json!({ "customer": customer, "refunded": false }),
        );
        assert_eq!(sum(&paid, "amount"), due, "what {customer} was charged");
        assert_eq!(accounts[customer], 50 - due, "what {customer} has left");
    }
}
