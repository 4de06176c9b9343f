//! A sector that can't be read.

use super::{Effect, Injectable, Number, Target, limits};

fault! {
    /// A stored sector can't be read until it is written again.
    pub struct SectorError = "sector-error" on node {
        /// Which, modulo the sectors that are stored.
        choice: u64 = below(1 << 20),
    }
    told "a sector of {node}'s disk can't be read";
    in words "a sector of {node}'s disk becomes unreadable";
    effective once "a read or a partial write met the sector";
}

impl Injectable for SectorError {
    fn lasts_ms(&self) -> Option<u64> {
        Some(limits::LIES_IN_WAIT_MS)
    }

    fn damages_disk(&self) -> bool {
        true
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        Vec::new()
    }

    fn begin(&self, target: &dyn Target) -> bool {
        target.spoil_sector(&self.node, self.choice);
        true
    }

    fn end(&self, target: &dyn Target) {
        if target.alike().is_empty() {
            target.repair_sectors(&self.node);
        }
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::SectorUnreadable(&self.node))
    }
}
