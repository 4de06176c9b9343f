//! The user service's tables.

use serde::{Deserialize, Serialize};

use super::model::Balance;
use crate::kit::{Table, reservation};

/// The database's file.
pub const FILE: &str = "user.redb";

/// Key: the user's id.
pub const USERS: Table<User> = Table::new("users");

/// Key: the saga's id; a saga reserves an amount once.
pub const RESERVATIONS: Table<Reservation> = Table::new("balance_reservations");

/// A user and what they have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// Whether they may buy.
    pub active: bool,
    /// Their money.
    #[serde(flatten)]
    pub balance: Balance,
    /// Raised by every change of the row.
    pub version: u64,
}

/// What a saga has set aside of a balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Whose balance; empty in a tombstone whose release did not name them.
    pub user: String,
    /// In won; 0 in a tombstone.
    pub amount: u64,
    /// What was available before; kept for audits, never restored.
    pub available_before: u64,
}

/// What a saga has set aside of a balance, spent or given back.
pub type Reservation = reservation::Reservation<Money>;
