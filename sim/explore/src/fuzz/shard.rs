//! Which seeds of a range are whose, when several machines share it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use squall_core::seed::{Seed, Seeds};

/// Seeds are dealt in blocks of this size: block 0 to shard 0, block 1 to shard 1, and round again.
pub const BLOCK: u64 = 1_024;

/// One of several shards of a range of seeds. Shards never overlap, and together they are the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    index: u64,
    of: u64,
}

/// Why a text names no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a shard: write I/N for the shard I of N, the first being 0 (0/4, 1/4, 2/4, 3/4)"
)]
pub struct ShardError(String);

impl Shard {
    /// All seeds.
    pub const WHOLE: Shard = Shard { index: 0, of: 1 };

    /// The seeds that are due when `done` of this shard's seeds are: what is left of their block. `None` if no more is.
    /// The range begins with `first` and has `runs` seeds, or goes on for ever.
    pub fn due(self, first: Seed, runs: Option<u64>, done: u64) -> Option<Seeds> {
        let block = (done / BLOCK)
            .checked_mul(self.of)?
            .checked_add(self.index)?;
        let begin = block.checked_mul(BLOCK)?;
        let end = begin.saturating_add(BLOCK).min(runs.unwrap_or(u64::MAX));
        let next = begin.checked_add(done % BLOCK)?;
        let left = end.checked_sub(next)?;
        Seeds::starting_at(Seed(first.0.checked_add(next)?), left)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let parts = text.split_once('/');
        let shard = parts.and_then(|(index, of)| {
            Some(Shard {
                index: index.parse().ok()?,
                of: of.parse().ok()?,
            })
        });
        shard
            .filter(|shard| shard.index < shard.of)
            .ok_or_else(|| ShardError(text.to_owned()))
    }
}

impl TryFrom<String> for Shard {
    type Error = ShardError;

    fn try_from(text: String) -> Result<Self, ShardError> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> String {
        shard.to_string()
    }
}
