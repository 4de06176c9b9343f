//! The checkout service's tables.

use serde::{Deserialize, Serialize};

use super::model::{Course, order_status};
use crate::{
    kit::{
        Problem, Table,
        format::More,
        idempotency::StoredAnswer,
        saga::{
            SagaRecord,
            facts::{self, FactRow},
        },
    },
    orchestration::orders::model::Status,
};

pub use crate::kit::{
    outbox::OUTBOX,
    saga::{DEAD_LETTERS, DeadLetter, OPEN_SAGAS, OpenSaga},
};

/// The database's file.
pub const FILE: &str = "checkout.redb";

/// Orders, by id: projected from their sagas.
pub const ORDERS: Table<OrderRow> = Table::new("orders");

/// The ids of a user's orders, by `{user}/{order id}`.
pub const ORDERS_OF_USER: Table<String> = Table::new("orders_of_user");

/// Sagas, by id.
pub const SAGAS: Table<SagaRecord<CheckoutData>> = crate::kit::saga::table();

/// The event store, by `{saga id}/{number}`; empty where sagas are kept as rows.
pub const FACTS: Table<FactRow<CheckoutData>> = facts::table();

/// Idempotency keys, by `{user}/{key}`.
pub const KEYS: Table<KeyRow> = Table::new("keys");

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
    /// What the coupon takes off.
    pub discount: u64,
    /// What is paid: unit price × quantity − discount.
    pub total: u64,
    /// The coupon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// Where it is.
    pub status: Status,
    /// The saga that makes it: the owner of everything that is reserved for it.
    pub saga_id: String,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Problem>,
    /// When it was made; wall clock.
    pub created_ms: u64,
    /// What a later build says of it.
    #[serde(flatten)]
    pub more: More,
}

impl OrderRow {
    /// The order of a saga: a function of the saga and of nothing else, so that it can be made anew at any time.
    pub fn of(saga: &SagaRecord<CheckoutData>) -> Self {
        let data = &saga.data;
        OrderRow {
            id: data.order_id.clone(),
            user: data.user.clone(),
            sku: data.sku.clone(),
            quantity: data.quantity,
            unit_price: data.unit_price,
            price_version: data.price_version,
            discount: data.discount,
            total: data.total,
            coupon: data.coupon.clone(),
            status: order_status(saga),
            saga_id: saga.id.clone(),
            refusal: saga.refusal.clone(),
            created_ms: saga.created_ms,
            more: data.more.clone(),
        }
    }
}

/// What a checkout's saga knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckoutData {
    /// Its steps.
    pub course: Course,
    /// The order.
    pub order_id: String,
    /// Who buys.
    pub user: String,
    /// What.
    pub sku: String,
    /// Units.
    pub quantity: u64,
    /// Price of one unit.
    pub unit_price: u64,
    /// The version of the product that this price belongs to.
    pub price_version: u64,
    /// The coupon.
    pub coupon: Option<String>,
    /// What it takes off.
    pub discount: u64,
    /// What is to be paid.
    pub total: u64,
    /// The row of the client's idempotency key.
    pub key: String,
    /// The half of a parallel step that was refused for good, so that there is nothing to undo of it.
    pub refused: Option<Half>,
    /// What a later build knows.
    #[serde(flatten)]
    pub more: More,
}

/// One of the two calls of a parallel step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Half {
    /// The units.
    Stock,
    /// The money.
    Balance,
}

/// What is known of one use of an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// The [`fingerprint`](crate::kit::idempotency::fingerprint) of the request: the same key with another one is refused.
    pub fingerprint: u64,
    /// What came of it.
    pub outcome: KeyOutcome,
    /// When that was recorded; wall clock.
    pub at_ms: u64,
}

/// What came of the request of an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyOutcome {
    /// An order: its state is the answer.
    Order(String),
    /// A refusal for good before there was an order.
    Refused(StoredAnswer),
}
