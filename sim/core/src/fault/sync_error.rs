//! A sync that fails.

use std::fmt;

use super::{
    Candidates, Draw, Effect, Heading, Injectable, Number, Profile, Target, When, limits,
    words::{self, Clause, Moment},
};
use crate::site::Kind;

const SYNC_ERROR: Heading = Heading::at("sync error", 16, 5);

fault! {
    /// The next sync fails.
    pub struct SyncError = "sync-error" {
        /// The node.
        node: String,
    }
}

impl Injectable for SyncError {
    fn effective_once() -> &'static str {
        "a sync has failed"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        SyncError { node: from.node() }
    }

    fn candidates(at: &mut Candidates<'_>) {
        if let (Some(node), Kind::Sync) = (at.process(), at.kind()) {
            let node = node.to_owned();
            at.once(&SYNC_ERROR, SyncError { node });
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

    fn clause(&self, at: &Moment<'_>) -> Clause {
        words::disk_error(&self.node, &Kind::Sync, "sync", at.when)
    }

    fn damages_disk(&self) -> bool {
        true
    }

    fn when(&self, from: &mut Draw<'_>) -> When {
        from.site_or_instant(&self.node)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        Vec::new()
    }

    fn begin(&self, target: &dyn Target) -> bool {
        target.fail_sync(&self.node);
        true
    }

    fn end(&self, target: &dyn Target) {
        let others = target.alike().len() as u32;
        target.fail_syncs_at_most(&self.node, others);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::SyncFailed(&self.node))
    }
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}'s disk fails a sync", self.node)
    }
}
