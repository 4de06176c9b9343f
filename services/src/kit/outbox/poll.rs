//! Polling: rows are claimed, sent, and settled. Any number of pollers, in any number of processes over one store.
//!
//! A poller sleeps until a commit leaves a row to it, a wait is over or a claim has grown old; every
//! [`Policy::look_every`](super::Policy::look_every) it looks anyhow, for what another process wrote. While it sleeps it
//! is given new rows by the commits that write them, which saves the commit of a claim.

use std::{sync::Arc, time::Duration};

use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Bulkhead, Inner, OUTBOX, Row, State, deliver::BATCH, lane, memory::heads};
use crate::{
    gap::Gap,
    kit::{StoreError, Writer, store::Commit, timer::within},
    ports::RowChange,
};

/// Polls for ever.
pub(super) async fn poll(outbox: Arc<Inner>, by: String, own: Option<Bulkhead>) {
    loop {
        // Anew each time: the feed of a database that was away has ended.
        let mut feed = outbox.store.feed();
        match outbox.pass(&by, own.as_ref()).await {
            Ok(Some(wait)) => {
                let wait = wait.min(outbox.config.policy.look_every);
                within(wait, outbox.touched(&mut feed, &by)).await;
            }
            Ok(None) => {}
            Err(error) => error.endure(&outbox.platform, "an outbox poller").await,
        }
    }
}

impl Inner {
    /// Ends once a commit has written a row that this poller may be able to take.
    async fn touched(&self, feed: &mut Receiver<Commit>, by: &str) {
        let concerns = |change: &RowChange| match &change.after {
            Some(row) if change.table == OUTBOX.name => OUTBOX
                .decode(row)
                .map_or(true, |row| self.is_free(&row, by)),
            _ => false,
        };
        loop {
            match feed.recv().await {
                Ok(commit) if !commit.iter().any(concerns) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// The state of a new row. It is in the hands of a poller that has nothing to do, unless it may have to wait for
    /// another row: then whoever is free claims it later.
    pub(super) fn first_state(&self, tx: &Writer<'_>, row: &Row) -> Result<State, StoreError> {
        let bulkhead = self.bulkhead(&row.target).map(|bulkhead| bulkhead.service);
        let Some(by) = self.memory().idle(bulkhead).map(str::to_owned) else {
            return Ok(State::Pending);
        };
        // No more is read for a row however many there are.
        let open = tx.scan_some(&OUTBOX, "", BATCH)?;
        let waits = open.len() == BATCH || open.iter().any(|(_, older)| lane(older) == lane(row));
        Ok(match waits {
            true => State::Pending,
            false => self.in_hand(&by),
        })
    }

    fn in_hand(&self, by: &str) -> State {
        State::Processing {
            by: by.to_owned(),
            boot_id: self.platform.process.boot_id(),
        }
    }

    /// Whether a poller may take the row as far as its state says: nobody has it in hand, or he has.
    fn is_free(&self, row: &Row, by: &str) -> bool {
        match &row.state {
            State::Processing { by: holder, .. } if holder != by => {
                self.config.gaps.has(Gap::OutboxClaimedTwice)
            }
            state => *state == State::Pending || *state == self.in_hand(by),
        }
    }

    /// Claims, sends and settles once. With nothing to do, says how long that will be so.
    async fn pass(
        self: &Arc<Self>,
        by: &str,
        own: Option<&Bulkhead>,
    ) -> Result<Option<Duration>, StoreError> {
        self.memory().works(by);
        let rows = self.scan()?;
        let stale = self.stale(&rows);
        if !stale.is_empty() {
            self.give_back(stale).await?;
            return Ok(None);
        }
        let takeable = self.takeable(&rows, by, own);
        if takeable.is_empty() {
            self.memory().rests(by, own.map(|own| own.service));
            return Ok(Some(self.idle_for(&rows)));
        }
        let claimed = self.claim(by, takeable).await?;
        if !claimed.is_empty() {
            let outcomes = self.send_all(&claimed).await;
            self.settle(Some(by.to_owned()), outcomes).await?;
        }
        Ok(None)
    }

    /// The rows that this poller may send now; some may be in his hands already.
    fn takeable(
        &self,
        rows: &[(String, Row)],
        by: &str,
        own: Option<&Bulkhead>,
    ) -> Vec<(String, Row)> {
        let (gaps, memory) = (self.config.gaps, self.memory());
        let may_take = |key: &str, row: &Row| {
            let forgotten = gaps.has(Gap::OutboxPendingForgotten) && row.attempts > 0;
            self.is_free(row, by) && memory.waits(key).is_none() && !forgotten
        };
        let concerns = |row: &Row| {
            let bulkhead = self.bulkhead(&row.target).map(|bulkhead| bulkhead.service);
            bulkhead == own.map(|own| own.service)
        };
        let rows = rows.iter().filter(|(_, row)| concerns(row));
        let pairs = rows.map(|(key, row)| (key, row));
        if gaps.has(Gap::OutboxReordersAKey) {
            let newest = pairs.rev().filter(|(key, row)| may_take(key, row));
            return newest
                .take(1)
                .map(|(key, row)| (key.clone(), row.clone()))
                .collect();
        }
        if gaps.has(Gap::OutboxPoisonBlocks) {
            let first = pairs.take(1).filter(|(key, row)| may_take(key, row));
            return first.map(|(key, row)| (key.clone(), row.clone())).collect();
        }
        heads(pairs, own.map_or(BATCH, |own| own.batch), may_take)
    }

    /// Claims those that are in nobody's hands.
    async fn claim(
        self: &Arc<Self>,
        by: &str,
        wanted: Vec<(String, Row)>,
    ) -> Result<Vec<(String, Row)>, StoreError> {
        let in_hand = self.in_hand(by);
        let (mut held, free): (Vec<_>, Vec<_>) = wanted
            .into_iter()
            .partition(|(_, row)| row.state == in_hand);
        if free.is_empty() {
            return Ok(held);
        }
        let twice = self.config.gaps.has(Gap::OutboxClaimedTwice);
        let now_ms = self.platform.clock.now_ms();
        let claimed = self.transact(move |tx| {
            let mut claimed = Vec::new();
            for (key, seen) in free {
                // Another poller may have been here since.
                let Some(mut row) = tx.get(&OUTBOX, &key)? else {
                    continue;
                };
                if row != seen && !twice {
                    continue;
                }
                row.state = in_hand.clone();
                row.changed_ms = now_ms;
                tx.put(&OUTBOX, &key, &row)?;
                claimed.push((key, row));
            }
            Ok::<_, StoreError>(claimed)
        });
        held.extend(claimed.await?);
        Ok(held)
    }

    /// Rows that have been in the same hands for too long, by the wall clock or as far as this process has seen.
    fn stale(&self, rows: &[(String, Row)]) -> Vec<String> {
        if self.config.gaps.has(Gap::OutboxStuckProcessing) {
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

    async fn give_back(self: &Arc<Self>, keys: Vec<String>) -> Result<(), StoreError> {
        let now_ms = self.platform.clock.now_ms();
        for key in &keys {
            self.memory().forget(key);
        }
        self.transact(move |tx| {
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
    pub(super) async fn give_back_own(self: &Arc<Self>) -> Result<(), StoreError> {
        if self.config.gaps.has(Gap::OutboxStuckProcessing) {
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
    fn idle_for(&self, rows: &[(String, Row)]) -> Duration {
        let memory = self.memory();
        let waits = rows.iter().filter_map(|(key, _)| memory.waits(key));
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
