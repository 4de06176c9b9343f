//! A slow disk.

use std::fmt;

use super::{
    Candidates, Draw, Effect, Heading, Injectable, Number, Profile, Target, limits,
    sweep::Lengths,
    words::{self, Clause, Moment, seconds, time},
};
use crate::site::Kind;

const SLOW_DISK: Heading = Heading::at("slow disk", 8, 12);
/// As long as a saga takes then.
const SLOW: Lengths = [10_000, 500, 2_000];
/// A slow disk takes so much longer for each commit.
const EXTRA_MS: u64 = 500;

fault! {
    /// Commits take long.
    pub struct SlowDisk = "slow-disk" {
        /// The node.
        node: String,
        /// Virtual milliseconds added to each commit.
        extra_ms: u64,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
}

impl Injectable for SlowDisk {
    fn effective_once() -> &'static str {
        "a commit was slower"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        SlowDisk {
            node: from.node(),
            extra_ms: from.ms(5, 3_000),
            for_ms: from.ms(200, 20_000),
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        if let (Some(node), Kind::Commit) = (at.process(), at.kind()) {
            at.lasting(&SLOW_DISK, SLOW, |for_ms| SlowDisk {
                node: node.to_owned(),
                extra_ms: EXTRA_MS,
                for_ms,
            });
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::slows_for(self.extra_ms, self.for_ms)
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(self.for_ms)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let (node, extra) = (&self.node, time(self.extra_ms));
        let slow = format_args!("each commit of {node} takes {extra} longer");
        words::lasting(slow, self.for_ms)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![
            Number::Amount(&mut self.extra_ms),
            Number::Amount(&mut self.for_ms),
        ]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.slow_disk(&self.node, if on { self.extra_ms } else { 0 });
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::CommitMsAdded(&self.node))
    }
}

impl fmt::Display for SlowDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (SlowDisk { node, extra_ms, .. }, lasts) = (self, seconds(self.for_ms));
        write!(f, "{node}'s disk is {extra_ms} ms slower for {lasts}")
    }
}
