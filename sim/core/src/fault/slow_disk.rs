//! A slow disk.

use super::*;

const SLOW_DISK: Heading = Heading::at("slow disk", 8, 12);
/// As long as a saga takes then.
const SLOW: sweep::Lengths = [10_000, 500, 2_000];
/// A slow disk takes so much longer for each commit.
const EXTRA_MS: u64 = 500;

fault! {
    /// Commits take long.
    pub struct SlowDisk = "slow-disk" on Node(node) {
        /// Virtual milliseconds added to each commit.
        extra_ms: u64 = ms(5, 3_000),
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(200, 20_000),
    }
    told "{node}'s disk is {extra_ms} ms slower";
    in words "each commit of {node} takes {extra} longer", extra = words::time(*extra_ms);
    effective once "a commit was slower", counted as CommitMsAdded(node);
}

impl Injectable for SlowDisk {
    fn candidates(at: &mut Candidates<'_>) {
        if let (Some(node), Kind::Commit) = (at.process(), at.kind()) {
            at.lasting(&SLOW_DISK, SLOW, |for_ms| {
                SlowDisk::new(node, EXTRA_MS, for_ms)
            });
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::slows_for(self.extra_ms, self.for_ms)
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.slow_disk(&self.node, if on { self.extra_ms } else { 0 });
    }
}
