//! A port that answers with resets.

use super::{Drawing, Effect, Injectable, Target};

fault! {
    /// The node's port answers connects with a reset.
    pub struct Refuse = "refuse" on node {
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(100, 20_000),
    }
    told "{node} refuses connections";
    effective once "a connect was refused";
}

impl Injectable for Refuse {
    fn drawing() -> Drawing {
        Drawing::outage(7)
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.refuse(&self.node, on);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::ConnectRefused(&self.node))
    }
}
