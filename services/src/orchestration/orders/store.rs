//! The order service's tables.

use serde::{Deserialize, Serialize};

use super::model::{Flow, Status};
use crate::kit::{Problem, Table, format::More, idempotency::StoredAnswer, saga::SagaRecord};

pub use crate::kit::saga::{DEAD_LETTERS, DeadLetter, OPEN_LETTERS, OPEN_SAGAS, OpenSaga};

/// The database's file.
pub const FILE: &str = "order.redb";

/// Orders, by id.
pub const ORDERS: Table<OrderRow> = Table::new("orders");

/// The ids of a user's orders, by `{user}/{order id}`.
pub const ORDERS_OF_USER: Table<String> = Table::new("orders_of_user");

/// Sagas, by id.
pub const SAGAS: Table<SagaRecord<OrderData>> = crate::kit::saga::table();

/// Idempotency keys, by `{operation}/{user}/{key}`.
pub const KEYS: Table<KeyRow> = Table::new("keys");

/// The latest order of each basket that customers name, by `{user}/{basket}`.
pub const BASKETS: Table<String> = Table::new("baskets");

/// Why an order was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// A user pays for it.
    Purchase,
    /// A challenge was completed; nobody pays.
    Reward,
}

/// An order, stored and answered alike. Money in won.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRow {
    /// `ORD-XXXXXXXX`.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// What was ordered.
    pub sku: String,
    /// Units.
    pub quantity: u64,
    /// Price of one unit when the order was made.
    pub unit_price: u64,
    /// The version of the product that this price belongs to.
    pub price_version: u64,
    /// What is paid: unit price × quantity, less the discount; 0 for a reward.
    pub total: u64,
    /// Taken off the price.
    pub discount: u64,
    /// Where it is.
    pub status: Status,
    /// Why it was made.
    pub kind: Kind,
    /// The saga that made it: the owner of its reservation and its payment.
    pub saga_id: String,
    /// The saga that takes a live reward back, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_saga_id: Option<String>,
    /// The completion that is rewarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge_completion: Option<String>,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Problem>,
    /// When it was made; wall clock.
    pub created_ms: u64,
    /// What a later build says of it.
    #[serde(flatten)]
    pub more: More,
}

/// What an order's saga knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderData {
    /// What is being done.
    pub flow: Flow,
    /// The order.
    pub order_id: String,
    /// The saga that owns the reservation and the payment: this one, or the one whose order is taken back.
    pub owner: String,
    /// What is ordered.
    pub sku: String,
    /// Units.
    pub quantity: u64,
    /// What is to be paid, in won.
    pub amount: u64,
    /// What to pay with; empty where nobody pays.
    pub card: String,
    /// The idempotency key whose answer the saga's end settles.
    pub key: Option<String>,
    /// What a later build knows.
    #[serde(flatten)]
    pub more: More,
}

/// What is known of one use of an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// The [`fingerprint`](crate::kit::idempotency::fingerprint) of the request: the same key with another one is refused.
    pub fingerprint: u64,
    /// Where it is.
    pub state: KeyState,
    /// When that was recorded; wall clock.
    pub at_ms: u64,
}

/// Where the request of an idempotency key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// A saga works on it, across all restarts.
    InFlight {
        /// The saga's order.
        order_id: String,
    },
    /// It was answered for good.
    Answered {
        /// The order that came of it.
        order_id: Option<String>,
        /// The answer that every repeat gets.
        answer: StoredAnswer,
    },
    /// It was cancelled before it arrived, and will be refused.
    Cancelled,
}
