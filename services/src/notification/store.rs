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
