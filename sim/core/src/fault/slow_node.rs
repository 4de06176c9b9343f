//! A processor that is busy with something else.

use std::fmt;

use super::{
    Candidates, Draw, Effect, Heading, Injectable, Number, Profile, Target, limits,
    sweep::Lengths,
    words::{self, Clause, Moment, seconds, time},
};
use crate::site::Kind;

const SLOW_NODE: Heading = Heading::at("slow node", 7, 11);
/// As long as a saga takes then.
const SLOW: Lengths = [10_000, 500, 2_000];
/// A slow node waits so long before each turn of a task: two that do the same meet each other.
const WAIT_MS: u64 = 50;

fault! {
    /// Every task of the node has to wait for the processor.
    pub struct SlowNode = "slow-node" {
        /// The node.
        node: String,
        /// Virtual milliseconds that each turn waits.
        wait_ms: u64,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
}

impl Injectable for SlowNode {
    fn effective_once() -> &'static str {
        "a task had to wait"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        SlowNode {
            node: from.node(),
            wait_ms: 1 + from.rng.below(50),
            for_ms: from.ms(200, 10_000),
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        if let (Some(node), Kind::Send(_)) = (at.process(), at.kind()) {
            at.lasting(&SLOW_NODE, SLOW, |for_ms| SlowNode {
                node: node.to_owned(),
                wait_ms: WAIT_MS,
                for_ms,
            });
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::slows_for(self.wait_ms, self.for_ms)
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(self.for_ms)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let (node, wait) = (&self.node, time(self.wait_ms));
        let slow = format_args!("{node} is slow (each turn waits {wait})");
        words::lasting(slow, self.for_ms)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![
            Number::Amount(&mut self.wait_ms),
            Number::Amount(&mut self.for_ms),
        ]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.slow_turns(&self.node, if on { self.wait_ms } else { 0 });
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::TurnSlowed(&self.node))
    }
}

impl fmt::Display for SlowNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SlowNode {
            node,
            wait_ms,
            for_ms,
        } = self;
        let lasts = seconds(*for_ms);
        write!(f, "{node} is slow ({wait_ms} ms a turn) for {lasts}")
    }
}
