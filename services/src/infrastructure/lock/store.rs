//! The one thing that the lock service keeps through a crash.

use serde::{Deserialize, Serialize};

use crate::kit::Table;

/// The database's file.
pub const FILE: &str = "lock.redb";

/// One row, under the key `lock`.
pub const BOOTS: Table<Boot> = Table::new("boots");

/// How often the service has begun: the upper half of its fencing tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// From 1.
    pub number: u64,
}
