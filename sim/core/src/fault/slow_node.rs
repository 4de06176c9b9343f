//! A processor that is busy with something else.

use super::*;

const SLOW_NODE: Heading = Heading::at("slow node", 7, 11);
/// As long as a saga takes then.
const SLOW: sweep::Lengths = [10_000, 500, 2_000];
/// A slow node waits so long before each turn of a task: two that do the same meet each other.
const WAIT_MS: u64 = 50;

fault! {
    /// Every task of the node has to wait for the processor.
    pub struct SlowNode = "slow-node" on Node(node) {
        /// Virtual milliseconds that each turn waits.
        wait_ms: u64 = between(1, 50),
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(200, 10_000),
    }
    told "{node} is slow ({wait_ms} ms a turn)";
    in words "{node} is slow (each turn waits {wait})", wait = words::time(*wait_ms);
    effective once "a task had to wait", counted as TurnSlowed(node);
}

impl Injectable for SlowNode {
    fn candidates(at: &mut Candidates<'_>) {
        if let (Some(node), Kind::Send(_)) = (at.process(), at.kind()) {
            at.lasting(&SLOW_NODE, SLOW, |for_ms| {
                SlowNode::new(node, WAIT_MS, for_ms)
            });
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::slows_for(self.wait_ms, self.for_ms)
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.slow_turns(&self.node, if on { self.wait_ms } else { 0 });
    }
}
