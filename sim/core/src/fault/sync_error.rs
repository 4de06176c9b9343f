//! A sync that fails.

use super::*;

const SYNC_ERROR: Heading = Heading::at("sync error", 16, 5);

fault! {
    /// The next sync fails.
    pub struct SyncError = "sync-error" on DiskAtSites(node) {}
    told "{node}'s disk fails a sync";
    effective once "a sync has failed", counted as SyncFailed(node);
}

impl Injectable for SyncError {
    fn candidates(at: &mut Candidates<'_>) {
        if let (Some(node), Kind::Sync) = (at.process(), at.kind()) {
            at.once(&SYNC_ERROR, SyncError::new(node));
        }
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(limits::LIES_IN_WAIT_MS)
    }

    fn clause(&self, at: &words::Moment<'_>) -> words::Clause {
        words::disk_error(&self.node, &Kind::Sync, "sync", at.when)
    }

    fn strike(&self, target: &dyn Target) {
        target.fail_sync(&self.node);
    }

    fn end(&self, target: &dyn Target) {
        let others = target.alike().len() as u32;
        target.fail_syncs_at_most(&self.node, others);
    }
}
