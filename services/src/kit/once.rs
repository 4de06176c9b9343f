//! One commit, one effect per idempotency key: for services whose every request is a single transaction.

use axum::http::StatusCode;
use serde::Serialize;

use super::{
    Problem, Store, Writer,
    http::IdempotencyKey,
    idempotency::{self, StoredAnswer},
};
use crate::{
    gap::{Gap, Gaps},
    ports::Platform,
};

/// Keys come from sagas and operators; their operation tells them apart.
const SCOPE: &str = "";

/// A request that has at most one effect.
#[derive(Clone, Debug)]
pub struct Once {
    /// The key; without one, every arrival is a request of its own.
    pub key: Option<IdempotencyKey>,
    /// What is asked for: part of the key.
    pub operation: &'static str,
    /// Of the request: see [`fingerprint`](idempotency::fingerprint).
    pub fingerprint: u64,
    /// The status of a success.
    pub success: StatusCode,
}

impl Once {
    /// Runs `work` once per key: its answer is kept in the very commit that has the effect, if it is one to be kept. `work`
    /// is given the wall clock, and changes nothing where it refuses.
    pub async fn run<T: Serialize>(
        self,
        (platform, store, gaps): (&Platform, &Store, Gaps),
        work: impl FnOnce(&mut Writer<'_>, u64) -> Result<T, Problem> + Send + 'static,
    ) -> Result<StoredAnswer, Problem> {
        let (boot_id, now_ms) = (platform.process.boot_id(), platform.clock.now_ms());
        let Once {
            key,
            operation,
            fingerprint,
            success,
        } = self;
        let key = key.map(|key| key.0);
        let transaction = move |tx: &mut Writer<'_>| {
            if let Some(key) = &key {
                let begun =
                    idempotency::begin(tx, SCOPE, operation, key, fingerprint, boot_id, now_ms)?;
                if let Some(answer) = begun.proceed()? {
                    return Ok(answer);
                }
            }
            let answer = match work(tx, now_ms) {
                Ok(done) => StoredAnswer::new(success, &done)?,
                Err(problem) => StoredAnswer::of_problem(&problem).ok_or(problem)?,
            };
            if let Some(key) = &key {
                idempotency::finish(tx, SCOPE, operation, key, fingerprint, &answer, now_ms)?;
            }
            Ok::<_, Problem>(answer)
        };
        match gaps.has(Gap::CommitWithoutSync) {
            true => store.write_unsynced(transaction).await,
            false => store.write(transaction).await,
        }
    }
}
