//! Hearing: a loop per topic and group on a bounded number of workers.
//!
//! A batch holds at most one event of each partition, so its events are handled side by side and still in order per key.
//! An event is settled after its handler has committed; until then the bus keeps it pending and delivers it again.

use std::{sync::Arc, time::Duration};

use axum::Router;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tracing::Instrument;

use super::{
    Bus, Delivery, HandlerError, Outcome, Read, Settled,
    client::POLL,
    consumer::{Consumer, Handler, Inner, Subscription},
    dead, listen,
};
use crate::{
    kit::{Context, Store},
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

/// Wait before an event is delivered again whose handler could not do it; doubled each time.
const RETRY: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Wait before the bus is asked again after it could not be.
const AWAY: Duration = Duration::from_millis(200);
const AWAY_MAX: Duration = Duration::from_secs(5);

/// Wait before the next delivery of an event, after this many that failed.
pub fn retry_after(deliveries: u32) -> Duration {
    let wait = RETRY * 2_u32.saturating_pow(deliveries.min(16));
    wait.min(RETRY_MAX)
}

impl Consumer {
    /// Begins to hear. `store` keeps the dead letters.
    pub fn start(
        platform: &Platform,
        store: &Store,
        bus: &Bus,
        subscription: Subscription,
        bugs: Bugs,
        handler: Arc<dyn Handler>,
    ) -> Self {
        let inner = Arc::new(Inner {
            platform: platform.clone(),
            store: store.clone(),
            bus: bus.clone(),
            subscription,
            bugs,
            handler,
        });
        let hearing = inner.clone();
        match hearing.subscription.channel || bugs.has(Bug::PubsubOnly) {
            true => platform.spawn("subscriber", async move { listen::renew(hearing).await }),
            false => platform.spawn("consumer", async move { hearing.consume().await }),
        }
        Consumer { inner }
    }

    /// The routes of a service's consumers: their dead letters, and where the bus tells of channels.
    pub fn router(consumers: Vec<Consumer>) -> Router {
        dead::router(consumers.clone()).merge(listen::router(consumers))
    }
}

impl Inner {
    async fn consume(self: Arc<Self>) {
        let Subscription {
            topic,
            group,
            kinds,
            workers,
            ..
        } = &self.subscription;
        let context = Context::fresh(&self.platform, &format!("{group}-reads"));
        let mut read = Read {
            consumer: self.platform.name.to_string(),
            kinds: kinds.clone(),
            max: *workers,
            wait_ms: POLL.as_millis() as u64,
            settled: Vec::new(),
        };
        let mut away = AWAY;
        loop {
            match self.bus.read(&context, topic, group, &read).await {
                Ok(deliveries) => {
                    away = AWAY;
                    read.settled = self.handle_all(&context, deliveries).await;
                }
                // What was not settled is delivered again; the inbox knows it.
                Err(error) => {
                    tracing::debug!(%error, "the bus could not be read");
                    tokio::time::sleep(away).await;
                    away = (away * 2).min(AWAY_MAX);
                }
            }
        }
    }

    async fn handle_all(
        self: &Arc<Self>,
        context: &Context,
        deliveries: Vec<Delivery>,
    ) -> Vec<Settled> {
        let done = |delivery: &Delivery| Settled {
            offset: delivery.offset,
            outcome: Outcome::Done,
        };
        if self.bugs.has(Bug::AckBeforeHandled) && !deliveries.is_empty() {
            let early = Read {
                consumer: self.platform.name.to_string(),
                settled: deliveries.iter().map(done).collect(),
                ..Read::default()
            };
            let Subscription { topic, group, .. } = &self.subscription;
            let _ = self.bus.read(context, topic, group, &early).await;
        }
        let handled = deliveries.into_iter().map(|delivery| {
            let (told, outcome) = oneshot::channel();
            let (inner, offset) = (self.clone(), delivery.offset);
            self.platform.spawn("handler", async move {
                let outcome = inner.settle(delivery).await;
                // The loop that waits for it ends only with the process.
                let _ = told.send(outcome);
            });
            async move {
                let outcome = outcome.await.ok()?;
                Some(Settled { offset, outcome })
            }
        });
        join_all(handled).await.into_iter().flatten().collect()
    }

    /// Handles one delivery; says what is to become of it.
    async fn settle(&self, delivery: Delivery) -> Outcome {
        let Delivery {
            deliveries, event, ..
        } = delivery;
        let context = event.context_of(&self.subscription.group);
        let work = async {
            let error = match self.carry_out(&event).await {
                Ok(()) => return Outcome::Done,
                Err(error) => error,
            };
            let spent = deliveries >= self.subscription.deliveries_max;
            if spent || matches!(error, HandlerError::Poison(_)) {
                return match dead::bury(self, &event, &error.to_string()).await {
                    Ok(()) => Outcome::Done,
                    Err(_) => Outcome::RetryAfterMs(RETRY_MAX.as_millis() as u64),
                };
            }
            let (kind, id) = (&event.kind, &event.id);
            tracing::warn!(kind, id, %error, deliveries, "an event is to be delivered again");
            let wait = match self.bugs.has(Bug::RedeliveredAtOnce) {
                true => Duration::ZERO,
                false => retry_after(deliveries),
            };
            Outcome::RetryAfterMs(wait.as_millis() as u64)
        };
        work.instrument(context.span()).await
    }
}
