//! The inventory service: stock per product, reservations, semantic locks.
//!
//! Everything that one request does happens in one transaction: the idempotency record, the reservation, the units
//! and the semantic lock change together or not at all. A product in the hands of one saga is refused to every
//! other until that saga confirms or cancels; a lock that its saga left behind is swept.

mod api;
mod commands;
pub mod model;
mod note;
pub mod store;
mod sweeper;

use std::{io, sync::Arc, time::Duration};

use axum::http::StatusCode;
use serde::Serialize;
use tokio::sync::Notify;

use crate::{
    infrastructure::lock,
    kit::{
        self, Code, Context, Problem, Store, StoreError, Writer,
        http::IdempotencyKey,
        idempotency::{self, Request, StoredAnswer},
        lease::{Lease, LeasePolicy, Leases, product_lock},
        reservation::{Reserving, forgets_releases},
        stale::Stale,
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
    service::{Demo, Service, service},
};
use commands::{Commands, Remembered};
use note::Note;
use store::{PRODUCTS, Product, RESERVATIONS, Reservation};

pub use api::{Cancel, Create, Restock};
pub use commands::Reserve;

pub use crate::kit::lease::Locking;

type Key = Option<IdempotencyKey>;

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// Age from which a semantic lock is looked at by the sweeper.
    pub lock_age: Duration,
    /// Time between two looks.
    pub sweep_every: Duration,
    /// The service that knows whether a saga has ended (`GET /sagas/{id}`).
    pub orchestrator: String,
    /// Whether a product in the hands of one saga is refused to every other. Not needed where sagas hold a lock of
    /// their own on the product.
    pub semantic_lock: bool,
    /// How operations on a product keep out of each other's way. One process over a database of its own needs nothing
    /// but its transactions; replicas that read in one and write in another do.
    pub locking: Locking,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            bugs: Bugs::NONE,
            lock_age: Duration::from_secs(30 * 60),
            sweep_every: Duration::from_secs(60),
            orchestrator: "order".to_owned(),
            semantic_lock: true,
            locking: Locking::default(),
        }
    }
}

impl Config {
    /// Operations on a product under leases of the service `lock`, held as published.
    pub fn under_leases() -> Self {
        Config {
            locking: Locking::Leases {
                service: lock::SERVICE.name.to_owned(),
                policy: LeasePolicy::default(),
            },
            ..Config::default()
        }
    }
}

/// The service, as topologies list it.
pub const SERVICE: Service = Service {
    demo: &[Demo {
        list: "/inventory",
        puts: &[
            ("/inventory/1", r#"{"stock": 100}"#),
            ("/inventory/2", r#"{"stock": 100}"#),
            ("/inventory/3", r#"{"stock": 20}"#),
            ("/inventory/4", r#"{"stock": 1}"#),
        ],
    }],
    ..service!("inventory", ["/inventory"])
};

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, store::FILE).await?.with(config.bugs);
    idempotency::spawn_sweeper(&platform, &store);
    let inventory = Inventory::start(platform.clone(), store, config);
    kit::http::serve(&platform, api::router(inventory)).await
}

/// The service's state.
struct Inventory {
    platform: Platform,
    store: Store,
    config: Config,
    leases: Option<Leases>,
    shown: Stale<Option<Product>>,
    /// Told of each lock that is taken.
    locked: Notify,
}

impl Inventory {
    fn start(platform: Platform, store: Store, config: Config) -> Arc<Self> {
        let leases = config.locking.leases(&platform, config.bugs);
        let inventory = Arc::new(Inventory {
            platform,
            store,
            leases,
            config,
            shown: Stale::default(),
            locked: Notify::new(),
        });
        let unswept = [
            Bug::SemanticLockNeverSwept,
            Bug::LockFailureInCompensationGivesUp,
        ];
        if !unswept.iter().any(|bug| inventory.config.bugs.has(*bug)) {
            inventory
                .platform
                .spawn("sweeper", sweeper::sweep(inventory.clone()));
        }
        inventory
    }

    fn product(&self, sku: &str) -> Result<Option<Product>, StoreError> {
        self.store.read(|rows| rows.get(&PRODUCTS, sku))
    }

    /// The product as readers see it.
    fn show(&self, sku: &str) -> Result<Option<Product>, StoreError> {
        let bugs = self.config.bugs;
        self.shown.read(bugs, sku, || self.product(sku))
    }

    fn reservation(&self, saga_id: &str) -> Result<Option<Reservation>, StoreError> {
        self.store.read(|rows| rows.get(&RESERVATIONS, saga_id))
    }

    async fn create(&self, sku: String, stock: u64) -> Result<Product, Problem> {
        self.write(Remembered::Nothing, move |tx| tx.create(&sku, stock))
            .await
    }

    async fn restock(
        &self,
        context: &Context,
        key: Key,
        sku: String,
        restock: Restock,
    ) -> Result<StoredAnswer, Problem> {
        let product = self.leases.is_some().then(|| sku.clone());
        self.guarded(context, product, false, async |remembered| {
            let request = self.request("restock", key, &(&sku, &restock))?;
            let Restock { quantity, version } = restock;
            let work = move |tx: &mut Commands<'_, '_>| tx.restock(&sku, quantity, version);
            self.once(&request, StatusCode::OK, remembered, work).await
        })
        .await
    }

    async fn reserve(
        &self,
        context: &Context,
        key: Key,
        ask: Reserve,
    ) -> Result<StoredAnswer, Problem> {
        let product = Some(ask.sku.clone());
        if self.config.bugs.has(Bug::SemanticLockNeverSwept) {
            let ask = ask.clone();
            self.write(Remembered::Nothing, move |tx| tx.acquire(&ask))
                .await?;
        }
        let answer = self.guarded(context, product, true, async |remembered| {
            let request = self.request("reserve", key, &ask)?;
            let work = move |tx: &mut Commands<'_, '_>| tx.reserve(&ask);
            self.once(&request, StatusCode::CREATED, remembered, work)
                .await
        });
        let answer = answer.await;
        self.locked.notify_one();
        answer
    }

    async fn confirm(
        &self,
        context: &Context,
        key: Key,
        saga_id: String,
    ) -> Result<StoredAnswer, Problem> {
        let product = self.sku_of(&saga_id)?;
        self.guarded(context, product, false, async |remembered| {
            let request = self.request("confirm", key, &saga_id)?;
            let work = move |tx: &mut Commands<'_, '_>| tx.confirm(&saga_id);
            self.once(&request, StatusCode::OK, remembered, work).await
        })
        .await
    }

    async fn cancel(
        &self,
        context: &Context,
        key: Key,
        saga_id: String,
        sku: Option<String>,
    ) -> Result<StoredAnswer, Problem> {
        let product = self
            .sku_of(&saga_id)?
            .or_else(|| self.leases.as_ref().and(sku.clone()));
        let cancelled = self.guarded(context, product, false, async |remembered| {
            let request = self.request("cancel", key, &saga_id)?;
            let work = move |tx: &mut Commands<'_, '_>| tx.cancel(&saga_id, sku);
            self.once(&request, StatusCode::OK, remembered, work).await
        });
        match cancelled.await {
            Err(why)
                if why.code == Code::LockNotAcquired
                    && self.config.bugs.has(Bug::LockFailureInCompensationGivesUp) =>
            {
                tracing::error!(%why, "cancel failed");
                Ok(StoredAnswer::new(StatusCode::OK, &why.body())?)
            }
            cancelled => cancelled,
        }
    }

    /// The product that a saga has reserved, if anybody looks at it before the transaction.
    fn sku_of(&self, saga_id: &str) -> Result<Option<String>, StoreError> {
        if self.leases.is_none() && !self.config.bugs.has(Bug::NoVersionCheck) {
            return Ok(None);
        }
        let reservation = self.reservation(saga_id)?;
        Ok(reservation
            .map(|reservation| reservation.what.sku)
            .filter(|sku| !sku.is_empty()))
    }

    /// Work on a product, which keeps others out of its way as the policy says. `taking` is whether it takes units.
    async fn guarded(
        &self,
        context: &Context,
        sku: Option<String>,
        taking: bool,
        work: impl AsyncFnOnce(Remembered) -> Result<StoredAnswer, Problem>,
    ) -> Result<StoredAnswer, Problem> {
        let (Some(leases), Some(sku)) = (&self.leases, &sku) else {
            let remembered = match &sku {
                Some(sku) => self.remember(sku, taking)?,
                None => Remembered::Nothing,
            };
            return work(remembered).await;
        };
        let mut lease = Some(leases.acquire(context, &product_lock(sku)).await?);
        let token = lease.as_ref().map_or(0, Lease::token);
        let done = async {
            let product = self.product(sku)?;
            if self.config.bugs.has(Bug::ReleaseBeforeCommit)
                && let Some(lease) = lease.take()
            {
                lease.release().await;
            }
            let leased = |product| Remembered::Leased { product, token };
            work(product.map_or(Remembered::Nothing, leased)).await
        };
        let done = leases.limit(done).await;
        if let Some(lease) = lease.take() {
            lease.release().await;
        }
        done
    }

    /// What a request looks at before its transaction begins: nothing, unless a bug says so.
    fn remember(&self, sku: &str, taking: bool) -> Result<Remembered, StoreError> {
        let bugs = self.config.bugs;
        if !bugs.has(Bug::NoVersionCheck) && !bugs.has(Bug::CheckThenActStock) {
            return Ok(Remembered::Nothing);
        }
        Ok(match self.product(sku)? {
            Some(product) if bugs.has(Bug::NoVersionCheck) => Remembered::Row(product),
            Some(product) if taking => Remembered::OnHand(product.units.on_hand),
            _ => Remembered::Nothing,
        })
    }

    /// Runs `work` in one transaction and tells what it did.
    async fn write<T: Send + 'static>(
        &self,
        remembered: Remembered,
        work: impl FnOnce(&mut Commands<'_, '_>) -> Result<T, Problem> + Clone + Send + 'static,
    ) -> Result<T, Problem> {
        let (bugs, now_ms) = (self.config.bugs, self.platform.clock.now_ms());
        let semantic_lock = self.config.semantic_lock;
        let transaction = move |tx: &mut Writer<'_>| {
            let mut commands = Commands {
                tx,
                bugs,
                semantic_lock,
                now_ms,
                remembered,
                note: None,
            };
            work(&mut commands).map(|done| (done, commands.note))
        };
        let (done, note) = self.store.commit(bugs, transaction).await?;
        note.iter().for_each(Note::tell);
        Ok(done)
    }

    /// What a key says of a request.
    ///
    /// # Errors
    /// `IDEMPOTENCY_KEY_MISSING` if there is none and one is needed.
    fn request(
        &self,
        operation: &'static str,
        key: Key,
        request: &impl Serialize,
    ) -> Result<Request, Problem> {
        let bugs = self.config.bugs;
        let key = match key {
            _ if bugs.has(Bug::NoKey) => None,
            _ if forgets_releases(bugs) && operation == "reserve" => None,
            Some(key) => Some(key),
            None => return Err(IdempotencyKey::missing()),
        };
        Ok(Request::new(operation, key, request))
    }

    /// Runs `work` once per key: the answer is kept in the very commit that has the effect, if it is one to be kept.
    async fn once<T: Serialize>(
        &self,
        request: &Request,
        success: StatusCode,
        remembered: Remembered,
        work: impl FnOnce(&mut Commands<'_, '_>) -> Result<T, Problem> + Clone + Send + 'static,
    ) -> Result<StoredAnswer, Problem> {
        let boot_id = self.platform.process.boot_id();
        let keep_later = self.config.bugs.has(Bug::KeyStoredAfterEffect);
        let once = request.clone();
        let answer = self.write(remembered, move |commands| {
            if let Some(answer) = once.begin(commands.tx, boot_id, commands.now_ms)? {
                return Ok((answer, false));
            }
            let answer = StoredAnswer::of(success, work(commands))?;
            if !keep_later {
                once.finish(commands.tx, &answer, commands.now_ms)?;
            }
            Ok((answer, true))
        });
        let (answer, fresh) = answer.await?;
        if fresh && keep_later {
            let (request, answer) = (request.clone(), answer.clone());
            self.write(Remembered::Nothing, move |commands| {
                Ok(request.finish(commands.tx, &answer, commands.now_ms)?)
            })
            .await?;
        }
        Ok(answer)
    }
}
