//! What the service is asked over HTTP.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use shop_kit::Refusal;
use tokio::time::timeout;

use crate::saga::{self, Order, Orders};

/// How long an answer is held back for an order that is under way.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `POST /orders` asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The idempotency key, by which the order goes from then on.
    pub key: String,
    /// Who pays.
    pub customer: String,
    /// Of what.
    pub sku: String,
    /// How many.
    pub qty: u32,
}

pub(crate) fn router(orders: Arc<Orders>) -> Router {
    Router::new()
        .route("/orders", post(place).get(list))
        .route("/orders/{key}", get(order).delete(cancel))
        .route("/outbox", get(outbox))
        .with_state(orders)
}

/// 201 if it is confirmed, 409 if it is refused, 202 if nobody knows yet.
fn told(order: Order) -> (StatusCode, Json<Order>) {
    let status = match order.state {
        saga::State::Reserving | saga::State::Charging { .. } => StatusCode::ACCEPTED,
        saga::State::Confirmed { .. } => StatusCode::CREATED,
        saga::State::Refused { .. } => StatusCode::CONFLICT,
    };
    (status, Json(order))
}

async fn place(
    State(orders): State<Arc<Orders>>,
    Json(place): Json<Place>,
) -> Result<(StatusCode, Json<Order>), Refusal> {
    let order = orders.place(place).await?;
    match timeout(PATIENCE, orders.decided(&order.place.key)).await {
        Ok(decided) => decided.map(told),
        Err(_) => Ok(told(order)),
    }
}

async fn order(
    State(orders): State<Arc<Orders>>,
    Path(key): Path<String>,
) -> Result<Json<Order>, Refusal> {
    orders.order(&key).await.map(Json)
}

async fn list(State(orders): State<Arc<Orders>>) -> Result<Json<Vec<Order>>, Refusal> {
    Ok(Json(orders.all().await?))
}

async fn cancel(
    State(orders): State<Arc<Orders>>,
    Path(key): Path<String>,
) -> Result<Json<Order>, Refusal> {
    orders.cancel(&key).await.map(Json)
}

async fn outbox(State(orders): State<Arc<Orders>>) -> Result<Json<Vec<String>>, Refusal> {
    let rows = orders.outbox().await?;
    Ok(Json(rows.into_iter().map(|(row, _)| row).collect()))
}
