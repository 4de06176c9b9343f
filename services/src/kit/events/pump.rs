//! Hands one subscriber's events to its executor until they are acknowledged.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tracing::Instrument;

use super::{EVENTS, Event, EventRow};
use crate::kit::{Context, Peer, PeerPolicy, Store, StoreError, executor::Executor};

/// Wait after a failed delivery; doubled up to [`BACKOFF_MAX`].
const BACKOFF: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// How often the rows are looked at without a wake.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Rows that are looked at together.
const BATCH: usize = 32;

/// One attempt each: the pump is the retry. A subscriber may be slow; it holds up nobody but itself.
pub(super) fn policy() -> PeerPolicy {
    PeerPolicy {
        attempts: 1,
        timeout: Duration::from_secs(10),
        breaker_threshold: 1.1,
        ..PeerPolicy::internal()
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Pump(Arc<Inner>);

struct Inner {
    store: Store,
    subscriber: &'static str,
    peer: Peer,
    executor: Executor,
    /// Keys of rows that the executor has.
    under_way: Mutex<BTreeSet<String>>,
    changed: Notify,
    /// Deliveries that failed since the last that did not.
    failures: Mutex<u32>,
}

impl Pump {
    pub fn new(store: &Store, subscriber: &'static str, peer: Peer, executor: Executor) -> Self {
        Pump(Arc::new(Inner {
            store: store.clone(),
            subscriber,
            peer,
            executor,
            under_way: Mutex::default(),
            changed: Notify::new(),
            failures: Mutex::default(),
        }))
    }

    pub fn wake(&self) {
        self.0.changed.notify_one();
    }

    /// Delivers for ever.
    pub async fn work(self) {
        loop {
            if self.hand_over().is_err() {
                return;
            }
            let wait = match *lock(&self.0.failures) {
                0 => LOOK_EVERY,
                failures => BACKOFF_MAX.min(BACKOFF * 2_u32.saturating_pow(failures.min(10) - 1)),
            };
            let _ = tokio::time::timeout(wait, self.0.changed.notified()).await;
        }
    }

    /// Gives the executor what it does not have yet, as far as it takes it.
    fn hand_over(&self) -> Result<(), StoreError> {
        let prefix = format!("{}/", self.0.subscriber);
        let due = {
            let under_way = lock(&self.0.under_way).len();
            self.0
                .store
                .read(|rows| rows.scan_some(&EVENTS, &prefix, BATCH + under_way, |_| true))?
        };
        for (key, row) in due {
            if !lock(&self.0.under_way).insert(key.clone()) {
                continue;
            }
            let (pump, span, mark) = (self.clone(), row.context.span(), key.clone());
            let delivery = async move { pump.deliver(key, row).await }.instrument(span);
            if let Err(full) = self.0.executor.submit(self.0.subscriber, delivery) {
                tracing::info!(%full, "events wait");
                lock(&self.0.under_way).remove(&mark);
                break;
            }
        }
        Ok(())
    }

    async fn deliver(&self, key: String, row: EventRow) {
        let told = self.tell(&row.context, &row.event).await;
        let done = match told {
            Ok(()) => {
                let delivered = key.clone();
                let done = self.0.store.write(move |tx| tx.delete(&EVENTS, &delivered));
                *lock(&self.0.failures) = 0;
                done.await.is_ok()
            }
            Err(reason) => {
                tracing::info!(
                    subscriber = self.0.subscriber,
                    reason,
                    "event not delivered"
                );
                *lock(&self.0.failures) += 1;
                false
            }
        };
        lock(&self.0.under_way).remove(&key);
        // What was not delivered waits for the backoff; room in the executor is for what waits outside of it.
        if done {
            self.wake();
        }
    }

    /// Tells the subscriber, once.
    pub async fn tell(&self, context: &Context, event: &Event) -> Result<(), String> {
        let context = context.step(self.0.subscriber);
        let key = Some(event.id.as_str());
        match self
            .0
            .peer
            .call(&context, "POST", "/events", key, event)
            .await
        {
            Ok(reply) if reply.is_success() => Ok(()),
            Ok(reply) => Err(reply.problem().to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Tells the subscriber from memory: what does not work is swallowed.
    pub fn tell_once(&self, context: Context, event: Event) {
        let pump = self.clone();
        let telling = async move {
            if let Err(reason) = pump.tell(&context, &event).await {
                tracing::warn!(reason, "event lost");
            }
        };
        if let Err(full) = self.0.executor.submit(self.0.subscriber, telling) {
            tracing::warn!(%full, "event lost");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
