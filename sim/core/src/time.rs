//! Virtual time.

use std::{fmt, str::FromStr, time::Duration};

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

impl FromStr for VirtualTime {
    type Err = String;

    /// Seconds, as traces show them (`361.04`, `1.25s`), or another unit: `250ms`, `2min`.
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit_ns = match &text[digits.len()..] {
            "" | "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" => 1_000,
            "min" => 60_000_000_000,
            _ => 0,
        };
        instant(digits, unit_ns).map(VirtualTime).ok_or_else(|| {
            format!(
                "'{text}' is not an instant: write seconds (361.04, 1.25s) or milliseconds (250ms)"
            )
        })
    }
}

/// A decimal number of units in nanoseconds, exactly; what is finer is cut off.
fn instant(digits: &str, unit_ns: u64) -> Option<u64> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if unit_ns == 0 || !all_digits(whole) || !all_digits(part) || part.len() > 18 {
        return None;
    }
    let fraction = u128::from(part.parse::<u64>().ok()?) * u128::from(unit_ns);
    let fraction = (fraction / 10u128.pow(part.len() as u32)) as u64;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(unit_ns)?
        .checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_traces_show_them() {
        let read = |text: &str| text.parse::<VirtualTime>().map(|at| at.0);
        assert_eq!(read("361.041002"), Ok(361_041_002_000));
        assert_eq!(read("1.25s"), Ok(1_250_000_000));
        assert_eq!(read("250ms"), Ok(250_000_000));
        assert_eq!(read("0.5ms"), Ok(500_000));
        assert_eq!(read("2min"), Ok(120_000_000_000));
        assert_eq!(read("0"), Ok(0));
        let shown = VirtualTime(12_003_450_000).to_string();
        assert_eq!(read(&shown), Ok(12_003_450_000));
    }

    #[test]
    fn what_is_no_instant_is_refused_with_examples() {
        for text in [
            "",
            "s",
            "-1",
            "1e3",
            "1.2.3",
            "1.",
            ".5",
            "5 s",
            "5h",
            "soon",
            "99999999999999999999",
            "18446744073709551615",
        ] {
            let told = text.parse::<VirtualTime>().expect_err(text);
            assert!(
                told.contains("is not an instant") && told.contains("250ms"),
                "{told}"
            );
        }
    }
}
