//! A process stands still.

use super::*;

const PAUSE: Heading = Heading::at("pause", 5, 7);
/// Longer than leases, deadlines and the timeouts of all callers.
const LONG: sweep::Lengths = [70_000, 5_000, 20_000];
const STALL: Heading = Heading::at("stall", 6, 8);
/// So short that callers still wait: whatever they want comes all at once then.
const BRIEF: sweep::Lengths = [1_000, 50, 300];
const STALE_CLOCK: Heading = Heading::at("stale clock", 18, 7);
/// Longer than a lease; as long as its owner works; longer than all that anybody waits.
const STALE: sweep::Lengths = [20_000, 3_000, 70_000];

fault! {
    /// The process stands still (a stopped machine, a long collection); time goes on.
    pub struct Pause = "pause" on Process(node) {
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(50, 70_000),
    }
    told "{node} stands still";
    effective once "a process was stopped";
}

impl Injectable for Pause {
    fn drawing() -> Drawing {
        Drawing {
            at_timers: true,
            at_held: Held::of(40, 3),
            at_clock_reads: true,
            ..Drawing::outage(2)
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        let Some(node) = at.node() else { return };
        let pause = |for_ms| Pause::new(node, for_ms);
        if *at.kind() == Kind::Clock {
            at.lasting(&STALE_CLOCK, STALE, pause);
        }
        if at.idle_process().is_some() {
            at.lasting(&PAUSE, LONG, pause);
            at.lasting(&STALL, BRIEF, pause);
        }
    }

    fn shows_as(&self) -> &'static [Life] {
        &[Life::Pauses, Life::Resumes]
    }

    fn makes_clock_reads_stale(&self) -> bool {
        true
    }

    fn strike_clock_read(&mut self, from: &mut Draw<'_>) {
        self.for_ms = from.ms(500, 70_000);
    }

    fn begin(&self, target: &dyn Target) -> bool {
        let pauses = target.pause(&self.node);
        if pauses {
            target.touched();
        }
        pauses
    }

    fn end(&self, target: &dyn Target) {
        if target.alike().is_empty() {
            target.resume(&self.node);
        }
    }
}
