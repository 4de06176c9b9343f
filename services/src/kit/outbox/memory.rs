//! What the outbox knows without writing it down: waits and ages by the monotonic clock, which no jump of the wall
//! clock shortens or lengthens; what was sent and is not noted yet; and who has nothing to do. A restart forgets all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{Row, Target};

/// What is known of rows, by their keys, and of pollers, by their names.
#[derive(Default)]
pub(super) struct Memory {
    /// When a row may be tried again.
    not_before: BTreeMap<String, Instant>,
    /// Since when this process has seen a row in whose hands.
    claimed: BTreeMap<String, (String, Instant)>,
    /// Rows that were sent, while the table does not say so yet.
    sent: BTreeSet<String>,
    /// Pollers with nothing to do, and the service of whose bulkhead they are.
    idle: BTreeMap<String, Option<&'static str>>,
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

    /// The row was sent.
    pub fn sent(&mut self, key: String) {
        self.forget(&key);
        self.sent.insert(key);
    }

    /// Whether the row was sent, although the table may not say so yet.
    pub fn is_sent(&self, key: &str) -> bool {
        self.sent.contains(key)
    }

    /// What is to be noted in the table.
    pub fn unnoted(&self) -> Vec<String> {
        self.sent.iter().cloned().collect()
    }

    /// The table says so now.
    pub fn noted(&mut self, keys: &[String]) {
        for key in keys {
            self.sent.remove(key);
        }
    }

    /// A poller waits for something to do.
    pub fn rests(&mut self, poller: &str, bulkhead: Option<&'static str>) {
        self.idle.insert(poller.to_owned(), bulkhead);
    }

    /// It does so no more.
    pub fn works(&mut self, poller: &str) {
        self.idle.remove(poller);
    }

    /// A poller of this bulkhead, or of none, that waits for something to do.
    pub fn idle(&self, bulkhead: Option<&str>) -> Option<&str> {
        let mut idle = self.idle.iter();
        let found = idle.find(|(_, of)| of.as_deref() == bulkhead);
        found.map(|(poller, _)| poller.as_str())
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
