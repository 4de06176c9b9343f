//! The catalog's tables.

use serde::{Deserialize, Serialize};

use crate::kit::Table;

/// The database's file.
pub const FILE: &str = "catalog.redb";

/// Key: the SKU.
pub const PRODUCTS: Table<Product> = Table::new("products");

/// Key: [`version_key`]. Every version that a product ever had.
pub const VERSIONS: Table<Version> = Table::new("versions");

/// A product as it is offered now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Stock keeping unit.
    pub sku: String,
    /// What it is called.
    pub name: String,
    /// Where it is listed.
    pub category: String,
    /// Unit price in won.
    pub price: u64,
    /// 1, 2, 3 ... without holes.
    pub version: u64,
    /// Whether it may be ordered.
    pub on_sale: bool,
}

/// What a version of a product offered, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Unit price in won.
    pub price: u64,
    /// Whether it could be ordered.
    pub on_sale: bool,
    /// Wall clock of the change, milliseconds since the Unix epoch.
    pub from_ms: u64,
}

/// What is told: a product's state after a change. The body of a webhook, and of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which product.
    pub sku: String,
    /// The version that the change made.
    pub version: u64,
    /// Unit price in won.
    pub price: u64,
    /// Whether it may be ordered.
    pub on_sale: bool,
    /// What it is called.
    pub name: String,
}

/// Keys in version order.
pub fn version_key(sku: &str, version: u64) -> String {
    format!("{sku}/{version:010}")
}
