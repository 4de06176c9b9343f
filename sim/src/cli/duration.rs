//! Real durations on the command line: `90s`, `30m`, `1h 30m`.

use std::time::Duration;

/// Reads numbers with their units; longer than nothing.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).ok();
    let wrong = || format!("'{text}' is not a duration: write 90s, 30m or 8h");
    duration.filter(|d| !d.is_zero()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_numbers_and_units() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1_800),
            ("8h", 28_800),
            ("1h 30m", 5_400),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "s", "30", "0s", "-1m", "1é", "18446744073709551615h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
