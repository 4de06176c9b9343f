//! A link that carries little.

use super::*;

fault! {
    /// A link is thin.
    pub struct Trickle = "trickle" on Link(from, to) {
        /// Bytes per second.
        bytes_per_s: u64 = ms(100, 20_000),
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(200, 20_000),
    }
    told "{from} → {to} trickles at {bytes_per_s} B/s";
    in words "no more than {bytes_per_s} bytes a second pass from {from} to {to}";
    effective once "a burst waited for bandwidth", counted as Throttled(Links::OneWay(from, to));
}

impl Injectable for Trickle {
    fn check(&self) -> Result<(), &'static str> {
        limits::lasts(self.for_ms)?;
        limits::require(self.bytes_per_s > 0, "nothing would pass: say \"cut\"")
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![
            Number::Rate(&mut self.bytes_per_s),
            Number::Amount(&mut self.for_ms),
        ]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        let link = Links::OneWay(&self.from, &self.to);
        target.limit_links(link, on.then_some(self.bytes_per_s));
    }
}
