//! Connections that are reset.

use super::*;

fault! {
    /// All connections between two nodes are reset.
    pub struct ResetConnections = "reset-connections" on Connections(from, to) {}
    told "connections {from} ↔ {to} are reset";
    in words "all connections between {from} and {to} are reset";
    // It does not matter which end opened a connection.
    effective once "a connection was reset", counted as ConnectionReset(Links::BothWays(from, to));
}

impl Injectable for ResetConnections {
    fn strike(&self, target: &dyn Target) {
        target.reset_connections(Links::OneWay(&self.from, &self.to));
    }
}
