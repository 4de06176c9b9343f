//! A sector that can't be read.

use std::fmt;

use super::{
    Draw, Effect, Injectable, Number, Profile, Target, limits,
    words::{Clause, Moment},
};

fault! {
    /// A stored sector can't be read until it is written again.
    pub struct SectorError = "sector-error" {
        /// The node.
        node: String,
        /// Which, modulo the sectors that are stored.
        choice: u64,
    }
}

impl Injectable for SectorError {
    fn effective_once() -> &'static str {
        "a read or a partial write met the sector"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        SectorError {
            node: from.node(),
            choice: from.rng.below(1 << 20),
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(limits::LIES_IN_WAIT_MS)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        format!("a sector of {}'s disk becomes unreadable", self.node).into()
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

impl fmt::Display for SectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a sector of {}'s disk can't be read", self.node)
    }
}
