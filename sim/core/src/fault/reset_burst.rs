//! A connection that is reset in place of a message.

use super::{
    BurstFault, Candidates, Heading, Injectable,
    words::{Clause, Moment},
};

const RESET: Heading = Heading::at("reset", 11, 17);

fault! {
    /// The connection is reset at this burst. At a site only.
    pub struct ResetBurst = "reset-burst" on burst {}
    told "the connection is reset";
    effective once "the connection was reset";
}

impl Injectable for ResetBurst {
    fn candidates(at: &mut Candidates<'_>) {
        if at.burst().is_some() {
            at.once(&RESET, ResetBurst {});
        }
    }

    fn clause(&self, at: &Moment<'_>) -> Clause {
        let message = at.message;
        format!("a reset of the connection comes in place of {message}").into()
    }

    fn at_burst(&self) -> Option<BurstFault> {
        Some(BurstFault::Reset)
    }
}
