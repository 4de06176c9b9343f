//! Inbox: which events a group has handled, so that one that is delivered again has no second effect.
//!
//! The note is made in the very transaction that has the effect. It is kept for [`HORIZON_MS`], which is longer than the
//! stream [keeps](crate::infrastructure::bus::RETENTION) an event: what may still be delivered is still known.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, Table, Writer, bus::Event};
use crate::{
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

/// Key: `{group}/{event id}`.
pub const INBOX: Table<Handled> = Table::new("inbox");

/// How long it is known that an event was handled: 14 days, twice the stream's retention.
pub const HORIZON_MS: u64 = 14 * 24 * 60 * 60 * 1000;

/// How often old notes are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// What `inbox-pruned-too-soon` takes for a horizon.
const TOO_SOON_MS: u64 = 1_000;

/// That an event was handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handled {
    /// The event's kind.
    pub kind: String,
    /// When; wall clock.
    pub at_ms: u64,
}

/// The inbox of one group. Cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    platform: Platform,
    group: String,
    bugs: Bugs,
}

impl Inbox {
    /// The inbox of a group, whose rows are in `store` and pruned from now on.
    pub fn open(platform: &Platform, store: &Store, group: &str, bugs: Bugs) -> Self {
        platform.spawn(
            "inbox-pruner",
            keep_pruning(platform.clone(), store.clone()),
        );
        Inbox {
            platform: platform.clone(),
            group: group.to_owned(),
            bugs,
        }
    }

    /// Whether the event is new to the group; notes it as handled if this transaction commits.
    pub fn is_new(&self, tx: &mut Writer<'_>, event: &Event) -> Result<bool, StoreError> {
        if self.bugs.has(Bug::NoInbox) {
            return Ok(true);
        }
        let now_ms = self.platform.clock.now_ms();
        if self.bugs.has(Bug::InboxPrunedTooSoon) {
            prune(tx, now_ms.saturating_sub(TOO_SOON_MS))?;
        }
        let key = format!("{}/{}", self.group, event.id);
        if tx.get(&INBOX, &key)?.is_some() {
            tracing::debug!(kind = event.kind, id = event.id, "event known");
            return Ok(false);
        }
        let handled = Handled {
            kind: event.kind.clone(),
            at_ms: now_ms,
        };
        tx.put(&INBOX, &key, &handled)?;
        Ok(true)
    }
}

/// Forgets what was handled before that instant; says how many.
pub fn prune(tx: &mut Writer<'_>, older_than_ms: u64) -> Result<usize, StoreError> {
    let mut rows = tx.scan(&INBOX, "")?;
    rows.retain(|(_, handled)| handled.at_ms < older_than_ms);
    for (key, _) in &rows {
        tx.delete(&INBOX, key)?;
    }
    Ok(rows.len())
}

async fn keep_pruning(platform: Platform, store: Store) {
    loop {
        tokio::time::sleep(PRUNE_EVERY).await;
        let oldest_ms = platform.clock.now_ms().saturating_sub(HORIZON_MS);
        if let Err(error) = store.write(move |tx| prune(tx, oldest_ms)).await {
            tracing::error!(%error, "the inbox was not pruned");
        }
    }
}
