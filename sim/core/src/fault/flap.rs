//! A link that goes down and up.

use super::*;

fault! {
    /// A link goes down and up, again and again.
    pub struct Flap = "flap" on Ends(from, to) {
        /// How many times.
        times: u32 = between(2, 6),
        /// Virtual milliseconds that it is down, and then up, each time.
        each_ms: u64 = ms(20, 2_000),
    }
    told "{from} ↔ {to} flaps {times} times, {each} each", each = words::seconds(*each_ms);
    in words "the link between {from} and {to} fails {times} times for {each}, the first time",
        each = words::time(*each_ms);
    effective once "a burst or a connect was held back", counted as HeldBack(Links::BothWays(from, to));
}

impl Injectable for Flap {
    fn check(&self) -> Result<(), &'static str> {
        limits::lasts(self.each_ms)?;
        limits::recurs(self.times)
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(u64::from(self.times) * 2 * self.each_ms)
    }

    fn silences(&self, from: &str, to: &str) -> bool {
        self.links().contain(from, to)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let (from, to) = (&self.from, &self.to);
        let cut = Cut::new(from, to, true, self.each_ms);
        let of = |times| Flap::new(from, to, times, self.each_ms);
        let fewer = (2..self.times).map(|times| of(times).into());
        [cut.into()].into_iter().chain(fewer).collect()
    }

    fn strike(&self, target: &dyn Target) {
        self.again(target, self.times * 2);
    }

    fn again(&self, target: &dyn Target, left: u32) {
        target.cut(self.links(), left > 0 && left.is_multiple_of(2));
        target.switch_on_again();
        if left > 0 {
            target.again_after(self.each_ms, left - 1);
        }
    }

    fn hold(&self, target: &dyn Target, left: u32) {
        if !left.is_multiple_of(2) {
            target.cut(self.links(), true);
        }
    }
}

impl Flap {
    fn links(&self) -> Links<'_> {
        Links::BothWays(&self.from, &self.to)
    }
}
