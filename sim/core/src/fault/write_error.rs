//! A write that fails.

use std::fmt;

use super::{
    Candidates, Draw, Effect, Heading, Injectable, Number, Profile, Target, When, limits,
    words::{self, Clause, Moment},
};
use crate::site::Kind;

const WRITE_ERROR: Heading = Heading::at("write error", 17, 4);

fault! {
    /// The next write fails.
    pub struct WriteError = "write-error" {
        /// The node.
        node: String,
    }
}

impl Injectable for WriteError {
    fn effective_once() -> &'static str {
        "a write has failed"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        WriteError { node: from.node() }
    }

    fn candidates(at: &mut Candidates<'_>) {
        if let (Some(node), Kind::Write) = (at.process(), at.kind()) {
            let node = node.to_owned();
            at.once(&WRITE_ERROR, WriteError { node });
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
        words::disk_error(&self.node, &Kind::Write, "write", at.when)
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

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}'s disk fails a write", self.node)
    }
}
