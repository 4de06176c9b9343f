//! The order service's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    Orders,
    store::{ORDERS, ORDERS_OF_USER, Order},
};
use crate::kit::{
    Code, Context, Listed, Page, Problem,
    http::{Body, IdempotencyKey},
    idempotency::StoredAnswer,
    input::{Id, QUANTITY, plain_id, within},
};

/// The body of `POST /orders`. Other members are ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Who orders.
    pub user_id: Id,
    /// What.
    pub product_id: Id,
    /// Units, 1..=1000.
    pub quantity: u64,
    /// Whatever the client takes for the price: it is not heeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<u64>,
}

type App = State<Arc<Orders>>;

pub(super) fn router(orders: Arc<Orders>) -> Router {
    Router::new()
        .route("/orders", post(place).get(list))
        .route("/orders/{id}", get(show))
        .with_state(orders)
}

/// 202 with the order; how it ends is read with `GET /orders/{id}`.
async fn place(
    State(orders): App,
    context: Context,
    key: Option<IdempotencyKey>,
    Body(place): Body<Place>,
) -> Result<StoredAnswer, Problem> {
    plain_id("userId", &place.user_id.0)?;
    plain_id("productId", &place.product_id.0)?;
    within("quantity", place.quantity, QUANTITY)?;
    orders.place(&context, key, place).await
}

async fn show(State(orders): App, Path(id): Path<String>) -> Result<Json<Order>, Problem> {
    let order = orders.member.store().read(|rows| rows.get(&ORDERS, &id))?;
    let missing = || Code::NotFound.because(format!("there is no order {id}"));
    order.map(Json).ok_or_else(missing)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfUser {
    user_id: String,
}

async fn list(
    State(orders): App,
    Query(OfUser { user_id }): Query<OfUser>,
    page: Page,
) -> Result<Listed<Order>, Problem> {
    plain_id("userId", &user_id)?;
    let index = (&ORDERS_OF_USER, &*format!("{user_id}/"));
    let store = orders.member.store();
    Ok(store.read(|rows| page.through(rows, index, &ORDERS))?)
}
