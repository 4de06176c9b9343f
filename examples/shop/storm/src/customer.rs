//! What a customer does.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use squall::Client;
use tokio::{task::JoinSet, time::sleep};

use crate::audit::{Told, http};

const PAUSE: Duration = Duration::from_millis(200);

/// An order, as it is to be placed.
struct Order {
    key: String,
    sku: &'static str,
    qty: u64,
    /// When it is cancelled, if it is.
    cancelled: Option<Duration>,
}

/// Places three orders at the same time.
pub async fn orders(client: Client, told: Told) {
    let mut placed = JoinSet::new();
    for n in 1..=3 {
        let order = client.draw(|draw| Order {
            key: format!("{}-{n}", client.name()),
            sku: draw.pick::<&str>(&["tea", "mug"]),
            qty: draw.between(1, 3),
            cancelled: draw
                .chance(0.3)
                .then(|| Duration::from_micros(draw.below(60_000))),
        });
        if client.does(&order.key) {
            placed.spawn(place(client.clone(), told.clone(), order));
        }
    }
    placed.join_all().await;
}

/// Places an order, and again until the answer is final. Cancels it meanwhile, or not.
async fn place(client: Client, told: Told, order: Order) {
    let Order { key, sku, qty, .. } = &order;
    client.invoked(key, &format!("{qty} {sku}"));
    let body = json!({ "key": key, "customer": client.name(), "sku": sku, "qty": qty });
    let placing = async {
        for _ in 0..20 {
            let asked = http().post("http://orders:8080/orders").json(&body);
            match asked.send().await.map(|answer| answer.status()) {
                Ok(StatusCode::CREATED) => return told.tell(key, "confirmed"),
                Ok(StatusCode::CONFLICT) => return told.tell(key, "refused"),
                _ => sleep(PAUSE).await,
            }
        }
    };
    let cancelling = async {
        let Some(after) = order.cancelled else { return };
        sleep(after).await;
        let asked = http().delete(format!("http://orders:8080/orders/{key}"));
        if asked
            .send()
            .await
            .is_ok_and(|answer| answer.status() == StatusCode::OK)
        {
            told.tell(key, "refused");
        }
    };
    tokio::join!(placing, cancelling);
    match told.of(key) {
        Some(answer) => client.ok(key, answer),
        None => client.unknown(key, "no answer"),
    }
}
