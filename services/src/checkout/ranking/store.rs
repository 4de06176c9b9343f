//! The ranking's tables.

use serde::{Deserialize, Serialize};

use crate::kit::Table;

/// The database's file.
pub const FILE: &str = "ranking.redb";

/// Key: the product.
pub const RANKS: Table<Rank> = Table::new("ranks");

/// Events that were counted, by id.
pub const COUNTED: Table<Counted> = Table::new("counted");

/// How well a product sells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// Which.
    pub product: String,
    /// Units.
    pub sold: u64,
}

/// A mark that an event was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// When it happened; wall clock.
    pub at_ms: u64,
}
