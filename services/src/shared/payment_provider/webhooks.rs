//! Telling the merchant what was done. Best effort: a notice that cannot be delivered is dropped, and a delivered one
//! may come late or twice. A receiver asks the gateway what is true.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::Instrument;

use super::Entry;
use crate::{
    kit::{Context, Peer, PeerPolicy},
    ports::Platform,
};

/// The body of `POST /webhooks/pg`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The purchase, as the merchant named it.
    pub reference: String,
    /// The authorization's or charge's id.
    pub payment: String,
    /// The idempotency key of the request that was carried out.
    pub key: String,
}

impl Notice {
    pub(super) fn new(key: String, entry: &Entry) -> Self {
        Notice {
            reference: entry.reference.clone(),
            payment: entry.id.clone(),
            key,
        }
    }
}

pub(super) struct Webhooks {
    platform: Platform,
    peer: Peer,
}

impl Webhooks {
    pub fn new(platform: &Platform, peer: &str) -> Self {
        let policy = PeerPolicy {
            attempts: 3,
            timeout: Duration::from_secs(5),
            backoff: Duration::from_secs(1),
            breaker_threshold: 1.0,
            breaker_window: 10,
            breaker_open: Duration::from_secs(30),
            ..PeerPolicy::internal()
        };
        Webhooks {
            platform: platform.clone(),
            peer: Peer::new(platform, peer, policy),
        }
    }

    /// Sends the notice now, and once more after `again`.
    pub fn send(&self, context: Context, notice: Notice, again: Option<Duration>) {
        let peer = self.peer.clone();
        let context = context.step("webhook");
        let span = context.span();
        self.platform.spawn(
            "pg-webhook",
            async move {
                deliver(&peer, &context, &notice).await;
                if let Some(delay) = again {
                    tokio::time::sleep(delay).await;
                    deliver(&peer, &context, &notice).await;
                }
            }
            .instrument(span),
        );
    }
}

async fn deliver(peer: &Peer, context: &Context, notice: &Notice) {
    match peer
        .call(context, "POST", "/webhooks/pg", None, notice)
        .await
    {
        Ok(reply) if reply.is_success() => {}
        Ok(reply) => tracing::info!(status = reply.status, "webhook refused"),
        Err(error) => tracing::info!(%error, "webhook not delivered"),
    }
}
