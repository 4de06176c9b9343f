//! Connections of which neither end knows that they are dead.

use super::*;

fault! {
    /// All connections between two nodes die silently.
    pub struct HalfOpen = "half-open" on Connections(from, to) {}
    told "connections {from} ↔ {to} die silently";
    in words "all connections between {from} and {to} silently die";
    // It does not matter which end opened a connection.
    effective once "a burst vanished in such a connection", counted as Vanished(Links::BothWays(from, to));
}

impl Injectable for HalfOpen {
    fn lasts_ms(&self) -> Option<u64> {
        Some(limits::LIES_IN_WAIT_MS)
    }

    fn silences(&self, from: &str, to: &str) -> bool {
        Links::BothWays(&self.from, &self.to).contain(from, to)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        vec![ResetConnections::new(&self.from, &self.to).into()]
    }

    fn strike(&self, target: &dyn Target) {
        target.half_open(Links::OneWay(&self.from, &self.to));
    }
}
