//! The coupon service's tables.

use serde::{Deserialize, Serialize};

use super::model::CouponState;
use crate::kit::{Table, reservation};

/// The database's file.
pub const FILE: &str = "coupon.redb";

/// Key: the campaign's id.
pub const CAMPAIGNS: Table<Campaign> = Table::new("campaigns");

/// Key: the coupon's id.
pub const COUPONS: Table<Coupon> = Table::new("coupons");

/// The coupon that a user has of a campaign. Key: [`holder_key`].
pub const HOLDERS: Table<String> = Table::new("holders");

/// Key: the saga's id; a saga reserves one coupon once.
pub const RESERVATIONS: Table<Reservation> = Table::new("coupon_reservations");

/// A limited number of coupons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// The id.
    pub id: String,
    /// What each of its coupons takes off a price, in won.
    pub discount: u64,
    /// How many there are.
    pub limit: u64,
    /// How many were issued.
    pub issued: u64,
}

/// A coupon of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coupon {
    /// `CPN-XXXXXXXX`.
    pub id: String,
    /// Of which campaign.
    pub campaign: String,
    /// Whose it is.
    pub user: String,
    /// What it takes off a price, in won.
    pub discount: u64,
    /// Where it is.
    pub state: CouponState,
    /// When it was issued; wall clock.
    pub issued_ms: u64,
}

/// What a saga has set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Which coupon; empty in a tombstone whose release did not name it.
    pub coupon: String,
    /// What it takes off the price, in won; 0 in a tombstone.
    pub discount: u64,
}

/// What a saga does with a coupon.
pub type Reservation = reservation::Reservation<Held>;

/// A user has at most one coupon of a campaign.
pub fn holder_key(campaign: &str, user: &str) -> String {
    format!("{campaign}/{user}")
}
