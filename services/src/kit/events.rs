//! After-commit events: what others want to know once something is committed, and must not hold up or undo.
//!
//! An event is a row in the commit that it tells of, one per subscriber; a pump per subscriber hands the rows to that
//! subscriber's own bounded executor, again and again until it has acknowledged. So a slow or broken subscriber holds up
//! nobody but itself, and a crash loses nothing. An event may arrive twice: subscribers heed its id.

mod pump;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Context, Peer, Store, StoreError, Table, Writer,
    executor::{Executor, Load, Size},
};
use crate::{
    gap::{Gap, Gaps},
    ports::Platform,
};
use pump::Pump;

/// Events that a subscriber has not acknowledged yet, by `{subscriber}/{occurred}-{event id}`: oldest first.
pub const EVENTS: Table<EventRow> = Table::new("events");

/// An event on its way to one subscriber.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// The request that caused it.
    pub context: Context,
    /// What is told.
    pub event: Event,
}

/// What a subscriber is told: the body of `POST /events`.
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
    gaps: Gaps,
    pumps: Vec<(Subscription, Pump)>,
}

impl Events {
    /// Takes up what an earlier life left to be told.
    pub fn start(
        platform: &Platform,
        store: &Store,
        gaps: Gaps,
        subscriptions: &[Subscription],
        load: &Load,
    ) -> Self {
        let shared = subscriptions
            .first()
            .filter(|_| gaps.has(Gap::SharedExecutor))
            .map(|first| Executor::new(platform, "subscribers", first.size, gaps, load));
        let pumps = subscriptions.iter().map(|subscription| {
            let own = || {
                Executor::new(
                    platform,
                    subscription.subscriber,
                    subscription.size,
                    gaps,
                    load,
                )
            };
            let executor = shared.clone().unwrap_or_else(own);
            let peer = Peer::new(platform, subscription.subscriber, pump::policy());
            let pump = Pump::new(store, subscription.subscriber, peer, executor);
            if !gaps.has(Gap::EventsOnlyInMemory) {
                platform.spawn("events", pump.clone().work());
            }
            (*subscription, pump)
        });
        let pumps = pumps.collect();
        Events(Arc::new(Inner { gaps, pumps }))
    }

    /// Keeps an event with what it tells of. Call it again for the same and nothing more happens, until it is delivered.
    pub fn record(
        &self,
        tx: &mut Writer<'_>,
        context: &Context,
        event: &Event,
    ) -> Result<(), StoreError> {
        if self.0.gaps.has(Gap::EventsOnlyInMemory) {
            return Ok(());
        }
        for (subscription, _) in self.subscribed(event) {
            let key = format!(
                "{}/{:013}-{}",
                subscription.subscriber, event.occurred_ms, event.id
            );
            let row = EventRow {
                context: context.clone(),
                event: event.clone(),
            };
            tx.put(&EVENTS, &key, &row)?;
        }
        Ok(())
    }

    /// To be called once the commit is durable.
    pub fn committed(&self, context: &Context, event: &Event) {
        for (_, pump) in self.subscribed(event) {
            match self.0.gaps.has(Gap::EventsOnlyInMemory) {
                true => pump.tell_once(context.clone(), event.clone()),
                false => pump.wake(),
            }
        }
    }

    /// Tells all subscribers while the caller waits; fails with the first that fails.
    pub async fn tell_now(&self, context: &Context, event: &Event) -> Result<(), String> {
        for (_, pump) in self.subscribed(event) {
            pump.tell(context, event).await?;
        }
        Ok(())
    }

    fn subscribed(&self, event: &Event) -> impl Iterator<Item = &(Subscription, Pump)> {
        let pumps = self.0.pumps.iter();
        pumps.filter(|(subscription, _)| subscription.kind == event.kind)
    }
}
