//! A write that fails.

use super::*;

const WRITE_ERROR: Heading = Heading::at("write error", 17, 4);

fault! {
    /// The next write fails.
    pub struct WriteError = "write-error" on DiskAtSites(node) {}
    told "{node}'s disk fails a write";
    effective once "a write has failed", counted as WriteFailed(node);
}

impl Injectable for WriteError {
    fn candidates(at: &mut Candidates<'_>) {
        if let (Some(node), Kind::Write) = (at.process(), at.kind()) {
            at.once(&WRITE_ERROR, WriteError::new(node));
        }
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(limits::LIES_IN_WAIT_MS)
    }

    fn clause(&self, at: &words::Moment<'_>) -> words::Clause {
        words::disk_error(&self.node, &Kind::Write, "write", at.when)
    }

    fn strike(&self, target: &dyn Target) {
        target.fail_write(&self.node);
    }

    fn end(&self, target: &dyn Target) {
        let others = target.alike().len() as u32;
        target.fail_writes_at_most(&self.node, others);
    }
}
