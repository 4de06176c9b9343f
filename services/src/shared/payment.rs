//! The payment service: one payment per saga, in one step or in two, over the
//! [payment gateway](crate::shared::payment_provider).
//!
//! Every change is an intent first and a fact later, one commit each. In between, the outcome is unknown; it is settled
//! by asking the gateway again with the same key, never by guessing, at the first occasion: the caller's repeat, a
//! cancel, a webhook, the next boot, or the minutely reconciliation.

pub mod api;
mod gateway;
mod keyed_mutex;
mod keys;
pub mod model;
mod reconciler;
mod service;
mod store;
mod unsound;

use std::{io, sync::Arc};

use axum::Router;

pub use gateway::{CALLS_MAX, PERMIT_WAIT};
pub use model::{Action, Mode, Status};
pub use reconciler::EVERY as RECONCILED_EVERY;
pub(crate) use service::{Demand, Payments};
pub use store::{BY_ORDER, Order, PAYMENTS, Payment};

use crate::{
    kit::{Store, bulkhead::Permits, http, idempotency},
    planted_bug::Bugs,
    ports::Platform,
    service::{Service, service},
    shared::payment_provider::KeyStyle,
};

/// The file that holds the service's database.
pub const FILE: &str = "payment.redb";

/// What becomes of a call to the gateway while all permits are lent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beyond {
    /// It waits for [`PERMIT_WAIT`] and is refused then: `PG_THROTTLED`.
    #[default]
    Waits,
    /// It is queued, up to this many calls; beyond that, calls are refused at once.
    LinesUp(usize),
}

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The planted bugs that are on.
    pub bugs: Bugs,
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
            bugs: Bugs::NONE,
            gateway: "pg".to_owned(),
            gateway_style: KeyStyle::default(),
            permits: Permits::new(CALLS_MAX),
            beyond: Beyond::default(),
        }
    }
}

/// The service, as topologies list it.
pub const SERVICE: Service = service!("payment", ["/payments"]);

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
    let store = Store::open(platform, FILE).await?.with(config.bugs);
    idempotency::spawn_sweeper(platform, &store);
    let keys = keys::Keys::new(platform, store.clone());
    let book = store::Book::new(store, config.bugs).map_err(io::Error::other)?;
    let gateway = gateway::Gateway::new(platform, &config);
    let payments = Payments::new(platform, book, gateway, keys, config.bugs);
    let payments = Arc::new(payments);
    platform.spawn("payment-settler", reconciler::run(payments.clone()));
    let router = api::router(payments.clone());
    Ok((payments, router))
}
