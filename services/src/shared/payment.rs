//! The payment service: one payment per saga, in one step or in two, over the [payment gateway](crate::shared::pg).
//!
//! Every change is an intent first and a fact later, one commit each. In between, the outcome is unknown; it is settled
//! by asking the gateway again with the same key, never by guessing, and by whoever comes first: the caller's repeat, a
//! cancel, a webhook, the next boot, or the minute's look.

pub mod api;
mod choreography;
mod gateway;
mod keys;
pub mod model;
mod service;
mod settler;
mod store;
mod turns;
mod unsound;

use std::{io, sync::Arc};

pub use gateway::{Action, CALLS_MAX, PERMIT_WAIT};
pub use model::{Mode, Status};
pub use settler::EVERY as SETTLED_EVERY;
pub use store::{BY_ORDER, Order, PAYMENTS, Payment};

use crate::{
    gap::Gaps,
    kit::{Store, bulkhead::Permits, bus::Settings, http, idempotency},
    ports::Platform,
    service::Service,
    shared::pg::KeyStyle,
};

/// The file that holds the service's database.
pub const FILE: &str = "payment.redb";

/// What becomes of a call to the gateway while all permits are lent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beyond {
    /// It waits for [`PERMIT_WAIT`] and is refused then: `PG_THROTTLED`.
    #[default]
    Waits,
    /// It is buffered: it stands in line until its turn comes. At so many places, the next is refused at once.
    LinesUp(usize),
}

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Open weaknesses.
    pub gaps: Gaps,
    /// The gateway's name on the network.
    pub gateway: String,
    /// Which answers the gateway stores. One that stores errors repeats them, so they need another attempt's key.
    pub gateway_style: KeyStyle,
    /// Permits to call the gateway, [`CALLS_MAX`] of them. All are free when nothing is under way.
    pub permits: Permits,
    /// What becomes of a call to the gateway while all permits are lent.
    pub beyond: Beyond,
    /// How it takes part in choreographed orders, if it does.
    pub choreography: Option<Settings>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            gaps: Gaps::NONE,
            gateway: "pg".to_owned(),
            gateway_style: KeyStyle::default(),
            permits: Permits::new(CALLS_MAX),
            beyond: Beyond::default(),
            choreography: None,
        }
    }
}

/// The service, as topologies list it.
pub const SERVICE: Service = Service {
    name: "payment",
    paths: &["/payments"],
    run: |platform| Box::pin(run(platform, Config::default())),
    demo: &[],
};

/// Runs the service until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, FILE).await?.with(config.gaps);
    idempotency::spawn_sweeper(&platform, &store);
    let keys = keys::Keys::new(&platform, store.clone());
    let book = store::Book::new(store.clone(), config.gaps).map_err(io::Error::other)?;
    let gateway = gateway::Gateway::new(&platform, &config);
    let service = service::Service::new(&platform, book, gateway, keys, config.gaps);
    let service = Arc::new(service);
    platform.spawn("payment-settler", settler::run(service.clone()));
    let mut router = api::router(service.clone());
    if let Some(settings) = &config.choreography {
        router = router.merge(choreography::join(&platform, &store, service, settings).await?);
    }
    http::serve(&platform, router).await
}
