//! A link that goes down and up.

use std::fmt;

use super::{
    Action, Cut, Draw, Effect, Injectable, Links, Number, Profile, Target, limits,
    words::{Clause, Moment, seconds, time},
};

fault! {
    /// A link goes down and up, again and again.
    pub struct Flap = "flap" {
        /// One end.
        from: String,
        /// The other.
        to: String,
        /// How many times.
        times: u32,
        /// Virtual milliseconds that it is down, and then up, each time.
        each_ms: u64,
    }
}

impl Injectable for Flap {
    fn effective_once() -> &'static str {
        "a burst or a connect was held back"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.links.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        let (from_node, to) = from.link();
        Flap {
            from: from_node,
            to,
            times: 2 + from.rng.below(5) as u32,
            each_ms: from.ms(20, 2_000),
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.from, &self.to]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::lasts(self.each_ms)?;
        limits::recurs(self.times)
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(u64::from(self.times) * 2 * self.each_ms)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let Flap {
            from, to, times, ..
        } = self;
        let each = time(self.each_ms);
        let fails = format!("fails {times} times for {each}, the first time");
        format!("the link between {from} and {to} {fails}").into()
    }

    fn silences(&self, from: &str, to: &str) -> bool {
        (self.from == from && self.to == to) || (self.from == to && self.to == from)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let cut = Cut {
            from: self.from.clone(),
            to: self.to.clone(),
            both: true,
            for_ms: self.each_ms,
        };
        let of = |times| Flap {
            times,
            ..self.clone()
        };
        let fewer = (2..self.times).map(|times| of(times).into());
        [cut.into()].into_iter().chain(fewer).collect()
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![
            Number::Times(&mut self.times),
            Number::Amount(&mut self.each_ms),
        ]
    }

    fn begin(&self, target: &dyn Target) -> bool {
        self.again(target, self.times * 2);
        true
    }

    fn again(&self, target: &dyn Target, left: u32) {
        target.cut(self.links(), left > 0 && left.is_multiple_of(2));
        target.switch_on_again();
        if left > 0 {
            target.again_after(self.each_ms, left - 1);
        }
    }

    fn hold(&self, target: &dyn Target, left: u32) {
        if !left.is_multiple_of(2) {
            target.cut(self.links(), true);
        }
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::HeldBack(self.links()))
    }
}

impl fmt::Display for Flap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flap {
            from, to, times, ..
        } = self;
        let each = seconds(self.each_ms);
        write!(f, "{from} ↔ {to} flaps {times} times, {each} each")
    }
}

impl Flap {
    fn links(&self) -> Links<'_> {
        Links::BothWays(&self.from, &self.to)
    }
}
