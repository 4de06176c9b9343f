//! A slow link.

use std::fmt;

use super::{
    Draw, Effect, Injectable, Links, Number, Profile, Target, limits,
    words::{self, Clause, Moment, seconds, time},
};

fault! {
    /// A link is slow.
    pub struct Latency = "latency" {
        /// From this node ...
        from: String,
        /// ... to this one.
        to: String,
        /// Virtual milliseconds added to each burst.
        extra_ms: u64,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
}

impl Injectable for Latency {
    fn effective_once() -> &'static str {
        "a burst or a connect was slower"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.links.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        let (from_node, to) = from.link();
        Latency {
            from: from_node,
            to,
            extra_ms: from.ms(5, 5_000),
            for_ms: from.ms(200, 20_000),
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.from, &self.to]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::slows_for(self.extra_ms, self.for_ms)
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(self.for_ms)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let (Latency { from, to, .. }, extra) = (self, time(self.extra_ms));
        let slow = format_args!("everything from {from} to {to} takes {extra} longer");
        words::lasting(slow, self.for_ms)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![
            Number::Amount(&mut self.extra_ms),
            Number::Amount(&mut self.for_ms),
        ]
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

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Latency { from, to, .. }, lasts) = (self, seconds(self.for_ms));
        let extra_ms = self.extra_ms;
        write!(f, "{from} → {to} is {extra_ms} ms slower for {lasts}")
    }
}
