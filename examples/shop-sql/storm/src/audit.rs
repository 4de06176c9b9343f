//! What must hold in the end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shop_sql_orders::{Order, State};
use tokio::time::sleep;
use uuid::Uuid;

/// The instances of the order service.
pub const INSTANCES: [&str; 2] = ["orders-1", "orders-2"];

/// By order, what customers were told of it: it is true, now and ever.
#[derive(Clone, Default)]
pub struct Told(Arc<Mutex<BTreeMap<Uuid, State>>>);

impl Told {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Uuid, State>> {
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
            self.all().insert(order.id, order.state);
        }
    }

    /// How many orders were carried out, and how many were undone.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let all = self.all();
        let of = |wanted: State| all.values().filter(|state| **state == wanted).count() as u64;
        vec![
            ("completed", of(State::Confirmed)),
            ("compensated", of(State::Cancelled)),
        ]
    }

    fn of(&self, order: &Order) -> Option<State> {
        self.all().get(&order.id).copied()
    }
}

pub fn http() -> reqwest::Client {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(8));
    client.no_proxy().build().expect("it needs nothing")
}

/// What customers were told is so.
pub async fn audit(told: Told) {
    let mut found = "no answer".to_owned();
    for round in 0..100 {
        let url = format!("http://{}:8080/orders", INSTANCES[round % 2]);
        if let Ok(answer) = http().get(url).send().await
            && let Ok(orders) = answer.json::<Vec<Order>>().await
        {
            let now: BTreeMap<_, _> = orders.iter().map(|it| (it.id, it.state)).collect();
            let told = told.all();
            let other = told.iter().find(|(id, state)| now.get(id) != Some(state));
            let Some((id, state)) = other else { return };
            found = format!("{id} was {state:?}, and is {:?}", now.get(id));
        }
        sleep(Duration::from_millis(300)).await;
    }
    panic!("{found}");
}
