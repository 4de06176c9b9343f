//! A message that is late.

use super::*;

const DELAYED: Heading = Heading::at("delayed", 12, 18);
/// Longer than any caller waits, so that what comes late meets what was done about its absence.
const DELAY: sweep::Lengths = [20_000, 100, 3_000];

fault! {
    /// This burst is late. At a site only.
    pub struct DelayBurst = "delay-burst" on Burst() {
        /// By how many virtual milliseconds.
        by_ms: u64 = ms(50, 20_000),
    }
    told "it is {late} late", late = words::seconds(*by_ms);
    in words |message| "{message} is {late} late", late = words::time(*by_ms);
    effective once "the burst was delayed";
}

impl Injectable for DelayBurst {
    fn candidates(at: &mut Candidates<'_>) {
        if at.burst().is_some() {
            at.lasting(&DELAYED, DELAY, |by_ms| DelayBurst { by_ms });
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::slows(self.by_ms)
    }

    fn at_burst(&self) -> Option<BurstFault> {
        Some(BurstFault::Delay(std::time::Duration::from_millis(
            self.by_ms,
        )))
    }

    fn late_ms(&mut self) -> Option<&mut u64> {
        Some(&mut self.by_ms)
    }
}
