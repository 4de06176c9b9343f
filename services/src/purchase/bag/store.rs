//! The bag service's tables.

use crate::kit::{
    Table,
    resource_pool::{Hold, Pool, Pools},
};

/// The database's file.
pub const FILE: &str = "bag.redb";

/// Slots by user, and what is held of them by order. A hold's label is the item.
pub const BAGS: Pools = Pools {
    pools: Table::<Pool>::new("bags"),
    holds: Table::<Hold>::new("slot_reservations"),
};
