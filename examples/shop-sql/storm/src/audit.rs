//! What must hold in the end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shop_sql_kit::audit::{ALWAYS, AT_REST, offences};
use shop_sql_orders::{Order, State};
use sqlx::{Connection, PgConnection};
use tokio::time::{sleep, timeout};

/// By order, what customers were told of it: it is true, now and ever.
#[derive(Clone, Default)]
pub struct Told(Arc<Mutex<BTreeMap<String, State>>>);

impl Told {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a customer hears of an order.
    pub fn tell(&self, order: &Order) {
        let before = self.of(order);
        assert!(
            before.is_none_or(|before| before == order.state),
            "{} was {before:?}, and is {:?}",
            order.id,
            order.state
        );
        if order.state.is_decided() {
            self.all().insert(order.id.to_string(), order.state);
        }
    }

    fn of(&self, order: &Order) -> Option<State> {
        self.all().get(&order.id.to_string()).copied()
    }
}

pub fn http() -> reqwest::Client {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(8));
    client.no_proxy().build().expect("it needs nothing")
}

/// What is wrong at this moment.
async fn wrong(told: &Told) -> sqlx::Result<Vec<String>> {
    let mut database = PgConnection::connect("postgres://app@db/shop").await?;
    let mut wrong = offences(&mut database, ALWAYS).await?;
    wrong.extend(offences(&mut database, AT_REST).await?);
    let told = told.all().clone();
    for (id, state) in told {
        let now: Option<(String,)> =
            sqlx::query_as("SELECT state FROM orders.orders WHERE id::text = $1")
                .bind(&id)
                .fetch_optional(&mut database)
                .await?;
        if now.as_ref().is_none_or(|(now,)| now != state.name()) {
            wrong.push(format!("{id} was told to be {state:?}, and is {now:?}"));
        }
    }
    Ok(wrong)
}

/// Waits until the shop is at rest; then what customers were told is so, and goods and money add up.
pub async fn audit(told: Told) {
    let mut found = vec!["the database does not answer".to_owned()];
    for _ in 0..100 {
        if let Ok(Ok(wrong)) = timeout(Duration::from_secs(5), wrong(&told)).await {
            found = wrong;
        }
        if found.is_empty() {
            return;
        }
        sleep(Duration::from_millis(400)).await;
    }
    panic!("{}", found.join("; "));
}
