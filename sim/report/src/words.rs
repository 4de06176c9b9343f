//! Numbers as a person reads them, and what is said in more than one place.

use std::time::Duration;

use squall_engine::storm::FaultReport;
use squall_explore::campaign::Mismatch;

/// The headline of a seed that gave two different runs.
pub const NOT_DETERMINISTIC: &str = "NOT DETERMINISTIC";
/// Of a storm of nothing.
pub const NO_FAULT: &str = "no fault was planned";
/// Of a kind of fault without any effect.
pub(crate) const IN_VAIN: &str = "never touched anything: surviving it proves nothing";

/// What is built: `hardened + no-journal`.
pub fn variant(shape: &str, plant: Option<&str>) -> String {
    match plant {
        Some(bug) => format!("{shape} + {bug}"),
        None => shape.to_owned(),
    }
}

/// The same with its scenario: `order-saga (hardened + no-journal)`.
pub fn system(scenario: &str, shape: &str, plant: Option<&str>) -> String {
    format!("{scenario} ({})", variant(shape, plant))
}

/// What became of a fault.
pub fn effect(report: &FaultReport) -> &'static str {
    match (report.fired, report.effective) {
        (_, true) => "effective",
        (Some(_), false) => "touched nothing",
        (None, false) => "never reached",
    }
}

/// `seed 7 gave hash 0123456789abcdef first and fedcba9876543210 the second time`.
pub fn unequal(mismatch: &Mismatch) -> String {
    let (first, second) = mismatch.hashes;
    format!(
        "seed {} gave hash {first:016x} first and {second:016x} the second time",
        mismatch.seed
    )
}

/// `1 fault`, `2 faults`.
pub fn several(n: usize, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {what}{plural}", count(n as u64))
}

/// The first so many characters of a text, and a sign that there are more.
pub(crate) fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A count with its thousands apart: `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A real duration at the precision that a person wants: `85 ms`, `4.2 s`, `3 min 20 s`.
pub fn duration(d: Duration) -> String {
    match d.as_millis() {
        ms @ ..1_000 => format!("{ms} ms"),
        ..60_000 => format!("{:.1} s", d.as_secs_f64()),
        _ => format!("{} min {} s", d.as_secs() / 60, d.as_secs() % 60),
    }
}

/// Runs per second: `238/s`, `4.2/s`.
pub fn rate(per_second: f64) -> String {
    if per_second < 10.0 {
        format!("{per_second:.1}/s")
    } else {
        format!("{}/s", count(per_second.round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [0, 999, 1_000, 12_345, 1_234_567].map(count),
            ["0", "999", "1,000", "12,345", "1,234,567"]
        );
        assert_eq!(
            [85, 4_240, 200_900].map(|ms| duration(Duration::from_millis(ms))),
            ["85 ms", "4.2 s", "3 min 20 s"]
        );
        assert_eq!(
            [0.0, 4.24, 238.4, 4_790.0].map(rate),
            ["0.0/s", "4.2/s", "238/s", "4,790/s"]
        );
    }
}
