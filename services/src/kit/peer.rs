//! Calling another service: breaker, then retry, then one call with its timeout.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use super::{Context, Problem};
use crate::ports::Platform;

/// How a peer is called.
#[derive(Clone, Debug)]
pub struct PeerPolicy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Limit of one attempt, from connect to the whole answer.
    pub timeout: Duration,
    /// Wait before the second attempt; doubled each time, with full jitter.
    pub backoff: Duration,
    /// Share of failed calls (0..=1) of the last `breaker_window` that opens the breaker.
    pub breaker_threshold: f64,
    /// Calls that the breaker looks back on.
    pub breaker_window: usize,
    /// How long the breaker stays open before one trial call.
    pub breaker_open: Duration,
}

/// An answer with any status below 500.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body as JSON; `Null` when empty.
    pub body: serde_json::Value,
}

/// Why there is no usable answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing was done: no connection was made, or the breaker is open.
    #[error("{peer} cannot be reached: {reason}")]
    NotSent {
        /// Who was called.
        peer: String,
        /// Why.
        reason: String,
    },
    /// The request may or may not have been carried out (timeout, connection lost, 5xx).
    #[error("{peer}'s answer is not known: {reason}")]
    Unknown {
        /// Who was called.
        peer: String,
        /// Why.
        reason: String,
    },
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        Problem::new(super::Code::ServiceUnavailable, error.to_string())
    }
}

/// A peer service: pooled keep-alive connections, one breaker. Cheap to clone.
#[derive(Clone)]
pub struct Peer {
    _private: (),
}

#[allow(unused_variables, clippy::todo, missing_docs)]
impl Peer {
    pub fn new(platform: &Platform, name: &str, policy: PeerPolicy) -> Self {
        todo!()
    }
    /// Sends a request, retrying `NotSent` and `Unknown` outcomes (and answers whose code is 5xx or 429) up to the
    /// policy's attempts. If any attempt's outcome was unknown and no later one was answered, the whole is `Unknown`.
    /// `key` is sent as `Idempotency-Key`. `body` is sent as JSON unless it is `()` (JSON null).
    pub async fn call(
        &self,
        context: &Context,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &(impl Serialize + Sync),
    ) -> Result<Reply, CallError> {
        todo!()
    }
}

#[allow(clippy::todo, missing_docs)]
impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
    /// The body of a 2xx as `T`, or the problem of anything else.
    pub fn ok<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        todo!()
    }
    /// The problem of a 4xx answer (a generic one if the body is not a problem).
    pub fn problem(&self) -> Problem {
        todo!()
    }
}
