//! Polling: rows are claimed, sent, and settled. Any number of pollers, in any number of processes over one store.
//!
//! A poller sleeps until a commit touches the outbox, a wait is over or a claim has grown old; every
//! [`Policy::look_every`](super::Policy::look_every) it looks anyhow, for what another process wrote.

use std::{sync::Arc, time::Duration};

use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{
    Bulkhead, Inner, OUTBOX, Row, State,
    deliver::BATCH,
    memory::{heads, is_pending},
};
use crate::{
    kit::{StoreError, Writer, store::Commit, timer::within},
    planted_bug::Bug,
};

/// Polls for ever.
pub(super) async fn poll(outbox: Arc<Inner>, by: String, own: Option<Bulkhead>) {
    loop {
        // Anew each time: the feed of a database that was away has ended.
        let mut feed = outbox.store.feed();
        match outbox.pass(&by, own.as_ref()).await {
            Ok(Some(wait)) => sleep(&mut feed, wait.min(outbox.config.policy.look_every)).await,
            Ok(None) => {}
            Err(error) => error.endure(&outbox.platform, "an outbox poller").await,
        }
    }
}

/// Sleeps until a commit touches the outbox, at most so long.
async fn sleep(feed: &mut Receiver<Commit>, limit: Duration) {
    let touched = async {
        loop {
            match feed.recv().await {
                Ok(commit) => {
                    let waits = |row: &crate::ports::RowChange| {
                        row.table == OUTBOX.name && row.after.is_some()
                    };
                    if commit.iter().any(waits) {
                        return;
                    }
                }
                Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    };
    within(limit, touched).await;
}

impl Inner {
    /// Claims, sends and settles once. With nothing to do, says how long that will be so.
    async fn pass(&self, by: &str, own: Option<&Bulkhead>) -> Result<Option<Duration>, StoreError> {
        let rows = self.scan()?;
        let stale = self.stale(&rows);
        if !stale.is_empty() {
            self.give_back(stale).await?;
            return Ok(None);
        }
        let wanted = self.takeable(&rows, by, own);
        if wanted.is_empty() {
            return Ok(Some(self.idle_for(&rows, by)));
        }
        let claimed = self.claim(by, wanted).await?;
        if !claimed.is_empty() {
            self.send_and_settle(Some(by), &claimed).await?;
        }
        Ok(None)
    }

    /// The rows that this poller may claim now.
    fn takeable(
        &self,
        rows: &[(String, Row)],
        by: &str,
        own: Option<&Bulkhead>,
    ) -> Vec<(String, Row)> {
        let (bugs, memory) = (self.config.bugs, self.memory());
        let free = |row: &Row| match &row.state {
            State::Processing { by: holder, .. } => {
                bugs.has(Bug::OutboxClaimedTwice) && holder != by
            }
            _ => is_pending(row),
        };
        let may_take = |key: &str, row: &Row| {
            let forgotten = bugs.has(Bug::OutboxPendingForgotten) && row.attempts > 0;
            let waits = memory.waits(&self.schedule(Some(by), key)).is_some();
            free(row) && !waits && !forgotten
        };
        let concerns = |row: &Row| {
            let bulkhead = self.bulkhead(&row.target).map(|bulkhead| bulkhead.service);
            bulkhead == own.map(|own| own.service)
        };
        let rows = rows.iter().filter(|(_, row)| concerns(row));
        let pairs = rows.map(|(key, row)| (key, row));
        if bugs.has(Bug::OutboxReordersAKey) {
            let newest = pairs.rev().filter(|(key, row)| may_take(key, row));
            return newest
                .take(1)
                .map(|(key, row)| (key.clone(), row.clone()))
                .collect();
        }
        if bugs.has(Bug::OutboxPoisonBlocks) {
            let first = pairs.take(1).filter(|(key, row)| may_take(key, row));
            return first.map(|(key, row)| (key.clone(), row.clone())).collect();
        }
        heads(pairs, own.map_or(BATCH, |own| own.batch), may_take)
    }

    async fn claim(
        &self,
        by: &str,
        wanted: Vec<(String, Row)>,
    ) -> Result<Vec<(String, Row)>, StoreError> {
        let (holder, boot_id) = (by.to_owned(), self.platform.process.boot_id());
        let twice = self.config.bugs.has(Bug::OutboxClaimedTwice);
        let now_ms = self.platform.clock.now_ms();
        self.store
            .write(move |tx| {
                let mut claimed = Vec::new();
                for (key, seen) in wanted {
                    // Another poller may have been here since.
                    let Some(mut row) = tx.get(&OUTBOX, &key)? else {
                        continue;
                    };
                    if row != seen && !twice {
                        continue;
                    }
                    row.state = State::Processing {
                        by: holder.clone(),
                        boot_id,
                    };
                    row.changed_ms = now_ms;
                    tx.put(&OUTBOX, &key, &row)?;
                    claimed.push((key, row));
                }
                Ok::<_, StoreError>(claimed)
            })
            .await
    }

    /// Rows that have been in the same hands for too long, by the wall clock or as far as this process has seen.
    fn stale(&self, rows: &[(String, Row)]) -> Vec<String> {
        if self.config.bugs.has(Bug::OutboxStuckProcessing) {
            return Vec::new();
        }
        let now_ms = self.platform.clock.now_ms();
        let mut memory = self.memory();
        let mut stale = Vec::new();
        for (key, row) in rows {
            let State::Processing { by, boot_id } = &row.state else {
                continue;
            };
            let seen = memory.claimed_for(key, &format!("{by} {boot_id}"));
            let by_clock = Duration::from_millis(now_ms.saturating_sub(row.changed_ms));
            // The clock says nothing about a claim of this very life: it may have jumped since.
            let age = match *boot_id == self.platform.process.boot_id() {
                true => seen,
                false => seen.max(by_clock),
            };
            if age >= self.config.policy.claim_max {
                tracing::warn!(kind = row.event.kind, by, "outbox claim given back");
                stale.push(key.clone());
            }
        }
        stale
    }

    async fn give_back(&self, keys: Vec<String>) -> Result<(), StoreError> {
        let now_ms = self.platform.clock.now_ms();
        for key in &keys {
            self.memory().forget(key);
        }
        self.store
            .write(move |tx| {
                for key in keys {
                    if let Some(row) = tx.get(&OUTBOX, &key)? {
                        put_back(tx, &key, row, now_ms)?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// Gives back what an earlier life of this very process had in hand: nobody else will send it.
    pub(super) async fn give_back_own(&self) -> Result<(), StoreError> {
        if self.config.bugs.has(Bug::OutboxStuckProcessing) {
            return Ok(());
        }
        let rows = self.scan()?;
        let pollers = format!("{}#", self.platform.name);
        let own = rows.into_iter().filter(|(_, row)| {
            matches!(&row.state, State::Processing { by, .. } if by.starts_with(&pollers))
        });
        let own: Vec<String> = own.map(|(key, _)| key).collect();
        match own.is_empty() {
            true => Ok(()),
            false => self.give_back(own).await,
        }
    }

    /// When some row may be taken that may not be now.
    fn idle_for(&self, rows: &[(String, Row)], by: &str) -> Duration {
        let memory = self.memory();
        let waits = rows.iter();
        let waits = waits.filter_map(|(key, _)| memory.waits(&self.schedule(Some(by), key)));
        waits.min().unwrap_or(self.config.policy.look_every)
    }
}

fn put_back(tx: &mut Writer<'_>, key: &str, mut row: Row, now_ms: u64) -> Result<(), StoreError> {
    if !matches!(row.state, State::Processing { .. }) {
        return Ok(());
    }
    row.state = State::Pending;
    row.changed_ms = now_ms;
    tx.put(&OUTBOX, key, &row)
}
