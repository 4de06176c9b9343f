//! A wall clock that is set.

use super::*;

/// A clock jump was effective if the clock is read within this time.
const IS_READ_WITHIN_MS: u64 = 10_000;

const AHEAD: Heading = Heading::at("clock ahead", 19, 13);
const BACK: Heading = Heading::at("clock back", 20, 14);
/// A clock that jumps so far ends whatever is timed, or makes it endless.
const JUMP: sweep::Lengths = [60_000, 5_000, 600_000];

fault! {
    /// The wall clock jumps.
    pub struct ClockJump = "clock-jump" on Node(node) {
        /// By how many milliseconds; backwards if negative.
        by_ms: i64,
    }
    told "{node}'s clock jumps by {by_ms} ms";
    in words "{node}'s clock jumps {by} {way}",
        by = words::time(by_ms.unsigned_abs()),
        way = if *by_ms < 0 { "back" } else { "ahead" };
    effective once "the node has read its clock within 10 s", counted as ClockRead(node);
    drawn |from| {
        let by = from.ms(100, 7_200_000) as i64;
        ClockJump::new(from.node(), from.either_way(by))
    };
}

impl Injectable for ClockJump {
    fn drawing() -> Drawing {
        Drawing {
            at_held: Held::of(40, 4),
            ..Drawing::default()
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        let (Some(node), Kind::Event(event)) = (at.process(), at.kind()) else {
            return;
        };
        if at.profile.holds(node, event) {
            at.lasting(&AHEAD, JUMP, |ms| ClockJump::new(node, ms as i64));
            at.lasting(&BACK, JUMP, |ms| ClockJump::new(node, -(ms as i64)));
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

    fn strike(&self, target: &dyn Target) {
        target.jump_clock(&self.node, self.by_ms);
    }
}
