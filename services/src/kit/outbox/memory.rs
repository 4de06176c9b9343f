//! What the outbox knows without writing it down: waits and ages by the monotonic clock, which no jump of the wall
//! clock shortens or lengthens. A restart forgets them, and with them every wait.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{Row, State, Target};

/// Waits and ages, by row.
#[derive(Default)]
pub(super) struct Memory {
    /// When a row may be tried again.
    not_before: BTreeMap<String, Instant>,
    /// Since when this process has seen a row in whose hands.
    claimed: BTreeMap<String, (String, Instant)>,
}

impl Memory {
    /// The row waits after a failure.
    pub fn back_off(&mut self, key: &str, wait: Duration) {
        self.not_before
            .insert(key.to_owned(), Instant::now() + wait);
    }

    /// The row waits no more.
    pub fn forget(&mut self, key: &str) {
        self.not_before.remove(key);
        self.claimed.remove(key);
    }

    /// What is still to wait before the row may be tried.
    pub fn waits(&self, key: &str) -> Option<Duration> {
        let wait = self
            .not_before
            .get(key)?
            .saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    /// How long this process has seen the row in the same hands.
    pub fn claimed_for(&mut self, key: &str, by: &str) -> Duration {
        let now = Instant::now();
        let seen = self
            .claimed
            .entry(key.to_owned())
            .or_insert_with(|| (by.to_owned(), now));
        if seen.0 != by {
            *seen = (by.to_owned(), now);
        }
        seen.1.elapsed()
    }
}

/// The first row of each lane, if it is one that may be taken: what follows has to wait for it. At most `limit`.
pub(super) fn heads<'r>(
    rows: impl IntoIterator<Item = (&'r String, &'r Row)>,
    limit: usize,
    may_take: impl Fn(&str, &Row) -> bool,
) -> Vec<(String, Row)> {
    let mut lanes: BTreeSet<(&Target, &str)> = BTreeSet::new();
    let mut heads = Vec::new();
    for (key, row) in rows {
        if lanes.insert(super::lane(row)) && may_take(key, row) {
            heads.push((key.clone(), row.clone()));
            if heads.len() == limit {
                break;
            }
        }
    }
    heads
}

/// Whether the row is unclaimed.
pub(super) fn is_pending(row: &Row) -> bool {
    row.state == State::Pending
}
