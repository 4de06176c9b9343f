//! Virtual time.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// An instant of a run: nanoseconds since the run began.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct VirtualTime(pub u64);

impl VirtualTime {
    /// The start of the run.
    pub const ZERO: VirtualTime = VirtualTime(0);

    /// From a duration since the start.
    pub fn from_start(elapsed: Duration) -> Self {
        VirtualTime(elapsed.as_nanos() as u64)
    }

    /// Time since the start.
    pub fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Time since `earlier`; zero if that is later.
    pub fn since(self, earlier: VirtualTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for VirtualTime {
    type Output = VirtualTime;
    fn add(self, wait: Duration) -> VirtualTime {
        VirtualTime(self.0 + wait.as_nanos() as u64)
    }
}

impl fmt::Display for VirtualTime {
    /// Seconds with microseconds: `12.003450`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:06}",
            self.0 / 1_000_000_000,
            self.0 / 1_000 % 1_000_000
        )
    }
}
