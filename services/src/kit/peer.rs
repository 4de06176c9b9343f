//! Calling another service: breaker, then retry, then one call with its timeout.

mod breaker;
mod pool;

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    http::{Request, Response, header},
};
use http_body_util::Full;
use serde::{Serialize, de::DeserializeOwned};

use self::breaker::Breaker;
pub(crate) use self::pool::{Failure, Pool};
use super::{Code, Context, Problem, json, page};
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
    /// Only for the planted bug `breaker-lets-all-through`: a half-open breaker lets every call through, and refusals
    /// count as failures.
    pub breaker_lets_all_through: bool,
}

impl PeerPolicy {
    /// For a service of our own.
    pub fn internal() -> Self {
        PeerPolicy {
            attempts: 3,
            timeout: Duration::from_secs(2),
            backoff: Duration::from_millis(50),
            breaker_threshold: 0.5,
            breaker_window: 10,
            breaker_open: Duration::from_secs(10),
            breaker_lets_all_through: false,
        }
    }

    /// One try and no breaker: for callers that repeat by themselves.
    pub fn once() -> Self {
        PeerPolicy {
            attempts: 1,
            breaker_threshold: 2.0,
            ..PeerPolicy::internal()
        }
    }

    /// For the payment service, whose answer includes the payment gateway's: it waits up to 5 s for a permit to call
    /// that, and then for its answer.
    pub fn payment() -> Self {
        PeerPolicy {
            timeout: Duration::from_secs(10),
            breaker_threshold: 0.4,
            breaker_open: Duration::from_secs(30),
            ..PeerPolicy::internal()
        }
    }
}

/// An answer with any status below 500.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body as JSON; `Null` when empty, text if a refusal is not JSON.
    pub body: serde_json::Value,
    /// Of a listing that goes on: the reference of its next page, relative to this one.
    pub next: Option<String>,
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
        super::Code::ServiceUnavailable.because(error.to_string())
    }
}

/// A peer service: pooled keep-alive connections, one breaker. Cheap to clone.
#[derive(Clone)]
pub struct Peer {
    inner: Arc<Inner>,
}

struct Inner {
    platform: Platform,
    policy: PeerPolicy,
    breaker: Breaker,
    pool: Pool,
}

/// What one attempt came to.
enum Attempt {
    Answered(Reply),
    /// 429: certainly not done this time.
    Throttled(Reply),
    NotSent(String),
    Unknown(String),
    /// The same key is under way: the peer is well, the outcome is open.
    InFlight,
}

impl Peer {
    /// A peer by its name on the network. No connection is made before the first call.
    pub fn new(platform: &Platform, name: &str, policy: PeerPolicy) -> Self {
        Peer {
            inner: Arc::new(Inner {
                platform: platform.clone(),
                breaker: Breaker::new(&policy),
                pool: Pool::new(platform, name),
                policy,
            }),
        }
    }

    /// Sends a request, retrying `NotSent` and `Unknown` outcomes (and answers whose code is 5xx or 429) up to the
    /// policy's attempts. If any attempt's outcome was unknown and no later one was answered, the whole is `Unknown`.
    /// `key` is sent as `Idempotency-Key`. `body` is sent as JSON unless it is `()` (JSON null).
    ///
    /// An answer that the peer does not store under the key (429, a transient 409) says nothing about an earlier
    /// attempt whose outcome is unknown: that one may still arrive. It is `Unknown` then.
    pub async fn call(
        &self,
        context: &Context,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &(impl Serialize + Sync),
    ) -> Result<Reply, CallError> {
        let Inner {
            policy, breaker, ..
        } = &*self.inner;
        let body = match serde_json::to_vec(body) {
            Ok(body) if body == b"null" => Bytes::new(),
            Ok(body) => Bytes::from(body),
            Err(error) => return Err(self.not_sent(format!("the request is not JSON: {error}"))),
        };
        let admission = match breaker.admit() {
            Ok(admission) => admission,
            Err(wait) => {
                let reason = format!("it kept failing; it is tried again in {wait:?}");
                return Err(self.not_sent(reason));
            }
        };
        let mut unknown = None;
        let mut attempt = 1;
        let last = loop {
            let outcome = self.attempt(context, method, path, key, body.clone()).await;
            let reason = match &outcome {
                Attempt::Answered(_) => break outcome,
                Attempt::Throttled(_) => "it takes no more calls now (429)",
                Attempt::NotSent(reason) => reason,
                Attempt::Unknown(_) | Attempt::InFlight => {
                    let reason = match &outcome {
                        Attempt::Unknown(reason) => reason,
                        _ => "a request with the same key is under way",
                    };
                    unknown.insert(reason.to_owned())
                }
            };
            if attempt >= policy.attempts {
                break outcome;
            }
            tracing::info!(
                peer = self.inner.pool.peer,
                attempt,
                reason,
                "calling again"
            );
            self.back_off(attempt).await;
            attempt += 1;
        };
        let healthy = match &last {
            Attempt::Answered(reply) => !policy.breaker_lets_all_through || reply.is_success(),
            Attempt::InFlight => true,
            _ => false,
        };
        if admission.record(!healthy) {
            tracing::warn!(peer = self.inner.pool.peer, "the breaker opened");
        }
        match (last, unknown) {
            (Attempt::Answered(reply), None) => Ok(reply),
            (Attempt::Answered(reply), Some(_)) if reply.is_lasting() => Ok(reply),
            (Attempt::Throttled(reply), None) => Ok(reply),
            (Attempt::NotSent(reason), None) => Err(self.not_sent(reason)),
            (_, unknown) => Err(CallError::Unknown {
                peer: self.inner.pool.peer.clone(),
                reason: unknown.unwrap_or_default(),
            }),
        }
    }

    async fn attempt(
        &self,
        context: &Context,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Bytes,
    ) -> Attempt {
        let Inner {
            platform,
            policy,
            pool,
            ..
        } = &*self.inner;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &pool.peer);
        for (name, value) in context.headers(platform.random.next_u64()) {
            request = request.header(name, value);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = match request.body(Full::new(body)) {
            Ok(request) => request,
            Err(error) => return Attempt::NotSent(format!("{method} {path}: {error}")),
        };
        match pool.exchange(request, policy.timeout).await {
            Ok(response) => Attempt::from(response),
            Err(Failure::NotSent(reason)) => Attempt::NotSent(reason),
            Err(Failure::Unknown(reason)) => Attempt::Unknown(reason),
        }
    }

    /// Exponential backoff with full jitter
    /// ([Brooker](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)).
    async fn back_off(&self, attempts_made: u32) {
        let Inner {
            platform, policy, ..
        } = &*self.inner;
        let longest = policy.backoff * 2_u32.saturating_pow(attempts_made - 1);
        let micros = platform.random.next_u64() % (longest.as_micros() as u64 + 1);
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }

    fn not_sent(&self, reason: String) -> CallError {
        CallError::NotSent {
            peer: self.inner.pool.peer.clone(),
            reason,
        }
    }
}

impl From<Response<Bytes>> for Attempt {
    fn from(response: Response<Bytes>) -> Self {
        let (status, body) = (response.status(), response.body());
        let next = page::next(response.headers());
        let parsed = match body.is_empty() {
            true => Ok(serde_json::Value::Null),
            false => json::parse(body),
        };
        let body = match parsed {
            Ok(body) => body,
            Err(error) if status.is_success() => {
                return Attempt::Unknown(format!("the answer is not JSON: {error}"));
            }
            Err(_) => serde_json::Value::String(String::from_utf8_lossy(body).into_owned()),
        };
        let reply = Reply {
            status: status.as_u16(),
            body,
            next,
        };
        match reply.status {
            429 => Attempt::Throttled(reply),
            409 if reply.problem().code == Code::IdempotencyInFlight => Attempt::InFlight,
            500.. => Attempt::Unknown(reply.problem().to_string()),
            _ => Attempt::Answered(reply),
        }
    }
}

impl Reply {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body of a 2xx as `T`, or the problem of anything else.
    pub fn ok<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if !self.is_success() {
            return Err(self.problem());
        }
        T::deserialize(&self.body).map_err(|error| {
            tracing::error!(%error, "an answer was not understood");
            Code::Internal.because("a dependency's answer was not understood")
        })
    }

    /// The problem of a 4xx answer (a generic one if the body is not a problem).
    pub fn problem(&self) -> Problem {
        use serde::Deserialize;
        Problem::deserialize(&self.body).unwrap_or_else(|_| {
            let code = match self.status {
                404 => Code::NotFound,
                409 => Code::InvalidState,
                429 => Code::TooManyRequests,
                503 => Code::ServiceUnavailable,
                400..500 => Code::InvalidRequest,
                _ => Code::Internal,
            };
            code.because(format!("a dependency answered {}", self.status))
        })
    }

    /// Whether the same request with the same key is answered like this ever after.
    fn is_lasting(&self) -> bool {
        self.is_success() || !self.problem().code.is_transient()
    }
}
