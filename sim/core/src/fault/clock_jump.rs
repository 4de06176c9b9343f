//! A wall clock that is set.

use super::{
    Candidates, Draw, Drawing, Effect, Heading, Held, Injectable, Target, limits, sweep::Lengths,
    words::time,
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
    pub struct ClockJump = "clock-jump" on node {
        /// By how many milliseconds; backwards if negative.
        by_ms: i64,
    }
    told "{node}'s clock jumps by {by_ms} ms";
    in words "{node}'s clock jumps {by} {way}",
        by = time(by_ms.unsigned_abs()),
        way = if *by_ms < 0 { "back" } else { "ahead" };
    effective once "the node has read its clock within 10 s";
    drawn |from| {
        let by = from.ms(100, 7_200_000) as i64;
        ClockJump { node: from.node(), by_ms: from.either_way(by) }
    };
}

impl Injectable for ClockJump {
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

    fn strike_holder(&mut self, node: &str, from: &mut Draw<'_>) {
        // About as long as things are held.
        let by = from.ms(100, 120_000) as i64;
        node.clone_into(&mut self.node);
        self.by_ms = from.either_way(by);
    }

    fn begin(&self, target: &dyn Target) -> bool {
        target.jump_clock(&self.node, self.by_ms);
        true
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::ClockRead(&self.node))
    }
}
