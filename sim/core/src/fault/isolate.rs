//! A node that nobody reaches.

use std::fmt;

use super::{
    Action, Cut, Draw, Drawing, Effect, Injectable, Links, Number, Profile, Target, limits,
    words::{self, Clause, Moment, seconds},
};

fault! {
    /// Nothing passes between a node and all others.
    pub struct Isolate = "isolate" {
        /// The node.
        node: String,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
}

impl Injectable for Isolate {
    fn effective_once() -> &'static str {
        "a burst or a connect was held back"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        Isolate {
            node: from.node(),
            for_ms: from.ms(100, 60_000),
        }
    }

    fn drawing() -> Drawing {
        Drawing {
            outage: Some(3),
            ..Drawing::default()
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::lasts(self.for_ms)
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(self.for_ms)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let alone = format_args!("{} is cut off from all others", self.node);
        words::lasting(alone, self.for_ms)
    }

    fn silences(&self, from: &str, to: &str) -> bool {
        self.node == from || self.node == to
    }

    fn outage_ms(&mut self) -> Option<&mut u64> {
        Some(&mut self.for_ms)
    }

    fn weaker(&self, links: &[(&str, &str)]) -> Vec<Action> {
        let own = |&&(a, b): &&(&str, &str)| a == self.node || b == self.node;
        let cut = |&(a, b): &(&str, &str)| Cut {
            from: a.to_owned(),
            to: b.to_owned(),
            both: true,
            for_ms: self.for_ms,
        };
        let own = links.iter().filter(own);
        own.map(|link| cut(link).into()).collect()
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Amount(&mut self.for_ms)]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.cut(Links::Of(&self.node), on);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::HeldBack(Links::Of(&self.node)))
    }
}

impl fmt::Display for Isolate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Isolate { node, for_ms } = self;
        write!(f, "{node} is cut off from all for {}", seconds(*for_ms))
    }
}
