//! A wall clock that is set.

use std::fmt;

use super::{
    Candidates, Draw, Drawing, Effect, Heading, Held, Injectable, Number, Profile, Target, limits,
    sweep::Lengths,
    words::{Clause, Moment, time},
};
use crate::site::Kind;

/// A clock that jumped has touched somebody if it is read within this time.
const IS_READ_WITHIN_MS: u64 = 10_000;

const AHEAD: Heading = Heading::at("clock ahead", 19, 13);
const BACK: Heading = Heading::at("clock back", 20, 14);
/// A clock that jumps so far ends whatever is timed, or makes it endless.
const JUMP: Lengths = [60_000, 5_000, 600_000];

fault! {
    /// The wall clock jumps.
    pub struct ClockJump = "clock-jump" {
        /// The node.
        node: String,
        /// By how many milliseconds; backwards if negative.
        by_ms: i64,
    }
}

impl Injectable for ClockJump {
    fn effective_once() -> &'static str {
        "the node has read its clock within 10 s"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        let by = from.ms(100, 7_200_000) as i64;
        ClockJump {
            node: from.node(),
            by_ms: from.either_way(by),
        }
    }

    fn drawing() -> Drawing {
        Drawing {
            at_held: Some(Held {
                percent: 40,
                weight: 4,
            }),
            ..Drawing::default()
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        let (Some(node), Kind::Event(event)) = (at.process(), at.kind()) else {
            return;
        };
        if at.profile.holds(node, event) {
            let jump = |by_ms| ClockJump {
                node: node.to_owned(),
                by_ms,
            };
            at.lasting(&AHEAD, JUMP, |ms| jump(ms as i64));
            at.lasting(&BACK, JUMP, |ms| jump(-(ms as i64)));
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::require(self.by_ms != 0, "the clock would not move: at least 1 ms")?;
        limits::require(
            self.by_ms.unsigned_abs() <= 36_500 * limits::DAY_MS,
            "a clock jumps by at most a hundred years",
        )
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(IS_READ_WITHIN_MS)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let (node, by) = (&self.node, time(self.by_ms.unsigned_abs()));
        let way = if self.by_ms < 0 { "back" } else { "ahead" };
        format!("{node}'s clock jumps {by} {way}").into()
    }

    fn strike_holder(&mut self, node: &str, from: &mut Draw<'_>) {
        // About as long as things are held.
        let by = from.ms(100, 120_000) as i64;
        node.clone_into(&mut self.node);
        self.by_ms = from.either_way(by);
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Signed(&mut self.by_ms)]
    }

    fn begin(&self, target: &dyn Target) -> bool {
        target.jump_clock(&self.node, self.by_ms);
        true
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::ClockRead(&self.node))
    }
}

impl fmt::Display for ClockJump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClockJump { node, by_ms } = self;
        write!(f, "{node}'s clock jumps by {by_ms} ms")
    }
}
