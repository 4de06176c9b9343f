//! Idempotency keys of clients: scoped to operation and user, in flight as long as their saga lives.
//!
//! The marks belong to the sagas, not to a life of the process: whoever ends the saga settles its key in the same commit, so
//! no crash leaves a key in flight for ever, and none lets a second order through.

use serde::Serialize;

use super::store::{KEYS, KeyRow, KeyState};
use crate::{
    kit::{
        Code, Problem, StoreError, Writer,
        idempotency::{RETENTION_MS, StoredAnswer, fingerprint, in_flight, mismatch},
    },
    planted_bug::{Bug, Bugs},
};

/// A key in its scope, with what it was used for.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The row's key.
    pub id: String,
    /// Of the request.
    pub fingerprint: u64,
    bugs: Bugs,
}

impl Key {
    pub fn new(
        bugs: Bugs,
        (operation, user): (&str, &str),
        key: &str,
        request: &impl Serialize,
    ) -> Self {
        let user = match bugs.has(Bug::KeySharedAcrossUsers) {
            true => "",
            false => user,
        };
        let fingerprint = match bugs.has(Bug::KeyIgnoresBody) {
            true => 0,
            false => fingerprint(request),
        };
        Key {
            id: id(operation, user, key),
            fingerprint,
            bugs,
        }
    }

    fn kept_ms(&self) -> u64 {
        match self.bugs.has(Bug::KeyExpiresTooSoon) {
            true => 2_000,
            false => RETENTION_MS,
        }
    }

    /// What a repeat is answered; `None` if this is no repeat.
    pub fn repeat(&self, row: Option<KeyRow>, now: u64) -> Result<Option<StoredAnswer>, Problem> {
        let Some(row) = row else { return Ok(None) };
        match row.state {
            KeyState::Cancelled => {
                Err(Code::InvalidState.because("this request was cancelled before it arrived"))
            }
            KeyState::Answered { .. } if row.at_ms.saturating_add(self.kept_ms()) < now => Ok(None),
            KeyState::InFlight { .. } if self.bugs.has(Bug::InFlightNotRefused) => Ok(None),
            _ if row.fingerprint != self.fingerprint => Err(mismatch()),
            KeyState::InFlight { .. } => Err(in_flight()),
            KeyState::Answered { answer, .. } => Ok(Some(answer)),
        }
    }

    /// Marks the key as in flight for an order.
    pub fn begin(&self, tx: &mut Writer<'_>, order_id: &str, now: u64) -> Result<(), StoreError> {
        let order_id = order_id.to_owned();
        self.put(tx, KeyState::InFlight { order_id }, now)
    }

    /// Stores an answer that needed no order.
    pub fn refuse(&self, tx: &mut Writer<'_>, why: &Problem, now: u64) -> Result<(), StoreError> {
        let Some(answer) = StoredAnswer::of_problem(why) else {
            return Ok(());
        };
        let order_id = None;
        self.put(tx, KeyState::Answered { order_id, answer }, now)
    }

    fn put(&self, tx: &mut Writer<'_>, state: KeyState, at_ms: u64) -> Result<(), StoreError> {
        let row = KeyRow {
            fingerprint: self.fingerprint,
            state,
            at_ms,
        };
        tx.put(&KEYS, &self.id, &row)
    }
}

/// A key's row. Neither operations nor users hold a `/`.
pub(super) fn id(operation: &str, user: &str, key: &str) -> String {
    format!("{operation}/{user}/{key}")
}

/// Settles the key of an order whose saga has ended: a terminal answer is kept; with none the key is forgotten, so
/// that a retry starts anew.
pub(super) fn settle(
    tx: &mut Writer<'_>,
    id: &str,
    order_id: &str,
    answer: Option<StoredAnswer>,
    now: u64,
) -> Result<(), StoreError> {
    let Some(mut row) = tx.get(&KEYS, id)? else {
        return Ok(());
    };
    let Some(answer) = answer else {
        return tx.delete(&KEYS, id);
    };
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
                fingerprint: 0,
                state: KeyState::Cancelled,
                at_ms: now,
            };
            tx.put(&KEYS, id, &row)?;
            Ok(None)
        }
    }
}

/// Whether an answer is replayed no longer.
pub(super) fn is_over(_: &Writer, row: &KeyRow, oldest_ms: u64) -> Result<bool, StoreError> {
    Ok(row.at_ms < oldest_ms && !matches!(row.state, KeyState::InFlight { .. }))
}
