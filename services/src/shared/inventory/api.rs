//! The inventory's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    Inventory,
    commands::{Reserve, unknown_product},
    store::{PRODUCTS, Product},
};
use crate::kit::{
    Context, Listed, Page, Problem,
    http::{Body, IdempotencyKey, Perhaps},
    idempotency::StoredAnswer,
    input::{QUANTITY, plain_id, within},
};

/// The body of `PUT /inventory/{sku}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Units on the shelf at first, up to a million.
    pub stock: u64,
}

/// The body of `POST /inventory/{sku}/restock`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restock {
    /// Units, 1..=1000.
    pub quantity: u64,
    /// The version that the client saw, if it minds others' changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// The body of `POST /reservations/{saga_id}/cancel`; may be missing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// What the saga had asked for, or meant to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
}

/// Most units of a new product.
const STOCK_MAX: u64 = 1_000_000;

type App = State<Arc<Inventory>>;

pub(super) fn router(inventory: Arc<Inventory>) -> Router {
    Router::new()
        .route("/reservations", post(reserve))
        .route("/reservations/{saga_id}/confirm", post(confirm))
        .route("/reservations/{saga_id}/cancel", post(cancel))
        .route("/inventory", get(list))
        .route("/inventory/{sku}", get(show).put(create))
        .route("/inventory/{sku}/restock", post(restock))
        .with_state(inventory)
}

async fn list(State(inventory): App, page: Page) -> Result<Listed<Product>, Problem> {
    Ok(inventory.store.read(|rows| page.of(rows, &PRODUCTS))?)
}

async fn show(State(inventory): App, Path(sku): Path<String>) -> Result<Json<Product>, Problem> {
    inventory
        .show(&sku)?
        .map(Json)
        .ok_or_else(|| unknown_product(&sku))
}

async fn create(
    State(inventory): App,
    Path(sku): Path<String>,
    Body(Create { stock }): Body<Create>,
) -> Result<Json<Product>, Problem> {
    plain_id("sku", &sku)?;
    within("stock", stock, 0..=STOCK_MAX)?;
    inventory.create(sku, stock).await.map(Json)
}

async fn restock(
    State(inventory): App,
    context: Context,
    key: Option<IdempotencyKey>,
    Path(sku): Path<String>,
    Body(restock): Body<Restock>,
) -> Result<StoredAnswer, Problem> {
    plain_id("sku", &sku)?;
    within("quantity", restock.quantity, QUANTITY)?;
    inventory.restock(&context, key, sku, restock).await
}

async fn reserve(
    State(inventory): App,
    context: Context,
    key: Option<IdempotencyKey>,
    Body(ask): Body<Reserve>,
) -> Result<StoredAnswer, Problem> {
    plain_id("saga_id", &ask.saga_id)?;
    plain_id("order_id", &ask.order_id)?;
    plain_id("sku", &ask.sku)?;
    within("quantity", ask.quantity, QUANTITY)?;
    inventory.reserve(&context, key, ask).await
}

async fn confirm(
    State(inventory): App,
    context: Context,
    key: Option<IdempotencyKey>,
    Path(saga_id): Path<String>,
) -> Result<StoredAnswer, Problem> {
    inventory.confirm(&context, key, saga_id).await
}

async fn cancel(
    State(inventory): App,
    context: Context,
    key: Option<IdempotencyKey>,
    Path(saga_id): Path<String>,
    Perhaps(Cancel { sku }): Perhaps<Cancel>,
) -> Result<StoredAnswer, Problem> {
    plain_id("saga_id", &saga_id)?;
    if let Some(sku) = &sku {
        plain_id("sku", sku)?;
    }
    inventory.cancel(&context, key, saga_id, sku).await
}
