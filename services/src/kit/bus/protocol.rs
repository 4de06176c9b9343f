//! What the bus and its clients say to each other.

use serde::{Deserialize, Serialize};

use super::Event;

/// The body of `POST /streams/{topic}/groups/{group}/read`: settles earlier deliveries, then waits for new ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Read {
    /// Who reads: a later read of the same consumer takes the place of one that still waits.
    pub consumer: String,
    /// The kinds of events that concern the group; empty for all. Others are passed over.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// The most events in one answer; 0 to settle only.
    pub max: usize,
    /// How long to wait for a first one, in milliseconds.
    pub wait_ms: u64,
    /// What became of earlier deliveries.
    #[serde(default)]
    pub settled: Vec<Settled>,
}

/// What became of one delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Which one.
    pub offset: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was handled, for good.
    Done,
    /// Deliver it again after this many milliseconds.
    RetryAfterMs(u64),
}

/// One event as delivered to a group. Until it is settled, or its visibility timeout has passed, no later event of its
/// partition is delivered to the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its place in the topic.
    pub offset: u64,
    /// How often it was delivered to the group, this time included; those that a crash of the bus made it forget not.
    pub deliveries: u32,
    /// The event.
    pub event: Event,
}

/// The body of `POST /channels/{channel}/subscriptions`: a lease that the subscriber has to renew.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscribe {
    /// The service that is told, at `POST /channels/{channel}`.
    pub service: String,
    /// The kinds of events that concern it; empty for all.
    #[serde(default)]
    pub kinds: Vec<String>,
}
