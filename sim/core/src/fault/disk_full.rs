//! A disk without space.

use std::fmt;

use super::{
    Action, Draw, Drawing, Effect, Injectable, Number, Profile, Target, WriteError, limits,
    words::{self, Clause, Moment, seconds},
};

fault! {
    /// The disk is full.
    pub struct DiskFull = "disk-full" {
        /// The node.
        node: String,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
}

impl Injectable for DiskFull {
    fn effective_once() -> &'static str {
        "a write was refused"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        DiskFull {
            node: from.node(),
            for_ms: from.ms(200, 10_000),
        }
    }

    fn drawing() -> Drawing {
        Drawing {
            outage: Some(5),
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
        words::lasting(format_args!("{}'s disk is full", self.node), self.for_ms)
    }

    fn damages_disk(&self) -> bool {
        true
    }

    fn outage_ms(&mut self) -> Option<&mut u64> {
        Some(&mut self.for_ms)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let node = self.node.clone();
        vec![WriteError { node }.into()]
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Amount(&mut self.for_ms)]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.fill_disk(&self.node, on);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::WriteRefused(&self.node))
    }
}

impl fmt::Display for DiskFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DiskFull { node, for_ms } = self;
        write!(f, "{node}'s disk is full for {}", seconds(*for_ms))
    }
}
