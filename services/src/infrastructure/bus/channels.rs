//! Publish/subscribe: who subscribed lately is told once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::time::Instant;
use tracing::Instrument;

use super::{Behaviour, Fault, LEASE};
use crate::{
    kit::{
        Peer, PeerPolicy,
        bus::{Event, Subscribe},
        lock,
    },
    ports::Platform,
};

/// The channels and their subscribers.
pub(super) struct Channels {
    platform: Platform,
    /// By channel and service.
    subscribers: Mutex<BTreeMap<(String, String), Subscriber>>,
}

struct Subscriber {
    peer: Arc<Peer>,
    kinds: Vec<String>,
    until: Instant,
}

impl Channels {
    /// No subscribers yet.
    pub fn new(platform: &Platform) -> Self {
        Channels {
            platform: platform.clone(),
            subscribers: Mutex::default(),
        }
    }

    /// Begins a lease, or renews it.
    pub fn subscribe(&self, channel: &str, subscribe: Subscribe) {
        let Subscribe { service, kinds } = subscribe;
        let (peer, until) = (&service, Instant::now() + LEASE);
        let fresh = || Subscriber {
            peer: Arc::new(Peer::new(&self.platform, peer, PeerPolicy::once())),
            kinds: Vec::new(),
            until,
        };
        let mut subscribers = lock(&self.subscribers);
        let key = (channel.to_owned(), service.clone());
        let subscriber = subscribers.entry(key).or_insert_with(fresh);
        (subscriber.kinds, subscriber.until) = (kinds, until);
    }

    /// Tells everybody who subscribed, side by side; says how many those are.
    pub fn publish(&self, channel: &str, event: &Event, behaviour: &Behaviour) -> usize {
        let mut subscribers = lock(&self.subscribers);
        let now = Instant::now();
        subscribers.retain(|_, subscriber| now < subscriber.until);
        let concerned = subscribers.iter().filter(|((of, _), subscriber)| {
            let kinds = &subscriber.kinds;
            of == channel && (kinds.is_empty() || kinds.contains(&event.kind))
        });
        let mut told = 0;
        for ((_, service), subscriber) in concerned {
            told += 1;
            if behaviour.strikes(Fault::Lose).is_some() {
                tracing::debug!(service, kind = event.kind, "message lost");
                continue;
            }
            self.tell(channel, subscriber.peer.clone(), event.clone());
        }
        told
    }

    fn tell(&self, channel: &str, peer: Arc<Peer>, event: Event) {
        let path = format!("/channels/{channel}");
        let context = event.context.step("tell");
        let span = context.span();
        let telling = async move {
            if let Err(error) = peer.call(&context, "POST", &path, None, &event).await {
                tracing::debug!(%error, "not told");
            }
        };
        self.platform.spawn("publish", telling.instrument(span));
    }
}
