//! A machine dies.

use std::fmt;

use super::{
    Action, Candidates, Crash, Draw, Drawing, Heading, Injectable, Number, Profile, Restart,
    Target, When, limits,
    sweep::Lengths,
    words::{self, Clause, Moment, seconds},
};

const BEFORE: Heading = Heading::at("power loss before", 2, 3);
const AFTER: Heading = Heading::at("power loss after", 3, 1);
/// A machine takes longer than a process: callers have given up by then, and clocks have gone on.
const DOWN: Lengths = [10_000, 500, 30_000];

fault! {
    /// The machine dies: unsynced writes are lost or torn, peers hear nothing until it is back.
    pub struct PowerLoss = "power-loss" {
        /// The node.
        node: String,
        /// Virtual milliseconds until it is started again.
        down_ms: u64,
    }
}

impl Injectable for PowerLoss {
    fn effective_once() -> &'static str {
        "a process has died"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        PowerLoss {
            node: from.node(),
            down_ms: from.ms(500, 30_000),
        }
    }

    fn drawing() -> Drawing {
        Drawing {
            at_timers: true,
            outage: Some(1),
            ..Drawing::default()
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        let Some(node) = at.process() else { return };
        let power_loss = |down_ms| PowerLoss {
            node: node.to_owned(),
            down_ms,
        };
        at.lasting_after(&AFTER, DOWN, power_loss);
        at.lasting(&BEFORE, DOWN, power_loss);
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    // A machine that dies loses its memory however soon it is back.
    fn check(&self) -> Result<(), &'static str> {
        limits::time(self.down_ms)
    }

    fn lasts_ms(&self) -> Option<u64> {
        None
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        words::death(format!("{} loses power", self.node), self.down_ms)
    }

    fn stops_process(&self) -> bool {
        true
    }

    fn damages_disk(&self) -> bool {
        true
    }

    // Writes too: what was written and not synced is at stake.
    fn when(&self, from: &mut Draw<'_>) -> When {
        match from.rng.chance(0.75) {
            true => from.site_or_write_of(&self.node),
            false => from.instant(),
        }
    }

    fn outage_ms(&mut self) -> Option<&mut u64> {
        Some(&mut self.down_ms)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let (node, down_ms) = (self.node.clone(), self.down_ms);
        let restart = Restart { node: node.clone() };
        vec![restart.into(), Crash { node, down_ms }.into()]
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Amount(&mut self.down_ms)]
    }

    fn begin(&self, target: &dyn Target) -> bool {
        target.lose_power(&self.node, self.down_ms);
        true
    }
}

impl fmt::Display for PowerLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PowerLoss { node, down_ms } = self;
        write!(f, "{node} loses power{}", words::back(*down_ms, seconds))
    }
}
