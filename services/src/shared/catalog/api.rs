//! The catalog's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::get,
};
use serde::{Deserialize, Serialize};

use super::{
    Catalog,
    store::{PRODUCTS, Product},
};
use crate::kit::{
    Code, Context, Listed, Page, Problem,
    http::Body,
    input::{plain_id, within},
};

/// Highest unit price, in won.
const PRICE_MAX: u64 = 1_000_000_000_000;
/// Longest name or category, in bytes.
const TEXT_MAX: usize = 200;

/// The body of `PUT /products/{sku}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct New {
    /// What it is called.
    pub name: String,
    /// Where it is listed.
    pub category: String,
    /// Unit price in won.
    pub price: u64,
    /// Whether it may be ordered at once.
    #[serde(default = "yes")]
    pub on_sale: bool,
}

/// The body of `PATCH /products/{sku}`: what is missing stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Unit price in won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<u64>,
    /// Whether it may be ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_sale: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Filter {
    category: Option<String>,
}

fn yes() -> bool {
    true
}

type App = State<Arc<Catalog>>;

pub(super) fn router(catalog: Arc<Catalog>) -> Router {
    Router::new()
        .route("/products", get(list))
        .route("/products/{sku}", get(show).put(put).patch(patch))
        .with_state(catalog)
}

async fn list(
    State(catalog): App,
    Query(Filter { category }): Query<Filter>,
    page: Page,
) -> Result<Listed<Product>, Problem> {
    let wanted = |product: &Product| category.as_ref().is_none_or(|c| product.category == *c);
    let found = catalog
        .store
        .read(|rows| page.read(rows, &PRODUCTS, "", wanted))?;
    Ok(found.map(|(_, product)| product))
}

async fn show(State(catalog): App, Path(sku): Path<String>) -> Result<Json<Product>, Problem> {
    catalog
        .product(&sku)?
        .map(Json)
        .ok_or_else(|| unknown(&sku))
}

async fn put(
    State(catalog): App,
    context: Context,
    Path(sku): Path<String>,
    Body(new): Body<New>,
) -> Result<Json<Product>, Problem> {
    plain_id("sku", &sku)?;
    text("name", &new.name)?;
    text("category", &new.category)?;
    within("price", new.price, 0..=PRICE_MAX)?;
    let product = Product {
        sku: sku.clone(),
        name: new.name,
        category: new.category,
        price: new.price,
        version: 0,
        on_sale: new.on_sale,
    };
    catalog
        .change(&context, &sku, move |_| Ok(product))
        .await
        .map(Json)
}

async fn patch(
    State(catalog): App,
    context: Context,
    Path(sku): Path<String>,
    Body(patch): Body<Patch>,
) -> Result<Json<Product>, Problem> {
    if let Some(name) = &patch.name {
        text("name", name)?;
    }
    if let Some(price) = patch.price {
        within("price", price, 0..=PRICE_MAX)?;
    }
    let missing = unknown(&sku);
    let edit = move |before: Option<&Product>| {
        let mut product = before.cloned().ok_or(missing)?;
        product.name = patch.name.unwrap_or(product.name);
        product.price = patch.price.unwrap_or(product.price);
        product.on_sale = patch.on_sale.unwrap_or(product.on_sale);
        Ok(product)
    };
    catalog.change(&context, &sku, edit).await.map(Json)
}

fn text(field: &str, text: &str) -> Result<(), Problem> {
    if (1..=TEXT_MAX).contains(&text.len()) {
        return Ok(());
    }
    Err(Code::InvalidRequest.because(format!("{field} must be 1 to {TEXT_MAX} bytes long")))
}

fn unknown(sku: &str) -> Problem {
    Code::NotFound.because(format!(
        "there is no product {sku}; create it with PUT /products/{sku}"
    ))
}
