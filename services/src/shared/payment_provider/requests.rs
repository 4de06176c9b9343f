//! What callers ask of the gateway.

use serde::{Deserialize, Serialize};

/// `POST /authorizations`, `POST /charges`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What the caller names its purchase.
    pub reference: String,
    /// Minor units, at least 1.
    pub amount: i64,
    /// The card's token.
    pub card: String,
}

/// `POST /captures`, `POST /voids`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The authorization's id.
    pub authorization: String,
}

/// `POST /refunds`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The id of an authorization or charge.
    pub payment: String,
    /// Minor units, at least 1.
    pub amount: i64,
}
