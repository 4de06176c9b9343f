//! The gateway's own idempotency: its answers, by key, in the two styles found in the market.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kit::{Code, Problem, StoreError, Table, Writer};

/// How long an answer is repeated: 24 hours.
pub const KEPT_MS: u64 = 24 * 60 * 60 * 1000;

/// Stored answers, by idempotency key.
pub const ANSWERS: Table<Answer> = Table::new("answers");

/// Which answers are stored and repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyStyle {
    /// Every answer to a request that was looked at, refusals and 500s too: who asks again after an error must take a
    /// new key.
    #[default]
    StoreAll,
    /// Only successes: who asks again after an error with the same key is served anew.
    StoreSuccesses,
}

/// An answer as first given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What was asked: another request under the same key is refused.
    pub request: String,
    /// HTTP status. One of 400 or more says that nothing was done.
    pub status: u16,
    /// The body.
    pub body: Value,
    /// When, by the gateway's clock.
    pub at: u64,
}

impl Answer {
    pub(super) fn is_fresh(&self, now: u64) -> bool {
        now < self.at.saturating_add(KEPT_MS)
    }

    /// The answer again, if it answers the same request.
    pub(super) fn repeat(self, request: &str) -> Result<Answer, Problem> {
        if self.request == request {
            Ok(self)
        } else {
            Err(Problem::new(
                Code::IdempotencyMismatch,
                "this Idempotency-Key was used for another request; take a new key",
            ))
        }
    }
}

/// Deletes answers that are repeated no more.
pub(super) fn prune(tx: &mut Writer, now: u64) -> Result<(), StoreError> {
    for (key, answer) in tx.scan(&ANSWERS, "")? {
        if !answer.is_fresh(now) {
            tx.delete(&ANSWERS, &key)?;
        }
    }
    Ok(())
}

/// Keys whose request is being worked on. A crash forgets them along with the work.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<BTreeSet<String>>>);

impl InFlight {
    /// Marks the key until the guard is dropped; refuses a key that is marked.
    pub fn begin(&self, key: &str) -> Result<Mark, Problem> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(key.to_owned()) {
            return Err(Problem::new(
                Code::IdempotencyInFlight,
                "a request with this Idempotency-Key is being worked on; ask again later",
            ));
        }
        Ok(Mark {
            keys: self.0.clone(),
            key: key.to_owned(),
        })
    }
}

/// A key in flight.
pub(super) struct Mark {
    keys: Arc<Mutex<BTreeSet<String>>>,
    key: String,
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}
