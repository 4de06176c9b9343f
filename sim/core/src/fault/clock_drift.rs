//! A wall clock that is not right.

use super::*;

fault! {
    /// The wall clock runs fast or slow.
    pub struct ClockDrift = "clock-drift" on Node(node) {
        /// Parts per million; slow if negative.
        ppm: i64,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
    told "{node}'s clock drifts by {ppm} ppm";
    in words "{node}'s clock runs {share} {way}",
        share = words::share(ppm.unsigned_abs()),
        way = if *ppm < 0 { "slow" } else { "fast" };
    effective once "the node has read its clock", counted as ClockRead(node);
    drawn |from| {
        let ppm = from.ms(100, 200_000) as i64;
        let ppm = from.either_way(ppm);
        ClockDrift::new(from.node(), ppm, from.ms(1_000, 60_000))
    };
}

impl Injectable for ClockDrift {
    fn check(&self) -> Result<(), &'static str> {
        limits::lasts(self.for_ms)?;
        limits::require(self.ppm != 0, "the clock would not drift: at least 1 ppm")?;
        limits::require(
            self.ppm.unsigned_abs() <= 1_000_000,
            "a clock drifts by at most 1000000 ppm",
        )
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.drift_clock(&self.node, if on { self.ppm } else { 0 });
    }
}
