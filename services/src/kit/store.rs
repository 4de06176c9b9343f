//! Transactions over one embedded database per service.
//!
//! All logical tables are key ranges of one B-tree: a commit's cost grows with the trees that it touches.
//! A row is a text key and a JSON value. Writing is a closure that runs in one piece; what it returns as an error is
//! rolled back. A commit that fails is an unknown outcome: the process ends rather than answer for it.

mod endure;
mod file;
mod remote_rows;
mod rows;
mod server;
mod shared;

use std::{
    future::pending,
    io,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use redb::{Durability, ReadableDatabase, StorageBackend};
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;

use crate::{
    kit::lock,
    planted_bug::{Bug, Bugs},
    ports::{Platform, RowChange, ServerError},
};

use rows::Access;
pub use rows::{Reader, Writer};
use server::Served;
pub use shared::{Seat, Shared, host};

/// A logical table: its name and the type of its rows. Keys are text.
pub struct Table<V> {
    /// The name, unique within the service, without a NUL.
    pub name: &'static str,
    row: PhantomData<fn() -> V>,
}

impl<V> Clone for Table<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Table<V> {}

impl<V> Table<V> {
    /// Declares a table.
    pub const fn new(name: &'static str) -> Self {
        Table {
            name,
            row: PhantomData,
        }
    }
}

impl<V: DeserializeOwned> Table<V> {
    /// Decodes a stored row.
    pub fn decode(&self, value: &[u8]) -> Result<V, StoreError> {
        super::json::parse(value)
            .map_err(|e| StoreError::Corrupt(format!("table {}: {e}", self.name)))
    }
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is damaged or of another program.
    #[error(
        "the database is damaged: {0}; restore it from a backup, or move the file away to begin anew"
    )]
    Corrupt(String),
    /// The disk refused.
    #[error("the disk refused: {0}")]
    Io(String),
    /// A row cannot be read at present: neither its existence nor its content is known.
    #[error("a row cannot be read: {0}")]
    Unreadable(String),
    /// A database that replicas share is away: nothing was done.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The outcome of a transaction on a shared database is not known.
    #[error("the outcome of the transaction is not known: {0}")]
    Unknown(String),
    /// The database server refused, and would again.
    #[error("the database server refused: {0}")]
    Refused(String),
}

impl From<ServerError> for StoreError {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Conflict => StoreError::Unreachable(error.to_string()),
            ServerError::Unreachable(why) => StoreError::Unreachable(why),
            ServerError::Unknown(why) => StoreError::Unknown(why),
            ServerError::Refused(why) => StoreError::Refused(why),
        }
    }
}

impl From<StoreError> for super::Problem {
    fn from(error: StoreError) -> Self {
        if error.may_pass() {
            tracing::info!(%error, "store");
            let detail = format!("{error}; repeat the request with the same Idempotency-Key");
            return super::Code::ServiceUnavailable.because(detail);
        }
        tracing::error!(%error, "store");
        super::Code::Internal.because("the service could not read its own state")
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        io::Error::other(error)
    }
}

impl StoreError {
    /// Whether the same may succeed a while later.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            StoreError::Unreadable(_) | StoreError::Unreachable(_) | StoreError::Unknown(_)
        )
    }
}

/// Every row of a database: table, key and value, in that order.
pub type Dump = Vec<(String, String, Vec<u8>)>;

/// All rows of a database file that no process has open. The file may be brought into a consistent state (recovery
/// after a crash), so give it a copy of anything that must not change. An empty file has no rows.
pub fn dump(backend: Box<dyn StorageBackend>) -> Result<Dump, StoreError> {
    let database = file::open_database(backend, false)?;
    let rows = rows::dump(&database);
    file::abandon(database);
    rows
}

/// A service's database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    place: Place,
}

#[derive(Clone)]
enum Place {
    /// In this process.
    Own(Arc<Inner>),
    /// Where others transact too.
    Shared(Shared, Platform),
    /// On a database server.
    Server(Arc<Served>),
}

struct Inner {
    database: file::Open,
    file: String,
    platform: Platform,
    feed: broadcast::Sender<Commit>,
    /// For the planted bug `unreadable-is-absent`.
    unreadable_is_absent: AtomicBool,
}

/// What a transaction does. Boxed at once: futures that carry it are moved often.
type Work<T, E> = Box<dyn Transact<T, E>>;

/// It is done once, unless a database server asks for it again: then a copy of what it took along does it.
trait Transact<T, E>: Send {
    fn run(self: Box<Self>, writer: &mut Writer<'_>) -> Result<T, E>;
    fn again(&self) -> Work<T, E>;
}

impl<T, E, F> Transact<T, E> for F
where
    F: FnOnce(&mut Writer<'_>) -> Result<T, E> + Clone + Send + 'static,
{
    fn run(self: Box<Self>, writer: &mut Writer<'_>) -> Result<T, E> {
        self(writer)
    }
    fn again(&self) -> Work<T, E> {
        Box::new(self.clone())
    }
}

/// The rows that one commit changed, each once.
pub type Commit = Arc<[RowChange]>;

/// Commits that a reader of the [feed](Store::feed) may be behind before it misses some.
const FEED_COMMITS_MAX: usize = 256;

impl Store {
    /// Opens the service's database, creating it under a temporary name first.
    ///
    /// One that the platform shares with others is opened where it is: see [`host`].
    pub async fn open(platform: &Platform, file: &str) -> Result<Store, StoreError> {
        let shared = platform.storage.shared();
        if let Some(shared) = shared.and_then(|shared| shared.downcast::<Shared>().ok()) {
            return Ok(Store {
                place: Place::Shared((*shared).clone(), platform.clone()),
            });
        }
        if let Some(server) = platform.storage.server() {
            let place = Place::Server(Served::open(platform, server, file).await?);
            return Store { place }.told(platform, file);
        }
        let (storage, name) = (platform.storage.clone(), file.to_owned());
        let database = run_in_storage(platform, move || file::Open::file(storage, &name)).await?;
        let store = Store {
            place: Place::Own(Arc::new(Inner {
                database,
                file: file.to_owned(),
                platform: platform.clone(),
                feed: broadcast::Sender::new(FEED_COMMITS_MAX),
                unreadable_is_absent: AtomicBool::new(false),
            })),
        };
        store.told(platform, file)
    }

    /// The store, once whoever follows it knows what is there.
    fn told(self, platform: &Platform, file: &str) -> Result<Store, StoreError> {
        if platform.storage.is_followed() {
            platform.storage.found(file, &self.dump()?);
        }
        Ok(self)
    }

    /// The store as a service with these bugs uses it.
    pub fn with(self, bugs: Bugs) -> Store {
        if bugs.has(Bug::UnreadableIsAbsent)
            && let Place::Own(inner) = &self.place
        {
            inner.unreadable_is_absent.store(true, Relaxed);
        }
        self
    }

    /// Whether others transact over the same database.
    pub fn is_shared(&self) -> bool {
        match &self.place {
            Place::Own(_) => false,
            Place::Shared(..) => true,
            Place::Server(served) => served.is_shared(),
        }
    }

    /// Runs `work` in a transaction and commits it durably. An `Err` rolls back. On a database server a copy of it
    /// may run again, if other transactions came in between.
    ///
    /// A transaction that changes nothing commits nothing. If the disk refuses, nobody can tell whether the commit
    /// will be there after a restart: the process is failed, and this future never resolves.
    pub fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, E> + Clone + Send + 'static,
    ) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.transact(Durability::Immediate, Box::new(work))
    }

    /// Like `write`, but with the planted bug `commit-without-sync` the commit is not synced: a power loss may undo it.
    pub fn commit<T, E>(
        &self,
        bugs: Bugs,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, E> + Clone + Send + 'static,
    ) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let durability = match bugs.has(Bug::CommitWithoutSync) {
            true => Durability::None,
            false => Durability::Immediate,
        };
        self.transact(durability, Box::new(work))
    }

    /// Reads at one instant. After a read that the disk refused, the process is failed: the engine trusts a disk no
    /// more that has refused it once.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, E>,
    ) -> Result<T, E> {
        match &self.place {
            Place::Server(served) => served.read(work),
            _ => self.at_hand()?.read(work),
        }
    }

    /// Every commit from now on, in their order: what change data capture tails. A reader that falls behind is told
    /// so, and has to read the tables. The feed of a database that is down has ended. That of one on a server which
    /// others transact over tells the commits of this process.
    pub fn feed(&self) -> broadcast::Receiver<Commit> {
        match (&self.place, self.at_hand()) {
            (Place::Server(served), _) => served.feed.subscribe(),
            (_, Ok(inner)) => inner.feed.subscribe(),
            (_, Err(_)) => broadcast::Sender::new(1).subscribe(),
        }
    }

    /// All rows, for tests and audits.
    pub fn dump(&self) -> Result<Dump, StoreError> {
        match &self.place {
            Place::Server(served) => served.dump(),
            _ => rows::dump(&self.at_hand()?.database),
        }
    }

    fn at_hand(&self) -> Result<Arc<Inner>, StoreError> {
        match &self.place {
            Place::Own(inner) => Ok(inner.clone()),
            Place::Shared(shared, _) => shared.seat.database(),
            Place::Server(_) => Err(StoreError::Refused("it keeps the rows itself".to_owned())),
        }
    }

    async fn transact<T, E>(&self, durability: Durability, work: Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match &self.place {
            Place::Own(inner) => Inner::transact(inner.clone(), durability, work).await,
            Place::Server(served) => served.transact(work).await,
            Place::Shared(shared, platform) => {
                let slot = Arc::new(Mutex::new(None));
                let answer = slot.clone();
                let job = shared::spanned(move |inner| {
                    Box::pin(async move {
                        let result = Inner::transact(inner, durability, work).await;
                        *lock(&answer) = Some(result);
                    })
                });
                shared.carry(platform, job).await?;
                let result = lock(&slot).take();
                result.unwrap_or_else(|| {
                    let lost = "it was lost on its way".to_owned();
                    Err(StoreError::Unknown(lost).into())
                })
            }
        }
    }
}

impl Inner {
    async fn transact<T, E>(
        self: Arc<Self>,
        durability: Durability,
        work: Work<T, E>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let inner = self.clone();
        let job = move || inner.transact_now(durability, work);
        match run_in_storage(&self.platform, job).await {
            Ended::Answered(result) => result,
            Ended::Panicked(panic) => resume_unwind(panic),
            Ended::DiskRefused(error) => {
                self.refused(error);
                pending().await
            }
        }
    }

    fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, E>,
    ) -> Result<T, E> {
        let reader = Reader::begin(&self.database, self.access()).map_err(|e| self.refused(e))?;
        let result = work(&reader);
        if let Some(error) = reader.refusal() {
            self.refused(StoreError::Io(error));
        }
        result
    }

    fn transact_now<T, E>(&self, durability: Durability, work: Work<T, E>) -> Ended<T, E> {
        // While something reads, redb leaves the pages that a commit replaces to the next commit. With no reader it
        // frees them at once, by a second commit in memory that takes a quarter of the time of the first.
        let reading = match self.database.begin_read() {
            Ok(reading) => reading,
            Err(error) => return Ended::DiskRefused(StoreError::Io(error.to_string())),
        };
        let mut transaction = match self.database.begin_write() {
            Ok(transaction) => transaction,
            Err(error) => return Ended::DiskRefused(StoreError::Io(error.to_string())),
        };
        if let Err(error) = transaction.set_durability(durability) {
            return Ended::DiskRefused(StoreError::Io(error.to_string()));
        }
        let (result, changes, refusal) = {
            let mut writer = match Writer::begin(&transaction, self.access()) {
                Ok(writer) => writer,
                Err(error) => return Ended::DiskRefused(error),
            };
            // Caught, so that the transaction is rolled back in order: one dropped by an unwinding thread marks the
            // database for repair.
            let result = catch_unwind(AssertUnwindSafe(|| work.run(&mut writer)));
            let (changes, refusal) = writer.into_outcome();
            (result, changes, refusal)
        };
        if let Some(reason) = refusal {
            return Ended::DiskRefused(StoreError::Io(reason));
        }
        let commits = matches!(result, Ok(Ok(_))) && !changes.is_empty();
        let ended = if commits {
            let storage = &self.platform.storage;
            storage.committing(&self.file, &changes);
            transaction.commit().map_err(|error| error.to_string())
        } else {
            transaction.abort().map_err(|error| error.to_string())
        };
        drop(reading);
        if let Err(reason) = ended {
            return Ended::DiskRefused(StoreError::Io(reason));
        }
        if commits {
            self.report(changes);
        }
        match result {
            Ok(result) => Ended::Answered(result),
            Err(panic) => Ended::Panicked(panic),
        }
    }

    fn access(&self) -> Access {
        Access {
            storage: self.platform.storage.clone(),
            unreadable_is_absent: self.unreadable_is_absent.load(Relaxed),
        }
    }

    fn report(&self, changes: Vec<RowChange>) {
        let Inner {
            platform,
            file,
            feed,
            ..
        } = self;
        platform.storage.committed(file, &changes);
        if feed.receiver_count() > 0 {
            // Nobody listens any more only if the last reader has just gone.
            let _ = feed.send(changes.into());
        }
    }

    fn refused(&self, error: StoreError) -> StoreError {
        let Inner { platform, file, .. } = self;
        tracing::error!(%error, file, "the outcome of a transaction is unknown");
        platform.process.fail(&format!("{file}: {error}"));
        error
    }
}

/// How a transaction ended.
enum Ended<T, E> {
    Answered(Result<T, E>),
    Panicked(Box<dyn std::any::Any + Send>),
    DiskRefused(StoreError),
}

/// Runs a job where the platform runs transactions, within the caller's span. Never resolves if the platform drops
/// the job: it does so only when the process is ending.
async fn run_in_storage<R: Send + 'static>(
    platform: &Platform,
    job: impl FnOnce() -> R + Send + 'static,
) -> R {
    let slot = Arc::new(Mutex::new(None));
    let (span, answer) = (tracing::Span::current(), slot.clone());
    platform
        .storage
        .execute(Box::new(move || {
            let _entered = span.enter();
            let result = job();
            *lock(&answer) = Some(result);
        }))
        .await;
    let result = lock(&slot).take();
    match result {
        Some(result) => result,
        None => pending().await,
    }
}
