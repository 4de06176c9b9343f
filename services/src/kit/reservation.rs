//! Something set aside for a saga: units, money, a coupon, a bag slot. Its life is plain data ([`ReservationState`]); what a
//! service does to the thing itself, in one transaction a step, it says as `Reserving`.

use std::ops::Deref;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Code, Problem, Table, Writer};
use crate::planted_bug::{Bug, Bugs};

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
    /// It is requested.
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
pub fn forgets_releases(bugs: Bugs) -> bool {
    bugs.has(Bug::LateReserveAfterCancel) || bugs.has(Bug::RollbackOvertakesLateSuccess)
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

/// What a saga has set aside, taken for good or given back: a row of the service that has the thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation<W> {
    /// Whose it is.
    pub saga_id: String,
    /// For which order; empty in a tombstone.
    pub order_id: String,
    /// What it is of.
    #[serde(flatten)]
    pub what: W,
    /// Where it is in its life.
    pub state: ReservationState,
    /// Wall clock of the last change, milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl<W> Deref for Reservation<W> {
    type Target = W;

    fn deref(&self) -> &W {
        &self.what
    }
}

/// How a reservation leaves the state that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settling {
    /// What is set aside is taken for good.
    Taken,
    /// What was set aside is given back.
    GivenBack,
    /// What was taken for good is given back.
    Returned,
}

/// What is told of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Taken,
    Released,
    TombstoneLeft,
}

/// A transaction, the weaknesses of the shape, and the wall clock of the request.
pub(crate) type Work<'a, 't> = (&'a mut Writer<'t>, Bugs, u64);

/// One request's work on a service's reservations, inside one transaction. Each step is repeated harmlessly.
pub(crate) trait Reserving<'t> {
    /// What is set aside.
    type What: Serialize + DeserializeOwned;

    /// Reservations by saga: a saga reserves once.
    const ROWS: Table<Reservation<Self::What>>;

    /// What a saga without a reservation has reserved.
    const NOTHING: &'static str = "nothing";

    /// What the work needs to know.
    fn work(&mut self) -> Work<'_, 't>;

    /// Moves the thing to where it ends up.
    fn settle(&mut self, of: &Reservation<Self::What>, way: Settling) -> Result<(), Problem>;

    /// Tells what was done.
    fn tell(&mut self, of: &Reservation<Self::What>, told: Told);

    /// The saga's reservation, if it has one already; refused after its release.
    fn reserved(&mut self, saga_id: &str) -> Result<Option<Reservation<Self::What>>, Problem> {
        let before = self.work().0.get(&Self::ROWS, saga_id)?;
        let state = before.as_ref().map(|before| before.state);
        ReservationState::after(state, ReservationEvent::Begin).map_err(invalid_state)?;
        Ok(before)
    }

    /// Notes what was set aside.
    fn note(
        &mut self,
        saga_id: &str,
        order_id: &str,
        what: Self::What,
    ) -> Result<Reservation<Self::What>, Problem> {
        let reservation = Reservation {
            saga_id: saga_id.to_owned(),
            order_id: order_id.to_owned(),
            what,
            state: ReservationState::Reserved,
            at_ms: self.work().2,
        };
        self.work().0.put(&Self::ROWS, saga_id, &reservation)?;
        Ok(reservation)
    }

    /// Takes for good what the saga has set aside.
    ///
    /// # Errors
    /// `NOT_FOUND` if it has set nothing aside, `INVALID_STATE` if that was released.
    fn confirm(&mut self, saga_id: &str) -> Result<Reservation<Self::What>, Problem> {
        let Some(mut reservation) = self.work().0.get(&Self::ROWS, saga_id)? else {
            let nothing = Self::NOTHING;
            return Err(Code::NotFound.because(format!("saga {saga_id} has reserved {nothing}")));
        };
        let before = reservation.state;
        reservation.state = ReservationState::after(Some(before), ReservationEvent::Confirm)
            .map_err(invalid_state)?;
        if before != ReservationState::Confirmed {
            self.end(&mut reservation, Settling::Taken)?;
            self.tell(&reservation, Told::Taken);
        }
        Ok(reservation)
    }

    /// Gives back what the saga has set aside or taken; where it has nothing yet, leaves a tombstone that names `what` it
    /// meant, so that a reserve that is still on its way is refused.
    fn release(
        &mut self,
        saga_id: &str,
        what: Self::What,
    ) -> Result<Reservation<Self::What>, Problem> {
        let Some(mut reservation) = self.work().0.get(&Self::ROWS, saga_id)? else {
            return self.entomb(saga_id, what);
        };
        let before = std::mem::replace(&mut reservation.state, ReservationState::Released);
        let way = match before {
            ReservationState::Reserved => Settling::GivenBack,
            ReservationState::Confirmed => Settling::Returned,
            ReservationState::Reserving | ReservationState::Released => return Ok(reservation),
        };
        self.end(&mut reservation, way)?;
        if forgets_releases(self.work().1) {
            self.work().0.delete(&Self::ROWS, saga_id)?;
        }
        self.tell(&reservation, Told::Released);
        Ok(reservation)
    }

    /// Refuses the saga's reserve, should it still come.
    fn entomb(
        &mut self,
        saga_id: &str,
        what: Self::What,
    ) -> Result<Reservation<Self::What>, Problem> {
        let tombstone = Reservation {
            saga_id: saga_id.to_owned(),
            order_id: String::new(),
            what,
            state: ReservationState::Released,
            at_ms: self.work().2,
        };
        if !forgets_releases(self.work().1) {
            self.work().0.put(&Self::ROWS, saga_id, &tombstone)?;
            self.tell(&tombstone, Told::TombstoneLeft);
        }
        Ok(tombstone)
    }

    /// Settles a reservation whose state has just changed.
    fn end(
        &mut self,
        reservation: &mut Reservation<Self::What>,
        way: Settling,
    ) -> Result<(), Problem> {
        self.settle(reservation, way)?;
        reservation.at_ms = self.work().2;
        Ok(self
            .work()
            .0
            .put(&Self::ROWS, &reservation.saga_id, reservation)?)
    }
}

/// A refusal because of the state that something is in.
pub(crate) fn invalid_state(why: impl ToString) -> Problem {
    Code::InvalidState.because(why.to_string())
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
