//! A slow link.

use super::*;

fault! {
    /// A link is slow.
    pub struct Latency = "latency" on Link(from, to) {
        /// Virtual milliseconds added to each burst.
        extra_ms: u64 = ms(5, 5_000),
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(200, 20_000),
    }
    told "{from} → {to} is {extra_ms} ms slower";
    in words "everything from {from} to {to} takes {extra} longer", extra = words::time(*extra_ms);
    effective once "a burst or a connect was slower", counted as Slowed(Links::OneWay(from, to));
}

impl Injectable for Latency {
    fn check(&self) -> Result<(), &'static str> {
        limits::slows_for(self.extra_ms, self.for_ms)
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        let link = Links::OneWay(&self.from, &self.to);
        target.slow_links(link, if on { self.extra_ms } else { 0 });
    }
}
