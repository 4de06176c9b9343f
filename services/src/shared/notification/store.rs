//! The notification service's tables.

use serde::{Deserialize, Serialize};

use crate::kit::Table;

/// The database's file.
pub const FILE: &str = "notification.redb";

/// What was sent, by the id of the event that it tells of.
pub const SENT: Table<Sent> = Table::new("sent");

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// To whom.
    pub to: String,
    /// What it says.
    pub text: String,
    /// When what it tells of happened; wall clock.
    pub occurred_ms: u64,
}

/// Messages about events that were heard on the bus. Key: `MSG-` and sixteen hexadecimal digits.
pub const MESSAGES: Table<Message> = Table::new("messages");

/// A message about an event on the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// To whom.
    pub user_id: String,
    /// About which event.
    pub event_id: String,
    /// What it said.
    pub text: String,
    /// When; wall clock.
    pub at_ms: u64,
}
