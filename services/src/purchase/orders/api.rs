//! The order service's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    Orders,
    setup::Setup,
    store::{ORDERS, ORDERS_OF_USER, Order},
};
use crate::kit::{
    Code, Context, Listed, Page, Problem,
    http::{Body, IdempotencyKey},
    idempotency::StoredAnswer,
    input::{Id, QUANTITY, plain_id, within},
    json,
};

/// Longest note, in bytes.
const NOTE_MAX: usize = 32 << 10;

/// The body of `POST /orders`. Other members, a price among them, are ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Who buys.
    pub user_id: Id,
    /// What.
    pub item_id: Id,
    /// Units, 1..=1000.
    pub quantity: u64,
    /// A dedication, up to 32 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

type App = State<Arc<Orders>>;

pub(super) fn router(orders: Arc<Orders>) -> Router {
    Router::new()
        .route("/setup-test-data", post(set_up))
        .route("/orders", post(place))
        .route("/orders/{id}", get(show))
        .route("/user/{id}/orders", get(list))
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
    plain_id("itemId", &place.item_id.0)?;
    within("quantity", place.quantity, QUANTITY)?;
    let note_bytes = place.note.as_ref().map_or(0, String::len);
    within("the length of note", note_bytes as u64, 0..=NOTE_MAX as u64)?;
    orders.place(&context, key, place).await
}

async fn show(State(orders): App, Path(id): Path<String>) -> Result<Json<Order>, Problem> {
    let order = orders.member.store().read(|rows| rows.get(&ORDERS, &id))?;
    let missing = || Code::NotFound.because(format!("there is no order {id}"));
    order.map(Json).ok_or_else(missing)
}

async fn list(
    State(orders): App,
    Path(user): Path<String>,
    page: Page,
) -> Result<Listed<Order>, Problem> {
    plain_id("id", &user)?;
    let index = (&ORDERS_OF_USER, &*format!("{user}/"));
    let store = orders.member.store();
    Ok(store.read(|rows| page.through(rows, index, &ORDERS))?)
}

/// With a body, what it says; without one, something to play with.
async fn set_up(State(orders): App, context: Context, body: Bytes) -> Result<Json<Setup>, Problem> {
    let setup = match body.is_empty() {
        true => Setup::default(),
        false => json::parse(&body)
            .map_err(|error| Code::InvalidRequest.because(format!("the body: {error}")))?,
    };
    orders.set_up(&context, &setup).await?;
    Ok(Json(setup))
}
