//! A disk that lies.

use super::*;

fault! {
    /// Syncs return at once and have written nothing: a power loss soon after takes what they promised. Only of nodes that a
    /// profile names ([`Profile::lying`]): nothing that keeps data survives it.
    pub struct LyingSyncs = "lying-syncs" on LyingDisk(node) {
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(200, 60_000),
    }
    told "{node}'s disk lies about its syncs";
    effective once "a sync has lied", counted as SyncLied(node);
}

impl Injectable for LyingSyncs {
    fn switch(&self, target: &dyn Target, on: bool) {
        target.lie_about_syncs(&self.node, on);
    }
}
