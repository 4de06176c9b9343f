//! A port that does not answer.

use super::*;

fault! {
    /// Connects to the node hang.
    pub struct HangConnects = "hang-connects" on Node(node) {
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(100, 20_000),
    }
    told "connects to {node} hang";
    effective once "a connect was ignored", counted as ConnectIgnored(node);
}

impl Injectable for HangConnects {
    fn drawing() -> Drawing {
        Drawing::outage(6)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        vec![Refuse::new(&self.node, self.for_ms).into()]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.hang_connects(&self.node, on);
    }
}
