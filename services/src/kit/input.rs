//! Limits on what clients send.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Code, Problem};

/// Longest id that is accepted, in bytes.
pub const ID_MAX: usize = 64;

/// Units that one request may ask for.
pub const QUANTITY: RangeInclusive<u64> = 1..=1000;

/// The largest amount of one payment, in minor units; the smallest is 1.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000;

/// An id, which clients may send as a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Id(pub String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected an id: a text or a whole number")]
        enum TextOrNumber {
            Text(String),
            Number(u64),
        }
        Ok(Id(match TextOrNumber::deserialize(deserializer)? {
            TextOrNumber::Text(text) => text,
            TextOrNumber::Number(number) => number.to_string(),
        }))
    }
}

/// An id of 1 to [`ID_MAX`] letters, digits, `-`, `_`, `.` and `:`: safe in paths, headers, keys and logs.
pub fn plain_id(field: &str, id: &str) -> Result<(), Problem> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    if (1..=ID_MAX).contains(&id.len()) && id.bytes().all(plain) {
        return Ok(());
    }
    Err(Code::InvalidRequest.because(format!(
        "{field} must be 1 to {ID_MAX} letters, digits or -_.:"
    )))
}

/// A number within its limits.
pub fn within(field: &str, value: u64, limits: RangeInclusive<u64>) -> Result<(), Problem> {
    if limits.contains(&value) {
        return Ok(());
    }
    Err(Code::InvalidRequest.because(format!(
        "{field} must be {} to {}, not {value}",
        limits.start(),
        limits.end()
    )))
}
