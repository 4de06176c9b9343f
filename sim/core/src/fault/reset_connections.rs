//! Connections that are reset.

use super::{Effect, Injectable, Links, Target};

fault! {
    /// All connections between two nodes are reset.
    pub struct ResetConnections = "reset-connections" on connections between (from, to) {}
    told "connections {from} ↔ {to} are reset";
    in words "all connections between {from} and {to} are reset";
    effective once "a connection was reset";
}

impl Injectable for ResetConnections {
    fn begin(&self, target: &dyn Target) -> bool {
        target.reset_connections(Links::OneWay(&self.from, &self.to));
        true
    }

    // It does not matter which end opened a connection.
    fn touched(&self, target: &dyn Target) -> u64 {
        let links = Links::BothWays(&self.from, &self.to);
        target.count(Effect::ConnectionReset(links))
    }
}
