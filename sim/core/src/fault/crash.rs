//! A process dies.

use std::fmt;

use super::{
    Action, Candidates, Draw, Drawing, Heading, Held, Injectable, Number, Profile, Restart, Target,
    When, limits,
    sweep::Lengths,
    words::{self, Clause, Moment, seconds},
};

const BEFORE: Heading = Heading::at("crash before", 0, 2);
const AFTER: Heading = Heading::at("crash after", 1, 0);
/// A process that crashed is back sooner than a caller gives up altogether.
const DOWN: Lengths = [1_000, 50, 15_000];

fault! {
    /// The process dies: memory is lost, its kernel closes its connections; it is started again.
    pub struct Crash = "crash" {
        /// The node.
        node: String,
        /// Virtual milliseconds until it is started again.
        down_ms: u64,
    }
}

impl Injectable for Crash {
    fn effective_once() -> &'static str {
        "a process has died"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        Crash {
            node: from.node(),
            down_ms: from.ms(50, 20_000),
        }
    }

    fn drawing() -> Drawing {
        Drawing {
            at_timers: true,
            at_held: Some(Held {
                percent: 15,
                weight: 1,
            }),
            outage: Some(0),
            ..Drawing::default()
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        let Some(node) = at.process() else { return };
        let crash = |down_ms| Crash {
            node: node.to_owned(),
            down_ms,
        };
        at.lasting_after(&AFTER, DOWN, crash);
        at.lasting(&BEFORE, DOWN, crash);
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    // A process that dies loses its memory however soon it is back.
    fn check(&self) -> Result<(), &'static str> {
        limits::time(self.down_ms)
    }

    fn lasts_ms(&self) -> Option<u64> {
        None
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        words::death(format!("{} crashes", self.node), self.down_ms)
    }

    fn stops_process(&self) -> bool {
        true
    }

    fn when(&self, from: &mut Draw<'_>) -> When {
        from.site_or_instant(&self.node)
    }

    fn strike_holder(&mut self, node: &str, _: &mut Draw<'_>) {
        node.clone_into(&mut self.node);
    }

    fn outage_ms(&mut self) -> Option<&mut u64> {
        Some(&mut self.down_ms)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let node = self.node.clone();
        vec![Restart { node }.into()]
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Amount(&mut self.down_ms)]
    }

    fn begin(&self, target: &dyn Target) -> bool {
        target.kill(&self.node, self.down_ms, "crashes");
        true
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crash { node, down_ms } = self;
        write!(f, "{node} crashes{}", words::back(*down_ms, seconds))
    }
}
