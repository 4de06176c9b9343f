//! What a customer does.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use shop_sql_orders::{Order, State};
use squall::Client;
use tokio::{task::JoinSet, time::sleep};

use crate::audit::{INSTANCES, Told, http};

const PAUSE: Duration = Duration::from_millis(200);
/// The third order of a customer comes within this time.
const LATER_MS: u64 = 2_000;

/// An order, as it is to be placed.
struct Wanted {
    key: String,
    lines: Value,
    /// At which instance it is placed first.
    first: usize,
    /// When it is cancelled, if it is.
    cancelled: Option<Duration>,
}

/// Places two orders at the same time, and a third some time later.
pub async fn orders(client: Client, told: Told) {
    let mut placed = JoinSet::new();
    for n in 1..=3 {
        let later = client.draw(|draw| Duration::from_millis(draw.below(LATER_MS)));
        let wanted = client.draw(|draw| {
            let line = |sku: &str, qty: u64| json!({ "sku": sku, "qty": qty });
            let (tea, mug) = (line("tea", draw.between(1, 2)), line("mug", 1));
            Wanted {
                key: format!("{}-{n}", client.name()),
                lines: match draw.below(4) {
                    0 => json!([tea]),
                    1 => json!([mug]),
                    2 => json!([tea, mug]),
                    _ => json!([mug, tea]),
                },
                first: draw.below(2) as usize,
                cancelled: draw
                    .chance(0.3)
                    .then(|| Duration::from_micros(draw.below(100_000))),
            }
        });
        if client.does(&wanted.key) {
            let placing = order(client.clone(), told.clone(), wanted);
            placed.spawn(async move {
                if n == 3 {
                    sleep(later).await;
                }
                placing.await;
            });
        }
    }
    placed.join_all().await;
}

async fn answer(request: RequestBuilder) -> Option<(StatusCode, Value)> {
    let answer = request.send().await.ok()?;
    let status = answer.status();
    Some((status, answer.json().await.ok()?))
}

/// Places an order, and again until the answer is final. Cancels it meanwhile, or not. Then looks at it.
async fn order(client: Client, told: Told, wanted: Wanted) {
    let Wanted {
        key,
        lines,
        first,
        cancelled,
    } = &wanted;
    client.invoked(key, &lines.to_string());
    let body = json!({ "customer": client.name(), "lines": lines });
    let mut cancelled = *cancelled;
    let mut known = None;
    for round in *first..first + 20 {
        let url = format!("http://{}:8080/orders", INSTANCES[round % 2]);
        let mut placing = http().post(&url).header("idempotency-key", key).json(&body);
        if cancelled.is_some() {
            placing = placing.header("prefer", "respond-async");
        }
        let Some((_, order)) = answer(placing).await else {
            sleep(PAUSE).await;
            continue;
        };
        let Ok(order) = serde_json::from_value::<Order>(order) else {
            sleep(PAUSE).await;
            continue;
        };
        let id = known.get_or_insert(order.id);
        assert_eq!(order.id, *id, "{key} has two orders");
        told.tell(&order);
        let url = format!("http://{}:8080/orders/{id}", INSTANCES[(round + 1) % 2]);
        if order.state.is_decided() {
            look(&told, &url, order.state).await;
            return client.ok(key, order.state.name());
        }
        if let Some(after) = cancelled.take() {
            sleep(after).await;
            if let Some((StatusCode::OK, order)) = answer(http().delete(&url)).await {
                let order = serde_json::from_value::<Order>(order).expect("an order");
                told.tell(&order);
            }
        } else {
            sleep(PAUSE).await;
        }
    }
    client.unknown(key, "no answer");
}

/// What is decided can be seen, and stays.
async fn look(told: &Told, url: &str, state: State) {
    if let Some((status, order)) = answer(http().get(url)).await
        && !status.is_server_error()
    {
        let order = serde_json::from_value::<Order>(order);
        let order = order.unwrap_or_else(|_| panic!("{url} was {state:?}, and is not there"));
        assert_eq!(order.state, state, "{url} was {state:?}");
        told.tell(&order);
    }
}
