//! The answers to demands, by idempotency key: a repeat gets the terminal answer that was stored with the effect.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::service::Demand;
use crate::{
    kit::{Code, Problem, Store, StoreError, Table, Writer},
    ports::Platform,
};

/// How long an answer is repeated: 24 hours.
pub const KEPT_MS: u64 = 24 * 60 * 60 * 1000;

/// Stored answers, by key.
pub const KEYS: Table<Stored> = Table::new("keys");

/// A terminal answer as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// What was demanded: another demand under this key is refused.
    pub demand: Value,
    /// What was answered.
    pub answer: Result<Answer, Problem>,
    /// When, by this node's clock.
    pub at: u64,
}

/// An answer that is no refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Answer {
    pub(super) fn new(status: u16, body: Value) -> Self {
        Answer { status, body }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        (status, Json(self.body)).into_response()
    }
}

/// All keys, stored and in flight.
pub(super) struct Keys {
    platform: Platform,
    store: Store,
    in_flight: Arc<Mutex<BTreeSet<String>>>,
}

/// How a demand under a key begins.
pub(super) enum Begun {
    /// It was answered before.
    Repeated(Result<Answer, Problem>),
    /// It has the key to itself until this is dropped.
    First(Key),
}

impl Keys {
    pub fn new(platform: &Platform, store: Store) -> Self {
        Keys {
            platform: platform.clone(),
            store,
            in_flight: Arc::default(),
        }
    }

    pub fn begin(&self, key: &str, demand: &Demand) -> Result<Begun, Problem> {
        let now = self.platform.clock.now_ms();
        let demand = serde_json::to_value(demand).expect("a demand is plain data");
        let mark = Mark::set(&self.in_flight, key)?;
        let known = self.store.read(|rows| rows.get(&KEYS, key))?;
        match known.filter(|stored| is_fresh(stored, now)) {
            None => Ok(Begun::First(Key { mark, demand, now })),
            Some(stored) if stored.demand == demand => Ok(Begun::Repeated(stored.answer)),
            Some(_) => Err(Problem::new(
                Code::IdempotencyMismatch,
                "this Idempotency-Key was used for another request; take a new key",
            )),
        }
    }
}

fn is_fresh(stored: &Stored, now: u64) -> bool {
    now < stored.at.saturating_add(KEPT_MS)
}

/// Deletes answers that are repeated no more.
pub(super) fn prune(tx: &mut Writer, now: u64) -> Result<(), StoreError> {
    for (key, stored) in tx.scan(&KEYS, "")? {
        if !is_fresh(&stored, now) {
            tx.delete(&KEYS, &key)?;
        }
    }
    Ok(())
}

/// A key in flight.
pub(super) struct Key {
    mark: Mark,
    demand: Value,
    now: u64,
}

impl Key {
    /// What to store for an answer; nothing for one that is not terminal.
    pub fn record(&self, answer: &Result<Answer, Problem>) -> Option<Record> {
        let transient = answer.as_ref().is_err_and(|p| p.code.is_transient());
        (!transient).then(|| Record {
            key: self.mark.key.clone(),
            stored: Stored {
                demand: self.demand.clone(),
                answer: answer.clone(),
                at: self.now,
            },
        })
    }
}

/// An answer on its way to the database.
pub(super) struct Record {
    key: String,
    stored: Stored,
}

impl Record {
    pub fn put(&self, tx: &mut Writer) -> Result<(), Problem> {
        Ok(tx.put(&KEYS, &self.key, &self.stored)?)
    }
}

struct Mark {
    in_flight: Arc<Mutex<BTreeSet<String>>>,
    key: String,
}

impl Mark {
    fn set(in_flight: &Arc<Mutex<BTreeSet<String>>>, key: &str) -> Result<Mark, Problem> {
        let mut keys = in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(key.to_owned()) {
            return Err(Problem::new(
                Code::IdempotencyInFlight,
                "a request with this Idempotency-Key is being worked on; ask again later",
            ));
        }
        Ok(Mark {
            in_flight: in_flight.clone(),
            key: key.to_owned(),
        })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}
