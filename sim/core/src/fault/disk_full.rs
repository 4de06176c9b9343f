//! A disk without space.

use super::{Action, Drawing, Effect, Injectable, Target, WriteError};

fault! {
    /// The disk is full.
    pub struct DiskFull = "disk-full" on node {
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(200, 10_000),
    }
    told "{node}'s disk is full";
    effective once "a write was refused";
}

impl Injectable for DiskFull {
    fn drawing() -> Drawing {
        Drawing::outage(5)
    }

    fn damages_disk(&self) -> bool {
        true
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let node = self.node.clone();
        vec![WriteError { node }.into()]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.fill_disk(&self.node, on);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::WriteRefused(&self.node))
    }
}
