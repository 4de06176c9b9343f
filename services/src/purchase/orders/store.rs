//! The order service's tables.

use serde::{Deserialize, Serialize};

use crate::kit::{Context, Table, format::More};

/// The database's file.
pub const FILE: &str = "purchase.redb";

/// Orders, by id.
pub const ORDERS: Table<Order> = Table::new("purchases");

/// Orders that have not ended: what deadlines are kept for.
pub const OPEN: Table<Open> = Table::new("open_purchases");

/// The ids of a user's orders, by `{user}/{order}`.
pub const ORDERS_OF_USER: Table<String> = Table::new("purchases_of_user");

/// What a unit of an item costs, in won, by item.
pub const PRICES: Table<u64> = Table::new("prices");

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The others are at work.
    Pending,
    /// Bought, for good.
    Completed,
    /// Not bought, for good.
    Cancelled,
}

/// An order, stored and answered alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// `ORD-XXXXXXXX`.
    pub id: String,
    /// Who buys.
    pub user_id: String,
    /// What.
    pub item_id: String,
    /// Units.
    pub quantity: u64,
    /// Won in all, at the price of its beginning.
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

/// An order that has not ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Open {
    /// The request that began it.
    pub context: Context,
}
