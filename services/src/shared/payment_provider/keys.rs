//! The gateway's own idempotency: its answers, by key, in the two styles found in the market.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kit::{Problem, Table, idempotency::mismatch};

/// How long an answer is repeated: 24 hours.
pub use crate::kit::idempotency::RETENTION_MS as KEPT_MS;

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
        match self.request == request {
            true => Ok(self),
            false => Err(mismatch()),
        }
    }
}
