//! After-commit events: what others want to know once something is committed, and must not hold up or undo.
//!
//! An event is an outbox row in the commit that it tells of, one per subscriber. Each subscriber's rows
//! have a poller and a bounded executor of their own: one that is slow or down delays only itself, and a crash loses
//! nothing. An event may arrive twice: subscribers deduplicate by its id.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::Instrument;

use super::{
    Context, Peer, PeerPolicy, Store, StoreError, Writer, bus,
    executor::{Executor, Load, Size},
    outbox::{self, Bulkhead, Outbox, Target},
};
use crate::{
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

/// Where subscribers are told: the body is an [`Event`].
pub const PATH: &str = "/events";

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Unique: the same however often it arrives.
    pub id: String,
    /// What happened: `OrderCompleted`.
    pub kind: String,
    /// When; wall clock, milliseconds since the Unix epoch.
    pub occurred_ms: u64,
    /// The particulars.
    pub body: serde_json::Value,
}

/// A subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Subscription {
    /// Its name on the network.
    pub subscriber: &'static str,
    /// The kind of event that it wants.
    pub kind: &'static str,
    /// The size of its executor.
    pub size: Size,
}

/// Tells subscribers. Cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<Inner>);

struct Inner {
    platform: Platform,
    bugs: Bugs,
    ways: Vec<Way>,
    outbox: Outbox,
}

/// The way to a subscriber.
struct Way {
    subscription: Subscription,
    executor: Executor,
    peer: Peer,
}

impl Events {
    /// Takes up what an earlier life left to be told. `config` is the outbox's; its bulkheads are made here.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn start(
        platform: &Platform,
        store: &Store,
        config: outbox::Config,
        subscriptions: &[Subscription],
        load: &Load,
    ) -> Result<Self, StoreError> {
        let bugs = config.bugs;
        let executor = |name, size| Executor::new(platform, name, size, bugs, load);
        let shared = subscriptions
            .first()
            .filter(|_| bugs.has(Bug::SharedExecutor))
            .map(|first| executor("subscribers", first.size));
        let ways: Vec<Way> = subscriptions
            .iter()
            .map(|subscription| {
                let Subscription {
                    subscriber, size, ..
                } = *subscription;
                Way {
                    subscription: *subscription,
                    executor: shared.clone().unwrap_or_else(|| executor(subscriber, size)),
                    peer: Peer::new(platform, subscriber, PeerPolicy::once()),
                }
            })
            .collect();
        let bulkheads = ways.iter().map(|way| Bulkhead {
            service: way.subscription.subscriber,
            executor: way.executor.clone(),
            batch: way.subscription.size.core + way.subscription.size.queue,
        });
        let config = outbox::Config {
            // What is kept in memory only is not the outbox's to send.
            bugs: bugs.without(Bug::EventsOnlyInMemory),
            pollers: 0,
            bulkheads: bulkheads.collect(),
            ..config
        };
        let outbox = Outbox::open(platform, store, config).await?;
        Ok(Events(Arc::new(Inner {
            platform: platform.clone(),
            bugs,
            ways,
            outbox,
        })))
    }

    /// The rows' outbox, for its routes.
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// Keeps an event with what it tells of.
    pub fn record(
        &self,
        tx: &mut Writer<'_>,
        context: &Context,
        event: &Event,
    ) -> Result<(), StoreError> {
        if self.0.bugs.has(Bug::EventsOnlyInMemory) {
            return Ok(());
        }
        for way in self.0.ways_to(event) {
            let target = Target::Webhook {
                service: way.subscription.subscriber.to_owned(),
                path: PATH.to_owned(),
            };
            let platform = &self.0.platform;
            let envelope = bus::Event::new(platform, &event.kind, &event.id, context, event);
            outbox::enqueue(tx, target, envelope, event.occurred_ms)?;
        }
        Ok(())
    }

    /// To be called once the commit is durable: tells those whom nothing else tells. What does not work is swallowed.
    pub fn committed(&self, context: &Context, event: &Event) {
        if !self.0.bugs.has(Bug::EventsOnlyInMemory) {
            return;
        }
        for way in self.0.ways_to(event) {
            let (peer, context, event) = (way.peer.clone(), context.clone(), event.clone());
            let span = context.span();
            let telling = async move {
                if let Err(reason) = tell(&peer, &context, &event).await {
                    tracing::warn!(reason, "event lost");
                }
            };
            let subscriber = way.subscription.subscriber;
            if let Err(full) = way.executor.submit(subscriber, telling.instrument(span)) {
                tracing::warn!(%full, "event lost");
            }
        }
    }

    /// Tells all subscribers while the caller waits; fails with the first that fails.
    pub async fn tell_now(&self, context: &Context, event: &Event) -> Result<(), String> {
        for way in self.0.ways_to(event) {
            tell(&way.peer, context, event).await?;
        }
        Ok(())
    }
}

impl Inner {
    fn ways_to(&self, event: &Event) -> impl Iterator<Item = &Way> {
        let ways = self.ways.iter();
        ways.filter(|way| way.subscription.kind == event.kind)
    }
}

async fn tell(peer: &Peer, context: &Context, event: &Event) -> Result<(), String> {
    let context = context.step("tell");
    match peer.call(&context, "POST", PATH, None, event).await {
        Ok(reply) if reply.is_success() => Ok(()),
        Ok(reply) => Err(reply.problem().to_string()),
        Err(error) => Err(error.to_string()),
    }
}
