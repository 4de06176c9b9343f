//! Silence on a link.

use super::*;

const LINK_CUT: Heading = Heading::at("link cut", 15, 21);
const UNTIL_ALL_GIVE_UP: sweep::Lengths = [20_000, 200, 2_500];

fault! {
    /// Nothing passes between two nodes.
    pub struct Cut = "cut" on Link(from, to) {
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
    effective once "a burst or a connect was held back", counted as HeldBack(links(from, to, *both));
}

impl Injectable for Cut {
    fn drawing() -> Drawing {
        Drawing::outage(4)
    }

    fn candidates(at: &mut Candidates<'_>) {
        let Some(burst) = at.burst() else { return };
        let cut = |for_ms| Cut::new(burst.from, burst.to, true, for_ms);
        at.lasting(&LINK_CUT, UNTIL_ALL_GIVE_UP, cut);
    }

    fn silences(&self, from: &str, to: &str) -> bool {
        links(&self.from, &self.to, self.both).contain(from, to)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let one_way = |from: &str, to: &str| Cut::new(from, to, false, self.for_ms);
        let (from, to) = (&self.from, &self.to);
        match self.both {
            true => vec![one_way(from, to).into(), one_way(to, from).into()],
            false => Vec::new(),
        }
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.cut(links(&self.from, &self.to, self.both), on);
    }
}

fn links<'a>(from: &'a str, to: &'a str, both: bool) -> Links<'a> {
    match both {
        true => Links::BothWays(from, to),
        false => Links::OneWay(from, to),
    }
}
