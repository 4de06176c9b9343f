//! A message that is late.

use std::{fmt, time::Duration};

use super::{
    BurstFault, Candidates, Draw, Heading, Injectable, Number, Profile, When, limits,
    sweep::Lengths,
    words::{Clause, Moment, seconds, time},
};

const DELAYED: Heading = Heading::at("delayed", 12, 18);
/// Longer than any caller waits, so that what comes late meets what was done about its absence.
const DELAY: Lengths = [20_000, 100, 3_000];

fault! {
    /// This burst is late. At a site only.
    pub struct DelayBurst = "delay-burst" {
        /// By how many virtual milliseconds.
        by_ms: u64,
    }
}

impl Injectable for DelayBurst {
    fn effective_once() -> &'static str {
        "the burst was delayed"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.links.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        DelayBurst {
            by_ms: from.ms(50, 20_000),
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        if at.burst().is_some() {
            at.lasting(&DELAYED, DELAY, |by_ms| DelayBurst { by_ms });
        }
    }

    fn nodes(&self) -> Vec<&str> {
        Vec::new()
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::slows(self.by_ms)
    }

    fn lasts_ms(&self) -> Option<u64> {
        None
    }

    fn clause(&self, at: &Moment<'_>) -> Clause {
        format!("{} is {} late", at.message, time(self.by_ms)).into()
    }

    fn at_burst(&self) -> Option<BurstFault> {
        Some(BurstFault::Delay(Duration::from_millis(self.by_ms)))
    }

    fn when(&self, from: &mut Draw<'_>) -> When {
        from.any_burst(false)
    }

    fn late_ms(&mut self) -> Option<&mut u64> {
        Some(&mut self.by_ms)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Amount(&mut self.by_ms)]
    }
}

impl fmt::Display for DelayBurst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is {} late", seconds(self.by_ms))
    }
}
