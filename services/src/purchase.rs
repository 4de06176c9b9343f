//! Item purchase, choreographed: who takes part and what they say.
//!
//! ```text
//! order.created → user.validated → inventory.reserved → item.reserved → payment.processed → order.completed
//!                 user.failed      inventory.failed     item.failed     payment.failed      order.cancelled
//! ```
//!
//! Each step is taken by the service that hears of the one before. The order decides, once: it completes when it hears
//! that the payment was processed, and is cancelled by any failure or at its deadline. A service that
//! has reserved something uses it when the order is completed and gives it back when it is cancelled, whatever comes first.
//!
//! The balance is the [`user`](crate::shared::user) service's, which [takes part](users).

pub mod bag;
pub(crate) mod holder;
pub mod items;
pub mod orders;
pub mod payments;
pub mod users;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    kit::{
        bus::{Event, HandlerError},
        format::More,
        member::{Member, Settings},
    },
    planted_bug::Bug,
    shared::notification::Listens,
};

/// The topic that everybody in it speaks and listens to; its events are in order per purchase.
pub const TOPIC: &str = "purchases";

/// A purchase began.
pub const ORDER_CREATED: &str = "order.created";
/// Everything is set aside and paid.
pub const ORDER_COMPLETED: &str = "order.completed";
/// It will not be: give everything back.
pub const ORDER_CANCELLED: &str = "order.cancelled";
/// The user may buy, and the money is set aside.
pub const USER_VALIDATED: &str = "user.validated";
/// They may not, or have too little.
pub const USER_FAILED: &str = "user.failed";
/// The money was given back.
pub const USER_RELEASED: &str = "user.released";
/// There is room in the bag, and it is set aside.
pub const INVENTORY_RESERVED: &str = "inventory.reserved";
/// There is not.
pub const INVENTORY_FAILED: &str = "inventory.failed";
/// The room was given back.
pub const INVENTORY_RELEASED: &str = "inventory.released";
/// There is stock, and it is set aside.
pub const ITEM_RESERVED: &str = "item.reserved";
/// There is not.
pub const ITEM_FAILED: &str = "item.failed";
/// The stock was given back.
pub const ITEM_RELEASED: &str = "item.released";
/// The payment went through.
pub const PAYMENT_PROCESSED: &str = "payment.processed";
/// It did not.
pub const PAYMENT_FAILED: &str = "payment.failed";
/// It was taken back.
pub const PAYMENT_REFUNDED: &str = "payment.refunded";

/// The body of every event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// The order: the owner of all that is set aside.
    pub order_id: String,
    /// Who buys.
    pub user_id: String,
    /// What.
    pub item_id: String,
    /// Units, and slots of the bag.
    pub quantity: u64,
    /// Won in all.
    pub amount: u64,
    /// Why it failed, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the user wrote to it; only in `order.created`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What a later build says of it.
    #[serde(flatten)]
    pub more: More,
}

impl Purchase {
    /// The purchase that an event is about.
    pub fn of(event: &Event) -> Result<Self, HandlerError> {
        let mut purchase: Purchase = event.body()?;
        purchase.note = None;
        Ok(purchase)
    }

    /// The same, as this service's build hears it.
    pub fn heard(event: &Event, member: &Member) -> Result<Self, HandlerError> {
        let mut purchase = Purchase::of(event)?;
        purchase.more = member.format().read(purchase.amount, purchase.more);
        Ok(purchase)
    }

    /// The same, failed.
    pub fn failed(&self, reason: impl ToString) -> Self {
        Purchase {
            reason: Some(reason.to_string()),
            ..self.clone()
        }
    }
}

/// What the notification service listens to: how purchases end.
pub fn notices(settings: Settings) -> Listens {
    Listens {
        settings,
        topic: TOPIC.to_owned(),
        kinds: [ORDER_COMPLETED, ORDER_CANCELLED].map(str::to_owned).into(),
    }
}

/// Keeps what a rollback needs to know where the shape keeps it: with the reservation, or in the bus's memory.
pub async fn keep_rollback_data(member: &Member, event: &Event) {
    if member.bugs().has(Bug::RollbackDataInBusMemory) {
        let (key, nothing_more) = (rollback_key(member, event), json!({}));
        let kept = member.bus().remember(&event.context, &key, &nothing_more);
        if let Err(error) = kept.await {
            tracing::warn!(%error, "the bus was not told what a rollback needs");
        }
    }
}

/// Whether a rollback knows what to give back.
pub async fn knows_rollback_data(member: &Member, event: &Event) -> bool {
    if !member.bugs().has(Bug::RollbackDataInBusMemory) {
        return true;
    }
    let key = rollback_key(member, event);
    match member.bus().recall(&event.context, &key).await {
        Ok(Some(_)) => true,
        Ok(None) => {
            tracing::warn!("nothing is known of what is to be rolled back");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "nothing is known of what is to be rolled back");
            false
        }
    }
}

fn rollback_key(member: &Member, event: &Event) -> String {
    format!("{}:{}", member.platform().name, event.key)
}
