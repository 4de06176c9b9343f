//! The inventory's tables.

use serde::{Deserialize, Serialize};

use super::model::{SemanticLock, Units};
use crate::kit::{Table, reservation};

/// The database's file.
pub const FILE: &str = "inventory.redb";

/// Key: the SKU.
pub const PRODUCTS: Table<Product> = Table::new("products");

/// Key: the saga's id; a saga reserves one product once.
pub const RESERVATIONS: Table<Reservation> = Table::new("reservations");

/// One product's stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Stock keeping unit.
    pub sku: String,
    /// How many there are, and where.
    #[serde(flatten)]
    pub units: Units,
    /// Raised by every change of the row.
    pub version: u64,
    /// The saga in whose hands the product is.
    pub lock: Option<SemanticLock>,
    /// The token of the last lease under which the row was written; 0 where no leases are used.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fence: u64,
}

fn is_zero(fence: &u64) -> bool {
    *fence == 0
}

/// What a saga has set aside of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goods {
    /// Of which product; empty in a tombstone whose cancel did not name it.
    pub sku: String,
    /// Units; 0 in a tombstone.
    pub quantity: u64,
}

/// What a saga has set aside, bought or given back.
pub type Reservation = reservation::Reservation<Goods>;
