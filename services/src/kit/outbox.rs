//! Transactional outbox: what a change has to tell is written in the commit that makes the change, and sent from there.
//!
//! A row is `PENDING`, claimed by a poller as `PROCESSING`, then `PUBLISHED`; or `FAILED` after [`Policy::attempts_max`]
//! tries, which moves it to the [dead letters](DEAD_LETTERS) with an alert, from where a person redrives it. Rows of one
//! target and key are sent one after another, in the order of their commits. Two [modes](Mode) of the same outbox: pollers that are
//! woken by commits, and change data capture, which tails the store's feed and claims nothing.
//!
//! Delivery is at least once: a row may be sent again after a crash between the sending and the note of it.

pub mod api;
mod cdc;
mod deliver;
mod keep;
mod memory;
mod poll;
mod rows;
#[cfg(test)]
mod tests;
mod unsound;

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;

use super::{
    Peer, Store, StoreError, Writer,
    bus::{Bus, Event},
    executor::Executor,
};
use crate::{
    planted_bug::{Bug, Bugs},
    ports::Platform,
};
use memory::Memory;

pub use rows::{DEAD_LETTERS, OUTBOX, PUBLISHED, Row, State, Target, enqueue, lane};

/// How rows find their way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Pollers claim rows, send them and note what became of them: three commits a row, any number of pollers.
    #[default]
    Polling,
    /// One tail follows the store's feed of commits: two commits a row, and no claim that could be left behind.
    Cdc,
}

/// How patient the outbox is.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Tries before a row becomes a dead letter.
    pub attempts_max: u32,
    /// Wait after a first failure.
    pub backoff: Duration,
    /// What each further wait is multiplied by.
    pub growth: u32,
    /// Age from which a claim is given back.
    pub claim_max: Duration,
    /// How often the outbox is looked at without a wake.
    pub look_every: Duration,
    /// How often old rows are looked after: alerts and clean-up.
    pub keep_every: Duration,
    /// Age from which a row that waits raises an alert.
    pub pending_alert: Duration,
    /// How long published rows are kept.
    pub published_kept: Duration,
}

impl Default for Policy {
    /// The second try follows soon, for a call that was lost; the five tries span 78 s, so that an outage of a minute costs
    /// no dead letter.
    fn default() -> Self {
        Policy {
            attempts_max: 5,
            backoff: Duration::from_millis(500),
            growth: 5,
            claim_max: Duration::from_secs(5 * 60),
            look_every: Duration::from_secs(60),
            keep_every: Duration::from_secs(60 * 60),
            pending_alert: Duration::from_secs(60 * 60),
            published_kept: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// How the outbox is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// How rows find their way out.
    pub mode: Mode,
    /// Pollers, in polling mode.
    pub pollers: usize,
    /// Its patience.
    pub policy: Policy,
    /// The bus's name.
    pub bus: String,
    /// Webhooks with pollers and executors of their own, in polling mode.
    pub bulkheads: Vec<Bulkhead>,
}

/// A webhook's own way out: one poller claims its rows and no others, and they are sent on an executor. So a service that
/// is slow or down delays only its own rows.
#[derive(Clone, Debug)]
pub struct Bulkhead {
    /// The service.
    pub service: &'static str,
    /// Where its calls run.
    pub executor: Executor,
    /// Rows that are claimed together: no more than the executor takes.
    pub batch: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            bugs: Bugs::NONE,
            mode: Mode::default(),
            pollers: 2,
            policy: Policy::default(),
            bus: "bus".to_owned(),
            bulkheads: Vec::new(),
        }
    }
}

/// An event and where it is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where.
    pub target: Target,
    /// What.
    pub event: Event,
}

/// The outbox of a service. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

struct Inner {
    platform: Platform,
    store: Store,
    config: Config,
    bus: Bus,
    /// Services that are told by webhook, once they have been.
    services: Mutex<Vec<(String, Peer)>>,
    memory: Mutex<Memory>,
    alerts: AtomicU64,
    /// Scans of the outbox, and rows that they found.
    scans: AtomicU64,
    scanned: AtomicU64,
    /// The queue in memory of the planted bug `events-only-in-memory`.
    unsaved: Option<mpsc::Sender<Outgoing>>,
}

impl Outbox {
    /// Takes up what an earlier life left, and sends from now on.
    pub async fn open(
        platform: &Platform,
        store: &Store,
        config: Config,
    ) -> Result<Self, StoreError> {
        let (queue, unsaved) = mpsc::channel(unsound::QUEUE_MAX);
        let in_memory = config.bugs.has(Bug::EventsOnlyInMemory);
        let inner = Arc::new(Inner {
            platform: platform.clone(),
            store: store.clone(),
            bus: Bus::new(platform, &config.bus),
            services: Mutex::default(),
            memory: Mutex::default(),
            alerts: AtomicU64::new(0),
            scans: AtomicU64::new(0),
            scanned: AtomicU64::new(0),
            unsaved: in_memory.then_some(queue),
            config,
        });
        if in_memory {
            platform.spawn("outbox", unsound::send_unsaved(inner.clone(), unsaved));
        }
        inner.give_back_own().await?;
        match inner.config.mode {
            Mode::Polling => {
                for poller in 1..=inner.config.pollers {
                    let name = format!("{}#{poller}", platform.name);
                    platform.spawn("outbox", poll::poll(inner.clone(), name, None));
                }
                for bulkhead in inner.config.bulkheads.clone() {
                    let name = format!("{}#{}", platform.name, bulkhead.service);
                    platform.spawn("outbox", poll::poll(inner.clone(), name, Some(bulkhead)));
                }
            }
            Mode::Cdc => platform.spawn("outbox", cdc::tail(inner.clone())),
        }
        platform.spawn("outbox-keeper", keep::keep(inner.clone()));
        Ok(Outbox { inner })
    }

    /// Runs `work` in a transaction; what it puts on the list is sent if, and only if, the transaction commits.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Writer, &mut Vec<Outgoing>) -> Result<T, E> + Clone + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let bugs = self.inner.config.bugs;
        if bugs.has(Bug::PublishBeforeCommit) {
            return self.inner.publish_then_commit(work).await;
        }
        if bugs.has(Bug::DualWrite) || bugs.has(Bug::EventsOnlyInMemory) {
            return self.inner.commit_then_publish(work).await;
        }
        let now_ms = self.inner.platform.clock.now_ms();
        self.inner
            .store
            .write(move |tx| {
                let mut outgoing = Vec::new();
                let value = work(tx, &mut outgoing)?;
                for Outgoing { target, event } in outgoing {
                    enqueue(tx, target, event, now_ms)?;
                }
                Ok(value)
            })
            .await
    }

    /// Alerts raised by this life of the process.
    pub fn alerts(&self) -> u64 {
        self.inner.alerts.load(Ordering::Relaxed)
    }

    /// How often this life of the process has read the whole outbox, and how many rows it
    /// found there in all.
    pub fn scans(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.inner.scans), count(&self.inner.scanned))
    }
}

impl Inner {
    /// Everything that is still to be sent.
    fn scan(&self) -> Result<Vec<(String, Row)>, StoreError> {
        let rows = self.store.read(|rows| rows.scan(&OUTBOX, ""))?;
        self.scans.fetch_add(1, Ordering::Relaxed);
        self.scanned.fetch_add(rows.len() as u64, Ordering::Relaxed);
        Ok(rows)
    }

    /// Counts an alert; the caller says in its own `tracing::error!` what it is about.
    fn alert(&self) {
        self.alerts.fetch_add(1, Ordering::Relaxed);
    }

    /// What a row's wait is kept under: of all pollers together, the row.
    fn schedule<'k>(&self, by: Option<&str>, key: &'k str) -> Cow<'k, str> {
        match by.filter(|_| self.config.bugs.has(Bug::RetrySchedulePerPoller)) {
            Some(by) => Cow::Owned(format!("{by} {key}")),
            None => Cow::Borrowed(key),
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
