//! A node that nobody reaches.

use super::{Action, Cut, Drawing, Effect, Injectable, Links, Target};

fault! {
    /// Nothing passes between a node and all others.
    pub struct Isolate = "isolate" on node {
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(100, 60_000),
    }
    told "{node} is cut off from all";
    in words "{node} is cut off from all others";
    effective once "a burst or a connect was held back";
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
        let cut = |&(from, to): &(&str, &str)| Cut {
            from: from.to_owned(),
            to: to.to_owned(),
            both: true,
            for_ms: self.for_ms,
        };
        own.map(|link| cut(link).into()).collect()
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.cut(Links::Of(&self.node), on);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::HeldBack(Links::Of(&self.node)))
    }
}
