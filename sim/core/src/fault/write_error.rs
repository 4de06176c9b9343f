//! A write that fails.

use super::{
    Candidates, Effect, Heading, Injectable, Target, limits,
    words::{self, Clause, Moment},
};
use crate::site::Kind;

const WRITE_ERROR: Heading = Heading::at("write error", 17, 4);

fault! {
    /// The next write fails.
    pub struct WriteError = "write-error" on node at sites {}
    told "{node}'s disk fails a write";
    effective once "a write has failed";
}

impl Injectable for WriteError {
    fn candidates(at: &mut Candidates<'_>) {
        if let (Some(node), Kind::Write) = (at.process(), at.kind()) {
            let node = node.to_owned();
            at.once(&WRITE_ERROR, WriteError { node });
        }
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(limits::LIES_IN_WAIT_MS)
    }

    fn clause(&self, at: &Moment<'_>) -> Clause {
        words::disk_error(&self.node, &Kind::Write, "write", at.when)
    }

    fn damages_disk(&self) -> bool {
        true
    }

    fn begin(&self, target: &dyn Target) -> bool {
        target.fail_write(&self.node);
        true
    }

    fn end(&self, target: &dyn Target) {
        let others = target.alike().len() as u32;
        target.fail_writes_at_most(&self.node, others);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::WriteFailed(&self.node))
    }
}
