//! Silence on a link.

use std::fmt;

use super::{
    Action, Candidates, Draw, Drawing, Effect, Heading, Injectable, Links, Number, Profile, Target,
    limits,
    sweep::Lengths,
    words::{self, Clause, Moment, seconds},
};

const LINK_CUT: Heading = Heading::at("link cut", 15, 21);
const UNTIL_ALL_GIVE_UP: Lengths = [20_000, 200, 2_500];

fault! {
    /// Nothing passes between two nodes.
    pub struct Cut = "cut" {
        /// From this node ...
        from: String,
        /// ... to this one.
        to: String,
        /// The other way too.
        both: bool,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
}

impl Injectable for Cut {
    fn effective_once() -> &'static str {
        "a burst or a connect was held back"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.links.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        let ((from_node, to), both) = (from.link(), from.rng.chance(0.5));
        Cut {
            from: from_node,
            to,
            both,
            for_ms: from.ms(100, 60_000),
        }
    }

    fn drawing() -> Drawing {
        Drawing {
            outage: Some(4),
            ..Drawing::default()
        }
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

    fn nodes(&self) -> Vec<&str> {
        vec![&self.from, &self.to]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::lasts(self.for_ms)
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(self.for_ms)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let Cut { from, to, both, .. } = self;
        match both {
            true => {
                let silence = format_args!("nothing passes between {from} and {to}");
                words::lasting(silence, self.for_ms)
            }
            false => words::lasting(
                format_args!("nothing from {from} reaches {to}"),
                self.for_ms,
            ),
        }
    }

    fn silences(&self, from: &str, to: &str) -> bool {
        (self.from == from && self.to == to) || (self.both && self.from == to && self.to == from)
    }

    fn outage_ms(&mut self) -> Option<&mut u64> {
        Some(&mut self.for_ms)
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

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Amount(&mut self.for_ms)]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.cut(self.links(), on);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::HeldBack(self.links()))
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Cut { from, to, .. }, lasts) = (self, seconds(self.for_ms));
        let arrow = if self.both { "↔" } else { "→" };
        write!(f, "{from} {arrow} {to} is cut for {lasts}")
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
