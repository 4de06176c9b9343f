//! The order service: orders, and the sagas that carry them out (the orchestrator).
//!
//! An order and its saga change in the same commits, and so does the idempotency key of the client who placed it. The
//! price is the catalog's at the time of the order; stock and money belong to inventory and payment, and are spoken of
//! by the saga's id.
//!
//! It may run as replicas over one database: each saga is driven by one of them, and any answers for all.

mod api;
mod cancel;
mod keys;
pub mod model;
pub(crate) mod peers;
mod place;
mod saga;
mod scope;
pub mod store;
mod workflow;

use std::{io, sync::Arc, time::Duration};

use crate::{
    kit::{
        self, Code, Listed, Page, PeerPolicy, Problem, Store, StoreError,
        idempotency::keep_sweeping,
        saga::{self as engine, Engine},
        stale::Stale,
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
    service::{Service, service},
};

pub use api::{CancelByKey, PlaceOrder, PlaceReward, SetStatus};
pub use kit::saga::Execution;
pub(crate) use saga::SETTLED_LATER;
pub use scope::{LockScope, saga_lock};

/// How money is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaymentMode {
    /// A hold that is captured at the pivot: giving it up is free and immediate.
    #[default]
    TwoStep,
    /// A charge: giving it up takes a refund.
    OneStep,
}

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// How money is taken.
    pub payment: PaymentMode,
    /// Who says what an order's saga does next. Workflows are for one process, not for replicas.
    pub execution: Execution,
    /// How long a saga may take to come to its pivot.
    pub saga_deadline: Duration,
    /// Attempts of what can only succeed, before a saga needs a person's attention.
    pub saga_tries: u32,
    /// Time between two recoveries of sagas without a driver.
    pub recover_every: Duration,
    /// How long a replica may be silent before another one takes over its sagas.
    pub lease: Duration,
    /// How long a client waits for the end of the saga before it is told 202.
    pub answer_within: Duration,
    /// How much of a saga keeps other sagas off its product.
    pub lock_scope: LockScope,
    /// How the catalog is called.
    pub catalog_calls: PeerPolicy,
    /// The service that inventory is called through: its own name, or a gateway's in front of its replicas.
    pub inventory: String,
    /// How inventory is called.
    pub inventory_calls: PeerPolicy,
    /// How payment is called.
    pub payment_calls: PeerPolicy,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            bugs: Bugs::NONE,
            payment: PaymentMode::default(),
            execution: Execution::default(),
            saga_deadline: Duration::from_secs(60),
            saga_tries: engine::Config::default().tries,
            recover_every: Duration::from_secs(60),
            lease: Duration::from_secs(10),
            answer_within: Duration::from_secs(8),
            lock_scope: LockScope::default(),
            catalog_calls: PeerPolicy::internal(),
            inventory: "inventory".to_owned(),
            inventory_calls: PeerPolicy::internal(),
            payment_calls: PeerPolicy::payment(),
        }
    }
}

impl Config {
    /// How patient its sagas are.
    pub fn sagas(&self) -> engine::Config {
        engine::Config {
            bugs: self.bugs,
            deadline: self.saga_deadline,
            tries: self.saga_tries,
            recover_every: self.recover_every,
            lease: self.lease,
            execution: self.execution,
            ..engine::Config::default()
        }
    }
}

/// The service, as topologies list it.
pub const SERVICE: Service = service!(
    "order",
    [
        "/orders",
        "/api/orders",
        "/sagas",
        "/workflows",
        "/dead-letters"
    ]
);

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, store::FILE).await?.with(config.bugs);
    let orders = Orders::new(&platform, &store, config);
    platform.spawn("recovery", orders.engine.clone().keep_recovering());
    let purging = keep_sweeping(platform.clone(), store, store::KEYS, keys::is_over);
    platform.spawn("key-purge", purging);
    kit::http::serve(&platform, api::router(Arc::new(orders))).await
}

/// The service's state.
struct Orders {
    platform: Platform,
    store: Store,
    engine: Engine<saga::OrderSaga>,
    config: Config,
    lists: Stale<Listed<store::OrderRow>>,
}

impl Orders {
    fn new(platform: &Platform, store: &Store, config: Config) -> Self {
        let saga = saga::OrderSaga {
            peers: peers::Peers::new(platform, &config),
            scope: scope::Scope::new(platform, &config.lock_scope, config.bugs),
            platform: platform.clone(),
            store: store.clone(),
            bugs: config.bugs,
        };
        Orders {
            platform: platform.clone(),
            store: store.clone(),
            engine: Engine::new(platform, store, saga, config.sagas()),
            config,
            lists: Stale::default(),
        }
    }

    /// A read for a client. Only for the planted bug `replica-says-not-there` is what cannot be read not there.
    fn shown<T>(&self, read: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
        match read {
            Err(StoreError::Unreachable(_) | StoreError::Unknown(_))
                if self.config.bugs.has(Bug::ReplicaSaysNotThere) =>
            {
                Ok(None)
            }
            read => read,
        }
    }

    fn order(&self, id: &str) -> Result<store::OrderRow, Problem> {
        self.shown(self.store.read(|tx| tx.get(&store::ORDERS, id)))?
            .ok_or_else(|| Code::NotFound.because(format!("there is no order {id}")))
    }

    /// A user's orders, in the order of their ids.
    fn orders_of(&self, user: &str, page: &Page) -> Result<Listed<store::OrderRow>, StoreError> {
        self.lists.read(self.config.bugs, user, || {
            let index = (&store::ORDERS_OF_USER, &*format!("{user}/"));
            self.store
                .read(|rows| page.through(rows, index, &store::ORDERS))
        })
    }
}
