//! Connections of which neither end knows that they are dead.

use super::{Action, Effect, Injectable, Links, ResetConnections, Target, limits};

fault! {
    /// All connections between two nodes die silently.
    pub struct HalfOpen = "half-open" on connections between (from, to) {}
    told "connections {from} ↔ {to} die silently";
    in words "all connections between {from} and {to} silently die";
    effective once "a burst vanished in such a connection";
}

impl Injectable for HalfOpen {
    fn lasts_ms(&self) -> Option<u64> {
        Some(limits::LIES_IN_WAIT_MS)
    }

    fn silences(&self, from: &str, to: &str) -> bool {
        Links::BothWays(&self.from, &self.to).contain(from, to)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let (from, to) = (self.from.clone(), self.to.clone());
        vec![ResetConnections { from, to }.into()]
    }

    fn begin(&self, target: &dyn Target) -> bool {
        target.half_open(Links::OneWay(&self.from, &self.to));
        true
    }

    // It does not matter which end opened a connection.
    fn touched(&self, target: &dyn Target) -> u64 {
        let links = Links::BothWays(&self.from, &self.to);
        target.count(Effect::Vanished(links))
    }
}
