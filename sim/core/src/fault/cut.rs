//! Silence on a link.

use super::{
    Action, Candidates, Drawing, Effect, Heading, Injectable, Links, Target, sweep::Lengths,
};

const LINK_CUT: Heading = Heading::at("link cut", 15, 21);
const UNTIL_ALL_GIVE_UP: Lengths = [20_000, 200, 2_500];

fault! {
    /// Nothing passes between two nodes.
    pub struct Cut = "cut" on link (from, to) {
        /// The other way too.
        both: bool = coin(),
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(100, 60_000),
    }
    told "{from} {arrow} {to} is cut", arrow = if *both { "↔" } else { "→" };
    in words "nothing {passes}", passes = match both {
        true => format!("passes between {from} and {to}"),
        false => format!("from {from} reaches {to}"),
    };
    effective once "a burst or a connect was held back";
}

impl Injectable for Cut {
    fn drawing() -> Drawing {
        Drawing::outage(4)
    }

    fn candidates(at: &mut Candidates<'_>) {
        let Some(burst) = at.burst() else { return };
        at.lasting(&LINK_CUT, UNTIL_ALL_GIVE_UP, |for_ms| Cut {
            from: burst.from.to_owned(),
            to: burst.to.to_owned(),
            both: true,
            for_ms,
        });
    }

    fn silences(&self, from: &str, to: &str) -> bool {
        self.links().contain(from, to)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let one_way = |from: &String, to: &String| Cut {
            from: from.clone(),
            to: to.clone(),
            both: false,
            for_ms: self.for_ms,
        };
        let (from, to) = (&self.from, &self.to);
        match self.both {
            true => vec![one_way(from, to).into(), one_way(to, from).into()],
            false => Vec::new(),
        }
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.cut(self.links(), on);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::HeldBack(self.links()))
    }
}

impl Cut {
    fn links(&self) -> Links<'_> {
        match self.both {
            true => Links::BothWays(&self.from, &self.to),
            false => Links::OneWay(&self.from, &self.to),
        }
    }
}
