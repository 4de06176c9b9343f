//! The challenge service: who completes a challenge is rewarded with an order in the shop.
//!
//! It has its own database and its own [saga](reward); the shop knows nothing of challenges. What it shows of a reward
//! comes from the catalog in one of three [modes](sync).
//!
//! Rewards that a person must look at are found and redriven at its own port, under `/dead-letters`: behind the gateway
//! that path is the order service's.

mod api;
mod complete;
pub mod model;
pub mod reward;
pub mod store;
pub mod sync;

use std::{io, sync::Arc, time::Duration};

use crate::{
    kit::{self, Peer, PeerPolicy, Store, idempotency, saga},
    planted_bug::Bugs,
    ports::Platform,
    service::{Service, service},
};
use reward::Reward;
use sync::{Mode, Transport, View, transport};

pub use api::{Complete, Put, Switch};

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// How copies of products are kept, until `PUT /sync` changes it.
    pub sync: Mode,
    /// How notices come in the mode `events`, until the same.
    pub transport: Transport,
    /// The bus's name; without one, notices can only come by webhook.
    pub bus: Option<String>,
    /// How long a cached copy is fresh.
    pub ttl: Duration,
    /// Up to which age a copy is shown during an outage of the catalog, marked stale.
    pub stale_limit: Duration,
    /// The catalog's name.
    pub catalog: String,
    /// The name of the service that takes reward orders.
    pub shop: String,
    /// Users whose id begins so are refused at the very last step, when their completion is saved.
    pub barred: Option<String>,
    /// How long a client waits for the end of the saga before it is told 202.
    pub answer_within: Duration,
    /// The patience of the reward saga; its bugs are replaced by [`bugs`](Self::bugs).
    pub saga: saga::Config,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            bugs: Bugs::NONE,
            sync: Mode::default(),
            transport: Transport::default(),
            bus: None,
            ttl: Duration::from_secs(5 * 60),
            stale_limit: Duration::from_secs(60 * 60),
            catalog: "catalog".to_owned(),
            shop: "order".to_owned(),
            barred: None,
            answer_within: Duration::from_secs(8),
            saga: saga::Config::default(),
        }
    }
}

/// An order's answer includes its stock's: the shop waits up to 10 s for another order of the same product.
fn shop_policy() -> PeerPolicy {
    PeerPolicy {
        attempts: 2,
        timeout: Duration::from_secs(15),
        ..PeerPolicy::internal()
    }
}

/// The service, as topologies list it.
pub const SERVICE: Service = service!("challenge", ["/challenges"]);

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, store::FILE).await?.with(config.bugs);
    let reward = Reward {
        platform: platform.clone(),
        shop: Peer::new(&platform, &config.shop, shop_policy()),
        barred: config.barred,
    };
    let patience = saga::Config {
        bugs: config.bugs,
        ..config.saga
    };
    let sagas = saga::Engine::new(&platform, &store, reward, patience);
    platform.spawn("recovery", sagas.clone().keep_recovering());
    idempotency::spawn_sweeper(&platform, &store);
    if config.bus.is_none() && config.transport != Transport::Webhook {
        return Err(io::Error::other(
            "product notices are to come over a bus, and none is named: name one, or let them come by webhook",
        ));
    }
    let view = Arc::new(View {
        catalog: Peer::new(&platform, &config.catalog, PeerPolicy::internal()),
        platform: platform.clone(),
        store: store.clone(),
        bugs: config.bugs,
        ttl: config.ttl,
        stale_limit: config.stale_limit,
        initial: (config.sync, config.transport),
        has_bus: config.bus.is_some(),
        fetched: Default::default(),
    });
    view.begin().await?;
    let heard = config
        .bus
        .map(|bus| transport::listen(&platform, &store, config.bugs, &bus, &view));
    let challenges = Arc::new(Challenges {
        platform: platform.clone(),
        store,
        sagas,
        view,
        answer_within: config.answer_within,
    });
    let routes = api::router(challenges).merge(heard.unwrap_or_default());
    kit::http::serve(&platform, routes).await
}

/// The service's state.
struct Challenges {
    platform: Platform,
    store: Store,
    sagas: saga::Engine<Reward>,
    view: Arc<View>,
    answer_within: Duration,
}
