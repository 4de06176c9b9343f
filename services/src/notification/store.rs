//! The notification service's tables.

use serde::{Deserialize, Serialize};

use crate::kit::Table;

/// The database's file.
pub const FILE: &str = "notification.redb";

/// Messages that were sent. Key: `MSG-` and sixteen hexadecimal digits.
pub const MESSAGES: Table<Message> = Table::new("messages");

/// A message that was sent.
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
