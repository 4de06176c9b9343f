//! The inventory's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    Inventory, Key,
    desk::{Reserve, unknown_product},
    store::{PRODUCTS, Product},
};
use crate::kit::{
    Code, Problem,
    http::{Body, IdempotencyKey},
    input::{QUANTITY, plain_id, within},
};

/// The body of `PUT /inventory/{sku}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Units on the shelf at first, up to [`STOCK_MAX`].
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
