//! A message that comes twice.

use super::*;

const DUPLICATED: Heading = Heading::at("duplicated", 13, 19);
/// A copy that comes while the original is being handled or has just been.
const SOON: sweep::Lengths = [5, 1, 50];
const DUPLICATED_LATE: Heading = Heading::at("duplicated late", 14, 20);
/// A copy that comes when much has followed.
const LATE: sweep::Lengths = [3_000, 500, 20_000];

fault! {
    /// This burst comes a second time, on a connection of its own. At a site only.
    pub struct DuplicateBurst = "duplicate-burst" on Burst() {
        /// How many virtual milliseconds later.
        after_ms: u64 = ms(1, 20_000),
    }
    told "it comes again {later} later", later = words::seconds(*after_ms);
    in words |message| "{message} comes again {later} later", later = words::time(*after_ms);
    effective once "the copy was sent";
}

impl Injectable for DuplicateBurst {
    fn candidates(at: &mut Candidates<'_>) {
        // An answer comes on the connection of its request: nobody sends it twice.
        if at.burst().is_some_and(|burst| burst.asks) {
            let again = |after_ms| DuplicateBurst { after_ms };
            at.lasting(&DUPLICATED, SOON, again);
            at.lasting(&DUPLICATED_LATE, LATE, again);
        }
    }

    // A second copy is one however soon it comes.
    fn check(&self) -> Result<(), &'static str> {
        limits::time(self.after_ms)
    }

    fn at_burst(&self) -> Option<BurstFault> {
        Some(BurstFault::Duplicate(std::time::Duration::from_millis(
            self.after_ms,
        )))
    }

    // Only callers send twice: an answer comes on the connection of its request.
    fn when(&self, from: &mut Draw<'_>) -> When {
        from.any_burst(true)
    }

    fn late_ms(&mut self) -> Option<&mut u64> {
        Some(&mut self.after_ms)
    }
}
