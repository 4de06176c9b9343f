//! A port that answers with resets.

use std::fmt;

use super::{
    Draw, Drawing, Effect, Injectable, Number, Profile, Target, limits,
    words::{self, Clause, Moment, seconds},
};

fault! {
    /// The node's port answers connects with a reset.
    pub struct Refuse = "refuse" {
        /// The node.
        node: String,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
}

impl Injectable for Refuse {
    fn effective_once() -> &'static str {
        "a connect was refused"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        Refuse {
            node: from.node(),
            for_ms: from.ms(100, 20_000),
        }
    }

    fn drawing() -> Drawing {
        Drawing {
            outage: Some(7),
            ..Drawing::default()
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
        words::lasting(
            format_args!("{} refuses connections", self.node),
            self.for_ms,
        )
    }

    fn outage_ms(&mut self) -> Option<&mut u64> {
        Some(&mut self.for_ms)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Amount(&mut self.for_ms)]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.refuse(&self.node, on);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::ConnectRefused(&self.node))
    }
}

impl fmt::Display for Refuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refuse { node, for_ms } = self;
        write!(f, "{node} refuses connections for {}", seconds(*for_ms))
    }
}
