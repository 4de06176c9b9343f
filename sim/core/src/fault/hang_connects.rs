//! A port that does not answer.

use super::{Action, Drawing, Effect, Injectable, Refuse, Target};

fault! {
    /// Connects to the node hang.
    pub struct HangConnects = "hang-connects" on node {
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(100, 20_000),
    }
    told "connects to {node} hang";
    effective once "a connect was ignored";
}

impl Injectable for HangConnects {
    fn drawing() -> Drawing {
        Drawing::outage(6)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let (node, for_ms) = (self.node.clone(), self.for_ms);
        vec![Refuse { node, for_ms }.into()]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.hang_connects(&self.node, on);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::ConnectIgnored(&self.node))
    }
}
