//! The lock service: leases with a wait queue, renewal, release by the owner only, and fencing tokens.
//!
//! It is one node, not a quorum, and who holds what is kept in memory: a crash forgets every lease, and the next
//! caller is let in while the last holder still works. That is why each lease has a *fencing token*, which its holder
//! shows at the resource: a resource that has seen a later token refuses
//! ([Kleppmann](https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html)). Tokens never go back: a
//! counter of boots, which is on the disk, makes their upper half.

mod api;
pub mod book;
pub mod model;
pub mod store;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    kit::{Code, Problem, Store, StoreError, http, lock},
    planted_bug::{Bug, Bugs},
    ports::{Clock, Platform},
    service::{Service, service},
};
use book::{Book, Crossed, Promise};
use model::{Leases, Renewal, Turn, Whose};
use store::{BOOTS, Boot, FILE};

pub use crate::kit::lease::{Acquire, Granted, Held, Prove};

/// The longest wait for a lease.
pub const WAIT_MAX: Duration = Duration::from_secs(30);
/// The longest lease; longer work has to renew it.
pub const LEASE_MAX: Duration = Duration::from_secs(60);
/// Most that wait for one lock; further ones are refused at once.
pub const QUEUE_MAX: usize = 1_000;

/// How the service is set up.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// Where the leases are kept; each life of the process begins with none.
    pub leases: Shelf,
}

/// The service, as topologies list it.
pub const SERVICE: Service = service!("lock", ["/locks"]);

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, FILE).await?;
    let boots = store.write(|tx| {
        let boots = tx.get(&BOOTS, "lock")?.map_or(1, |boot| boot.number + 1);
        tx.put(&BOOTS, "lock", &Boot { number: boots })?;
        Ok::<_, StoreError>(boots)
    });
    let first_token = boots.await? << 32;
    *lock(&config.leases.leases) = Leases::new(first_token + 1);
    lock(&config.leases.book).forget();
    let locks = Locks {
        leases: config.leases,
        bugs: config.bugs,
        clock: platform.clock.clone(),
        began: (Instant::now(), platform.clock.now_ms()),
        changed: Notify::new(),
    };
    http::serve(&platform, api::router(Arc::new(locks))).await
}

/// The leases in a service's memory, open to observers.
#[derive(Clone, Debug)]
pub struct Shelf {
    leases: Arc<Mutex<Leases<Instant>>>,
    lost: Arc<Mutex<Vec<Lost>>>,
    book: Arc<Mutex<Book<Instant>>>,
}

/// A lease that was released by another than its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The lock.
    pub name: String,
    /// Who held it, and under which token.
    pub holder: (String, u64),
    /// Who released it, and under which token.
    pub by: (String, u64),
}

impl Default for Shelf {
    fn default() -> Self {
        Shelf {
            leases: Arc::new(Mutex::new(Leases::new(1))),
            lost: Arc::default(),
            book: Arc::default(),
        }
    }
}

impl Shelf {
    /// What the holder of a token was told, if that is known still.
    pub fn promise(&self, token: u64) -> Option<Promise<Instant>> {
        lock(&self.book).promise(token).cloned()
    }

    /// The grants that broke the promise to another holder, in order, without the first `after`.
    pub fn crossed(&self, after: usize) -> Vec<Crossed> {
        lock(&self.book).crossed()[after..].to_vec()
    }

    /// The leases that others than their owners released, in order.
    pub fn lost(&self) -> Vec<Lost> {
        let lost = lock(&self.lost);
        lost.clone()
    }

    fn note_lost(&self, name: &str, lease: model::Lease<Instant>, by: &Prove) {
        let mut lost = lock(&self.lost);
        lost.push(Lost {
            name: name.to_owned(),
            holder: (lease.owner, lease.token),
            by: (by.owner.clone(), by.token),
        });
    }

    /// What is held now: the lock, its owner and its token.
    pub fn held(&self) -> Vec<(String, String, u64)> {
        let now = Instant::now();
        let held = |(name, lease): (&str, &model::Lease<Instant>)| {
            (name.to_owned(), lease.owner.clone(), lease.token)
        };
        lock(&self.leases).held(now).map(held).collect()
    }
}

/// The service's state.
struct Locks {
    leases: Shelf,
    bugs: Bugs,
    clock: Arc<dyn Clock>,
    /// When this life of the service began, by both clocks.
    began: (Instant, u64),
    /// Told of every release.
    changed: Notify,
}

impl Locks {
    /// The time that leases end by: no jump of the wall clock moves it.
    fn now(&self) -> Instant {
        if !self.bugs.has(Bug::LeaseEndsByWallClock) {
            return Instant::now();
        }
        let (instant, ms) = self.began;
        let now_ms = self.clock.now_ms();
        match now_ms.checked_sub(ms) {
            Some(since) => instant + Duration::from_millis(since),
            None => {
                let before = Duration::from_millis(ms - now_ms);
                instant.checked_sub(before).unwrap_or(instant)
            }
        }
    }

    /// How long a lease lasts. The wall clock tells whole milliseconds, so one that ends by it gets one more.
    fn lasts(&self, ms: u64) -> Duration {
        match self.bugs.has(Bug::LeaseEndsByWallClock) {
            true => Duration::from_millis(ms + 1),
            false => Duration::from_millis(ms),
        }
    }

    /// A lease, in the order of asking. A caller that holds it already is given it anew.
    async fn acquire(&self, name: &str, ask: &Acquire) -> Result<Granted, Problem> {
        let came = Instant::now();
        let deadline = came + Duration::from_millis(ask.wait_ms);
        let lease = self.lasts(ask.lease_ms);
        let asked = self.now();
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = self.now();
            let from = match self.bugs.has(Bug::LeaseFromAStaleClock) {
                true => asked,
                false => now,
            };
            let ran_out = lock(&self.leases.leases).run_out(name, now);
            if let Some(token) = ran_out {
                tracing::info!(lock = name, token, "lease ran out");
            }
            let turn = lock(&self.leases.leases).ask(name, &ask.owner, now, from + lease);
            let free_at = match turn {
                Turn::Granted(token) => {
                    let told = Instant::now();
                    let whose = (ask.owner.as_str(), token);
                    let promised = told + Duration::from_millis(ask.lease_ms);
                    lock(&self.leases.book).granted(name, whose, told, promised);
                    tracing::info!(lock = name, token, "lease granted");
                    return Ok(Granted {
                        token,
                        waited_ms: (told - came).as_millis() as u64,
                    });
                }
                Turn::QueueFull => return Err(not_acquired(name, "too many wait for it")),
                Turn::Waits { free_at } => free_at,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                lock(&self.leases.leases).leave(name, &ask.owner);
                // Whoever is next in the queue has become the first.
                self.changed.notify_waiters();
                tracing::info!(lock = name, "lease refused");
                return Err(not_acquired(name, "it was not free in time"));
            }
            let free_in = free_at.saturating_duration_since(now);
            let _ = tokio::time::timeout(left.min(free_in), changed).await;
        }
    }

    fn renew(&self, name: &str, prove: &Prove) -> Result<Granted, Problem> {
        let now = self.now();
        let until = now + self.lasts(prove.lease_ms);
        let renewed =
            lock(&self.leases.leases).renew(name, (&prove.owner, prove.token), now, until);
        match renewed {
            Renewal::Renewed => {
                let promised = Instant::now() + Duration::from_millis(prove.lease_ms);
                lock(&self.leases.book).renewed(prove.token, promised);
                Ok(Granted::again(prove))
            }
            Renewal::NotYours => Err(not_yours(name)),
        }
    }

    fn release(&self, name: &str, prove: &Prove) -> Result<Granted, Problem> {
        let whose = match self.bugs.has(Bug::ReleaseNotOwner) {
            true => Whose::Anybodys,
            false => Whose::Owners,
        };
        let by = (prove.owner.as_str(), prove.token);
        let released = lock(&self.leases.leases).release(name, by, whose);
        self.changed.notify_waiters();
        let Some(lease) = released else {
            return Err(not_yours(name));
        };
        let is_anothers = !lease.is_of(&prove.owner, prove.token);
        if is_anothers && lease.until > self.now() {
            self.leases.note_lost(name, lease, prove);
        } else {
            lock(&self.leases.book).released(prove.token);
        }
        Ok(Granted::again(prove))
    }
}

fn not_acquired(name: &str, why: &str) -> Problem {
    Code::LockNotAcquired.because(format!(
        "the lock {name} was not obtained: {why}; nothing was done, try again"
    ))
}

fn not_yours(name: &str) -> Problem {
    Code::InvalidState.because(format!(
        "the lock {name} is not held under this owner and token, or no more; acquire it anew"
    ))
}
