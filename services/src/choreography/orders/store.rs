//! The order service's tables.

use serde::{Deserialize, Serialize};

use crate::kit::{Table, format::More};

pub use crate::purchase::orders::store::Status;

/// The database's file.
pub const FILE: &str = "choreographed.redb";

/// Orders, by id.
pub const ORDERS: Table<Order> = Table::new("choreographed_orders");

/// The ids of a user's orders, by `{user}/{order}`.
pub const ORDERS_OF_USER: Table<String> = Table::new("orders_of_user");

/// An order, stored and answered alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// `ORD-XXXXXXXX`.
    pub id: String,
    /// Who ordered.
    pub user_id: String,
    /// What, as it was offered then.
    #[serde(flatten)]
    pub product: Snapshot,
    /// Units.
    pub quantity: u64,
    /// Won in all: unit price × quantity.
    pub amount: u64,
    /// How far it is.
    pub status: Status,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it began; wall clock.
    pub created_ms: u64,
    /// When it ended; wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// What a later build says of it.
    #[serde(flatten)]
    pub more: More,
}

/// A product as the catalog offered it when the order began: what changes there later does not change the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Its id.
    pub product_id: String,
    /// Its name.
    pub name: String,
    /// Won a unit.
    pub unit_price: u64,
    /// The version of the product that had this price.
    pub price_version: u64,
}
