//! A slow link.

use super::{Effect, Injectable, Links, Target, limits, words::time};

fault! {
    /// A link is slow.
    pub struct Latency = "latency" on link (from, to) {
        /// Virtual milliseconds added to each burst.
        extra_ms: u64 = ms(5, 5_000),
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(200, 20_000),
    }
    told "{from} → {to} is {extra_ms} ms slower";
    in words "everything from {from} to {to} takes {extra} longer", extra = time(*extra_ms);
    effective once "a burst or a connect was slower";
}

impl Injectable for Latency {
    fn check(&self) -> Result<(), &'static str> {
        limits::slows_for(self.extra_ms, self.for_ms)
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        let link = Links::OneWay(&self.from, &self.to);
        target.slow_links(link, if on { self.extra_ms } else { 0 });
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        let link = Links::OneWay(&self.from, &self.to);
        target.count(Effect::Slowed(link))
    }
}
