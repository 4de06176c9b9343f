//! A user's balance: plain data, no I/O.

use serde::{Deserialize, Serialize};

use crate::kit::resource_pool::Countable;

/// A user's money, in won. Always `credited = available + reserved + spent`, refunds being no longer spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// All that was ever put in.
    pub credited: u64,
    /// Free to be spent.
    pub available: u64,
    /// Set aside for running sagas.
    pub reserved: u64,
    /// Paid.
    pub spent: u64,
}

impl Countable for Balance {
    fn counts(&mut self) -> [&mut u64; 4] {
        [
            &mut self.credited,
            &mut self.available,
            &mut self.reserved,
            &mut self.spent,
        ]
    }
}
