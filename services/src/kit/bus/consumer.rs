//! A subscription at work, and what it hands events to.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Bus, ENVELOPE, Event, HandlerError};
use crate::{kit::Store, planted_bug::Bugs, ports::Platform};

/// Default number of deliveries of an event.
pub(crate) const DELIVERIES_MAX: u32 = 10;

/// What a service does about the events that it hears.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Carries one out. It may come again after `Ok`, and must then do nothing: see [`inbox`](crate::kit::inbox).
    async fn handle(&self, event: &Event) -> Result<(), HandlerError>;
}

/// What is heard, and how patiently.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The topic; its channel has the same name.
    pub topic: String,
    /// The group: each event is handled by one of its members.
    pub group: String,
    /// The kinds that concern it; empty for all.
    pub kinds: Vec<String>,
    /// Events handled at a time.
    pub workers: usize,
    /// Deliveries after which an event goes to the dead letters.
    pub deliveries_max: u32,
    /// Subscribe to the channel, which drops events without a listener, rather than to the stream.
    pub channel: bool,
}

impl Subscription {
    /// A subscription with 4 workers and 10 deliveries.
    pub fn new(topic: &str, group: &str, kinds: &[&str]) -> Self {
        Subscription {
            topic: topic.to_owned(),
            group: group.to_owned(),
            kinds: kinds.iter().map(|&kind| kind.to_owned()).collect(),
            workers: 4,
            deliveries_max: DELIVERIES_MAX,
            channel: false,
        }
    }
}

/// A subscription at work. Cheap to clone.
#[derive(Clone)]
pub struct Consumer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub platform: Platform,
    pub store: Store,
    pub bus: Bus,
    pub subscription: Subscription,
    pub bugs: Bugs,
    pub handler: Arc<dyn Handler>,
}

impl Inner {
    /// Handles an event, if its envelope is one that is understood.
    pub async fn carry_out(&self, event: &Event) -> Result<(), HandlerError> {
        if event.version != ENVELOPE {
            return Err(HandlerError::Poison(format!(
                "envelope {} is not understood, {ENVELOPE} is; update this service and replay the event",
                event.version
            )));
        }
        self.handler.handle(event).await
    }
}
