//! What may happen to a balance: plain data, no I/O.

use serde::{Deserialize, Serialize};

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

/// How money moves. Every move adds and subtracts; none sets a balance to what it was, so moves commute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Money arrives.
    Credit,
    /// From what is available to a reservation.
    Reserve,
    /// From a reservation to the shop.
    Spend,
    /// From a reservation back to what is available.
    GiveBack,
    /// From the shop back to what is available.
    Refund,
}

/// There is less money than the move needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} won wanted, {left} left")]
pub struct TooLittle {
    /// What the move needs.
    pub wanted: u64,
    /// What there is.
    pub left: u64,
}

impl Balance {
    /// The balance after `amount` won moved.
    pub fn after(mut self, way: Move, amount: u64) -> Result<Self, TooLittle> {
        let (from, to) = match way {
            Move::Credit => {
                self.credited += amount;
                self.available += amount;
                return Ok(self);
            }
            Move::Reserve => (&mut self.available, &mut self.reserved),
            Move::Spend => (&mut self.reserved, &mut self.spent),
            Move::GiveBack => (&mut self.reserved, &mut self.available),
            Move::Refund => (&mut self.spent, &mut self.available),
        };
        *from = from.checked_sub(amount).ok_or(TooLittle {
            wanted: amount,
            left: *from,
        })?;
        *to += amount;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ways() -> impl Strategy<Value = Move> {
        use Move::*;
        prop_oneof![
            Just(Credit),
            Just(Reserve),
            Just(Spend),
            Just(GiveBack),
            Just(Refund)
        ]
    }

    proptest! {
        #[test]
        fn money_is_neither_made_nor_lost(
            moves in prop::collection::vec((ways(), 0u64..50), 1..40),
        ) {
            let (mut balance, mut put_in) = (Balance::default(), 0);
            for (way, amount) in moves {
                match balance.after(way, amount) {
                    Ok(after) => {
                        balance = after;
                        put_in += if way == Move::Credit { amount } else { 0 };
                    }
                    Err(little) => prop_assert!(little.left < little.wanted),
                }
                prop_assert_eq!(balance.credited, put_in);
                prop_assert_eq!(balance.available + balance.reserved + balance.spent, put_in);
            }
        }

        #[test]
        fn moves_that_are_possible_in_both_orders_commute(
            first in (ways(), 0u64..50),
            second in (ways(), 0u64..50),
        ) {
            let start = Balance { credited: 100, available: 40, reserved: 30, spent: 30 };
            let run = |a: (Move, u64), b: (Move, u64)| start.after(a.0, a.1)?.after(b.0, b.1);
            if let (Ok(one), Ok(other)) = (run(first, second), run(second, first)) {
                prop_assert_eq!(one, other);
            }
        }
    }
}
