//! A wall clock that is not right.

use std::fmt;

use super::{
    Draw, Effect, Injectable, Number, Profile, Target, limits,
    words::{self, Clause, Moment, seconds, share},
};

fault! {
    /// The wall clock runs fast or slow.
    pub struct ClockDrift = "clock-drift" {
        /// The node.
        node: String,
        /// Parts per million; slow if negative.
        ppm: i64,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
}

impl Injectable for ClockDrift {
    fn effective_once() -> &'static str {
        "the node has read its clock"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        let ppm = from.ms(100, 200_000) as i64;
        let ppm = from.either_way(ppm);
        ClockDrift {
            node: from.node(),
            ppm,
            for_ms: from.ms(1_000, 60_000),
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::lasts(self.for_ms)?;
        limits::require(self.ppm != 0, "the clock would not drift: at least 1 ppm")?;
        limits::require(
            self.ppm.unsigned_abs() <= 1_000_000,
            "a clock drifts by at most 1000000 ppm",
        )
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(self.for_ms)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let (node, share) = (&self.node, share(self.ppm.unsigned_abs()));
        let way = if self.ppm < 0 { "slow" } else { "fast" };
        let drifts = format_args!("{node}'s clock runs {share} {way}");
        words::lasting(drifts, self.for_ms)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![
            Number::Signed(&mut self.ppm),
            Number::Amount(&mut self.for_ms),
        ]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.drift_clock(&self.node, if on { self.ppm } else { 0 });
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::ClockRead(&self.node))
    }
}

impl fmt::Display for ClockDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ClockDrift { node, ppm, .. }, lasts) = (self, seconds(self.for_ms));
        write!(f, "{node}'s clock drifts by {ppm} ppm for {lasts}")
    }
}
