//! What the service is asked over HTTP.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State as App},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use shop_sql_inventory::Line;
use shop_sql_kit::{Error, Result};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{Order, State, saga::Orders};

/// How long an answer is held back for an order that is under way.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `POST /orders` asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Who pays.
    pub customer: String,
    /// What is ordered: each thing once.
    pub lines: Vec<Line>,
}

pub(crate) fn router(orders: Orders) -> Router {
    Router::new()
        .route("/orders", post(place).get(list))
        .route("/orders/{id}", get(order).delete(cancel))
        .with_state(orders)
}

/// 201 if it is confirmed, 409 if it is cancelled, 202 if nobody knows yet.
fn told(order: Order) -> (StatusCode, Json<Order>) {
    let status = match order.state {
        State::Reserving | State::Charging => StatusCode::ACCEPTED,
        State::Confirmed => StatusCode::CREATED,
        State::Cancelled => StatusCode::CONFLICT,
    };
    (status, Json(order))
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

/// Takes an order. With `Prefer: respond-async` it is answered before it is decided.
async fn place(
    App(orders): App<Orders>,
    headers: HeaderMap,
    Json(place): Json<Place>,
) -> Result<(StatusCode, Json<Order>)> {
    let key = header(&headers, "idempotency-key");
    if key.is_empty() {
        let why = "an Idempotency-Key is needed";
        return Err(Error::refused(StatusCode::BAD_REQUEST, why));
    }
    let skus: BTreeSet<_> = place.lines.iter().map(|line| &line.sku).collect();
    if skus.is_empty() || skus.len() < place.lines.len() || place.lines.iter().any(|l| l.qty == 0) {
        let why = "an order needs some of each of its things, each once";
        return Err(Error::refused(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    let order = orders.place(key, &place).await?;
    // A customer who does not wait does not stop it.
    let driven = tokio::spawn(orders.drive(order.id));
    if header(&headers, "prefer").contains("respond-async") {
        return Ok(told(order));
    }
    match timeout(PATIENCE, driven).await {
        Ok(Ok(decided)) => decided.map(told),
        Ok(Err(panic)) => Err(Error::Unknown(panic.to_string())),
        Err(_) => Ok(told(order)),
    }
}

async fn order(App(orders): App<Orders>, Path(id): Path<Uuid>) -> Result<Json<Order>> {
    orders.order(id).await.map(Json)
}

async fn list(App(orders): App<Orders>) -> Result<Json<Vec<Order>>> {
    orders.list().await.map(Json)
}

async fn cancel(App(orders): App<Orders>, Path(id): Path<Uuid>) -> Result<Json<Order>> {
    orders.cancel(id).await.map(Json)
}
