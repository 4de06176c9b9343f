//! Working under a lease of the [lock service](crate::infrastructure::lock): acquire, renew while working, release.
//!
//! A lease keeps others out only for as long as it lasts, and a holder cannot tell during a pause that it has ended: what is written under it carries its [token](Lease::token), and the resource refuses one older than it has
//! seen. The watchdog renews a lease in time, but no longer than the [limit](LeasePolicy::limit) of the work.

mod protocol;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{CallError, Code, Context, Peer, PeerPolicy, Problem};
use crate::{
    kit::lock,
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

pub use protocol::{Acquire, Granted, Held, Prove};

/// How a lease is held.
#[derive(Clone, Copy, Debug)]
pub struct LeasePolicy {
    /// How long to wait for it.
    pub wait: Duration,
    /// How long it lasts unless it is renewed.
    pub lease: Duration,
    /// Time between two renewals: a third of the lease leaves two for a lost one.
    pub renew_every: Duration,
    /// How long the work under it may take: the watchdog does not renew for ever.
    pub limit: Duration,
}

impl Default for LeasePolicy {
    fn default() -> Self {
        LeasePolicy {
            wait: Duration::from_secs(5),
            lease: Duration::from_secs(30),
            renew_every: Duration::from_secs(10),
            limit: Duration::from_secs(30),
        }
    }
}

/// How operations on a product keep out of each other's way.
#[derive(Clone, Debug, Default)]
pub enum Locking {
    /// Each operation is one transaction.
    #[default]
    Transactions,
    /// Each operation reads, computes and writes under a lease of the [product](product_lock), which is released after
    /// the commit. That the row has not changed since is the last line, and the lease's token is shown to it.
    Leases {
        /// The lock service.
        service: String,
        /// How they are held.
        policy: LeasePolicy,
    },
}

impl Locking {
    /// The way to the leases, if there are any.
    pub fn leases(&self, platform: &Platform, bugs: Bugs) -> Option<Leases> {
        match self {
            Locking::Transactions => None,
            Locking::Leases { service, policy } => {
                Some(Leases::new(platform, service, *policy, bugs))
            }
        }
    }
}

/// The lock of a product's stock.
pub fn product_lock(product: &str) -> String {
    format!("inventory:lock:{product}")
}

/// The way to leases.
#[derive(Clone)]
pub struct Leases {
    platform: Platform,
    peer: Peer,
    /// To renew: a call takes no longer than the time to the next one, and none is left out.
    renewing: Peer,
    policy: LeasePolicy,
    bugs: Bugs,
}

/// A lease that is held. Dropped without a release, it is renewed no more and ends by itself.
#[must_use = "a lease that is dropped at once keeps nobody out"]
pub struct Lease {
    leases: Leases,
    context: Context,
    path: String,
    prove: Prove,
    dropped: Arc<Notify>,
    /// How long it lasts at least, as far as its holder knows: every answer counts from when it was asked for.
    until: Arc<Mutex<Instant>>,
}

impl Leases {
    /// Leases of the lock service that is called `name`.
    pub fn new(platform: &Platform, name: &str, policy: LeasePolicy, bugs: Bugs) -> Self {
        let calls = PeerPolicy {
            attempts: 2,
            timeout: policy.wait + Duration::from_secs(1),
            ..PeerPolicy::internal()
        };
        let renewals = PeerPolicy {
            timeout: policy.renew_every.min(PeerPolicy::once().timeout),
            ..PeerPolicy::once()
        };
        Leases {
            platform: platform.clone(),
            peer: Peer::new(platform, name, calls),
            renewing: Peer::new(platform, name, renewals),
            policy,
            bugs,
        }
    }

    /// Waits for a lease of `name`.
    ///
    /// # Errors
    /// `LOCK_NOT_ACQUIRED`: it was not free in time, or the lock service could not be reached. Nothing is held then, or
    /// nothing for longer than a lease.
    pub async fn acquire(&self, context: &Context, name: &str) -> Result<Lease, Problem> {
        let LeasePolicy { wait, lease, .. } = self.policy;
        let lease_ms = lease.as_millis() as u64;
        let ask = Acquire {
            owner: format!(
                "{}-{:016x}",
                self.platform.name,
                self.platform.random.next_u64()
            ),
            wait_ms: wait.as_millis() as u64,
            lease_ms,
        };
        let context = context.step("lease");
        let path = format!("/locks/{name}/acquire");
        let asked_at = Instant::now();
        let asked = self.peer.call(&context, "POST", &path, None, &ask).await;
        let granted: Granted = match asked {
            Ok(reply) => reply.ok()?,
            Err(CallError::NotSent { reason, .. } | CallError::Unknown { reason, .. }) => {
                return Err(Code::LockNotAcquired.because(format!(
                    "the lock {name} was not obtained: {reason}; nothing was done, try again"
                )));
            }
        };
        tracing::info!(lock = name, token = granted.token, "lease held");
        let lease = Lease {
            leases: self.clone(),
            context,
            path: format!("/locks/{name}"),
            prove: Prove {
                owner: ask.owner,
                token: granted.token,
                lease_ms,
            },
            dropped: Arc::new(Notify::new()),
            until: Arc::new(Mutex::new(
                asked_at + Duration::from_millis(granted.waited_ms) + lease,
            )),
        };
        if !self.bugs.has(Bug::NoWatchdog) {
            self.platform.spawn("lease-watchdog", lease.keep_renewing());
        }
        Ok(lease)
    }

    /// The same, and the lease lasts still when its answer arrives: work may begin.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire); `LOCK_NOT_ACQUIRED` if the answer came too late, and others are let in.
    pub async fn acquire_lasting(&self, context: &Context, name: &str) -> Result<Lease, Problem> {
        let lease = self.acquire(context, name).await?;
        if lease.lasts() {
            tracing::info!(token = lease.token(), "works under lease");
            return Ok(lease);
        }
        self.platform.spawn("lease-release", lease.release());
        let detail = format!("the lock {name} came too late; nothing was done, try again");
        Err(Code::LockNotAcquired.because(detail))
    }

    /// The answer of work under a lease, which has to come within the [limit](LeasePolicy::limit).
    ///
    /// # Errors
    /// Those of the work; `SERVICE_UNAVAILABLE` at the limit, and nobody knows whether it was done.
    pub async fn limit<T, E: From<Problem>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if self.bugs.has(Bug::WatchdogWithoutLimit) {
            return work.await;
        }
        timeout(self.policy.limit, work).await.unwrap_or_else(|_| {
            let detail = "it took longer than a lock may be held; repeat the request with the same Idempotency-Key";
            Err(Code::ServiceUnavailable.because(detail).into())
        })
    }
}

impl Lease {
    /// The fencing token: greater than that of every lease of any lock before.
    pub fn token(&self) -> u64 {
        self.prove.token
    }

    /// Whether it lasts for certain: whoever goes on working for long looks from time to time. A pause may come between
    /// the look and the work; against that only the [token](Self::token) helps.
    pub fn lasts(&self) -> bool {
        Instant::now() < *lock(&self.until) || self.leases.bugs.has(Bug::RenewalStopsAtFirstError)
    }

    /// Lets others in. If this does not get through, the lease ends by itself.
    pub async fn release(self) {
        self.dropped.notify_one();
        let path = format!("{}/release", self.path);
        let peer = &self.leases.peer;
        if let Err(error) = peer
            .call(&self.context, "POST", &path, None, &self.prove)
            .await
        {
            tracing::info!(%error, "lease not released");
        }
    }

    /// Renews the lease until it is dropped, lost, or held for as long as the work may take.
    fn keep_renewing(&self) -> impl Future<Output = ()> + Send + 'static {
        let (leases, context, prove) = (
            self.leases.clone(),
            self.context.clone(),
            self.prove.clone(),
        );
        let (path, dropped) = (format!("{}/renew", self.path), self.dropped.clone());
        let until = self.until.clone();
        let since = Instant::now();
        async move {
            let LeasePolicy {
                renew_every, limit, ..
            } = leases.policy;
            let for_ever = leases.bugs.has(Bug::WatchdogWithoutLimit);
            let mut next = since + renew_every;
            while for_ever || next < since + limit {
                if timeout(
                    next.saturating_duration_since(Instant::now()),
                    dropped.notified(),
                )
                .await
                .is_ok()
                {
                    return;
                }
                let asked_at = Instant::now();
                let renewed = leases
                    .renewing
                    .call(&context, "POST", &path, None, &prove)
                    .await;
                match renewed {
                    Ok(reply) if reply.is_success() => {
                        *lock(&until) = asked_at + leases.policy.lease;
                    }
                    Ok(_) => {
                        *lock(&until) = asked_at;
                        tracing::info!(token = prove.token, "lease lost");
                        return;
                    }
                    Err(_) if leases.bugs.has(Bug::RenewalStopsAtFirstError) => return,
                    // No answer is no reason to stop: the lease may last still.
                    Err(_) => {}
                }
                next += renew_every;
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.dropped.notify_one();
    }
}
