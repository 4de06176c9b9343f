//! Ranges of seeds, as the command line and the environment name them.

use std::{fmt, str::FromStr};

use super::Seed;

/// A range of seeds; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    first: u64,
    last: u64,
}

/// Why a text names no seeds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' {reason}: write a count (1000 for the seeds 0..1000), a range without its end (200..300) or with it (200..=299)"
)]
pub struct SeedsError {
    text: String,
    reason: &'static str,
}

impl Seeds {
    /// The seeds `0..count`; just seed 0 if `count` is 0.
    pub fn up_to(count: u64) -> Self {
        Seeds {
            first: 0,
            last: count.saturating_sub(1),
        }
    }

    /// `count` seeds from this one on; `None` if that is none, or more than there are.
    pub fn starting_at(first: Seed, count: u64) -> Option<Self> {
        let last = first.0.checked_add(count.checked_sub(1)?)?;
        Some(Seeds {
            first: first.0,
            last,
        })
    }

    /// This one alone.
    pub fn one(seed: Seed) -> Self {
        Seeds {
            first: seed.0,
            last: seed.0,
        }
    }

    /// How many there are. `u64::MAX` stands for that many and for one more.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// The seed at this place; from 0.
    pub fn nth(&self, ordinal: u64) -> Option<Seed> {
        self.first
            .checked_add(ordinal)
            .filter(|seed| *seed <= self.last)
            .map(Seed)
    }
}

impl fmt::Display for Seeds {
    /// As it can be read again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last.checked_add(1) {
            Some(end) => write!(f, "{}..{end}", self.first),
            None => write!(f, "{}..={}", self.first, self.last),
        }
    }
}

impl FromStr for Seeds {
    type Err = SeedsError;

    fn from_str(text: &str) -> Result<Self, SeedsError> {
        let wrong = |reason| SeedsError {
            text: text.to_owned(),
            reason,
        };
        let number = |part: &str| {
            part.parse::<u64>()
                .map_err(|_| wrong("is not a count or range of seeds"))
        };
        let (first, last) = match text.split_once("..") {
            None => (0, number(text)?.checked_sub(1)),
            Some((first, last)) => match last.strip_prefix('=') {
                Some(last) => (number(first)?, Some(number(last)?)),
                None => (number(first)?, number(last)?.checked_sub(1)),
            },
        };
        match last {
            Some(last) if first <= last => Ok(Seeds { first, last }),
            _ => Err(wrong("holds no seed")),
        }
    }
}
