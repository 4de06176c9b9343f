//! Settles payments in the background: those that a crash, a lost answer or a full gateway left in an "-ing" state.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};

use super::{gateway::CALLS_MAX, service::Payments};

/// How often it looks.
pub const EVERY: Duration = Duration::from_secs(60);

/// Settles at boot and every minute.
pub(super) async fn run(service: Arc<Payments>) {
    loop {
        settle_all(&service).await;
        tokio::time::sleep(EVERY).await;
    }
}

async fn settle_all(service: &Payments) {
    stream::iter(service.book().unsettled())
        .for_each_concurrent(CALLS_MAX, |id| async move {
            if let Err(problem) = service.settle_unasked(&id).await {
                tracing::info!(payment_id = id.as_str(), %problem, "payment not settled yet");
            }
        })
        .await;
}
