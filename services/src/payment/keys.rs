//! Idempotency keys of demands. Answers are kept with their effect, in one commit; what is under way is marked in
//! memory, for a mark in the database would cost a commit, and a crash forgets these by itself.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use super::service::Demand;
use crate::{
    kit::{
        Problem, Store, Writer,
        idempotency::{self, Begin, StoredAnswer},
    },
    ports::Platform,
};

/// Every caller is a service of our own; sagas keep their keys apart.
const SCOPE: &str = "sagas";

/// All keys, answered and under way.
pub(super) struct Keys {
    platform: Platform,
    store: Store,
    under_way: Arc<Mutex<BTreeSet<String>>>,
}

impl Keys {
    pub fn new(platform: &Platform, store: Store) -> Self {
        Keys {
            platform: platform.clone(),
            store,
            under_way: Arc::default(),
        }
    }

    /// The demand has the key to itself until the answer is dropped; or it was answered before.
    pub fn begin(&self, key: &str, demand: &Demand) -> Result<Result<Key, StoredAnswer>, Problem> {
        let key = Key {
            _mark: self.mark(format!("{}/{key}", demand.name()))?,
            key: key.to_owned(),
            operation: demand.name(),
            fingerprint: idempotency::fingerprint(demand),
            now_ms: self.platform.clock.now_ms(),
        };
        let found = self.store.read(|rows| {
            idempotency::find(rows, SCOPE, key.operation, &key.key, key.fingerprint)
        })?;
        Ok(match found.proceed()? {
            None => Ok(key),
            Some(answer) => Err(answer),
        })
    }

    fn mark(&self, name: String) -> Result<Mark, Problem> {
        let mut marks = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !marks.insert(name.clone()) {
            Begin::InFlight.proceed()?;
        }
        Ok(Mark {
            under_way: self.under_way.clone(),
            name,
        })
    }
}

/// A key whose demand is under way.
pub(super) struct Key {
    _mark: Mark,
    key: String,
    operation: &'static str,
    fingerprint: u64,
    now_ms: u64,
}

impl Key {
    /// What to keep of an answer; nothing of one that is not terminal.
    pub fn record(&self, answer: &Result<StoredAnswer, Problem>) -> Option<Record> {
        let answer = match answer {
            Ok(answer) => answer.clone(),
            Err(problem) => StoredAnswer::of_problem(problem)?,
        };
        Some(Record {
            key: self.key.clone(),
            operation: self.operation,
            fingerprint: self.fingerprint,
            answer,
            now_ms: self.now_ms,
        })
    }
}

/// An answer on its way to the database.
pub(super) struct Record {
    key: String,
    operation: &'static str,
    fingerprint: u64,
    answer: StoredAnswer,
    now_ms: u64,
}

impl Record {
    pub fn put(&self, tx: &mut Writer) -> Result<(), Problem> {
        let Record {
            key,
            operation,
            fingerprint,
            answer,
            now_ms,
        } = self;
        let kept = idempotency::finish(tx, SCOPE, operation, key, *fingerprint, answer, *now_ms);
        Ok(kept?)
    }
}

struct Mark {
    under_way: Arc<Mutex<BTreeSet<String>>>,
    name: String,
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.name);
    }
}
