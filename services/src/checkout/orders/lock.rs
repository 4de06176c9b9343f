//! One checkout at a time per user, where stock and balance are reserved at once.
//!
//! A seam: the locks are kept within this process, or by the [lock service](crate::infrastructure::lock). A lease
//! ends even if its holder does not, so the lock is a courtesy that keeps a user's checkouts from crowding each other; the balance itself
//! is guarded by its rows.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::{
    kit::{
        Code, Context, Problem,
        lease::{LeasePolicy, Leases},
        lock,
    },
    planted_bug::Bugs,
    ports::{BoxFuture, Platform},
};

/// How long a checkout waits for its user's lock.
pub const WAIT: Duration = Duration::from_secs(30);
/// How long it has it at most.
pub const LEASE: Duration = Duration::from_secs(60);

/// Where the locks of users are kept.
#[derive(Clone, Debug, Default)]
pub enum Kept {
    /// Within this process.
    #[default]
    InProcess,
    /// By the lock service of this name.
    Service(String),
}

impl Kept {
    /// The locks.
    pub fn open(&self, platform: &Platform, bugs: Bugs) -> Box<dyn UserLocks> {
        match self {
            Kept::InProcess => Box::new(InProcess::default()),
            Kept::Service(name) => Box::new(Leased {
                leases: Leases::new(platform, name, POLICY, bugs),
                platform: platform.clone(),
            }),
        }
    }
}

/// Nobody renews the lease: it is longer than all that is done under it.
const POLICY: LeasePolicy = LeasePolicy {
    wait: WAIT,
    lease: LEASE,
    renew_every: LEASE,
    limit: LEASE,
};

/// A lock per user.
pub trait UserLocks: Send + Sync {
    /// Waits for a user's lock; it is free again when the guard is dropped, or after the lease.
    ///
    /// # Errors
    /// `LOCK_NOT_ACQUIRED` if it did not become free within [`WAIT`].
    fn acquire(&self, context: &Context, user: &str) -> BoxFuture<'_, Result<Guard, Problem>>;
}

/// Somebody has a user's lock for as long as this lives.
pub struct Guard {
    release: Option<Box<dyn FnOnce() + Send>>,
}

impl Guard {
    /// A guard that does this when it is dropped.
    pub fn new(release: impl FnOnce() + Send + 'static) -> Self {
        Guard {
            release: Some(Box::new(release)),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}

/// The locks that the lock service keeps.
struct Leased {
    leases: Leases,
    platform: Platform,
}

impl UserLocks for Leased {
    fn acquire(&self, context: &Context, user: &str) -> BoxFuture<'_, Result<Guard, Problem>> {
        let (context, name) = (context.clone(), format!("checkout:lock:{user}"));
        Box::pin(async move {
            let lease = self.leases.acquire_lasting(&context, &name).await?;
            let platform = self.platform.clone();
            // Nobody waits for the release.
            Ok(Guard::new(move || {
                platform.spawn("user-unlock", lease.release())
            }))
        })
    }
}

/// The locks of one process.
#[derive(Clone, Default)]
pub struct InProcess(Arc<Table>);

#[derive(Default)]
struct Table {
    held: Mutex<BTreeMap<String, Held>>,
    freed: Notify,
    next: Mutex<u64>,
}

struct Held {
    number: u64,
    until: Instant,
}

impl UserLocks for InProcess {
    fn acquire(&self, _: &Context, user: &str) -> BoxFuture<'_, Result<Guard, Problem>> {
        let (table, user) = (Arc::clone(&self.0), user.to_owned());
        Box::pin(async move {
            let give_up = Instant::now() + WAIT;
            loop {
                // Registered before the look, so that no release in between goes unheard.
                let mut freed = std::pin::pin!(table.freed.notified());
                freed.as_mut().enable();
                let until = match table.take(&user) {
                    Ok(number) => {
                        let table = Arc::clone(&table);
                        return Ok(Guard::new(move || table.free(&user, number)));
                    }
                    Err(until) => until.min(give_up),
                };
                if Instant::now() >= give_up {
                    return Err(Code::LockNotAcquired
                        .because(format!("another order of {user} takes its time; try again")));
                }
                let left = until.saturating_duration_since(Instant::now());
                let _ = timeout(left.max(Duration::from_millis(1)), freed).await;
            }
        })
    }
}

impl Table {
    /// The number of the new holder; or until when the present one has it.
    fn take(&self, user: &str) -> Result<u64, Instant> {
        let now = Instant::now();
        let mut held = lock(&self.held);
        if let Some(other) = held.get(user).filter(|other| other.until > now) {
            return Err(other.until);
        }
        let mut next = lock(&self.next);
        *next += 1;
        let (number, until) = (*next, now + LEASE);
        held.insert(user.to_owned(), Held { number, until });
        Ok(number)
    }

    /// Only the holder frees: one whose lease has passed frees nobody else's.
    fn free(&self, user: &str, number: u64) {
        let mut held = lock(&self.held);
        if held.get(user).is_some_and(|held| held.number == number) {
            held.remove(user);
        }
        drop(held);
        self.freed.notify_waiters();
    }
}
