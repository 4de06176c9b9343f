//! The outbox's tables and the states of its rows.

use serde::{Deserialize, Serialize};

use crate::kit::{StoreError, Table, Writer, bus::Event};

/// Rows that are still to be sent. Key: a sequence number of sixteen digits, in the order of their commits.
pub const OUTBOX: Table<Row> = Table::new("outbox");

/// Rows that were sent, kept for a week under their old key.
pub const PUBLISHED: Table<Row> = Table::new("outbox_published");

/// Rows that could not be sent, under their old key.
pub const DEAD_LETTERS: Table<Row> = Table::new("outbox_dead_letters");

/// One row: the last sequence number.
const SEQUENCE: Table<u64> = Table::new("outbox_sequence");

/// An event on its way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Where it is to go.
    pub target: Target,
    /// The event.
    pub event: Event,
    /// How far it is.
    pub state: State,
    /// Tries that failed, since it was committed or last redriven.
    pub attempts: u32,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often a person redrove it.
    #[serde(default)]
    pub redriven: u32,
    /// When it was committed; wall clock.
    pub created_ms: u64,
    /// When its state changed; wall clock.
    pub changed_ms: u64,
}

/// Where an event goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The bus's durable log of this topic.
    Stream(String),
    /// The channel's subscribers of the moment.
    Channel(String),
    /// A service by name: the event's body is posted to its path.
    Webhook {
        /// The service.
        service: String,
        /// The path.
        path: String,
    },
}

/// How far a row is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// It waits.
    Pending,
    /// A poller has it in hand.
    Processing {
        /// Which one.
        by: String,
        /// In which life of its process.
        boot_id: u64,
    },
    /// It was sent.
    Published,
    /// It was given up.
    Failed,
}

/// What a row must not overtake: the rows of the same lane.
pub fn lane(row: &Row) -> (&Target, &str) {
    (&row.target, &row.event.key)
}

/// Writes a row within the caller's transaction.
pub fn enqueue(
    tx: &mut Writer<'_>,
    target: Target,
    event: Event,
    now_ms: u64,
) -> Result<(), StoreError> {
    let number = tx.get(&SEQUENCE, "")?.unwrap_or(0) + 1;
    tx.put(&SEQUENCE, "", &number)?;
    let row = Row {
        target,
        event,
        state: State::Pending,
        attempts: 0,
        reason: None,
        redriven: 0,
        created_ms: now_ms,
        changed_ms: now_ms,
    };
    tx.put(&OUTBOX, &format!("{number:016}"), &row)
}
