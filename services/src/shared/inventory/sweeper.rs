//! Frees products from sagas that have ended without letting go.
//!
//! Age alone proves nothing (a saga may wait long, a wall clock may jump): the orchestrator is asked, and if it cannot
//! be reached, the lock stays. A lock is old by the wall clock, or because this process has seen it for so long: a clock
//! that was set back hides none. The sweeper sleeps while no product is locked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Inventory,
    commands::Remembered,
    model::SemanticLock,
    store::{PRODUCTS, Product},
};
use crate::{
    kit::{Context, Peer, PeerPolicy, Problem, StoreError},
    planted_bug::Bug,
};

fn policy() -> PeerPolicy {
    PeerPolicy {
        attempts: 3,
        timeout: Duration::from_secs(2),
        backoff: Duration::from_millis(200),
        breaker_threshold: 0.5,
        breaker_window: 10,
        breaker_open: Duration::from_secs(10),
        ..PeerPolicy::internal()
    }
}

/// Since when this process has seen which product in the hands of which saga.
type Seen = BTreeMap<(String, String), Instant>;

/// Sweeps for ever.
pub(super) async fn sweep(inventory: Arc<Inventory>) {
    let peer = Peer::new(
        &inventory.platform,
        &inventory.config.orchestrator,
        policy(),
    );
    let mut seen = Seen::new();
    loop {
        match locked(&inventory) {
            Ok(locks) if locks.is_empty() => {
                seen.clear();
                inventory.locked.notified().await;
            }
            Ok(locks) => {
                see(&mut seen, locks);
                tokio::time::sleep(inventory.config.sweep_every).await;
                if let Err(problem) = sweep_once(&inventory, &peer, &seen).await {
                    tracing::warn!(%problem, "sweep failed");
                }
            }
            Err(error) => error.endure(&inventory.platform, "the sweeper").await,
        }
    }
}

/// Keeps what is locked still, and notes what is new.
fn see(seen: &mut Seen, locks: Vec<(String, SemanticLock)>) {
    let earlier = std::mem::take(seen);
    let now = Instant::now();
    for (sku, lock) in locks {
        let key = (sku, lock.owner);
        let since = earlier.get(&key).copied().unwrap_or(now);
        seen.insert(key, since);
    }
}

async fn sweep_once(inventory: &Inventory, peer: &Peer, seen: &Seen) -> Result<(), Problem> {
    for (sku, lock) in locked(inventory)? {
        let now_ms = inventory.platform.clock.now_ms();
        let by_clock = Duration::from_millis(now_ms.saturating_sub(lock.since_ms));
        let since = seen.get(&(sku.clone(), lock.owner.clone()));
        let age = by_clock.max(since.map_or(Duration::ZERO, Instant::elapsed));
        if age < inventory.config.lock_age {
            continue;
        }
        let asks = !inventory.config.bugs.has(Bug::SweeperFreesTheLiving);
        if asks && !has_ended(inventory, peer, &lock.owner).await {
            continue;
        }
        inventory
            .write(Remembered::Nothing, move |tx| tx.sweep(&sku, &lock.owner))
            .await?;
    }
    Ok(())
}

fn locked(inventory: &Inventory) -> Result<Vec<(String, SemanticLock)>, StoreError> {
    let products: Vec<(String, Product)> = inventory.store.read(|rows| rows.scan(&PRODUCTS, ""))?;
    let held = |(sku, product): (String, Product)| product.lock.map(|lock| (sku, lock));
    Ok(products.into_iter().filter_map(held).collect())
}

/// Whether the saga will do nothing any more. One that its orchestrator does not know never will.
async fn has_ended(inventory: &Inventory, peer: &Peer, saga_id: &str) -> bool {
    let context = Context::fresh(&inventory.platform, "sweep");
    let reply = peer
        .call(&context, "GET", &format!("/sagas/{saga_id}"), None, &())
        .await;
    match reply {
        Ok(reply) if reply.is_success() => {
            let status = reply.body.get("status").and_then(|status| status.as_str());
            matches!(status, Some("Completed" | "Compensated"))
        }
        Ok(reply) => reply.status == 404,
        Err(_) => false,
    }
}
