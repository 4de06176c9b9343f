//! A link that loses packets.

use std::fmt;

use super::{
    Draw, Effect, Injectable, Links, Number, Profile, Target, limits,
    words::{self, Clause, Moment, seconds},
};

fault! {
    /// A link loses packets, which are sent again.
    pub struct Loss = "loss" {
        /// From this node ...
        from: String,
        /// ... to this one.
        to: String,
        /// Share of packets lost, in percent.
        percent: u8,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
}

impl Injectable for Loss {
    fn effective_once() -> &'static str {
        "a packet was lost"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.links.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        let (from_node, to) = from.link();
        Loss {
            from: from_node,
            to,
            percent: 5 + from.rng.below(60) as u8,
            for_ms: from.ms(200, 20_000),
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.from, &self.to]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::lasts(self.for_ms)?;
        limits::require(
            self.percent > 0,
            "nothing would be lost: at least 1 percent",
        )?;
        limits::require(
            self.percent <= 99,
            "something gets through: at most 99 percent, or say \"cut\"",
        )
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(self.for_ms)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let (Loss { from, to, .. }, percent) = (self, self.percent);
        let lost = format_args!("{percent} % of the packets from {from} to {to} are lost");
        words::lasting(lost, self.for_ms)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![
            Number::Percent(&mut self.percent),
            Number::Amount(&mut self.for_ms),
        ]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        let link = Links::OneWay(&self.from, &self.to);
        target.lose_packets(link, if on { self.percent } else { 0 });
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        let link = Links::OneWay(&self.from, &self.to);
        target.count(Effect::PacketLost(link))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Loss { from, to, .. }, lasts) = (self, seconds(self.for_ms));
        let percent = self.percent;
        write!(f, "{from} → {to} loses {percent} % for {lasts}")
    }
}
