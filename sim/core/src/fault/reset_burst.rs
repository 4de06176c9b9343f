//! A connection that is reset in place of a message.

use super::*;

const RESET: Heading = Heading::at("reset", 11, 17);

fault! {
    /// The connection is reset at this burst. At a site only.
    pub struct ResetBurst = "reset-burst" on Burst() {}
    told "the connection is reset";
    in words |message| "a reset of the connection comes in place of {message}";
    effective once "the connection was reset";
}

impl Injectable for ResetBurst {
    fn candidates(at: &mut Candidates<'_>) {
        if at.burst().is_some() {
            at.once(&RESET, ResetBurst {});
        }
    }

    fn at_burst(&self) -> Option<BurstFault> {
        Some(BurstFault::Reset)
    }
}
