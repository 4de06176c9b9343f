//! Connections that are reset.

use std::fmt;

use super::{
    Draw, Effect, Injectable, Links, Number, Profile, Target, When,
    words::{Clause, Moment},
};

fault! {
    /// All connections between two nodes are reset.
    pub struct ResetConnections = "reset-connections" {
        /// One end.
        from: String,
        /// The other.
        to: String,
    }
}

impl Injectable for ResetConnections {
    fn effective_once() -> &'static str {
        "a connection was reset"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.links.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        let (from, to) = from.link();
        ResetConnections { from, to }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.from, &self.to]
    }

    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn lasts_ms(&self) -> Option<u64> {
        None
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let ResetConnections { from, to } = self;
        format!("all connections between {from} and {to} are reset").into()
    }

    fn when(&self, from: &mut Draw<'_>) -> When {
        from.burst_or_instant(&self.from, &self.to)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        Vec::new()
    }

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

impl fmt::Display for ResetConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ResetConnections { from, to } = self;
        write!(f, "connections {from} ↔ {to} are reset")
    }
}
