//! A process stands still.

use std::fmt;

use super::{
    Candidates, Draw, Drawing, Heading, Held, Injectable, Number, Profile, Target, When, limits,
    sweep::Lengths,
    words::{self, Clause, Moment, seconds},
};
use crate::site::Kind;

const PAUSE: Heading = Heading::at("pause", 5, 7);
/// Longer than leases, deadlines and the timeouts of all callers.
const LONG: Lengths = [70_000, 5_000, 20_000];
const STALL: Heading = Heading::at("stall", 6, 8);
/// So short that callers still wait: whatever they want comes all at once then.
const BRIEF: Lengths = [1_000, 50, 300];
const STALE_CLOCK: Heading = Heading::at("stale clock", 18, 7);
/// Longer than a lease; as long as its owner works; longer than all that anybody waits.
const STALE: Lengths = [20_000, 3_000, 70_000];

fault! {
    /// The process stands still (a stopped machine, a long collection); time goes on.
    pub struct Pause = "pause" {
        /// The node.
        node: String,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
}

impl Injectable for Pause {
    fn effective_once() -> &'static str {
        "a process was stopped"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        Pause {
            node: from.node(),
            for_ms: from.ms(50, 70_000),
        }
    }

    fn drawing() -> Drawing {
        Drawing {
            at_timers: true,
            at_held: Some(Held {
                percent: 40,
                weight: 3,
            }),
            at_clock_reads: true,
            outage: Some(2),
            ..Drawing::default()
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        let Some(node) = at.node() else { return };
        let pause = |for_ms| Pause {
            node: node.to_owned(),
            for_ms,
        };
        if *at.kind() == Kind::Clock {
            at.lasting(&STALE_CLOCK, STALE, pause);
        }
        if at.idle_process().is_some() {
            at.lasting(&PAUSE, LONG, pause);
            at.lasting(&STALL, BRIEF, pause);
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::lasts(self.for_ms)
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(self.for_ms)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        words::lasting(format_args!("{} stands still", self.node), self.for_ms)
    }

    fn stops_process(&self) -> bool {
        true
    }

    fn makes_clock_reads_stale(&self) -> bool {
        true
    }

    fn when(&self, from: &mut Draw<'_>) -> When {
        from.site_or_instant(&self.node)
    }

    fn strike_holder(&mut self, node: &str, _: &mut Draw<'_>) {
        node.clone_into(&mut self.node);
    }

    fn strike_clock_read(&mut self, from: &mut Draw<'_>) {
        self.for_ms = from.ms(500, 70_000);
    }

    fn outage_ms(&mut self) -> Option<&mut u64> {
        Some(&mut self.for_ms)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Amount(&mut self.for_ms)]
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

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pause { node, for_ms } = self;
        write!(f, "{node} stands still for {}", seconds(*for_ms))
    }
}
