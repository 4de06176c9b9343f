//! What may happen to a coupon: plain data, no I/O.

use serde::{Deserialize, Serialize};

/// Where a coupon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CouponState {
    /// Its user may spend it.
    Issued,
    /// A saga has it.
    Reserved {
        /// Which.
        saga_id: String,
    },
    /// It is spent, for good.
    Used {
        /// By which saga.
        saga_id: String,
    },
}

/// What a saga does with a coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CouponEvent {
    /// Takes it.
    Reserve,
    /// Spends what it took.
    Use,
    /// Gives back what it took.
    Release,
}

/// The saga may not do that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another saga has it, or has spent it.
    #[error("the coupon is in use or was used by another order")]
    Taken,
    /// The saga does not have it.
    #[error("the coupon is not reserved for this saga; reserve it first")]
    NotReserved,
    /// What is used stays used.
    #[error("the coupon was used for good")]
    Used,
}

impl CouponState {
    /// The state after `saga` did `event`. A repeated event leaves it as it is.
    pub fn after(&self, event: CouponEvent, saga: &str) -> Result<Self, Refusal> {
        use CouponEvent::*;
        let saga_id = saga.to_owned();
        match (self, event) {
            (CouponState::Issued, Reserve) => Ok(CouponState::Reserved { saga_id }),
            (CouponState::Issued, Use) => Err(Refusal::NotReserved),
            (CouponState::Issued, Release) => Ok(CouponState::Issued),
            (CouponState::Reserved { saga_id: mine }, event) if mine == saga => Ok(match event {
                Reserve => self.clone(),
                Use => CouponState::Used { saga_id },
                Release => CouponState::Issued,
            }),
            (CouponState::Used { saga_id: mine }, event) if mine == saga => match event {
                Reserve | Use => Ok(self.clone()),
                Release => Err(Refusal::Used),
            },
            // Whose it is now is not concerned.
            (_, Release) => Ok(self.clone()),
            _ => Err(Refusal::Taken),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events() -> impl Strategy<Value = Vec<(String, CouponEvent)>> {
        use CouponEvent::*;
        let event = prop_oneof![Just(Reserve), Just(Use), Just(Release)];
        prop::collection::vec(("[ab]", event), 1..20)
    }

    proptest! {
        #[test]
        fn a_coupon_is_used_at_most_once_and_by_whoever_reserved_it(events in events()) {
            let (mut state, mut used_by) = (CouponState::Issued, None);
            for (saga, event) in events {
                let reserved = CouponState::Reserved { saga_id: saga.clone() };
                if let Ok(after) = state.after(event, &saga) {
                    if let CouponState::Used { saga_id } = &after {
                        prop_assert!(state == after || state == reserved);
                        prop_assert_eq!(used_by.get_or_insert(saga_id.clone()), saga_id);
                    }
                    state = after;
                }
                prop_assert_eq!(used_by.is_some(), matches!(state, CouponState::Used { .. }));
            }
        }

        #[test]
        fn a_repeated_event_changes_nothing(events in events(), saga in "[ab]") {
            let state = events.into_iter().fold(CouponState::Issued, |state, (saga, event)| {
                state.after(event, &saga).unwrap_or(state)
            });
            for event in [CouponEvent::Reserve, CouponEvent::Use, CouponEvent::Release] {
                if let Ok(once) = state.after(event, &saga) {
                    prop_assert_eq!(once.after(event, &saga).ok(), Some(once));
                }
            }
        }
    }
}
