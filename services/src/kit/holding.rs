//! Things of which there are so many, and what sagas have set aside of them: bag slots, units of an item.
//!
//! Amounts only are added and taken away, so what several sagas do commutes; a reservation has one owner, is released
//! once, and leaves a tombstone where its release comes first.

use serde::{Deserialize, Serialize};

use super::{
    StoreError, Table, Writer,
    reservation::{ReservationEvent, ReservationState},
};

/// So many things. Always `all = free + reserved + used`.
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
    #[error("{wanted} wanted, {left} left")]
    TooFew {
        /// How many were asked for.
        wanted: u64,
        /// How many there are.
        left: u64,
    },
    /// The saga has let go already, perhaps before this request arrived.
    #[error("it was released already")]
    Released,
}

/// A service's pools and what is held of them.
pub struct Holding {
    /// The pools, by id.
    pub pools: Table<Pool>,
    /// What is held, by owner: an owner holds of one pool, once.
    pub holds: Table<Hold>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who asks.
    pub owner: &'a str,
    /// Of which pool.
    pub pool: &'a str,
    /// What for.
    pub label: &'a str,
    /// How many.
    pub quantity: u64,
}

impl Holding {
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
        let Some(mut pool) = tx.get(&self.pools, ask.pool)? else {
            return Ok(Err(Refusal::Unknown(ask.pool.to_owned())));
        };
        let Some(free) = pool.free.checked_sub(ask.quantity) else {
            return Ok(Err(Refusal::TooFew {
                wanted: ask.quantity,
                left: pool.free,
            }));
        };
        pool.free = free;
        pool.reserved += ask.quantity;
        tx.put(&self.pools, ask.pool, &pool)?;
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
        self.settle(tx, owner, ReservationState::Confirmed, now_ms)
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
        self.settle(tx, owner, ReservationState::Released, now_ms)
    }

    fn settle(
        &self,
        tx: &mut Writer<'_>,
        owner: &str,
        state: ReservationState,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let held = tx.get(&self.holds, owner)?;
        let held = held.filter(|hold| hold.state == ReservationState::Reserved);
        let Some(mut hold) = held else {
            return Ok(false);
        };
        let pool = tx.get(&self.pools, &hold.pool)?;
        let mut pool = pool.unwrap_or_default();
        let Some(reserved) = pool.reserved.checked_sub(hold.quantity) else {
            let what = format!("less is reserved of {} than {owner} holds", hold.pool);
            return Err(StoreError::Corrupt(what));
        };
        pool.reserved = reserved;
        match state {
            ReservationState::Confirmed => pool.used += hold.quantity,
            _ => pool.free += hold.quantity,
        }
        (hold.state, hold.at_ms) = (state, now_ms);
        tx.put(&self.pools, &hold.pool, &pool)?;
        tx.put(&self.holds, owner, &hold)?;
        Ok(true)
    }
}
