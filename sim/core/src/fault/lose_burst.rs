//! A message that never arrives.

use std::fmt;

use super::{
    Action, BurstFault, Candidates, Draw, Heading, Injectable, Number, Profile, ResetBurst, When,
    words::{Clause, Moment},
};

const REQUEST: Heading = Heading::at("request lost", 9, 15);
const ANSWER: Heading = Heading::at("answer lost", 10, 16);

fault! {
    /// The connection is silently cut at this burst. At a site only.
    pub struct LoseBurst = "lose-burst" {}
}

impl Injectable for LoseBurst {
    fn effective_once() -> &'static str {
        "the burst was lost"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.links.is_empty())
    }

    fn draw(_: &mut Draw<'_>) -> Self {
        LoseBurst {}
    }

    fn candidates(at: &mut Candidates<'_>) {
        let Some(burst) = at.burst() else { return };
        let heading = if burst.asks { &REQUEST } else { &ANSWER };
        at.once(heading, LoseBurst {});
    }

    fn nodes(&self) -> Vec<&str> {
        Vec::new()
    }

    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn lasts_ms(&self) -> Option<u64> {
        None
    }

    fn clause(&self, at: &Moment<'_>) -> Clause {
        let message = at.message;
        format!("{message} is lost, and its connection is dead").into()
    }

    fn at_burst(&self) -> Option<BurstFault> {
        Some(BurstFault::Lose)
    }

    fn when(&self, from: &mut Draw<'_>) -> When {
        from.any_burst(false)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        vec![ResetBurst {}.into()]
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        Vec::new()
    }
}

impl fmt::Display for LoseBurst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is lost and the connection is dead")
    }
}
