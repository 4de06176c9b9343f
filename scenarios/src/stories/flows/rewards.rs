//! Challenges rewarded with orders.

use super::{CHALLENGE, Flow, System, people::Deed};

/// All of them.
pub fn all() -> Vec<Flow> {
    vec![rewarded(), rolled_back()]
}

/// Nothing goes wrong.
pub fn rewarded() -> Flow {
    Flow::new(
        "challenge-rewarded",
        "A completion is recorded as pending, the shop makes the reward order, the completion is saved.",
        System::Rewards,
        Deed::complete("dan", CHALLENGE),
    )
}

/// The completion is refused at the very last step.
pub fn rolled_back() -> Flow {
    Flow::new(
        "challenge-rolled-back",
        "The user may not be rewarded, which shows only when the completion is saved: the shop cancels the reward order, \
         the lamp goes back on the shelf, the completion failed.",
        System::Rewards,
        Deed::complete("unlucky-fay", CHALLENGE),
    )
}
