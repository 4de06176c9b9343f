//! A port that answers with resets.

use super::*;

fault! {
    /// The node's port answers connects with a reset.
    pub struct Refuse = "refuse" on Node(node) {
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(100, 20_000),
    }
    told "{node} refuses connections";
    effective once "a connect was refused", counted as ConnectRefused(node);
}

impl Injectable for Refuse {
    fn drawing() -> Drawing {
        Drawing::outage(7)
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.refuse(&self.node, on);
    }
}
