//! A sync that fails.

use super::{
    Candidates, Effect, Heading, Injectable, Target, limits,
    words::{self, Clause, Moment},
};
use crate::site::Kind;

const SYNC_ERROR: Heading = Heading::at("sync error", 16, 5);

fault! {
    /// The next sync fails.
    pub struct SyncError = "sync-error" on node at sites {}
    told "{node}'s disk fails a sync";
    effective once "a sync has failed";
}

impl Injectable for SyncError {
    fn candidates(at: &mut Candidates<'_>) {
        if let (Some(node), Kind::Sync) = (at.process(), at.kind()) {
            let node = node.to_owned();
            at.once(&SYNC_ERROR, SyncError { node });
        }
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
