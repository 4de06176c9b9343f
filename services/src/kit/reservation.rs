//! Something set aside for a saga: units, money, a coupon, a bag slot. Plain data, no I/O.

use serde::{Deserialize, Serialize};

use crate::gap::{Gap, Gaps};

/// Where a reservation is. One that was never heard of is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReservationState {
    /// Asked for; nothing is taken yet.
    Reserving,
    /// It is set aside.
    Reserved,
    /// Sold, spent or used.
    Confirmed,
    /// Given back, or cancelled before anything was reserved (a tombstone). For good.
    Released,
}

/// What happens to a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationEvent {
    /// Somebody asks for it.
    Begin,
    /// It was set aside.
    Hold,
    /// The saga passed its pivot.
    Confirm,
    /// The saga undoes its step, or returns what it had for good.
    Release,
}

/// Why an event is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The saga released its reservation, perhaps before the reserve arrived.
    #[error("this saga has already cancelled its reservation")]
    AlreadyReleased,
    /// There is nothing that could be confirmed.
    #[error("nothing is reserved for this saga; reserve first")]
    NothingReserved,
}

/// Whether a release leaves nothing that refuses a late reserve: no tombstone, and the reserve's key is not kept.
pub fn forgets_releases(gaps: Gaps) -> bool {
    gaps.has(Gap::LateReserveAfterCancel) || gaps.has(Gap::RollbackOvertakesLateSuccess)
}

impl ReservationState {
    /// The state after `event`. A repeated event leaves the state as it is.
    pub fn after(state: Option<Self>, event: ReservationEvent) -> Result<Self, Refusal> {
        use {ReservationEvent::*, ReservationState::*};
        Ok(match (state, event) {
            (None | Some(Reserving), Begin) => Reserving,
            (Some(Reserving), Hold) => Reserved,
            (Some(Reserved), Begin | Hold) => Reserved,
            (Some(Reserved), Confirm) => Confirmed,
            (Some(Confirmed), Begin | Hold | Confirm) => Confirmed,
            (_, Release) => Released,
            (Some(Released), Begin | Hold | Confirm) => return Err(Refusal::AlreadyReleased),
            (None, Hold) | (None | Some(Reserving), Confirm) => {
                return Err(Refusal::NothingReserved);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reservation_event() -> impl Strategy<Value = ReservationEvent> {
        use ReservationEvent::*;
        prop_oneof![Just(Begin), Just(Hold), Just(Confirm), Just(Release)]
    }

    proptest! {
        #[test]
        fn a_released_reservation_stays_released(
            before in prop::collection::vec(reservation_event(), 0..6),
            later in prop::collection::vec(reservation_event(), 1..6),
        ) {
            let run = |state, events: Vec<_>| events.into_iter().fold(state, |state, event| {
                ReservationState::after(state, event).ok().or(state)
            });
            let released = ReservationState::after(run(None, before), ReservationEvent::Release).ok();
            prop_assert_eq!(released, Some(ReservationState::Released));
            prop_assert_eq!(run(released, later), Some(ReservationState::Released));
        }

        #[test]
        fn a_repeated_event_changes_nothing(
            before in prop::collection::vec(reservation_event(), 0..6),
            event in reservation_event(),
        ) {
            let state = before.into_iter().fold(None, |state, event| {
                ReservationState::after(state, event).ok().or(state)
            });
            if let Ok(once) = ReservationState::after(state, event) {
                prop_assert_eq!(ReservationState::after(Some(once), event), Ok(once));
            }
        }
    }
}
