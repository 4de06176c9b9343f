//! A disk without space.

use super::*;

fault! {
    /// The disk is full.
    pub struct DiskFull = "disk-full" on Disk(node) {
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(200, 10_000),
    }
    told "{node}'s disk is full";
    effective once "a write was refused", counted as WriteRefused(node);
}

impl Injectable for DiskFull {
    fn drawing() -> Drawing {
        Drawing::outage(5)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        vec![WriteError::new(&self.node).into()]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.fill_disk(&self.node, on);
    }
}
