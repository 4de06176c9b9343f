//! Frees products from sagas that have ended without letting go.
//!
//! Age alone proves nothing (a saga may wait long, a wall clock may jump): the orchestrator is asked, and if it cannot
//! be reached, the lock stays. The sweeper sleeps while no product is locked.

use std::{sync::Arc, time::Duration};

use super::{
    Inventory,
    desk::Remembered,
    model::SemanticLock,
    store::{PRODUCTS, Product},
};
use crate::kit::{Context, Peer, PeerPolicy, Problem, StoreError};

fn policy() -> PeerPolicy {
    PeerPolicy {
        attempts: 3,
        timeout: Duration::from_secs(2),
        backoff: Duration::from_millis(200),
        breaker_threshold: 0.5,
        breaker_window: 10,
        breaker_open: Duration::from_secs(10),
    }
}

/// Sweeps for ever.
pub(super) async fn sweep(inventory: Arc<Inventory>) {
    let peer = Peer::new(
        &inventory.platform,
        &inventory.config.orchestrator,
        policy(),
    );
    loop {
        match locked(&inventory) {
            Ok(products) if products.is_empty() => inventory.locked.notified().await,
            Ok(_) => {
                tokio::time::sleep(inventory.config.sweep_every).await;
                if let Err(problem) = sweep_once(&inventory, &peer).await {
                    tracing::warn!(%problem, "sweep failed");
                }
            }
            Err(error) => {
                tracing::error!(%error, "sweeper stops");
                return;
            }
        }
    }
}

async fn sweep_once(inventory: &Inventory, peer: &Peer) -> Result<(), Problem> {
    for (sku, lock) in locked(inventory)? {
        let age = Duration::from_millis(
            inventory
                .platform
                .clock
                .now_ms()
                .saturating_sub(lock.since_ms),
        );
        if age < inventory.config.lock_age || !has_ended(inventory, peer, &lock.owner).await {
            continue;
        }
        inventory
            .write(Remembered::Nothing, move |desk| {
                desk.sweep(&sku, &lock.owner)
            })
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
    let context = Context::fresh(&inventory.platform, "sweep").with_saga(saga_id);
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
