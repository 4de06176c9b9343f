//! Idempotency keys of demands. Answers are kept with their effect, in one commit; what is under way is marked in memory.

use serde::Serialize;

use crate::{
    kit::{
        Problem, Store, Writer,
        http::IdempotencyKey,
        idempotency::{Mark, Marks, Request, StoredAnswer, in_flight},
    },
    ports::Platform,
};

/// Every caller is a service of our own; sagas keep their keys apart.
const SCOPE: &str = "sagas";

/// All keys, answered and under way.
pub(super) struct Keys {
    platform: Platform,
    store: Store,
    under_way: Marks,
}

impl Keys {
    pub fn new(platform: &Platform, store: Store) -> Self {
        Keys {
            platform: platform.clone(),
            store,
            under_way: Marks::default(),
        }
    }

    /// The demand has the key to itself until the answer is dropped; or it was answered before.
    pub fn begin(
        &self,
        key: IdempotencyKey,
        operation: &'static str,
        demand: &impl Serialize,
    ) -> Result<Result<Key, StoredAnswer>, Problem> {
        let mark = self
            .under_way
            .begin(format!("{operation}/{}", key.0))
            .ok_or_else(in_flight)?;
        let now_ms = self.platform.clock.now_ms();
        let request = Request::new(operation, key, demand).of(SCOPE);
        Ok(match request.find(&self.store)? {
            Some(answer) => Err(answer),
            None => Ok(Key {
                _mark: mark,
                request,
                now_ms,
            }),
        })
    }
}

/// A key whose demand is under way.
pub(super) struct Key {
    _mark: Mark,
    request: Request,
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
            request: self.request.clone(),
            answer,
            now_ms: self.now_ms,
        })
    }
}

/// An answer on its way to the database.
#[derive(Clone)]
pub(super) struct Record {
    request: Request,
    answer: StoredAnswer,
    now_ms: u64,
}

impl Record {
    pub fn put(&self, tx: &mut Writer) -> Result<(), Problem> {
        Ok(self.request.finish(tx, &self.answer, self.now_ms)?)
    }
}
