//! The challenge service's tables.

use serde::{Deserialize, Serialize};

use super::model::{CompletionStatus, Mode, Transport};
use crate::kit::Table;

/// The database's file.
pub const FILE: &str = "challenge.redb";

/// Key: the challenge's id.
pub const CHALLENGES: Table<Challenge> = Table::new("challenges");

/// Key: [`completion_key`].
pub const COMPLETIONS: Table<Completion> = Table::new("completions");

/// Copies of the catalog's products. Key: the SKU.
pub const PRODUCTS: Table<Product> = Table::new("products");

/// One row, under [`SYNC`]: how copies are kept.
pub const SETTINGS: Table<Sync> = Table::new("settings");

/// The key of the only row of [`SETTINGS`].
pub const SYNC: &str = "sync";

/// Something to be done for a reward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The id.
    pub id: String,
    /// What is to be done.
    pub title: String,
    /// The product that is the reward.
    pub sku: String,
    /// Units of it.
    pub quantity: u64,
}

/// A user's completion of a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Of which challenge.
    pub challenge: String,
    /// Whose.
    pub user: String,
    /// Where it is.
    pub status: CompletionStatus,
    /// The saga of the latest attempt.
    pub saga_id: String,
    /// The reward order, once completed.
    pub order_id: Option<String>,
    /// Wall clock of the last change, milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// A copy of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Stock keeping unit.
    pub sku: String,
    /// What it is called.
    pub name: String,
    /// Unit price in won.
    pub price: u64,
    /// The catalog's version.
    pub version: u64,
    /// Whether it may be ordered.
    pub on_sale: bool,
    /// Wall clock when it was fetched or told, milliseconds since the Unix epoch.
    #[serde(default)]
    pub at_ms: u64,
}

/// How copies are kept, and since how many switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// The mode.
    pub mode: Mode,
    /// How notices come in the mode `events`.
    #[serde(default)]
    pub transport: Transport,
    /// Raised by every switch, so that what was fetched before one is not kept after it.
    pub epoch: u64,
}

/// One completion per challenge and user, neither of which holds a `:`. The shop knows a reward order by this id.
pub fn completion_key(challenge: &str, user: &str) -> String {
    format!("{challenge}:{user}")
}
