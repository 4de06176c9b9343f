//! How much of a saga keeps other sagas off its product.

use std::{collections::BTreeMap, sync::Mutex};

use tokio::time::Instant;

use super::store::OrderData;
use crate::{
    kit::{
        Problem,
        lease::{Lease, LeasePolicy, Leases},
        lock,
        saga::Call,
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

/// The scope of the lock that isolates sagas on a product.
#[derive(Clone, Debug, Default)]
pub enum LockScope {
    /// A step: inventory keeps operations apart by itself, and sagas by a semantic lock. Fast.
    #[default]
    Step,
    /// The whole saga: the orchestrator holds a lease of the [product](saga_lock) from before its first call until
    /// its end. Others wait for seconds, and no semantic lock is needed.
    Saga {
        /// The lock service.
        service: String,
        /// How the leases are held. A saga that takes longer than the limit holds none any more and asks anew.
        policy: LeasePolicy,
    },
}

/// The lock of a product that a whole saga holds.
pub fn saga_lock(sku: &str) -> String {
    format!("order:lock:{sku}")
}

/// The leases of the sagas that this process drives.
pub(super) struct Scope {
    platform: Platform,
    leases: Option<(Leases, LeasePolicy)>,
    fails_open: bool,
    /// By saga.
    held: Mutex<BTreeMap<String, (Lease, Instant)>>,
}

impl Scope {
    pub fn new(platform: &Platform, scope: &LockScope, bugs: Bugs) -> Self {
        let leases = match scope {
            LockScope::Step => None,
            LockScope::Saga { service, policy } => {
                Some((Leases::new(platform, service, *policy, bugs), *policy))
            }
        };
        Scope {
            platform: platform.clone(),
            leases,
            fails_open: bugs.has(Bug::LockFailsOpen),
            held: Mutex::default(),
        }
    }

    /// Sees to it that the saga holds its product.
    ///
    /// # Errors
    /// `LOCK_NOT_ACQUIRED`: another saga has it, or the lock service cannot be reached.
    pub async fn hold(&self, data: &OrderData, call: Call<'_>) -> Result<(), Problem> {
        let Some((leases, policy)) = &self.leases else {
            return Ok(());
        };
        let lasts =
            |(lease, since): &(Lease, Instant)| since.elapsed() < policy.limit && lease.lasts();
        let token = |(lease, _): &(Lease, Instant)| lease.token();
        if let Some(token) = lock(&self.held)
            .get(call.saga_id)
            .filter(|held| lasts(held))
            .map(token)
        {
            tracing::info!(token, "works under lease");
            return Ok(());
        }
        self.let_go(call.saga_id);
        let name = saga_lock(&data.sku);
        let since = Instant::now();
        let lease = match leases.acquire_lasting(call.context, &name).await {
            Err(_) if self.fails_open => return Ok(()),
            asked => asked?,
        };
        lock(&self.held).insert(call.saga_id.to_owned(), (lease, since));
        Ok(())
    }

    /// Lets others in.
    pub fn let_go(&self, saga_id: &str) {
        let Some((lease, _)) = lock(&self.held).remove(saga_id) else {
            return;
        };
        self.platform
            .spawn("lease-release", async move { lease.release().await });
    }
}
