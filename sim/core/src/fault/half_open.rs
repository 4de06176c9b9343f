//! Connections of which neither end knows that they are dead.

use std::fmt;

use super::{
    Action, Draw, Effect, Injectable, Links, Number, Profile, ResetConnections, Target, When,
    limits,
    words::{Clause, Moment},
};

fault! {
    /// All connections between two nodes die silently.
    pub struct HalfOpen = "half-open" {
        /// One end.
        from: String,
        /// The other.
        to: String,
    }
}

impl Injectable for HalfOpen {
    fn effective_once() -> &'static str {
        "a burst vanished in such a connection"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.links.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        let (from, to) = from.link();
        HalfOpen { from, to }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.from, &self.to]
    }

    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(limits::LIES_IN_WAIT_MS)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let HalfOpen { from, to } = self;
        format!("all connections between {from} and {to} silently die").into()
    }

    fn when(&self, from: &mut Draw<'_>) -> When {
        from.burst_or_instant(&self.from, &self.to)
    }

    fn silences(&self, from: &str, to: &str) -> bool {
        (self.from == from && self.to == to) || (self.from == to && self.to == from)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let (from, to) = (self.from.clone(), self.to.clone());
        vec![ResetConnections { from, to }.into()]
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        Vec::new()
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

impl fmt::Display for HalfOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HalfOpen { from, to } = self;
        write!(f, "connections {from} ↔ {to} die silently")
    }
}
