//! Idempotency keys: one effect per key, one terminal answer, refusals in between.
//!
//! Modelled on [Stripe's](https://docs.stripe.com/api/idempotent_requests) and the
//! [IETF draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/). A key belongs to one
//! scope (the user, or the calling service) and one operation. A handler calls [`begin`] in the transaction in which
//! its effect starts, and [`finish`] in the one in which its answer becomes final; where that is one transaction,
//! nobody ever sees the mark in between. An answer that may turn out otherwise later ([`Code::is_transient`]) is not
//! kept: [`forget`] the key then.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use super::{Code, Problem, Reader, Store, StoreError, Table, Writer};
use crate::ports::Platform;

/// Keys and their answers, by `operation/scope/key`.
pub const KEYS: Table<Row> = Table::new("idempotency");

/// How long an answer is kept: a repeat within 24 hours gets the same one.
pub const RETENTION_MS: u64 = 24 * 60 * 60 * 1000;

/// How often old keys are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// What is known of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Of the request that came with the key first: see [`fingerprint`].
    pub fingerprint: u64,
    /// How far that request is.
    pub state: State,
    /// Wall time of the last change.
    pub at_ms: u64,
}

/// How far the request of a key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Under way in this life of the process. The mark of an earlier life holds nobody up.
    InFlight {
        /// [`Process::boot_id`](crate::ports::Process::boot_id).
        boot_id: u64,
    },
    /// Answered for good.
    Done(StoredAnswer),
}

/// A final answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: serde_json::Value,
}

/// What to do with a request that carries a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Begin {
    /// Carry it out; the key is marked as under way. After a crash this may be the second time: resume.
    Fresh,
    /// It was answered before: give the same answer.
    Replay(StoredAnswer),
    /// The key came with another request before.
    Mismatch,
    /// The same request is under way.
    InFlight,
}

impl Begin {
    /// `None` to carry the request out, an answer to repeat, or the refusal (422, 409).
    pub fn proceed(self) -> Result<Option<StoredAnswer>, Problem> {
        match self {
            Begin::Fresh => Ok(None),
            Begin::Replay(answer) => Ok(Some(answer)),
            Begin::Mismatch => Err(Problem::new(
                Code::IdempotencyMismatch,
                "this Idempotency-Key came with another request before; use a new key for a new request",
            )),
            Begin::InFlight => Err(Problem::new(
                Code::IdempotencyInFlight,
                "the request with this Idempotency-Key is under way; repeat it later to get its answer",
            )),
        }
    }
}

/// Looks a key up, and marks it as under way if the request is to be carried out.
pub fn begin(
    tx: &mut Writer,
    scope: &str,
    operation: &str,
    key: &str,
    fingerprint: u64,
    boot_id: u64,
    now_ms: u64,
) -> Result<Begin, StoreError> {
    let id = row_key(scope, operation, key);
    if let Some(row) = tx.get(&KEYS, &id)? {
        if row.fingerprint != fingerprint {
            return Ok(Begin::Mismatch);
        }
        match row.state {
            State::Done(answer) => return Ok(Begin::Replay(answer)),
            State::InFlight { boot_id: marked_by } if marked_by == boot_id => {
                return Ok(Begin::InFlight);
            }
            State::InFlight { .. } => {}
        }
    }
    let row = Row {
        fingerprint,
        state: State::InFlight { boot_id },
        at_ms: now_ms,
    };
    tx.put(&KEYS, &id, &row)?;
    Ok(Begin::Fresh)
}

/// What [`begin`] finds, without marking anything: for a service that keeps its marks in memory, where a crash forgets
/// them by itself. A mark in the database says nothing then.
pub fn find(
    rows: &Reader,
    scope: &str,
    operation: &str,
    key: &str,
    fingerprint: u64,
) -> Result<Begin, StoreError> {
    Ok(match rows.get(&KEYS, &row_key(scope, operation, key))? {
        Some(row) if row.fingerprint != fingerprint => Begin::Mismatch,
        Some(Row {
            state: State::Done(answer),
            ..
        }) => Begin::Replay(answer),
        _ => Begin::Fresh,
    })
}

/// Keeps the final answer.
pub fn finish(
    tx: &mut Writer,
    scope: &str,
    operation: &str,
    key: &str,
    fingerprint: u64,
    answer: &StoredAnswer,
    now_ms: u64,
) -> Result<(), StoreError> {
    let row = Row {
        fingerprint,
        state: State::Done(answer.clone()),
        at_ms: now_ms,
    };
    tx.put(&KEYS, &row_key(scope, operation, key), &row)
}

/// Gives a key free again: its request had no effect, and its answer was a transient one.
pub fn forget(tx: &mut Writer, scope: &str, operation: &str, key: &str) -> Result<(), StoreError> {
    tx.delete(&KEYS, &row_key(scope, operation, key))
}

/// Deletes what was last changed before that instant; says how many. Call it with now less [`RETENTION_MS`].
pub fn sweep(tx: &mut Writer, older_than_ms: u64) -> Result<usize, StoreError> {
    let mut rows = tx.scan(&KEYS, "")?;
    rows.retain(|(_, row)| row.at_ms < older_than_ms);
    for (id, _) in &rows {
        tx.delete(&KEYS, id)?;
    }
    Ok(rows.len())
}

/// [Sweeps](sweep) every hour, for ever.
pub async fn keep_sweeping(platform: Platform, store: Store) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let oldest_ms = platform.clock.now_ms().saturating_sub(RETENTION_MS);
        if let Err(error) = store.write(move |tx| sweep(tx, oldest_ms)).await {
            tracing::error!(%error, "keys were not swept");
        }
    }
}

/// A fixed hash of a request ([FNV-1a](https://datatracker.ietf.org/doc/draft-eastlake-fnv/), 64 bits): the same in
/// every build and life of the process.
pub fn fingerprint(request: &impl Serialize) -> u64 {
    let bytes = serde_json::to_vec(request).unwrap_or_default();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Scopes may hold any text; operations are ours and hold no `/`.
fn row_key(scope: &str, operation: &str, key: &str) -> String {
    let scope = scope.replace('%', "%25").replace('/', "%2F");
    format!("{operation}/{scope}/{key}")
}

impl StoredAnswer {
    /// A success.
    pub fn new(status: StatusCode, body: &impl Serialize) -> Result<Self, StoreError> {
        let body = serde_json::to_value(body)
            .map_err(|error| StoreError::Corrupt(format!("an answer is not JSON: {error}")))?;
        Ok(StoredAnswer {
            status: status.as_u16(),
            body,
        })
    }

    /// A refusal, if it is one to be kept.
    pub fn of_problem(problem: &Problem) -> Option<Self> {
        (!problem.code.is_transient()).then(|| StoredAnswer {
            status: problem.code.status(),
            body: problem.body(),
        })
    }
}

impl IntoResponse for StoredAnswer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = match self.status {
            ..400 => "application/json",
            _ => "application/problem+json",
        };
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
        (status, kind, self.body.to_string()).into_response()
    }
}
