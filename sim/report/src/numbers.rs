//! Numbers as a person reads them.

use std::time::Duration;

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
