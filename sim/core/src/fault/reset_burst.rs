//! A connection that is reset in place of a message.

use std::fmt;

use super::{
    BurstFault, Candidates, Draw, Heading, Injectable, Number, Profile, When,
    words::{Clause, Moment},
};

const RESET: Heading = Heading::at("reset", 11, 17);

fault! {
    /// The connection is reset at this burst. At a site only.
    pub struct ResetBurst = "reset-burst" {}
}

impl Injectable for ResetBurst {
    fn effective_once() -> &'static str {
        "the connection was reset"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.links.is_empty())
    }

    fn draw(_: &mut Draw<'_>) -> Self {
        ResetBurst {}
    }

    fn candidates(at: &mut Candidates<'_>) {
        if at.burst().is_some() {
            at.once(&RESET, ResetBurst {});
        }
    }

    fn nodes(&self) -> Vec<&str> {
        Vec::new()
    }

    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn lasts_ms(&self) -> Option<u64> {
        None
    }

    fn clause(&self, at: &Moment<'_>) -> Clause {
        let message = at.message;
        format!("a reset of the connection comes in place of {message}").into()
    }

    fn at_burst(&self) -> Option<BurstFault> {
        Some(BurstFault::Reset)
    }

    fn when(&self, from: &mut Draw<'_>) -> When {
        from.any_burst(false)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        Vec::new()
    }
}

impl fmt::Display for ResetBurst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is reset")
    }
}
