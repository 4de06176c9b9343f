//! Choreographed orders over a durable log: who takes part and what they say.
//!
//! ```text
//! order-created → inventory-reserved → payment-completed → delivery-started → delivery-completed → order-completed
//!                 inventory-failed     payment-failed                         delivery-failed
//! ```
//!
//! Each step is taken by the service that hears of the one before. A failure is heard by all services whose step
//! came before it: the order is cancelled, the goods go back on the shelf, the money is paid back.
//!
//! The order asks [`user`](crate::shared::user) and [`catalog`](crate::shared::catalog) before it begins.

pub mod delivery;
pub mod orders;
pub mod payments;
pub mod stock;

use serde::{Deserialize, Serialize};

use crate::{
    kit::{
        bus::{Event, HandlerError},
        format::More,
        member::{Member, Settings},
    },
    shared::notification::Listens,
};

/// The topic that everybody in it speaks and listens to; its events are in order per order.
pub const TOPIC: &str = "orders";

/// An order began.
pub const ORDER_CREATED: &str = "order-created";
/// The goods have arrived: it is done.
pub const ORDER_COMPLETED: &str = "order-completed";
/// There is stock, and it is set aside.
pub const INVENTORY_RESERVED: &str = "inventory-reserved";
/// There is not.
pub const INVENTORY_FAILED: &str = "inventory-failed";
/// The money was taken.
pub const PAYMENT_COMPLETED: &str = "payment-completed";
/// It was not.
pub const PAYMENT_FAILED: &str = "payment-failed";
/// The money was paid back.
pub const PAYMENT_REFUNDED: &str = "payment-refunded";
/// The goods are on their way.
pub const DELIVERY_STARTED: &str = "delivery-started";
/// They have arrived.
pub const DELIVERY_COMPLETED: &str = "delivery-completed";
/// They never will.
pub const DELIVERY_FAILED: &str = "delivery-failed";

/// The body of every event: all that its consumers need, including what to put back on failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The order: the owner of all that is set aside.
    pub order_id: String,
    /// Who ordered.
    pub user_id: String,
    /// What.
    pub product_id: String,
    /// Units.
    pub quantity: u64,
    /// Won in all.
    pub amount: u64,
    /// Why it failed, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a later build says of it.
    #[serde(flatten)]
    pub more: More,
}

impl Placed {
    /// The order that an event is about.
    pub fn of(event: &Event) -> Result<Self, HandlerError> {
        event.body()
    }

    /// The same, as this service's build hears it.
    pub fn heard(event: &Event, member: &Member) -> Result<Self, HandlerError> {
        let mut placed = Placed::of(event)?;
        placed.more = member.format().read(placed.amount, placed.more);
        Ok(placed)
    }

    /// The same, failed.
    pub fn failed(&self, reason: impl ToString) -> Self {
        Placed {
            reason: Some(reason.to_string()),
            ..self.clone()
        }
    }
}

/// What the notification service listens to.
pub fn notices(settings: Settings) -> Listens {
    Listens {
        settings,
        topic: TOPIC.to_owned(),
        kinds: [ORDER_CREATED, DELIVERY_STARTED, DELIVERY_COMPLETED]
            .map(str::to_owned)
            .into(),
    }
}
