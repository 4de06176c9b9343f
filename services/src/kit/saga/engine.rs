//! Starting, awaiting, cancelling, recovering and redriving sagas.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::{Notify, oneshot, watch};

use super::{
    Event, Saga, SagaRecord, Status,
    policy::{Config, Defences},
};
use crate::{
    kit::{Code, Context, Problem, Store, StoreError, Table, Writer},
    ports::Platform,
};

/// The journal. One store holds the sagas of one [`Engine`].
pub const fn table<D>() -> Table<SagaRecord<D>> {
    Table::new("sagas")
}

/// The sagas that are running or compensating: what a recovery looks at, however long the journal grows.
pub const OPEN_SAGAS: Table<OpenSaga> = Table::new("open_sagas");

/// Sagas whose retries were spent, by dead letter id.
pub const DEAD_LETTERS: Table<DeadLetter> = Table::new("dead_letters");

/// A mark that a saga has not ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenSaga {}

/// A saga that a person must look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// `DEAD-XXXXXXXX`.
    pub id: String,
    /// The saga.
    pub saga_id: String,
    /// The step or undo that could not be done, and why.
    pub reason: String,
    /// When; wall clock.
    pub at_ms: u64,
    /// When a person sent the saga on its way again; wall clock.
    pub redriven_ms: Option<u64>,
}

/// Drives the sagas of one store. Cheap to clone.
pub struct Engine<S: Saga>(pub(super) Arc<Inner<S>>);

impl<S: Saga> Clone for Engine<S> {
    fn clone(&self) -> Self {
        Engine(Arc::clone(&self.0))
    }
}

pub(super) struct Inner<S: Saga> {
    pub platform: Platform,
    pub store: Store,
    pub saga: S,
    pub config: Config,
    pub defences: Defences,
    /// The sagas that a live task drives.
    driven: Mutex<BTreeMap<String, DrivenBy<S>>>,
}

/// The live task that drives a saga, as others see it.
type DrivenBy<S> = Arc<Driven<<S as Saga>::Data>>;

/// A saga as it was found.
enum Found<S: Saga> {
    /// A live task drives it.
    Driven(DrivenBy<S>),
    /// There is nothing to drive, or no such saga.
    AtRest(Option<Box<SagaRecord<S::Data>>>),
}

/// A saga that a live task drives.
pub(super) struct Driven<D> {
    turn: Mutex<Turn>,
    pub cancelled: Notify,
    end: watch::Sender<Option<SagaRecord<D>>>,
}

#[derive(Clone, Copy, Default)]
struct Turn {
    cancel_requested: bool,
    /// It comes to its pivot or its end: too late to cancel.
    closed: bool,
}

impl<D> Default for Driven<D> {
    fn default() -> Self {
        Driven {
            turn: Mutex::default(),
            cancelled: Notify::new(),
            end: watch::Sender::new(None),
        }
    }
}

impl<D> Driven<D> {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_cancel_requested(&self) -> bool {
        self.turn().cancel_requested
    }

    /// Closes the door to cancels, unless one came first.
    pub fn close(&self) -> bool {
        let mut turn = self.turn();
        turn.closed = !turn.cancel_requested;
        turn.closed
    }

    fn request_cancel(&self) -> bool {
        let mut turn = self.turn();
        turn.cancel_requested |= !turn.closed;
        if turn.cancel_requested {
            self.cancelled.notify_one();
        }
        turn.cancel_requested
    }

    pub fn announce(&self, saga: SagaRecord<D>) {
        self.end.send_replace(Some(saga));
    }
}

impl<S: Saga> Engine<S> {
    /// An engine over a store; call [`recover`](Self::recover) once before the first request, or spawn
    /// [`keep_recovering`](Self::keep_recovering), so that what an earlier life began is taken up.
    pub fn new(platform: &Platform, store: &Store, saga: S, config: Config) -> Self {
        Engine(Arc::new(Inner {
            platform: platform.clone(),
            store: store.clone(),
            saga,
            config,
            defences: Defences::new(config.gaps),
            driven: Mutex::default(),
        }))
    }

    /// The saga's implementation.
    pub fn saga(&self) -> &S {
        &self.0.saga
    }

    /// Commits a saga's first row together with the caller's own (`rows`), and drives it in a task that outlives the
    /// caller. `rows` may complete the saga's data; its error rolls everything back and nothing starts.
    pub async fn start<T, E>(
        &self,
        context: &Context,
        data: S::Data,
        rows: impl FnOnce(&mut Writer, &mut SagaRecord<S::Data>) -> Result<T, E> + Send + 'static,
    ) -> Result<(String, T), E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, started) = oneshot::channel();
        let (engine, context) = (self.clone(), context.clone());
        self.0.platform.spawn("saga", async move {
            match engine.0.commit_first(context, data, rows).await {
                Ok((value, saga, driven)) => {
                    let _ = answer.send(Ok((saga.id.clone(), value)));
                    engine.0.drive_new(saga, driven).await;
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                }
            }
        });
        match started.await {
            Ok(result) => result,
            // The task died with its process: there is nobody left to answer to.
            Err(_) => std::future::pending().await,
        }
    }

    /// Awaits the saga's end (or `NeedsAttention`), taking it up if no task drives it. `None`: there is no such saga.
    pub async fn wait(&self, id: &str) -> Result<Option<SagaRecord<S::Data>>, StoreError> {
        loop {
            let mut end = match self.driven(id)? {
                Found::Driven(driven) => driven.end.subscribe(),
                Found::AtRest(saga) => return Ok(saga.map(|saga| *saga)),
            };
            // An error means that its task let go of it without a word: look again.
            if let Ok(saga) = end.wait_for(Option::is_some).await {
                return Ok(saga.clone());
            }
        }
    }

    /// The saga as committed.
    pub fn read(&self, id: &str) -> Result<Option<SagaRecord<S::Data>>, StoreError> {
        self.0.store.read(|tx| tx.get(&table::<S::Data>(), id))
    }

    /// A user's wish to cancel: a saga that has not come to its pivot turns back. Await the end to learn what came of it.
    ///
    /// # Errors
    /// `NOT_FOUND`; `INVALID_STATE` at or after the pivot.
    pub fn request_cancel(&self, id: &str) -> Result<(), Problem> {
        match self.driven(id)? {
            Found::Driven(driven) if driven.request_cancel() => Ok(()),
            Found::AtRest(Some(saga)) if saga.status == Status::Compensated => Ok(()),
            Found::AtRest(None) => Err(Problem::new(Code::NotFound, format!("no saga {id}"))),
            _ => Err(Problem::new(
                Code::InvalidState,
                format!("saga {id} has passed the point up to which it can be cancelled"),
            )),
        }
    }

    /// Takes up every open saga that no live task drives: it goes on, or turns back if it is past its deadline and before
    /// its pivot.
    pub fn recover(&self) -> Result<(), StoreError> {
        let open = self.0.store.read(|tx| tx.scan(&OPEN_SAGAS, ""))?;
        for (id, _) in open {
            let mine = match self.0.claim(&id) {
                Ok(mine) => mine,
                Err(_) if self.0.defences.respect_owner => continue,
                Err(_) => self.0.register(&id),
            };
            let _ = self.take_up(&id, mine)?;
        }
        Ok(())
    }

    /// Recovers now and then every [`Config::recover_every`], for ever.
    pub async fn keep_recovering(self) {
        loop {
            if let Err(error) = self.recover() {
                self.0.end_process("recovery", &error).await;
            }
            tokio::time::sleep(self.0.config.recover_every).await;
        }
    }

    /// Sends the saga of a dead letter on its way again, from where it was.
    ///
    /// # Errors
    /// `NOT_FOUND`; `INVALID_STATE` if that was done before.
    pub async fn redrive(&self, dead_letter: &str) -> Result<DeadLetter, Problem> {
        let (answer, redriven) = oneshot::channel();
        let (engine, id) = (self.clone(), dead_letter.to_owned());
        self.0.platform.spawn("saga", async move {
            match engine.0.commit_redrive(id).await {
                Ok((letter, saga, driven)) => {
                    let _ = answer.send(Ok(letter));
                    engine.0.drive_resumed(saga, driven).await;
                }
                Err(problem) => {
                    let _ = answer.send(Err(problem));
                }
            }
        });
        match redriven.await {
            Ok(result) => result,
            Err(_) => std::future::pending().await,
        }
    }

    /// The live task that drives a saga, started here if the saga is open and has none; or the saga, if there is nothing to drive.
    fn driven(&self, id: &str) -> Result<Found<S>, StoreError> {
        match self.0.claim(id) {
            Ok(mine) => self.take_up(id, mine),
            Err(driven) => Ok(Found::Driven(driven)),
        }
    }

    /// Drives a saga that was claimed, or lets go of it if there is nothing to drive.
    fn take_up(&self, id: &str, mine: DrivenBy<S>) -> Result<Found<S>, StoreError> {
        // Read after the claim: an owner that has just finished committed before it let go.
        match self.read(id) {
            Ok(Some(saga)) if self.0.takes_up(&saga) => {
                if saga.is_at_pivot(self.0.saga.steps(&saga.data)) {
                    mine.close();
                }
                let (inner, task) = (Arc::clone(&self.0), Arc::clone(&mine));
                self.0.platform.spawn("saga", async move {
                    inner.drive_resumed(saga, task).await;
                });
                Ok(Found::Driven(mine))
            }
            other => {
                self.0.release(id, &mine);
                Ok(Found::AtRest(other?.map(Box::new)))
            }
        }
    }
}

impl<S: Saga> Inner<S> {
    fn registry(&self) -> MutexGuard<'_, BTreeMap<String, DrivenBy<S>>> {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the caller the owner of a saga, or names the live task that is.
    fn claim(&self, id: &str) -> Result<DrivenBy<S>, DrivenBy<S>> {
        match self.registry().entry(id.to_owned()) {
            Entry::Occupied(owner) => Err(Arc::clone(owner.get())),
            Entry::Vacant(free) => Ok(Arc::clone(free.insert(Arc::default()))),
        }
    }

    /// Makes the caller the owner of a saga, whoever was.
    fn register(&self, id: &str) -> DrivenBy<S> {
        let driven = Arc::<Driven<S::Data>>::default();
        self.registry().insert(id.to_owned(), Arc::clone(&driven));
        driven
    }

    /// Forgets a saga that is driven no longer.
    pub fn release(&self, id: &str, driven: &DrivenBy<S>) {
        let mut registry = self.registry();
        if registry.get(id).is_some_and(|d| Arc::ptr_eq(d, driven)) {
            registry.remove(id);
        }
    }

    /// Whether a driver has something to do for this saga.
    fn takes_up(&self, saga: &SagaRecord<S::Data>) -> bool {
        match saga.status {
            Status::Running => self.defences.journal,
            Status::Compensating => self.defences.journal && self.defences.undo_insists,
            _ => false,
        }
    }

    async fn commit_first<T, E>(
        self: &Arc<Self>,
        context: Context,
        data: S::Data,
        rows: impl FnOnce(&mut Writer, &mut SagaRecord<S::Data>) -> Result<T, E> + Send + 'static,
    ) -> Result<(T, SagaRecord<S::Data>, DrivenBy<S>), E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let inner = Arc::clone(self);
        self.store
            .write(move |tx| {
                let id = inner.unused_id(tx, &table::<S::Data>(), "SAGA")?;
                let now = inner.platform.clock.now_ms();
                let deadline = now.saturating_add(inner.config.deadline.as_millis() as u64);
                let (kind, plan) = (inner.saga.kind(&data), inner.saga.steps(&data));
                let mut saga = SagaRecord::begin((id, kind), context, data, plan, now, deadline);
                let value = rows(tx, &mut saga)?;
                tx.put(&table(), &saga.id, &saga)?;
                if saga.status.is_open() {
                    tx.put(&OPEN_SAGAS, &saga.id, &OpenSaga {})?;
                }
                // Before the row can be seen, so that no recovery takes it for an orphan.
                let driven = inner.register(&saga.id);
                if saga.is_at_pivot(plan) {
                    driven.close();
                }
                Ok((value, saga, driven))
            })
            .await
    }

    /// Journals the saga with the service's own rows.
    pub async fn commit(
        self: &Arc<Self>,
        saga: SagaRecord<S::Data>,
        letter: Option<String>,
    ) -> SagaRecord<S::Data> {
        if saga.status.is_open() && !self.defences.journal {
            return saga;
        }
        let inner = Arc::clone(self);
        let committed = self.store.write(move |tx| {
            if let Some(reason) = letter {
                let letter = DeadLetter {
                    id: inner.unused_id(tx, &DEAD_LETTERS, "DEAD")?,
                    saga_id: saga.id.clone(),
                    reason,
                    at_ms: inner.platform.clock.now_ms(),
                    redriven_ms: None,
                };
                tx.put(&DEAD_LETTERS, &letter.id, &letter)?;
            }
            inner.put(tx, &saga)?;
            Ok::<_, StoreError>(saga)
        });
        match committed.await {
            Ok(saga) => saga,
            Err(error) => self.end_process("saga journal", &error).await,
        }
    }

    async fn commit_redrive(
        self: &Arc<Self>,
        id: String,
    ) -> Result<(DeadLetter, SagaRecord<S::Data>, DrivenBy<S>), Problem> {
        let inner = Arc::clone(self);
        self.store
            .write(move |tx| {
                let missing = || Problem::new(Code::NotFound, format!("no dead letter {id}"));
                let mut letter = tx.get(&DEAD_LETTERS, &id)?.ok_or_else(missing)?;
                let mut saga = tx
                    .get(&table::<S::Data>(), &letter.saga_id)?
                    .ok_or_else(missing)?;
                let now = inner.platform.clock.now_ms();
                saga.apply(inner.saga.steps(&saga.data), Event::Redriven, now)
                    .map_err(|illegal| Problem::new(Code::InvalidState, illegal.to_string()))?;
                letter.redriven_ms = Some(now);
                tx.put(&DEAD_LETTERS, &id, &letter)?;
                inner.put(tx, &saga)?;
                let driven = inner.register(&saga.id);
                if saga.is_at_pivot(inner.saga.steps(&saga.data)) {
                    driven.close();
                }
                Ok((letter, saga, driven))
            })
            .await
    }

    fn put(&self, tx: &mut Writer, saga: &SagaRecord<S::Data>) -> Result<(), StoreError> {
        tx.put(&table(), &saga.id, saga)?;
        if saga.status.is_open() {
            tx.put(&OPEN_SAGAS, &saga.id, &OpenSaga {})?;
        } else {
            tx.delete(&OPEN_SAGAS, &saga.id)?;
        }
        self.saga.on_change(tx, saga)
    }

    /// An id that no row of the table has.
    fn unused_id<V: DeserializeOwned>(
        &self,
        tx: &Writer,
        table: &Table<V>,
        prefix: &str,
    ) -> Result<String, StoreError> {
        loop {
            let id = self.platform.short_id(prefix);
            if tx.get(table, &id)?.is_none() {
                return Ok(id);
            }
        }
    }

    /// A failed commit is an unknown outcome: what the journal says is learnt only by reading it anew.
    pub async fn end_process(&self, what: &str, error: &StoreError) -> ! {
        self.platform.process.fail(&format!("{what}: {error}"));
        std::future::pending().await
    }
}
