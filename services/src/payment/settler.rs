//! Carries on what nobody waits for: payments that a crash, a lost answer or a full gateway left in an "-ing" state.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};

use super::{gateway::CALLS_MAX, service::Service};
use crate::{
    kit::idempotency::{self, RETENTION_MS},
    ports::Platform,
};

/// How often it looks.
pub const EVERY: Duration = Duration::from_secs(60);

/// How often it deletes old idempotency keys: every this many looks.
const PRUNE_EVERY: u32 = 60;

/// Settles at boot and every minute.
pub(super) async fn run(platform: Platform, service: Arc<Service>) {
    for look in 1.. {
        settle_all(&service).await;
        tokio::time::sleep(EVERY).await;
        if look % PRUNE_EVERY == 0 {
            let oldest_ms = platform.clock.now_ms().saturating_sub(RETENTION_MS);
            let pruned = service
                .book()
                .write(move |tx| Ok(idempotency::sweep(tx, oldest_ms)?))
                .await;
            if let Err(problem) = pruned {
                tracing::error!(alert = true, %problem, "keys not pruned");
            }
        }
    }
}

async fn settle_all(service: &Service) {
    stream::iter(service.book().unsettled())
        .for_each_concurrent(CALLS_MAX, |id| async move {
            if let Err(problem) = service.settle_unasked(&id).await {
                tracing::info!(payment_id = id.as_str(), %problem, "payment not settled yet");
            }
        })
        .await;
}
