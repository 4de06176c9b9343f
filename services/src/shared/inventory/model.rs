//! What may happen to a reservation, to the semantic lock and to the units of a product: plain data, no I/O.

use serde::{Deserialize, Serialize};

use crate::kit::resource_pool::Countable;

pub use crate::kit::{
    reservation::{ReservationEvent, ReservationState},
    resource_pool::Move,
};

/// A held semantic lock: a saga-long claim on a product row, visible to everybody, that outlives transactions.
/// An available row has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SemanticLock {
    /// The saga that may confirm or cancel.
    pub owner: String,
    /// How far the owner is.
    pub state: LockState,
    /// Wall clock at the acquisition, milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// States of a held semantic lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockState {
    /// The owner is about to take units.
    Reserving,
    /// The owner has units set aside.
    Reserved,
}

/// What a saga does to the semantic lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockEvent {
    /// Claims the row.
    Acquire,
    /// Has taken its units.
    Reserve,
    /// Could not take them.
    Fail,
    /// Is done with the row: confirmed, cancelled, or swept.
    Free,
}

/// The lock is held by another saga, or is free where an owner is needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the product is in the hands of {}", .holder.as_deref().unwrap_or("nobody"))]
pub struct NotOwner {
    /// Who has it.
    pub holder: Option<String>,
}

impl SemanticLock {
    /// The lock after `saga` did `event`. A saga finds its own lock again; only the owner moves it on.
    pub fn after(
        lock: Option<&Self>,
        event: LockEvent,
        saga: &str,
        now_ms: u64,
    ) -> Result<Option<Self>, NotOwner> {
        use {LockEvent::*, LockState::*};
        let held = |state, since_ms| {
            Ok(Some(SemanticLock {
                owner: saga.to_owned(),
                state,
                since_ms,
            }))
        };
        match (lock, event) {
            (None, Acquire) => held(Reserving, now_ms),
            (None, Fail | Free) => Ok(None),
            (Some(mine), event) if mine.owner == saga => match (mine.state, event) {
                (state, Acquire) => held(state, mine.since_ms),
                (_, Reserve) => held(Reserved, mine.since_ms),
                (Reserved, Fail) => held(Reserved, mine.since_ms),
                (Reserving, Fail) | (_, Free) => Ok(None),
            },
            (other, _) => Err(NotOwner {
                holder: other.map(|lock| lock.owner.clone()),
            }),
        }
    }
}

/// The units of one product. Always `stocked = on_hand + reserved + sold`, returns being no longer sold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// All units that were ever put in.
    pub stocked: u64,
    /// On the shelf.
    pub on_hand: u64,
    /// Set aside for running sagas.
    pub reserved: u64,
    /// Sold.
    pub sold: u64,
}

impl Countable for Units {
    fn counts(&mut self) -> [&mut u64; 4] {
        [
            &mut self.stocked,
            &mut self.on_hand,
            &mut self.reserved,
            &mut self.sold,
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lock_event() -> impl Strategy<Value = LockEvent> {
        use LockEvent::*;
        prop_oneof![Just(Acquire), Just(Reserve), Just(Fail), Just(Free)]
    }

    proptest! {
        #[test]
        fn only_the_owner_moves_a_lock(
            steps in prop::collection::vec(("[ab]", lock_event()), 1..20),
        ) {
            let mut lock: Option<SemanticLock> = None;
            for (now_ms, (saga, event)) in (0..).zip(steps) {
                let after = SemanticLock::after(lock.as_ref(), event, &saga, now_ms);
                match &lock {
                    Some(held) if held.owner != saga => prop_assert!(after.is_err()),
                    Some(held) => {
                        let kept = after.as_ref().ok().and_then(Option::as_ref);
                        prop_assert!(kept.is_none_or(|kept| kept.since_ms == held.since_ms));
                    }
                    None => prop_assert!(after.is_ok() == (event != LockEvent::Reserve)),
                }
                lock = after.unwrap_or(lock);
                prop_assert!(lock.is_none() || lock.as_ref().is_some_and(|l| "ab".contains(&l.owner)));
            }
        }
    }
}
