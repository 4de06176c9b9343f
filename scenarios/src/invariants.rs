//! What must hold, one subject a file. The names are those of the design's table of invariants.

pub mod balances;
pub mod checkouts;
pub mod choreographed_orders;
pub mod dues;
pub mod healers;
pub mod history;
pub mod leases;
pub mod money;
mod notes;
pub mod orders;
pub mod outbox;
pub mod prices;
pub mod promises;
pub mod purchases;
pub mod races;
pub mod receipts;
pub mod recoveries;
pub mod rewards;
pub mod sagas;
pub mod schedule;
pub mod stock;
pub mod subscribers;
pub mod sync_windows;
pub mod workflows;
