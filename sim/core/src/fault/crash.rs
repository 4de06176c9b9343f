//! A process dies.

use super::*;

const BEFORE: Heading = Heading::at("crash before", 0, 2);
const AFTER: Heading = Heading::at("crash after", 1, 0);
/// A process that crashed is back sooner than a caller gives up altogether.
const DOWN: sweep::Lengths = [1_000, 50, 15_000];

fault! {
    /// The process dies: memory is lost, its kernel closes its connections; it is started again.
    pub struct Crash = "crash" on Process(node) {
        /// Virtual milliseconds until it is started again.
        down_ms: u64 = ms(50, 20_000),
    }
    told "{node} crashes{back}", back = words::back(*down_ms, words::seconds);
    in words "{node} crashes";
    effective once "a process has died";
}

impl Injectable for Crash {
    fn drawing() -> Drawing {
        Drawing {
            at_timers: true,
            at_held: Held::of(15, 1),
            ..Drawing::outage(0)
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        let Some(node) = at.process() else { return };
        let crash = |down_ms| Crash::new(node, down_ms);
        at.lasting_after(&AFTER, DOWN, crash);
        at.lasting(&BEFORE, DOWN, crash);
    }

    // A process that dies loses its memory however soon it is back.
    fn check(&self) -> Result<(), &'static str> {
        limits::time(self.down_ms)
    }

    fn shows_as(&self) -> &'static [Life] {
        &[Life::Crashes]
    }

    fn after(&self) -> String {
        words::back(self.down_ms, words::time)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        vec![Restart::new(&self.node).into()]
    }

    fn strike(&self, target: &dyn Target) {
        target.kill(&self.node, self.down_ms, Life::Crashes);
    }
}
