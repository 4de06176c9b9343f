//! What may happen to a completion, and what a notice or a copy's age means: plain data, no I/O.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where a user's completion of a challenge is. One that was never begun is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompletionStatus {
    /// Recorded; the reward is being ordered.
    Pending,
    /// The reward is ordered and the completion saved. For good.
    Completed,
    /// Undone: no reward order is left. May be begun again.
    Failed,
    /// It could be neither finished nor undone so far; a person was told.
    NeedsAttention,
}

/// What happens to a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionEvent {
    /// A user claims it.
    Begin,
    /// The reward is ordered.
    Save,
    /// The reward order is cancelled, or never was.
    RollBack,
    /// Retries are spent.
    GiveUp,
}

/// Why an event is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Each challenge is rewarded once per user.
    #[error("this user has already completed this challenge")]
    AlreadyCompleted,
    /// Another request is at it.
    #[error("this completion is already under way; ask for its state")]
    UnderWay,
    /// It is not under way.
    #[error("this completion is not under way")]
    NotUnderWay,
}

impl CompletionStatus {
    /// The status after `event`.
    pub fn after(status: Option<Self>, event: CompletionEvent) -> Result<Self, Refusal> {
        use {CompletionEvent::*, CompletionStatus::*};
        Ok(match (status, event) {
            (None | Some(Failed), Begin) => Pending,
            (Some(Pending | NeedsAttention), Begin) => return Err(Refusal::UnderWay),
            (Some(Completed), Begin | RollBack | GiveUp) => return Err(Refusal::AlreadyCompleted),
            (Some(Pending | NeedsAttention | Completed), Save) => Completed,
            (Some(Pending | NeedsAttention | Failed), RollBack) => Failed,
            (Some(Pending | NeedsAttention), GiveUp) => NeedsAttention,
            (None, Save | RollBack | GiveUp) | (Some(Failed), Save | GiveUp) => {
                return Err(Refusal::NotUnderWay);
            }
        })
    }
}

/// What to do with a notice of a product's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next one, or the first that we hear of.
    Apply,
    /// We have it, or a later one.
    Ignore,
    /// One or more before it never came: ask for the product.
    Resync,
}

impl Verdict {
    /// Judges a notice of version `noticed` by the version of our copy.
    pub fn of(copy: Option<u64>, noticed: u64) -> Self {
        match copy {
            None => Verdict::Apply,
            Some(copy) if noticed <= copy => Verdict::Ignore,
            Some(copy) if noticed == copy + 1 => Verdict::Apply,
            Some(_) => Verdict::Resync,
        }
    }
}

/// What a copy of a certain age is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// May be shown.
    Fresh,
    /// May be shown, marked as stale, if the original cannot be had.
    Stale,
    /// Must not be shown any more.
    TooOld,
}

impl Freshness {
    /// Judges an age.
    pub fn of(age: Duration, ttl: Duration, stale_limit: Duration) -> Self {
        if age < ttl {
            Freshness::Fresh
        } else if age < stale_limit {
            Freshness::Stale
        } else {
            Freshness::TooOld
        }
    }
}

/// How copies of products are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Not at all: every read asks.
    Live,
    /// For a while.
    #[default]
    Cache,
    /// Until told otherwise.
    Events,
}

/// How notices travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// The catalog calls, again and again until it is answered.
    #[default]
    Webhook,
    /// The bus tells its subscribers of the moment.
    PubSub,
    /// The bus keeps a log, and delivers from it until it is told that a notice was handled.
    Stream,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events() -> impl Strategy<Value = CompletionEvent> {
        use CompletionEvent::*;
        prop_oneof![Just(Begin), Just(Save), Just(RollBack), Just(GiveUp)]
    }

    proptest! {
        #[test]
        fn a_completion_is_begun_once_at_a_time_and_completed_for_good(
            events in prop::collection::vec(events(), 1..30),
        ) {
            let mut status = None;
            let mut under_way = false;
            for event in events {
                let after = CompletionStatus::after(status, event);
                if event == CompletionEvent::Begin {
                    prop_assert_eq!(after.is_ok(), !under_way && status != Some(CompletionStatus::Completed));
                }
                if status == Some(CompletionStatus::Completed) {
                    prop_assert!(after.is_err() || after == Ok(CompletionStatus::Completed));
                }
                if let Ok(after) = after {
                    status = Some(after);
                    under_way = matches!(after, CompletionStatus::Pending | CompletionStatus::NeedsAttention);
                }
            }
        }

        #[test]
        fn a_copy_that_obeys_every_verdict_never_goes_back_and_ends_with_the_newest_version(
            notices in prop::collection::vec(1u64..30, 1..40),
        ) {
            let mut copy = None;
            let mut newest = 0;
            for noticed in notices {
                newest = newest.max(noticed);
                match Verdict::of(copy, noticed) {
                    Verdict::Apply => {
                        prop_assert!(copy.is_none_or(|copy| copy + 1 == noticed));
                        copy = Some(noticed);
                    }
                    Verdict::Resync => copy = Some(newest),
                    Verdict::Ignore => prop_assert!(copy >= Some(noticed)),
                }
                prop_assert_eq!(copy, Some(newest));
            }
        }
    }

    #[test]
    fn a_copy_is_fresh_then_stale_then_refused() {
        let [ttl, limit] = [5, 60].map(Duration::from_secs);
        let at = |seconds| Freshness::of(Duration::from_secs(seconds), ttl, limit);
        assert_eq!(
            [at(0), at(4), at(5), at(59), at(60)],
            [
                Freshness::Fresh,
                Freshness::Fresh,
                Freshness::Stale,
                Freshness::Stale,
                Freshness::TooOld
            ]
        );
    }
}
