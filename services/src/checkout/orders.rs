//! The checkout service: stock, then balance, then coupon, then the order, undone in reverse; and what others are told once
//! it is complete.
//!
//! One code in several variants, from the design as it was first written down to one that survives: they differ in what
//! is remembered of a checkout under way ([`Variant`]) and in the weaknesses of their shape.

mod api;
pub mod lock;
pub mod model;
mod peers;
mod place;
mod saga;
pub mod store;

use std::{io, sync::Arc, time::Duration};

use crate::{
    kit::{
        self, Code, PeerPolicy, Problem, Store, StoreError,
        events::{Events, Subscription},
        executor::{Load, Size},
        idempotency::keep_sweeping,
        outbox,
        saga::{self as engine, Engine, Journal},
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
    service::{Service, service},
};

pub use place::PlaceOrder;
pub use saga::{ORDER_COMPLETED, PRODUCT_RANKING_UPDATE};

/// What is remembered of a checkout under way, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// Nothing: steps are called one after another, and undone only when a call *answers* "no". Unsound.
    Naive,
    /// A stack of compensations in memory: a crash forgets it. Unsound.
    InMemory,
    /// A durable journal: a row per saga, with its steps.
    #[default]
    Journal,
    /// An event store, with a projected read side.
    EventSourced,
    /// A durable journal; stock and balance are reserved at once under a lock per user.
    Parallel,
}

impl Variant {
    /// All of them.
    pub const ALL: [Variant; 5] = [
        Variant::Naive,
        Variant::InMemory,
        Variant::Journal,
        Variant::EventSourced,
        Variant::Parallel,
    ];

    /// What the variant lacks by its nature.
    fn bugs(self) -> &'static [Bug] {
        match self {
            Variant::Naive => &[Bug::NoJournal, Bug::UndoOnlyOnAnsweredNo],
            Variant::InMemory => &[Bug::NoJournal],
            Variant::Journal | Variant::EventSourced | Variant::Parallel => &[],
        }
    }
}

/// Which halves of a parallel step are undone when one of them was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rollback {
    /// Both, whatever is known of them.
    #[default]
    All,
    /// Those that were done or may have been.
    Needed,
}

/// The service, as topologies list it.
pub const SERVICE: Service = service!(
    "checkout",
    [
        "/checkouts",
        "/projections",
        "/sagas",
        "/dead-letters",
        "/outbox"
    ]
);

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// What is remembered of a checkout under way.
    pub variant: Variant,
    /// What is undone of a parallel step.
    pub rollback: Rollback,
    /// How long a saga may take to come to its pivot.
    pub saga_deadline: Duration,
    /// Time between two recoveries of sagas without a driver.
    pub recover_every: Duration,
    /// Attempts of an undo, the pivot or a step after it before a saga needs attention.
    pub tries: u32,
    /// How patient the outbox of what subscribers are told is.
    pub outbox: outbox::Policy,
    /// How long a client waits for the end of the saga before it is told 202.
    pub answer_within: Duration,
    /// Where the locks of users are kept, which a parallel step takes.
    pub user_locks: lock::Kept,
    /// How the other services are called.
    pub calls: PeerPolicy,
    /// Who is told of completed orders.
    pub subscriptions: Vec<Subscription>,
    /// What the subscribers' executors come to.
    pub load: Load,
}

/// The subscribers and the sizes of their executors.
pub const SUBSCRIPTIONS: [Subscription; 3] = [
    Subscription {
        subscriber: "dataplatform",
        kind: ORDER_COMPLETED,
        size: Size::ORDER_EVENTS,
    },
    Subscription {
        subscriber: "notification",
        kind: ORDER_COMPLETED,
        size: Size::ORDER_EVENTS,
    },
    Subscription {
        subscriber: "ranking",
        kind: PRODUCT_RANKING_UPDATE,
        size: Size::RANKING,
    },
];

impl Default for Config {
    fn default() -> Self {
        Config {
            bugs: Bugs::NONE,
            variant: Variant::default(),
            rollback: Rollback::default(),
            saga_deadline: Duration::from_secs(60),
            recover_every: Duration::from_secs(60),
            tries: engine::Config::default().tries,
            outbox: outbox::Policy::default(),
            answer_within: Duration::from_secs(8),
            user_locks: lock::Kept::default(),
            calls: PeerPolicy {
                timeout: Duration::from_secs(5),
                ..PeerPolicy::internal()
            },
            subscriptions: SUBSCRIPTIONS.to_vec(),
            load: Load::default(),
        }
    }
}

impl Config {
    /// How patient its sagas are, and what is remembered of them.
    pub fn sagas(&self) -> engine::Config {
        let forgotten = self.variant.bugs().iter().copied();
        engine::Config {
            bugs: forgotten.fold(self.bugs, Bugs::with),
            deadline: self.saga_deadline,
            recover_every: self.recover_every,
            tries: self.tries,
            journal: match self.variant {
                Variant::EventSourced => Journal::Facts,
                _ => Journal::State,
            },
            ..engine::Config::default()
        }
    }
}

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, store::FILE).await?.with(config.bugs);
    let checkouts = Checkouts::open(&platform, &store, config).await?;
    platform.spawn("recovery", checkouts.engine.clone().keep_recovering());
    let purging = keep_sweeping(platform.clone(), store, store::KEYS, place::is_over);
    platform.spawn("key-purge", purging);
    kit::http::serve(&platform, api::router(Arc::new(checkouts))).await
}

/// The service's state.
struct Checkouts {
    platform: Platform,
    store: Store,
    engine: Engine<saga::Checkout>,
    config: Config,
}

impl Checkouts {
    async fn open(platform: &Platform, store: &Store, config: Config) -> Result<Self, StoreError> {
        let bugs = config.bugs;
        let outbox = outbox::Config {
            bugs,
            policy: config.outbox.clone(),
            ..outbox::Config::default()
        };
        let (subscriptions, load) = (&config.subscriptions, &config.load);
        let events = Events::start(platform, store, outbox, subscriptions, load).await?;
        let locks = config.user_locks.open(platform, bugs);
        let saga = saga::Checkout {
            peers: peers::Peers::new(platform, &config, locks),
            events,
            platform: platform.clone(),
            store: store.clone(),
            bugs,
        };
        Ok(Checkouts {
            platform: platform.clone(),
            store: store.clone(),
            engine: Engine::new(platform, store, saga, config.sagas()),
            config,
        })
    }

    fn order(&self, id: &str) -> Result<store::OrderRow, Problem> {
        self.store
            .read(|tx| tx.get(&store::ORDERS, id))?
            .ok_or_else(|| Code::NotFound.because(format!("there is no order {id}")))
    }

    /// Makes the read side anew from the event store: sagas, orders and whose they are. Says how many orders there are.
    async fn rebuild(&self) -> Result<usize, Problem> {
        let clear = |tx: &mut kit::Writer<'_>| {
            for (id, _) in tx.scan(&store::ORDERS, "")? {
                tx.delete(&store::ORDERS, &id)?;
            }
            for (key, _) in tx.scan(&store::ORDERS_OF_USER, "")? {
                tx.delete(&store::ORDERS_OF_USER, &key)?;
            }
            Ok(())
        };
        let project = |tx: &mut kit::Writer<'_>, saga: &engine::SagaRecord<store::CheckoutData>| {
            let order = store::OrderRow::of(saga);
            let of_user = format!("{}/{}", order.user, order.id);
            tx.put(&store::ORDERS_OF_USER, &of_user, &order.id)?;
            tx.put(&store::ORDERS, &order.id, &order)
        };
        self.engine.rebuild(clear, project).await
    }
}
