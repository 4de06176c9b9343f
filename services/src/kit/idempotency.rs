//! Idempotency keys: one effect per key, one terminal answer, refusals in between.
//!
//! Modelled on [Stripe's](https://docs.stripe.com/api/idempotent_requests) and the
//! [IETF draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/). A key belongs to one
//! scope (the user, or the calling service) and one operation. A handler calls [`Request::begin`] in the transaction in
//! which its effect starts, and [`Request::finish`] in the one in which its answer becomes final; where that is one
//! transaction ([`Request::once`]), nobody ever sees the mark in between. An answer that may turn out otherwise later
//! ([`Code::is_transient`]) is not kept: [`Request::forget`] the key then.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Code, Problem, Store, StoreError, Table, Writer, http::IdempotencyKey};
use crate::{kit::lock, planted_bug::Bugs, ports::Platform};

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

/// What a client is told that waits for the end of a saga.
pub(crate) enum Told<T> {
    /// It has ended.
    Ended(StoredAnswer),
    /// It goes on, or a person must look at it; what it makes, as that is.
    UnderWay(T),
}

/// A final answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: serde_json::Value,
}

/// A request as its key knows it: whose it is, what it is for, and what it says.
#[derive(Clone, Debug)]
pub struct Request {
    scope: String,
    operation: &'static str,
    key: Option<String>,
    fingerprint: u64,
}

impl Request {
    /// A request whose key comes from a saga or an operator: the operation tells keys apart. Without a key, every arrival
    /// is a request of its own. Operations hold no `/`.
    pub fn new(
        operation: &'static str,
        key: impl Into<Option<IdempotencyKey>>,
        request: &impl Serialize,
    ) -> Self {
        Request {
            scope: String::new(),
            operation,
            key: key.into().map(|key| key.0),
            fingerprint: fingerprint(request),
        }
    }

    /// The same, with a key that belongs to this user or service.
    pub fn of(self, scope: &str) -> Self {
        let scope = scope.replace('%', "%25").replace('/', "%2F");
        Request { scope, ..self }
    }

    /// The answer that it was given before; or `None` to carry it out, with the key marked as under way. After a crash
    /// that may be the second time: resume.
    pub fn begin(
        &self,
        tx: &mut Writer,
        boot_id: u64,
        now_ms: u64,
    ) -> Result<Option<StoredAnswer>, Problem> {
        let Some(id) = self.row_key() else {
            return Ok(None);
        };
        match tx.get(&KEYS, &id)? {
            Some(row) if row.fingerprint != self.fingerprint => return Err(mismatch()),
            Some(row) => match row.state {
                State::Done(answer) => return Ok(Some(answer)),
                State::InFlight { boot_id: marked_by } if marked_by == boot_id => {
                    return Err(in_flight());
                }
                State::InFlight { .. } => {}
            },
            None => {}
        }
        let state = State::InFlight { boot_id };
        tx.put(&KEYS, &id, &self.row(state, now_ms))?;
        Ok(None)
    }

    /// What [`begin`](Self::begin) finds, without marking anything: for a service that keeps its marks [in memory](Marks).
    /// A mark in the database says nothing then.
    pub fn find(&self, store: &Store) -> Result<Option<StoredAnswer>, Problem> {
        let Some(id) = self.row_key() else {
            return Ok(None);
        };
        match store.read::<_, StoreError>(|rows| rows.get(&KEYS, &id))? {
            Some(row) if row.fingerprint != self.fingerprint => Err(mismatch()),
            Some(Row {
                state: State::Done(answer),
                ..
            }) => Ok(Some(answer)),
            _ => Ok(None),
        }
    }

    /// Keeps the final answer.
    pub fn finish(
        &self,
        tx: &mut Writer,
        answer: &StoredAnswer,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        match self.row_key() {
            Some(id) => tx.put(&KEYS, &id, &self.row(State::Done(answer.clone()), now_ms)),
            None => Ok(()),
        }
    }

    /// Gives the key free again: the request had no effect, and its answer was a transient one.
    pub fn forget(&self, tx: &mut Writer) -> Result<(), StoreError> {
        match self.row_key() {
            Some(id) => tx.delete(&KEYS, &id),
            None => Ok(()),
        }
    }

    /// Carries the request out in one transaction of its own, once per key: the answer is kept in the very commit that has
    /// the effect, if it is one to be kept. `work` is given the wall clock, and changes nothing where it refuses.
    pub async fn once<T: Serialize>(
        self,
        (platform, store, bugs): (&Platform, &Store, Bugs),
        success: StatusCode,
        work: impl FnOnce(&mut Writer<'_>, u64) -> Result<T, Problem> + Clone + Send + 'static,
    ) -> Result<StoredAnswer, Problem> {
        let (boot_id, now_ms) = (platform.process.boot_id(), platform.clock.now_ms());
        let carried_out = store.commit(bugs, move |tx: &mut Writer<'_>| {
            if let Some(answer) = self.begin(tx, boot_id, now_ms)? {
                return Ok(answer);
            }
            let answer = StoredAnswer::of(success, work(tx, now_ms))?;
            self.finish(tx, &answer, now_ms)?;
            Ok(answer)
        });
        carried_out.await
    }

    fn row(&self, state: State, at_ms: u64) -> Row {
        Row {
            fingerprint: self.fingerprint,
            state,
            at_ms,
        }
    }

    fn row_key(&self) -> Option<String> {
        let (operation, scope) = (self.operation, &self.scope);
        let key = self.key.as_ref()?;
        Some(format!("{operation}/{scope}/{key}"))
    }
}

/// The refusal of a key that came with another request before.
pub fn mismatch() -> Problem {
    Code::IdempotencyMismatch.because(
        "this Idempotency-Key came with another request before; use a new key for a new request",
    )
}

/// The refusal of a repeat while the first request is under way.
pub fn in_flight() -> Problem {
    Code::IdempotencyInFlight.because(
        "the request with this Idempotency-Key is under way; repeat it later to get its answer",
    )
}

/// Requests that are under way in this life of the process, where a mark in the database would cost a commit. A crash
/// forgets them by itself. Cheap to clone.
#[derive(Clone, Default)]
pub struct Marks(Arc<Mutex<BTreeSet<String>>>);

/// A request under way; dropped when it has ended.
pub struct Mark {
    marks: Marks,
    name: String,
}

impl Marks {
    /// Marks a request as under way; `None` if it is already.
    pub fn begin(&self, name: String) -> Option<Mark> {
        let fresh = lock(&self.0).insert(name.clone());
        fresh.then(|| Mark {
            marks: self.clone(),
            name,
        })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        lock(&self.marks.0).remove(&self.name);
    }
}

/// Deletes old keys of this table every hour, for ever: those of which `is_over` says so, given the instant before which
/// answers are repeated no more.
pub async fn keep_sweeping<V: DeserializeOwned + 'static>(
    platform: Platform,
    store: Store,
    table: Table<V>,
    is_over: fn(&Writer, &V, u64) -> Result<bool, StoreError>,
) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let oldest_ms = platform.clock.now_ms().saturating_sub(RETENTION_MS);
        let swept = store.write(move |tx| sweep(tx, table, |tx, row| is_over(tx, row, oldest_ms)));
        if let Err(error) = swept.await {
            tracing::error!(%error, "keys were not swept");
        }
    }
}

/// Sweeps [`KEYS`] in a task of its own.
pub fn spawn_sweeper(platform: &Platform, store: &Store) {
    let is_over = |_: &Writer, row: &Row, oldest_ms| Ok(row.at_ms < oldest_ms);
    let sweeper = keep_sweeping(platform.clone(), store.clone(), KEYS, is_over);
    platform.spawn("key-sweeper", sweeper);
}

fn sweep<V: DeserializeOwned>(
    tx: &mut Writer,
    table: Table<V>,
    is_over: impl Fn(&Writer, &V) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    for (id, row) in tx.scan(&table, "")? {
        if is_over(tx, &row)? {
            tx.delete(&table, &id)?;
        }
    }
    Ok(())
}

/// A fixed hash of a request ([FNV-1a](https://datatracker.ietf.org/doc/draft-eastlake-fnv/), 64 bits): the same in
/// every build and life of the process.
pub fn fingerprint(request: &impl Serialize) -> u64 {
    let bytes = serde_json::to_vec(request).unwrap_or_default();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
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

    /// What a piece of work came to. A refusal that is not to be kept stays one.
    pub fn of<T: Serialize>(
        success: StatusCode,
        done: Result<T, Problem>,
    ) -> Result<Self, Problem> {
        match done {
            Ok(done) => Ok(StoredAnswer::new(success, &done)?),
            Err(problem) => StoredAnswer::of_problem(&problem).ok_or(problem),
        }
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
