//! One at a time per saga: a capture and a cancel of the same payment never interleave.
//!
//! Within this process only: the version that every commit checks is the defence beyond it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// The turns of all sagas.
#[derive(Clone, Default)]
pub(super) struct Turns {
    /// An entry exists exactly while somebody holds or awaits that turn.
    seats: Arc<Mutex<BTreeMap<String, Arc<AsyncMutex<()>>>>>,
}

impl Turns {
    /// Waits for the saga's turn; it ends when the guard is dropped.
    pub async fn take(&self, saga_id: &str) -> Turn {
        let seat = self.seat(saga_id);
        Turn {
            _guard: seat.lock.clone().lock_owned().await,
            _seat: seat,
        }
    }

    /// The saga's turn, if nobody has it.
    pub fn try_take(&self, saga_id: &str) -> Option<Turn> {
        let seat = self.seat(saga_id);
        Some(Turn {
            _guard: seat.lock.clone().try_lock_owned().ok()?,
            _seat: seat,
        })
    }

    fn seat(&self, saga_id: &str) -> Seat {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        Seat {
            turns: self.clone(),
            saga_id: saga_id.to_owned(),
            lock: seats.entry(saga_id.to_owned()).or_default().clone(),
        }
    }
}

/// A saga's turn. The guard is declared first: it must be gone when the seat looks whether it was the last.
pub(super) struct Turn {
    _guard: OwnedMutexGuard<()>,
    _seat: Seat,
}

/// A place in the queue, held or awaited.
struct Seat {
    turns: Turns,
    saga_id: String,
    lock: Arc<AsyncMutex<()>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self
            .turns
            .seats
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // One reference is the map's, one ours: nobody else can come by while the map is locked.
        if Arc::strong_count(&self.lock) == 2 {
            seats.remove(&self.saga_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, pin_mut};

    use super::*;

    #[tokio::test]
    async fn a_turn_is_had_by_one_and_passed_on() {
        let turns = Turns::default();
        let first = turns.take("SAGA-1").await;
        let second = turns.take("SAGA-1");
        pin_mut!(second);
        assert!(second.as_mut().now_or_never().is_none());
        assert!(turns.try_take("SAGA-1").is_none());
        assert!(
            turns.try_take("SAGA-2").is_some(),
            "sagas do not share a turn"
        );
        drop(first);
        let _second = second.await;
        assert!(turns.try_take("SAGA-1").is_none());
    }

    #[tokio::test]
    async fn nothing_is_left_of_turns_that_ended_or_were_given_up() {
        let turns = Turns::default();
        let held = turns.take("SAGA-1").await;
        {
            let waiting = turns.take("SAGA-1");
            pin_mut!(waiting);
            assert!(waiting.as_mut().now_or_never().is_none());
            drop(held);
        }
        assert!(turns.seats.lock().unwrap().is_empty());
    }
}
