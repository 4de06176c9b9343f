//! A machine dies.

use super::*;

const BEFORE: Heading = Heading::at("power loss before", 2, 3);
const AFTER: Heading = Heading::at("power loss after", 3, 1);
/// A machine takes longer than a process: callers have given up by then, and clocks have gone on.
const DOWN: sweep::Lengths = [10_000, 500, 30_000];

fault! {
    /// The machine dies: unsynced writes are lost or torn, peers hear nothing until it is back.
    pub struct PowerLoss = "power-loss" on Process(node) {
        /// Virtual milliseconds until it is started again.
        down_ms: u64 = ms(500, 30_000),
    }
    told "{node} loses power{back}", back = words::back(*down_ms, words::seconds);
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
        let power_loss = |down_ms| PowerLoss::new(node, down_ms);
        at.lasting_after(&AFTER, DOWN, power_loss);
        at.lasting(&BEFORE, DOWN, power_loss);
    }

    // A machine that dies loses its memory however soon it is back.
    fn check(&self) -> Result<(), &'static str> {
        limits::time(self.down_ms)
    }

    fn damages_disk(&self) -> bool {
        true
    }

    // Writes too: what was written and not synced is at stake.
    fn when(&self, from: &mut Draw<'_>) -> When {
        match from.rng.chance(0.75) {
            true => from.site_of(&self.node, true),
            false => from.instant(),
        }
    }

    fn shows_as(&self) -> &'static [Life] {
        &[Life::LosesPower]
    }

    fn after(&self) -> String {
        words::back(self.down_ms, words::time)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let crash = Crash::new(&self.node, self.down_ms);
        vec![Restart::new(&self.node).into(), crash.into()]
    }

    fn strike(&self, target: &dyn Target) {
        target.lose_power(&self.node, self.down_ms);
    }
}
