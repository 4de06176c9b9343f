//! The payment's state machine: pure data, total transitions.
//!
//! An "-ing" state is an intent: the gateway may or may not have acted on it. It is committed before the gateway is
//! asked, and left only by what the gateway answers.

use serde::{Deserialize, Serialize};

/// How money is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Hold first, capture at the pivot: undone by a void, free and immediate.
    TwoStep,
    /// Taken at once: undone by a refund, which takes time and may cost a fee.
    OneStep,
}

impl Mode {
    /// The intent that begins a payment of this mode.
    pub fn begin(self) -> Event {
        match self {
            Mode::TwoStep => Event::Authorize,
            Mode::OneStep => Event::Charge,
        }
    }
}

/// Where a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Nothing was asked yet; never stored.
    Created,
    /// A hold is being asked for.
    Authorizing,
    /// The amount is held.
    Authorized,
    /// The held amount is being taken.
    Capturing,
    /// The amount was taken from the hold.
    Captured,
    /// The hold is being given up; if the gateway's id is not known yet, the authorization is settled first.
    Voiding,
    /// No hold, no money. Also what a cancel leaves that came before its payment (a tombstone).
    Voided,
    /// The amount is being taken in one step.
    Charging,
    /// The amount was taken in one step.
    Charged,
    /// The amount is being paid back.
    Refunding,
    /// The amount was paid back.
    Refunded,
    /// The gateway refused the authorization or charge: no hold, no money.
    Declined,
}

/// What happens to a payment: intents of ours, then facts told by the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// We want a hold.
    Authorize,
    /// We want the money in one step.
    Charge,
    /// We want the held money.
    Capture,
    /// We want money and hold gone.
    Cancel,
    /// The gateway did what the "-ing" state asks for; a cancelled authorization was granted after all.
    Done,
    /// The gateway did nothing and never will.
    Refused,
    /// The gateway refused a void because it had captured.
    FoundCaptured,
}

/// An event that the state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a payment that is {from:?} cannot take {event:?}")]
pub struct Illegal {
    /// The state.
    pub from: Status,
    /// The event.
    pub event: Event,
}

impl Status {
    /// Every state.
    pub const ALL: [Status; 12] = [
        Status::Created,
        Status::Authorizing,
        Status::Authorized,
        Status::Capturing,
        Status::Captured,
        Status::Voiding,
        Status::Voided,
        Status::Charging,
        Status::Charged,
        Status::Refunding,
        Status::Refunded,
        Status::Declined,
    ];

    /// The state after an event.
    ///
    /// A cancel of a payment whose capture or charge is under way is illegal: settle that first, for whether to void
    /// or to refund depends on it.
    pub fn after(self, event: Event) -> Result<Status, Illegal> {
        use Event as E;
        use Status as S;
        Ok(match (self, event) {
            (S::Created, E::Authorize) => S::Authorizing,
            (S::Created, E::Charge) => S::Charging,
            (S::Authorized, E::Capture) => S::Capturing,

            (S::Authorizing, E::Done) => S::Authorized,
            (S::Charging, E::Done) => S::Charged,
            (S::Authorizing | S::Charging, E::Refused) => S::Declined,
            (S::Capturing, E::Done) => S::Captured,
            (S::Capturing, E::Refused) => S::Authorized,

            (S::Created, E::Cancel) => S::Voided,
            (S::Authorizing | S::Authorized, E::Cancel) => S::Voiding,
            (S::Captured | S::Charged, E::Cancel) => S::Refunding,
            (S::Voiding | S::Refunding, E::Cancel) => self,
            (S::Voided | S::Refunded | S::Declined, E::Cancel) => self,

            (S::Voiding, E::Done) => S::Voided,
            (S::Voiding, E::FoundCaptured) => S::Refunding,
            (S::Refunding, E::Done) => S::Refunded,
            (S::Voiding | S::Refunding, E::Refused) => self,

            (from, event) => return Err(Illegal { from, event }),
        })
    }

    /// Whether the gateway's answer is awaited.
    pub fn is_unsettled(self) -> bool {
        matches!(
            self,
            Status::Authorizing
                | Status::Capturing
                | Status::Voiding
                | Status::Charging
                | Status::Refunding
        )
    }

    /// Whether money and hold are certainly gone, for good.
    pub fn is_over(self) -> bool {
        matches!(self, Status::Voided | Status::Refunded | Status::Declined)
    }

    /// The name as in JSON: `two words` never occur.
    pub fn name(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Authorizing => "authorizing",
            Status::Authorized => "authorized",
            Status::Capturing => "capturing",
            Status::Captured => "captured",
            Status::Voiding => "voiding",
            Status::Voided => "voided",
            Status::Charging => "charging",
            Status::Charged => "charged",
            Status::Refunding => "refunding",
            Status::Refunded => "refunded",
            Status::Declined => "declined",
        }
    }
}

/// What is asked of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Hold the amount.
    Authorize,
    /// Take the amount in one step.
    Charge,
    /// Take the held amount.
    Capture,
    /// Give up the hold.
    Void,
    /// Pay the amount back.
    Refund,
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Action::Authorize => "authorize",
            Action::Charge => "charge",
            Action::Capture => "capture",
            Action::Void => "void",
            Action::Refund => "refund",
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Action::Authorize => "/authorizations",
            Action::Charge => "/charges",
            Action::Capture => "/captures",
            Action::Void => "/voids",
            Action::Refund => "/refunds",
        }
    }

    pub(super) fn is_undo(self) -> bool {
        matches!(self, Action::Void | Action::Refund)
    }
}

/// What the gateway answered for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It did it.
    Done {
        /// Its id of the authorization or charge.
        id: String,
    },
    /// It did nothing, for a reason of business.
    Refused {
        /// The reason.
        detail: String,
    },
    /// It cannot void because it has captured.
    FoundCaptured,
    /// It failed before doing anything and repeats that under this key: ask anew under another.
    Failed,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENTS: [Event; 7] = [
        Event::Authorize,
        Event::Charge,
        Event::Capture,
        Event::Cancel,
        Event::Done,
        Event::Refused,
        Event::FoundCaptured,
    ];

    fn events() -> impl Strategy<Value = Vec<Event>> {
        prop::collection::vec(prop::sample::select(EVENTS.to_vec()), 0..40)
    }

    #[test]
    fn only_unsettled_states_listen_to_the_gateway() {
        for status in Status::ALL {
            for told in [Event::Done, Event::Refused] {
                assert_eq!(
                    status.after(told).is_ok(),
                    status.is_unsettled(),
                    "{status:?} {told:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_moves_a_payment_that_is_over() {
        for status in Status::ALL.into_iter().filter(|s| s.is_over()) {
            for event in EVENTS {
                assert!(status.after(event).is_err() || status.after(event) == Ok(status));
            }
        }
    }

    #[test]
    fn names_are_the_json_names() {
        for status in Status::ALL {
            assert_eq!(serde_json::json!(status), status.name());
        }
    }

    proptest! {
        #[test]
        fn money_is_taken_once_at_most_and_always_paid_back_before_refunded(events in events()) {
            let (mut taken, mut paid_back) = (0, 0);
            let mut status = Status::Created;
            for event in events {
                let Ok(next) = status.after(event) else { continue };
                taken += i32::from(matches!(next, Status::Captured | Status::Charged) && next != status);
                paid_back += i32::from(next == Status::Refunded && next != status);
                status = next;
                prop_assert!(taken <= 1 && paid_back <= 1);
                prop_assert!(status != Status::Captured && status != Status::Charged || taken == 1);
            }
        }

        #[test]
        fn a_cancelled_payment_ends_without_money_or_hold(events in events(), fair in 0..2) {
            let mut status = Status::Created;
            for event in events {
                status = status.after(event).unwrap_or(status);
            }
            // Whatever happened before: settle what is under way, cancel, and let the gateway do as it is told.
            if matches!(status, Status::Capturing | Status::Charging) {
                let told = if fair == 0 { Event::Done } else { Event::Refused };
                status = status.after(told).unwrap();
            }
            status = status.after(Event::Cancel).unwrap();
            if status.is_unsettled() {
                status = status.after(Event::Done).unwrap();
            }
            prop_assert!(status.is_over());
            prop_assert_eq!(status.after(Event::Cancel), Ok(status));
        }
    }
}
