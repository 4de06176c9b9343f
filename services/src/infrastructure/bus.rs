//! The bus: two ways for events to travel, side by side.
//!
//! *Streams* are durable logs, one per topic. An append is idempotent by the event's id; a topic has [`PARTITIONS`]
//! partitions by key; each group of consumers has its own place in every partition, at most one pending delivery in each,
//! and gets an event again if it is not settled within the [visibility timeout](Config::visibility). An append is durable
//! before it is answered. Where the groups are is stored [a little later](Config::places_every), with the next append if
//! one comes first: when the process ends, what was settled just before is delivered again, and a group that had its
//! first delivery just before is new again.
//!
//! *Channels* are publish/subscribe: a subscriber is known in memory only, for the length of a lease; each is told once,
//! and nobody learns whether it heard. No subscriber, no message.
//!
//! It is one node: while it is away nothing travels, and nothing that it has accepted into a stream is lost.

mod api;
mod behaviour;
mod channels;
mod log;
pub mod store;
mod streams;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    kit::{self, Store},
    ports::Platform,
    service::{Service, service},
};
use channels::Channels;
use log::Log;

pub use api::{Appended, GroupView};
pub use behaviour::{Behaviour, Fault};

/// The service, as topologies list it.
pub const SERVICE: Service = service!("bus", []);

/// Partitions of a topic.
pub const PARTITIONS: u32 = 16;

/// How long a stream keeps an event that every group is done with. One that some group still waits for is kept longer.
pub const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a subscription to a channel lasts unless it is renewed.
pub const LEASE: Duration = Duration::from_secs(30);

/// The largest event, in bytes of its body as JSON.
pub const EVENT_BYTES_MAX: usize = 16 << 10;

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a delivery is invisible to other readers of its group.
    pub visibility: Duration,
    /// How long a delivery or a settlement may wait until it is durable.
    pub places_every: Duration,
    /// How long settled events are kept.
    pub retention: Duration,
    /// How often old events are looked for.
    pub trim_every: Duration,
    /// How it misbehaves.
    pub behaviour: Arc<Behaviour>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            visibility: Duration::from_secs(10),
            places_every: Duration::from_secs(1),
            retention: RETENTION,
            trim_every: Duration::from_secs(60 * 60),
            behaviour: Arc::default(),
        }
    }
}

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, store::FILE).await?;
    let log = Log::read(&store)?;
    let bus = Arc::new(Bus {
        log: Arc::new(Mutex::new(log)),
        channels: Channels::new(&platform),
        memory: Mutex::default(),
        appended: Notify::new(),
        moved: Notify::new(),
        platform: platform.clone(),
        store,
        config,
    });
    platform.spawn("places", streams::keep_places(bus.clone()));
    platform.spawn("trimmer", streams::keep_trimming(bus.clone()));
    kit::http::serve(&platform, api::router(bus)).await
}

/// The service's state.
struct Bus {
    platform: Platform,
    store: Store,
    config: Config,
    /// What the store says, and what only this life of the process knows.
    log: Arc<Mutex<Log>>,
    channels: Channels,
    /// What clients asked to be remembered for as long as this process lives.
    memory: Mutex<BTreeMap<String, serde_json::Value>>,
    /// Told whenever something may be delivered that could not be before.
    appended: Notify,
    /// Told whenever a group's place is to be stored.
    moved: Notify,
}
