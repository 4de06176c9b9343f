//! Idempotency keys of clients: scoped to operation and user, in flight as long as their saga lives.
//!
//! The marks belong to the sagas, not to a life of the process: whoever ends the saga settles its key in the same commit, so
//! no crash leaves a key in flight for ever, and none lets a second order through.

use std::time::Duration;

use tokio::time::sleep;

use super::store::{Answer, KEYS, KeyRow, KeyState};
use crate::{
    kit::{Code, Problem, Store, StoreError, Writer},
    ports::Platform,
};

/// How long a terminal answer is replayed; an older key is as good as new.
pub const RETENTION_MS: u64 = 24 * 60 * 60 * 1000;

/// A key in its scope, with what it was used for.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The row's key.
    pub id: String,
    /// The request in a canonical form.
    pub request: String,
}

impl Key {
    pub fn new(operation: &str, user: &str, key: &str, request: String) -> Self {
        Key {
            id: format!("{operation}/{user}/{key}"),
            request,
        }
    }

    /// What a repeat is answered; `None` if this is no repeat.
    pub fn repeat(&self, row: Option<KeyRow>, now_ms: u64) -> Option<Answer> {
        let refuse = |code, detail: &str| Some(Answer::Refused(Problem::new(code, detail)));
        let row = row?;
        match row.state {
            KeyState::Cancelled => refuse(
                Code::InvalidState,
                "this request was cancelled before it arrived",
            ),
            KeyState::Answered { .. } if row.at_ms.saturating_add(RETENTION_MS) < now_ms => None,
            _ if row.request != self.request => refuse(
                Code::IdempotencyMismatch,
                "this idempotency key was used with another body; take a new one",
            ),
            KeyState::InFlight { .. } => refuse(
                Code::IdempotencyInFlight,
                "this request is being worked on; repeat it later to learn its outcome",
            ),
            KeyState::Answered { answer, .. } => Some(answer),
        }
    }

    /// Marks the key as in flight for an order.
    pub fn begin(&self, tx: &mut Writer<'_>, order_id: &str, now: u64) -> Result<(), StoreError> {
        let state = KeyState::InFlight {
            order_id: order_id.to_owned(),
        };
        self.put(tx, state, now)
    }

    /// Stores an answer that needed no order.
    pub fn refuse(&self, tx: &mut Writer<'_>, why: &Problem, now: u64) -> Result<(), StoreError> {
        let state = KeyState::Answered {
            order_id: None,
            answer: Answer::Refused(why.clone()),
        };
        self.put(tx, state, now)
    }

    fn put(&self, tx: &mut Writer<'_>, state: KeyState, at_ms: u64) -> Result<(), StoreError> {
        let row = KeyRow {
            request: self.request.clone(),
            state,
            at_ms,
        };
        tx.put(&KEYS, &self.id, &row)
    }
}

/// Settles the key of an order whose saga has ended: a terminal answer is kept, a transient refusal is forgotten, so
/// that a retry starts anew.
pub(super) fn settle(
    tx: &mut Writer<'_>,
    id: &str,
    order_id: &str,
    answer: Answer,
    now: u64,
) -> Result<(), StoreError> {
    let Some(mut row) = tx.get(&KEYS, id)? else {
        return Ok(());
    };
    if matches!(&answer, Answer::Refused(why) if why.code.is_transient()) {
        return tx.delete(&KEYS, id);
    }
    row.state = KeyState::Answered {
        order_id: Some(order_id.to_owned()),
        answer,
    };
    row.at_ms = now;
    tx.put(&KEYS, id, &row)
}

/// Cancels a key that no request has used; tells the order of one that was used.
pub(super) fn cancel_unseen(
    tx: &mut Writer<'_>,
    id: &str,
    now: u64,
) -> Result<Option<String>, StoreError> {
    match tx.get(&KEYS, id)?.map(|row| row.state) {
        Some(KeyState::InFlight { order_id }) => Ok(Some(order_id)),
        Some(KeyState::Answered { order_id, .. }) => Ok(order_id),
        Some(KeyState::Cancelled) => Ok(None),
        None => {
            let row = KeyRow {
                request: String::new(),
                state: KeyState::Cancelled,
                at_ms: now,
            };
            tx.put(&KEYS, id, &row)?;
            Ok(None)
        }
    }
}

/// How often expired keys are looked for.
const PURGE_EVERY: Duration = Duration::from_secs(60 * 60);

/// Deletes answers that are replayed no longer, now and then, for ever.
pub(super) async fn keep_purging(platform: Platform, store: Store) {
    loop {
        sleep(PURGE_EVERY).await;
        let oldest = platform.clock.now_ms().saturating_sub(RETENTION_MS);
        let purged = store.write(move |tx| {
            for (id, row) in tx.scan(&KEYS, "")? {
                if row.at_ms < oldest && !matches!(row.state, KeyState::InFlight { .. }) {
                    tx.delete(&KEYS, &id)?;
                }
            }
            Ok::<_, StoreError>(())
        });
        if let Err(error) = purged.await {
            tracing::error!(%error, "keys were not purged");
        }
    }
}
