//! The payment service: one payment per saga, in one step or in two, over the [payment gateway](crate::shared::pg).
//!
//! Every change is an intent first and a fact later, one commit each. In between, the outcome is unknown; it is settled
//! by asking the gateway again with the same key, never by guessing, and by whoever comes first: the caller's repeat, a
//! cancel, a webhook, the next boot, or the minute's look.

pub mod api;
mod gateway;
mod keys;
pub mod model;
mod service;
mod settler;
mod store;
mod turns;
mod unsound;

use std::{io, sync::Arc};

use axum::Router;

pub use gateway::{CALLS_MAX, PERMIT_WAIT};
pub use model::{Action, Mode, Status};
pub(crate) use service::{Demand, Payments};
pub use settler::EVERY as SETTLED_EVERY;
pub use store::{BY_ORDER, Order, PAYMENTS, Payment};

use crate::{
    gap::Gaps,
    kit::{Store, bulkhead::Permits, http, idempotency},
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
}

impl Default for Config {
    fn default() -> Self {
        Config {
            gaps: Gaps::NONE,
            gateway: "pg".to_owned(),
            gateway_style: KeyStyle::default(),
            permits: Permits::new(CALLS_MAX),
            beyond: Beyond::default(),
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
    let (_, router) = open(&platform, config).await?;
    http::serve(&platform, router).await
}

/// The service and its routes, for a service that does more with them.
pub(crate) async fn open(
    platform: &Platform,
    config: Config,
) -> io::Result<(Arc<Payments>, Router)> {
    let store = Store::open(platform, FILE).await?.with(config.gaps);
    idempotency::spawn_sweeper(platform, &store);
    let keys = keys::Keys::new(platform, store.clone());
    let book = store::Book::new(store, config.gaps).map_err(io::Error::other)?;
    let gateway = gateway::Gateway::new(platform, &config);
    let payments = Payments::new(platform, book, gateway, keys, config.gaps);
    let payments = Arc::new(payments);
    platform.spawn("payment-settler", settler::run(payments.clone()));
    let router = api::router(payments.clone());
    Ok((payments, router))
}
