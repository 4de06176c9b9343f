//! Countable resources with reservations per saga: bag slots, units of an item.
//!
//! Amounts only are added and taken away, so what several sagas do commutes; a reservation has one owner, is released
//! once, and leaves a tombstone where its release comes first.

use serde::{Deserialize, Serialize};

use super::{
    StoreError, Table, Writer,
    reservation::{ReservationEvent, ReservationState},
};

/// How things move between free, reserved and used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// New ones are added as free.
    Add,
    /// From free to a reservation.
    Reserve,
    /// From a reservation to used.
    Use,
    /// From a reservation back to free.
    GiveBack,
    /// From used back to free.
    Return,
}

/// There are fewer than the move needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} wanted, {left} left")]
pub struct TooFew {
    /// What the move needs.
    pub wanted: u64,
    /// What there is.
    pub left: u64,
}

/// Countable things, whatever they are called: `all = free + reserved + used`, before every move and after it. A move adds
/// and subtracts, and none sets a count to what it was: moves commute.
pub trait Countable: Sized {
    /// All that there ever were; free; reserved; used.
    fn counts(&mut self) -> [&mut u64; 4];

    /// The counts after `quantity` of them moved.
    fn after(mut self, way: Move, quantity: u64) -> Result<Self, TooFew> {
        let [all, free, reserved, used] = self.counts();
        let (from, to) = match way {
            Move::Add => {
                *all += quantity;
                *free += quantity;
                return Ok(self);
            }
            Move::Reserve => (free, reserved),
            Move::Use => (reserved, used),
            Move::GiveBack => (reserved, free),
            Move::Return => (used, free),
        };
        *from = from.checked_sub(quantity).ok_or(TooFew {
            wanted: quantity,
            left: *from,
        })?;
        *to += quantity;
        Ok(self)
    }
}

/// Countable things of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// All that there ever were.
    pub all: u64,
    /// Free to be taken.
    pub free: u64,
    /// Set aside for running sagas.
    pub reserved: u64,
    /// Taken for good.
    pub used: u64,
}

impl Countable for Pool {
    fn counts(&mut self) -> [&mut u64; 4] {
        [
            &mut self.all,
            &mut self.free,
            &mut self.reserved,
            &mut self.used,
        ]
    }
}

/// What a saga has set aside, taken or given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Of which pool; empty in a tombstone.
    pub pool: String,
    /// What for.
    pub label: String,
    /// How many; 0 in a tombstone.
    pub quantity: u64,
    /// Where it is in its life.
    pub state: ReservationState,
    /// Wall clock of the last change.
    pub at_ms: u64,
}

/// Why nothing was set aside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such pool.
    #[error("there is no {0}")]
    Unknown(String),
    /// There are too few.
    #[error(transparent)]
    TooFew(#[from] TooFew),
    /// The saga has let go already, perhaps before this request arrived.
    #[error("it was released already")]
    Released,
}

/// A service's pools and what is held of them.
pub struct Pools {
    /// The pools, by id.
    pub pools: Table<Pool>,
    /// What is held, by owner: an owner holds of one pool, once.
    pub holds: Table<Hold>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The saga that asks.
    pub owner: &'a str,
    /// Of which pool.
    pub pool: &'a str,
    /// What for.
    pub label: &'a str,
    /// How many.
    pub quantity: u64,
}

impl Pools {
    /// Makes a pool, if there is none of this id; says what there is.
    pub fn create(&self, tx: &mut Writer<'_>, id: &str, all: u64) -> Result<Pool, StoreError> {
        if let Some(pool) = tx.get(&self.pools, id)? {
            return Ok(pool);
        }
        let pool = Pool {
            all,
            free: all,
            ..Pool::default()
        };
        tx.put(&self.pools, id, &pool)?;
        Ok(pool)
    }

    /// Sets some aside. Asked again, it answers the same.
    pub fn reserve(
        &self,
        tx: &mut Writer<'_>,
        ask: Ask<'_>,
        now_ms: u64,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let before = tx.get(&self.holds, ask.owner)?.map(|hold: Hold| hold.state);
        if ReservationState::after(before, ReservationEvent::Begin).is_err() {
            return Ok(Err(Refusal::Released));
        }
        if before.is_some() {
            return Ok(Ok(()));
        }
        let Some(pool) = tx.get(&self.pools, ask.pool)? else {
            return Ok(Err(Refusal::Unknown(ask.pool.to_owned())));
        };
        match pool.after(Move::Reserve, ask.quantity) {
            Ok(pool) => tx.put(&self.pools, ask.pool, &pool)?,
            Err(few) => return Ok(Err(few.into())),
        }
        let hold = Hold {
            pool: ask.pool.to_owned(),
            label: ask.label.to_owned(),
            quantity: ask.quantity,
            state: ReservationState::Reserved,
            at_ms: now_ms,
        };
        tx.put(&self.holds, ask.owner, &hold)?;
        Ok(Ok(()))
    }

    /// Takes for good what the owner has set aside; whether there was anything to take.
    pub fn confirm(
        &self,
        tx: &mut Writer<'_>,
        owner: &str,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        self.settle(tx, owner, (ReservationState::Confirmed, Move::Use), now_ms)
    }

    /// Gives back what the owner has set aside, or leaves a tombstone; whether there was anything to give back.
    pub fn release(
        &self,
        tx: &mut Writer<'_>,
        owner: &str,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        if tx.get(&self.holds, owner)?.is_none() {
            let tombstone = Hold {
                pool: String::new(),
                label: String::new(),
                quantity: 0,
                state: ReservationState::Released,
                at_ms: now_ms,
            };
            tx.put(&self.holds, owner, &tombstone)?;
            return Ok(false);
        }
        self.settle(
            tx,
            owner,
            (ReservationState::Released, Move::GiveBack),
            now_ms,
        )
    }

    fn settle(
        &self,
        tx: &mut Writer<'_>,
        owner: &str,
        (state, way): (ReservationState, Move),
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let held = tx.get(&self.holds, owner)?;
        let held = held.filter(|hold| hold.state == ReservationState::Reserved);
        let Some(mut hold) = held else {
            return Ok(false);
        };
        let pool = tx.get(&self.pools, &hold.pool)?;
        let Ok(pool) = pool.unwrap_or_default().after(way, hold.quantity) else {
            let what = format!("less is reserved of {} than {owner} holds", hold.pool);
            return Err(StoreError::Corrupt(what));
        };
        (hold.state, hold.at_ms) = (state, now_ms);
        tx.put(&self.pools, &hold.pool, &pool)?;
        tx.put(&self.holds, owner, &hold)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ways() -> impl Strategy<Value = Move> {
        use Move::*;
        prop::sample::select(vec![Add, Reserve, Use, GiveBack, Return])
    }

    proptest! {
        #[test]
        fn things_are_neither_made_nor_lost(
            moves in prop::collection::vec((ways(), 0u64..50), 1..40),
        ) {
            let (mut pool, mut put_in) = (Pool::default(), 0);
            for (way, quantity) in moves {
                match pool.after(way, quantity) {
                    Ok(after) => {
                        pool = after;
                        put_in += if way == Move::Add { quantity } else { 0 };
                    }
                    Err(few) => prop_assert!(few.left < few.wanted),
                }
                prop_assert_eq!(pool.all, put_in);
                prop_assert_eq!(pool.free + pool.reserved + pool.used, put_in);
            }
        }

        #[test]
        fn moves_that_are_possible_in_both_orders_commute(
            first in (ways(), 0u64..50),
            second in (ways(), 0u64..50),
        ) {
            let start = Pool { all: 100, free: 40, reserved: 30, used: 30 };
            let run = |a: (Move, u64), b: (Move, u64)| start.after(a.0, a.1)?.after(b.0, b.1);
            if let (Ok(one), Ok(other)) = (run(first, second), run(second, first)) {
                prop_assert_eq!(one, other);
            }
        }
    }
}
