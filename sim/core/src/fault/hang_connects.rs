//! A port that does not answer.

use std::fmt;

use super::{
    Action, Draw, Drawing, Effect, Injectable, Number, Profile, Refuse, Target, limits,
    words::{self, Clause, Moment, seconds},
};

fault! {
    /// Connects to the node hang.
    pub struct HangConnects = "hang-connects" {
        /// The node.
        node: String,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
}

impl Injectable for HangConnects {
    fn effective_once() -> &'static str {
        "a connect was ignored"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        HangConnects {
            node: from.node(),
            for_ms: from.ms(100, 20_000),
        }
    }

    fn drawing() -> Drawing {
        Drawing {
            outage: Some(6),
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
        words::lasting(format_args!("connects to {} hang", self.node), self.for_ms)
    }

    fn outage_ms(&mut self) -> Option<&mut u64> {
        Some(&mut self.for_ms)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let (node, for_ms) = (self.node.clone(), self.for_ms);
        vec![Refuse { node, for_ms }.into()]
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Amount(&mut self.for_ms)]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.hang_connects(&self.node, on);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::ConnectIgnored(&self.node))
    }
}

impl fmt::Display for HangConnects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HangConnects { node, for_ms } = self;
        write!(f, "connects to {node} hang for {}", seconds(*for_ms))
    }
}
