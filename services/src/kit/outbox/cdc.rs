//! Change data capture: one tail follows the store's feed of commits and sends what they put into the outbox.
//!
//! The feed begins with the process, so the tail reads the table once at boot, and again should it fall behind.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};

use super::{Inner, OUTBOX, Row, deliver::BATCH, memory::heads};
use crate::kit::{StoreError, store::Commit, timer::within};

/// Tails for ever.
pub(super) async fn tail(outbox: Arc<Inner>) {
    loop {
        let Err(error) = outbox.follow().await;
        error.endure(&outbox.platform, "the outbox's tail").await;
    }
}

/// The rows that are still to be sent, as the feed tells of them.
type Log = BTreeMap<String, Row>;

impl Inner {
    async fn follow(&self) -> Result<Infallible, StoreError> {
        let mut feed = self.store.feed();
        let mut log = self.read_log()?;
        loop {
            self.catch_up(&mut feed, &mut log)?;
            let ready = {
                let memory = self.memory();
                heads(&log, BATCH, |key, _| memory.waits(key).is_none())
            };
            if ready.is_empty() {
                let limit = {
                    let memory = self.memory();
                    let waits = log.keys().filter_map(|key| memory.waits(key));
                    waits.min().unwrap_or(self.config.policy.look_every)
                };
                match within(limit, feed.recv()).await {
                    Some(Ok(commit)) => apply(&mut log, &commit)?,
                    Some(Err(RecvError::Lagged(_))) => log = self.read_log()?,
                    Some(Err(RecvError::Closed)) => {
                        return Err(StoreError::Unreachable("its feed has ended".to_owned()));
                    }
                    None => {}
                }
                continue;
            }
            let outcomes = self.send_all(&ready).await;
            self.hold_back(&ready, &outcomes);
            // The log learns of it from the feed, like of every other commit.
            self.settle(None, outcomes).await?;
        }
    }

    fn read_log(&self) -> Result<Log, StoreError> {
        let rows = self.scan()?;
        Ok(rows.into_iter().collect())
    }

    fn catch_up(&self, feed: &mut Receiver<Commit>, log: &mut Log) -> Result<(), StoreError> {
        loop {
            match feed.try_recv() {
                Ok(commit) => apply(log, &commit)?,
                Err(TryRecvError::Lagged(_)) => *log = self.read_log()?,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(()),
            }
        }
    }
}

fn apply(log: &mut Log, commit: &Commit) -> Result<(), StoreError> {
    for change in commit.iter().filter(|change| change.table == OUTBOX.name) {
        match &change.after {
            Some(row) => log.insert(change.key.clone(), OUTBOX.decode(row)?),
            None => log.remove(&change.key),
        };
    }
    Ok(())
}
