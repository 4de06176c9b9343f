//! Calling the bus.

use std::time::Duration;

use serde_json::Value;

use super::{
    Event,
    protocol::{Delivery, Read, Subscribe},
};
use crate::{
    kit::{CallError, Context, Peer, PeerPolicy, Problem},
    ports::Platform,
};

/// How long a read waits at the bus for an event.
pub(super) const POLL: Duration = Duration::from_secs(10);

/// Why the bus did not take it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// It may or may not have taken it, or could not be reached.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It said no.
    #[error(transparent)]
    Problem(#[from] Problem),
}

/// The bus, as its clients see it. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    calls: Peer,
    polls: Peer,
}

impl Bus {
    /// The bus of this name.
    pub fn new(platform: &Platform, name: &str) -> Self {
        // The callers have loops around their calls.
        let calls = PeerPolicy::once();
        let polls = PeerPolicy {
            timeout: POLL + calls.timeout,
            ..PeerPolicy::once()
        };
        Bus {
            calls: Peer::new(platform, name, calls),
            polls: Peer::new(platform, name, polls),
        }
    }

    /// Appends to a topic, durably. Once, however often the same event is appended.
    pub async fn append(&self, topic: &str, event: &Event) -> Result<(), Refused> {
        let path = format!("/streams/{topic}");
        self.post(&event.context.step("append"), &path, event).await
    }

    /// Publishes to the channel's current subscribers.
    pub async fn publish(&self, channel: &str, event: &Event) -> Result<(), Refused> {
        let path = format!("/channels/{channel}");
        self.post(&event.context.step("publish"), &path, event)
            .await
    }

    /// Settles deliveries and waits for new ones.
    pub async fn read(
        &self,
        context: &Context,
        topic: &str,
        group: &str,
        read: &Read,
    ) -> Result<Vec<Delivery>, Refused> {
        let path = format!("/streams/{topic}/groups/{group}/read");
        let reply = self.polls.call(context, "POST", &path, None, read).await?;
        Ok(reply.ok()?)
    }

    /// Subscribes to a channel for the length of a lease.
    pub async fn subscribe(
        &self,
        context: &Context,
        channel: &str,
        subscribe: &Subscribe,
    ) -> Result<(), Refused> {
        let path = format!("/channels/{channel}/subscriptions");
        self.post(context, &path, subscribe).await
    }

    /// Puts something into the bus's memory: what a restart of the bus forgets.
    pub async fn remember(
        &self,
        context: &Context,
        key: &str,
        value: &Value,
    ) -> Result<(), Refused> {
        let path = format!("/memory/{key}");
        let reply = self.calls.call(context, "PUT", &path, None, value).await?;
        reply.ok::<Value>().map(drop).map_err(Refused::from)
    }

    /// What is in the bus's memory, if it remembers.
    pub async fn recall(&self, context: &Context, key: &str) -> Result<Option<Value>, Refused> {
        let path = format!("/memory/{key}");
        let reply = self.calls.call(context, "GET", &path, None, &()).await?;
        match reply.status {
            404 => Ok(None),
            _ => Ok(Some(reply.ok()?)),
        }
    }

    async fn post(
        &self,
        context: &Context,
        path: &str,
        body: &(impl serde::Serialize + Sync),
    ) -> Result<(), Refused> {
        let reply = self.calls.call(context, "POST", path, None, body).await?;
        reply.ok::<Value>().map(drop).map_err(Refused::from)
    }
}
