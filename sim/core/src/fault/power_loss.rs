//! A machine dies.

use super::{
    Action, Candidates, Crash, Declared, Draw, Drawing, Heading, Injectable, Restart, Target, When,
    limits,
    sweep::Lengths,
    words::{self, Clause, Moment, seconds},
};

const BEFORE: Heading = Heading::at("power loss before", 2, 3);
const AFTER: Heading = Heading::at("power loss after", 3, 1);
/// A machine takes longer than a process: callers have given up by then, and clocks have gone on.
const DOWN: Lengths = [10_000, 500, 30_000];

fault! {
    /// The machine dies: unsynced writes are lost or torn, peers hear nothing until it is back.
    pub struct PowerLoss = "power-loss" on node {
        /// Virtual milliseconds until it is started again.
        down_ms: u64 = ms(500, 30_000),
    }
    told "{node} loses power{back}", back = words::back(*down_ms, seconds);
    in words "{node} loses power";
    effective once "a process has died";
}

impl Injectable for PowerLoss {
    fn drawing() -> Drawing {
        Drawing {
            at_timers: true,
            ..Drawing::outage(1)
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

    // A machine that dies loses its memory however soon it is back.
    fn check(&self) -> Result<(), &'static str> {
        limits::time(self.down_ms)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        words::death(self.words(), self.down_ms)
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

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let (node, down_ms) = (self.node.clone(), self.down_ms);
        vec![Restart::of(&node), Crash { node, down_ms }.into()]
    }

    fn begin(&self, target: &dyn Target) -> bool {
        target.lose_power(&self.node, self.down_ms);
        true
    }
}
