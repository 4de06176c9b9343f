//! A node's wall clock: what its services take for the time of day.
//!
//! It may be wrong by an offset, run fast or slow, and jump either way. The monotonic clock is not here: it is virtual
//! time itself, the same on every node.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{seed::Stream, time::VirtualTime};

/// A clock that NTP keeps is within this many milliseconds of the truth.
const SYNCED_OFFSET_MS: u64 = 5;
/// A quartz that NTP disciplines still gains or loses up to this many parts per million.
const SYNCED_DRIFT_PPM: u64 = 5;

/// A node's wall clock. The only state is how wrong it is.
#[derive(Debug)]
pub struct WallClock {
    /// Milliseconds from the Unix epoch to the start of the run.
    epoch_ms: u64,
    wrong: Mutex<Wrong>,
}

/// The error at `since` in nanoseconds, from where on it grows with the drift.
#[derive(Clone, Copy, Debug, Default)]
struct Wrong {
    since: VirtualTime,
    error_ns: i128,
    drift_ppm: i64,
}

impl Wrong {
    fn error_ns(self, now: VirtualTime) -> i128 {
        let elapsed = i128::from(now.0) - i128::from(self.since.0);
        self.error_ns + elapsed * i128::from(self.drift_ppm) / 1_000_000
    }

    /// The same error at `now`, from where a new drift may begin.
    fn anchored(self, now: VirtualTime) -> Self {
        Wrong {
            since: now,
            error_ns: self.error_ns(now),
            ..self
        }
    }
}

impl WallClock {
    /// A clock that is never wrong unless told to be. The run begins `epoch_ms` milliseconds after the Unix epoch.
    pub fn exact(epoch_ms: u64) -> Self {
        WallClock {
            epoch_ms,
            wrong: Mutex::default(),
        }
    }

    /// A clock as NTP keeps it: a few milliseconds off and drifting a little, both drawn from the node's stream.
    pub fn new(epoch_ms: u64, stream: &mut Stream) -> Self {
        let mut signed = |limit: u64| stream.between(0, 2 * limit) as i64 - limit as i64;
        let error_ns = i128::from(signed(SYNCED_OFFSET_MS * 1_000_000));
        let drift_ppm = signed(SYNCED_DRIFT_PPM);
        let clock = Self::exact(epoch_ms);
        *clock.wrong() = Wrong {
            since: VirtualTime::ZERO,
            error_ns,
            drift_ppm,
        };
        clock
    }

    fn wrong(&self) -> MutexGuard<'_, Wrong> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the clock shows at `now`, in milliseconds since the Unix epoch; never below zero.
    pub fn now_ms(&self, now: VirtualTime) -> u64 {
        self.now_ns(now) / 1_000_000
    }

    /// The same in nanoseconds.
    pub fn now_ns(&self, now: VirtualTime) -> u64 {
        let error_ns = self.wrong().error_ns(now);
        let shown_ns = i128::from(self.epoch_ms) * 1_000_000 + i128::from(now.0) + error_ns;
        u64::try_from(shown_ns.max(0)).unwrap_or(u64::MAX)
    }

    /// Sets the clock to the true time plus `ms`. Its drift goes on from there. 0 is what an NTP step does.
    pub fn set_offset(&self, now: VirtualTime, ms: i64) {
        let mut wrong = self.wrong();
        wrong.since = now;
        wrong.error_ns = i128::from(ms) * 1_000_000;
    }

    /// Lets the clock gain `ppm` microseconds a second from now on (lose, if negative). What it shows does not jump.
    pub fn set_drift(&self, now: VirtualTime, ppm: i64) {
        let mut wrong = self.wrong();
        *wrong = wrong.anchored(now);
        wrong.drift_ppm = ppm;
    }

    /// Moves the clock by `ms`, forwards or backwards.
    pub fn jump(&self, ms: i64) {
        self.wrong().error_ns += i128::from(ms) * 1_000_000;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::seed::Seed;

    const EPOCH_MS: u64 = 1_750_000_000_000;

    fn at(seconds: u64) -> VirtualTime {
        VirtualTime::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn an_exact_clock_shows_the_epoch_plus_virtual_time() {
        let clock = WallClock::exact(EPOCH_MS);
        assert_eq!(clock.now_ms(VirtualTime::ZERO), EPOCH_MS);
        assert_eq!(clock.now_ms(at(90)), EPOCH_MS + 90_000);
    }

    #[test]
    fn a_synced_clock_stays_within_milliseconds_for_an_hour_and_nodes_differ() {
        let shown: Vec<u64> = (0..20)
            .map(|node| {
                let mut stream = Seed(7).stream(&format!("clock/{node}"));
                WallClock::new(EPOCH_MS, &mut stream).now_ms(at(3600))
            })
            .collect();
        for ms in &shown {
            assert!(ms.abs_diff(EPOCH_MS + 3_600_000) <= 24, "{ms}");
        }
        assert!(shown.iter().any(|ms| *ms != shown[0]));
    }

    #[test]
    fn drift_accumulates_and_changing_it_never_jumps() {
        let clock = WallClock::exact(EPOCH_MS);
        clock.set_drift(at(0), 1_000);
        assert_eq!(clock.now_ms(at(100)), EPOCH_MS + 100_100);
        clock.set_drift(at(100), -1_000);
        assert_eq!(clock.now_ms(at(100)), EPOCH_MS + 100_100);
        assert_eq!(clock.now_ms(at(300)), EPOCH_MS + 299_900);
        clock.set_drift(at(300), 0);
        assert_eq!(clock.now_ms(at(301)), EPOCH_MS + 300_900);
    }

    #[test]
    fn jumps_add_up_and_setting_the_offset_corrects_them_and_the_drift_so_far() {
        let clock = WallClock::exact(EPOCH_MS);
        clock.set_drift(at(0), 10_000);
        clock.jump(5_000);
        clock.jump(-7_000);
        assert_eq!(clock.now_ms(at(10)), EPOCH_MS + 10_000 + 100 - 2_000);
        clock.set_offset(at(10), 0);
        assert_eq!(clock.now_ms(at(10)), EPOCH_MS + 10_000);
        assert_eq!(clock.now_ms(at(20)), EPOCH_MS + 20_100);
    }

    #[test]
    fn the_clock_does_not_go_below_the_unix_epoch() {
        let clock = WallClock::exact(1_000);
        clock.jump(i64::MIN);
        assert_eq!(clock.now_ms(at(5)), 0);
    }
}
