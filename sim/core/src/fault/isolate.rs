//! A node that is unreachable.

use super::*;

fault! {
    /// Nothing passes between a node and all others.
    pub struct Isolate = "isolate" on Node(node) {
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(100, 60_000),
    }
    told "{node} is cut off from all";
    in words "{node} is cut off from all others";
    effective once "a burst or a connect was held back", counted as HeldBack(Links::Of(node));
}

impl Injectable for Isolate {
    fn drawing() -> Drawing {
        Drawing::outage(3)
    }

    fn silences(&self, from: &str, to: &str) -> bool {
        Links::Of(&self.node).contain(from, to)
    }

    fn weaker(&self, links: &[(&str, &str)]) -> Vec<Action> {
        let own = links.iter().filter(|(a, b)| self.silences(a, b));
        let cut = |&(from, to): &(&str, &str)| Cut::new(from, to, true, self.for_ms).into();
        own.map(cut).collect()
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.cut(Links::Of(&self.node), on);
    }
}
