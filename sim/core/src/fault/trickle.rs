//! A link that carries little.

use std::fmt;

use super::{
    Draw, Effect, Injectable, Links, Number, Profile, Target, limits,
    words::{self, Clause, Moment, seconds},
};

fault! {
    /// A link is thin.
    pub struct Trickle = "trickle" {
        /// From this node ...
        from: String,
        /// ... to this one.
        to: String,
        /// Bytes per second.
        bytes_per_s: u64,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
}

impl Injectable for Trickle {
    fn effective_once() -> &'static str {
        "a burst waited for bandwidth"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.links.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        let (from_node, to) = from.link();
        Trickle {
            from: from_node,
            to,
            bytes_per_s: from.ms(100, 20_000),
            for_ms: from.ms(200, 20_000),
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.from, &self.to]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::lasts(self.for_ms)?;
        limits::require(self.bytes_per_s > 0, "nothing would pass: say \"cut\"")
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(self.for_ms)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let (Trickle { from, to, .. }, rate) = (self, self.bytes_per_s);
        let thin = format_args!("no more than {rate} bytes a second pass from {from} to {to}");
        words::lasting(thin, self.for_ms)
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

    fn touched(&self, target: &dyn Target) -> u64 {
        let link = Links::OneWay(&self.from, &self.to);
        target.count(Effect::Throttled(link))
    }
}

impl fmt::Display for Trickle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Trickle { from, to, .. }, lasts) = (self, seconds(self.for_ms));
        let rate = self.bytes_per_s;
        write!(f, "{from} → {to} trickles at {rate} B/s for {lasts}")
    }
}
