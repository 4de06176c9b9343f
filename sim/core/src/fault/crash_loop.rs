//! A process dies again and again.

use std::fmt;

use super::{
    Action, Crash, Draw, Injectable, Number, Profile, Restart, Target, limits,
    words::{Clause, Moment, seconds, time},
};

fault! {
    /// The process dies again and again.
    pub struct CrashLoop = "crash-loop" {
        /// The node.
        node: String,
        /// How many times.
        times: u32,
        /// Virtual milliseconds that it is down, and then up, each time.
        down_ms: u64,
    }
}

impl Injectable for CrashLoop {
    fn effective_once() -> &'static str {
        "a process has died"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        CrashLoop {
            node: from.node(),
            times: 2 + from.rng.below(4) as u32,
            down_ms: from.ms(50, 3_000),
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::time(self.down_ms)?;
        limits::recurs(self.times)
    }

    fn lasts_ms(&self) -> Option<u64> {
        None
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let CrashLoop { node, times, .. } = self;
        Clause {
            what: format!("{node} crashes {times} times, the first time"),
            after: format!("; each time back {} later", time(self.down_ms)),
            tells_site: false,
        }
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let (node, down_ms) = (self.node.clone(), self.down_ms);
        let restart = Restart { node: node.clone() };
        let mut fewer = vec![restart.into(), Crash { node, down_ms }.into()];
        let of = |times| CrashLoop {
            times,
            ..self.clone()
        };
        fewer.extend((2..self.times).map(|times| of(times).into()));
        fewer
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![
            Number::Times(&mut self.times),
            Number::Amount(&mut self.down_ms),
        ]
    }

    fn begin(&self, target: &dyn Target) -> bool {
        self.again(target, self.times);
        true
    }

    fn again(&self, target: &dyn Target, left: u32) {
        if left > 0 {
            target.kill(&self.node, self.down_ms, "crashes");
        }
        if left > 1 {
            target.again_after(self.down_ms * 2, left - 1);
        }
    }
}

impl fmt::Display for CrashLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CrashLoop {
            node,
            times,
            down_ms,
        } = self;
        let every = seconds(*down_ms);
        write!(f, "{node} crashes {times} times, every {every}")
    }
}
