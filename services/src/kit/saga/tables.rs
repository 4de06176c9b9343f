//! The sagas' tables.

use serde::{Deserialize, Serialize};

use super::SagaRecord;
use crate::kit::Table;

/// The journal. One store holds the sagas of one [`Engine`](super::Engine).
pub const fn table<D>() -> Table<SagaRecord<D>> {
    Table::new("sagas")
}

/// The sagas that are running or compensating: what a recovery looks at, however long the journal grows.
pub const OPEN_SAGAS: Table<OpenSaga> = Table::new("open_sagas");

/// Sagas whose retries were spent, by dead letter id.
pub const DEAD_LETTERS: Table<DeadLetter> = Table::new("dead_letters");

/// The dead letter of each saga that waits for a person, by saga: found however many letters there ever were.
pub const OPEN_LETTERS: Table<String> = Table::new("open_dead_letters");

/// A mark that a saga has not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSaga {
    /// The replica that drives it, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Another replica was asked to cancel it: the owner turns it back unless it has come to its pivot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel: bool,
}

/// A saga that a person must look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// `DEAD-XXXXXXXX`.
    pub id: String,
    /// The saga.
    pub saga_id: String,
    /// The step or undo that could not be done, and why.
    pub reason: String,
    /// When; wall clock.
    pub at_ms: u64,
    /// When a person sent the saga on its way again; wall clock.
    pub redriven_ms: Option<u64>,
}

/// The beats of the replicas, by their name.
pub const DRIVERS: Table<Beat> = Table::new("drivers");

/// A replica in one life of its process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its name.
    pub replica: String,
    /// [`Process::boot_id`](crate::ports::Process::boot_id).
    pub boot_id: u64,
}

/// A sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Of which life.
    pub boot_id: u64,
    /// How many there were.
    pub beats: u64,
}
