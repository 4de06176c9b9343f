//! The ways of telling without an outbox, for the planted bugs `dual-write`, `events-only-in-memory` and
//! `publish-before-commit`; and the one of an outbox that is ahead of itself, for `row-marked-before-sent`.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tracing::Instrument;

use super::{Inner, OUTBOX, Outgoing, PUBLISHED, Row};
use crate::kit::{StoreError, Writer};

/// Events that wait in memory; a full queue loses what comes next.
pub(super) const QUEUE_MAX: usize = 256;

const RETRY: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// How a transaction that is only tried out ends: never with a commit.
enum Tried<E> {
    Outgoing(Vec<Outgoing>),
    Refused(E),
}

impl<E: From<StoreError>> From<StoreError> for Tried<E> {
    fn from(error: StoreError) -> Self {
        Tried::Refused(error.into())
    }
}

/// Sends what waits in memory, in its order, for ever.
pub(super) async fn send_unsaved(outbox: Arc<Inner>, mut queue: mpsc::Receiver<Outgoing>) {
    while let Some(outgoing) = queue.recv().await {
        let span = outgoing.event.context.span();
        outbox.insist(&outgoing).instrument(span).await;
    }
}

impl Inner {
    /// Marks rows as published, and then sends them; those whose sending fails are put back.
    pub(super) async fn mark_and_send(
        &self,
        by: Option<&str>,
        rows: &[(String, Row)],
    ) -> Result<(), StoreError> {
        let marked = rows.iter().map(|(key, _)| (key.clone(), Ok(())));
        self.settle(by, marked.collect()).await?;
        let mut failed = self.send_all(rows).await;
        self.hold_back(by, rows, &failed);
        failed.retain(|(_, sent)| sent.is_err());
        if failed.is_empty() {
            return Ok(());
        }
        let of_failed = |(key, _): &&(String, Row)| failed.iter().any(|(failed, _)| failed == key);
        let back: Vec<_> = rows.iter().filter(of_failed).cloned().collect();
        self.store
            .write(move |tx| {
                for (key, row) in &back {
                    tx.delete(&PUBLISHED, key)?;
                    tx.put(&OUTBOX, key, row)?;
                }
                Ok::<_, StoreError>(())
            })
            .await?;
        self.settle(by, failed).await
    }

    async fn insist(&self, outgoing: &Outgoing) {
        let mut wait = RETRY;
        while !self.send_once(outgoing).await {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// Commits, and then sends: at once and once, or from a queue in memory.
    pub(super) async fn commit_then_publish<T, E>(
        &self,
        work: impl FnOnce(&mut Writer, &mut Vec<Outgoing>) -> Result<T, E> + Clone + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let committed = self.store.write(move |tx| {
            let mut outgoing = Vec::new();
            let value = work(tx, &mut outgoing)?;
            Ok::<_, E>((value, outgoing))
        });
        let (value, outgoing) = committed.await?;
        for outgoing in outgoing {
            match &self.unsaved {
                Some(queue) => {
                    if queue.try_send(outgoing).is_err() {
                        tracing::warn!("the queue is full: an event is lost");
                    }
                }
                None => {
                    self.send_once(&outgoing).await;
                }
            }
        }
        Ok(value)
    }

    /// Tries the transaction out to learn what it tells, sends that, and then commits.
    pub(super) async fn publish_then_commit<T, E>(
        &self,
        work: impl FnOnce(&mut Writer, &mut Vec<Outgoing>) -> Result<T, E> + Clone + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let attempt = work.clone();
        let tried = self.store.write(move |tx| {
            let mut outgoing = Vec::new();
            match attempt(tx, &mut outgoing) {
                Ok(_) => Err::<(), _>(Tried::Outgoing(outgoing)),
                Err(refusal) => Err(Tried::Refused(refusal)),
            }
        });
        match tried.await {
            Ok(()) => {}
            Err(Tried::Refused(refusal)) => return Err(refusal),
            Err(Tried::Outgoing(outgoing)) => {
                for outgoing in &outgoing {
                    self.insist(outgoing).await;
                }
            }
        }
        self.store.write(move |tx| work(tx, &mut Vec::new())).await
    }
}
