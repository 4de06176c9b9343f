//! A few products to play with.

use serde_json::json;

use crate::{
    kit::{Context, Peer, PeerPolicy, Problem},
    ports::Platform,
};

/// Sku, name, category, price in won, units.
const PRODUCTS: [(&str, &str, &str, u64, u64); 4] = [
    ("1", "Fountain pen", "stationery", 35_000, 100),
    ("2", "Notebook", "stationery", 12_000, 100),
    ("3", "Desk lamp", "furniture", 89_000, 20),
    ("4", "Last of its kind", "curiosities", 3_500_000, 1),
];

/// Fills the catalog and the inventory, each if it is empty.
pub(super) async fn fill(platform: &Platform) -> Result<(), Problem> {
    let context = Context::fresh(platform, "demo");
    let catalog = Peer::new(platform, "catalog", PeerPolicy::internal());
    let inventory = Peer::new(platform, "inventory", PeerPolicy::internal());
    let (no_products, no_stock) = (
        is_empty(&context, &catalog, "/products").await?,
        is_empty(&context, &inventory, "/inventory").await?,
    );
    for (sku, name, category, price, stock) in PRODUCTS {
        if no_products {
            let product = json!({"name": name, "category": category, "price": price});
            put(&context, &catalog, &format!("/products/{sku}"), product).await?;
        }
        if no_stock {
            let product = json!({"stock": stock});
            put(&context, &inventory, &format!("/inventory/{sku}"), product).await?;
        }
    }
    Ok(())
}

async fn is_empty(context: &Context, peer: &Peer, path: &str) -> Result<bool, Problem> {
    let rows: Vec<serde_json::Value> = peer.call(context, "GET", path, None, &()).await?.ok()?;
    Ok(rows.is_empty())
}

async fn put(
    context: &Context,
    peer: &Peer,
    path: &str,
    body: serde_json::Value,
) -> Result<(), Problem> {
    let reply = peer.call(context, "PUT", path, None, &body).await?;
    reply.ok::<serde_json::Value>().map(drop)
}
