//! Delivers notices to one subscriber: per product in version order, again and again until acknowledged.
//!
//! Woken by commits. A notice may arrive twice (its acknowledgement can be lost), never out of order from here; the
//! network can still reorder a late first attempt, so subscribers compare versions.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::store::{Notice, OUTBOX};
use crate::{
    kit::{Peer, PeerPolicy, Problem, Store},
    ports::Platform,
};

/// Wait after a first failed pass; doubled up to [`BACKOFF_MAX`].
const BACKOFF: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// One attempt each: this module is the retry.
fn policy() -> PeerPolicy {
    PeerPolicy {
        attempts: 1,
        timeout: Duration::from_secs(2),
        backoff: BACKOFF,
        breaker_threshold: 1.1,
        breaker_window: 10,
        breaker_open: Duration::from_secs(1),
    }
}

/// How often the outbox is looked at without a wake.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Delivers for ever.
pub(super) async fn deliver(
    platform: Platform,
    store: Store,
    subscriber: String,
    changed: Arc<Notify>,
) {
    let peer = Peer::new(&platform, &subscriber, policy());
    let mut backoff = BACKOFF;
    loop {
        match pass(&store, &peer, &subscriber).await {
            Ok(true) => {
                backoff = BACKOFF;
                // A handler whose caller hangs up is dropped, maybe after its commit and before its wake.
                let _ = tokio::time::timeout(LOOK_EVERY, changed.notified()).await;
            }
            Ok(false) | Err(_) => {
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}

/// Tries every pending notice once; whether all were acknowledged.
async fn pass(store: &Store, peer: &Peer, subscriber: &str) -> Result<bool, Problem> {
    let pending = store.read(|rows| rows.scan(&OUTBOX, &format!("{subscriber}/")))?;
    let mut acknowledged = Vec::new();
    let mut refused: Option<String> = None;
    let mut reachable = true;
    for (key, Notice { context, change }) in pending {
        // What follows a refused notice of the same product has to wait for it; other products don't.
        if refused.as_ref() == Some(&change.sku) {
            continue;
        }
        let context = context.step("webhook");
        match peer
            .call(&context, "POST", "/webhooks/products", None, &change)
            .await
        {
            Ok(reply) if reply.is_success() => acknowledged.push(key),
            Ok(reply) => {
                tracing::warn!(sku = change.sku, status = reply.status, "notice refused");
                refused = Some(change.sku);
            }
            Err(_) => {
                reachable = false;
                break;
            }
        }
    }
    if !acknowledged.is_empty() {
        store
            .write(move |tx| {
                acknowledged
                    .iter()
                    .try_for_each(|key| tx.delete(&OUTBOX, key))
            })
            .await?;
    }
    Ok(reachable && refused.is_none())
}
