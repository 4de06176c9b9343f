//! A sector that can't be read.

use super::*;

fault! {
    /// A stored sector can't be read until it is written again.
    pub struct SectorError = "sector-error" on Disk(node) {
        /// Which, modulo the sectors that are stored.
        choice: u64 = below(1 << 20),
    }
    told "a sector of {node}'s disk can't be read";
    in words "a sector of {node}'s disk becomes unreadable";
    effective once "a read or a partial write met the sector", counted as SectorUnreadable(node);
}

impl Injectable for SectorError {
    fn lasts_ms(&self) -> Option<u64> {
        Some(limits::LIES_IN_WAIT_MS)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        Vec::new()
    }

    fn strike(&self, target: &dyn Target) {
        target.spoil_sector(&self.node, self.choice);
    }

    fn end(&self, target: &dyn Target) {
        if target.alike().is_empty() {
            target.repair_sectors(&self.node);
        }
    }
}
