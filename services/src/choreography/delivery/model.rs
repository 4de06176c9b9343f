//! A shipment's life: `Started → Completed | Failed`.

use serde::{Deserialize, Serialize};

/// Where a shipment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// On its way.
    Started,
    /// Handed over, for good.
    Completed,
    /// Never handed over, for good.
    Failed,
}

/// What a try came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Try {
    /// It was handed over.
    HandedOver,
    /// No one was at home; delivery is tried again.
    Missed,
    /// No one was at home at the last try.
    MissedForGood,
}

impl State {
    /// The state after a try. What has ended stays as it is.
    pub fn after(self, tried: Try) -> State {
        match (self, tried) {
            (State::Started, Try::HandedOver) => State::Completed,
            (State::Started, Try::MissedForGood) => State::Failed,
            (State::Started, Try::Missed) => State::Started,
            (ended, _) => ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_or_given_up_stays_so() {
        for ended in [State::Completed, State::Failed] {
            for tried in [Try::HandedOver, Try::Missed, Try::MissedForGood] {
                assert_eq!(ended.after(tried), ended);
            }
        }
        assert_eq!(State::Started.after(Try::HandedOver), State::Completed);
        assert_eq!(State::Started.after(Try::Missed), State::Started);
        assert_eq!(State::Started.after(Try::MissedForGood), State::Failed);
    }
}
