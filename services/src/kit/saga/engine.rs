//! Starting, awaiting, cancelling, recovering and redriving sagas.

use std::{
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    DEAD_LETTERS, DeadLetter, Engine, Execution, OPEN_LETTERS, OPEN_SAGAS, OpenSaga, Saga,
    SagaRecord, Status,
    drive::{Drive, log_intent},
    facts,
    inner::{DrivenBy, Inner, LOOK_EVERY, Place, past_cancelling},
    policy::Config,
    registry::{Driven, Registry},
    table, workflow,
};
use crate::{
    kit::{Code, Context, Listed, Page, Problem, Store, StoreError, Writer},
    planted_bug::Bug,
    ports::Platform,
};

/// A saga as it was found.
enum Found<S: Saga> {
    /// A live task drives it.
    Driven(DrivenBy<S>),
    /// It is open, and another replica drives it, or will.
    Elsewhere,
    /// There is nothing to drive, or no such saga.
    AtRest(Option<Box<SagaRecord<S::Data>>>),
}

impl<S: Saga> Engine<S> {
    /// An engine over a store; call [`recover`](Self::recover) once before the first request, or spawn
    /// [`keep_recovering`](Self::keep_recovering), so that what an earlier life began is taken up.
    ///
    /// # Panics
    /// If a store that replicas share is to keep sagas as [`Journal::Facts`](super::Journal::Facts), or to run them as workflows.
    pub fn new(platform: &Platform, store: &Store, saga: S, config: Config) -> Self {
        assert!(
            !store.is_shared() || !config.keeps_facts(),
            "replicas keep their sagas as they are, not as facts"
        );
        Engine(Arc::new(Inner {
            platform: platform.clone(),
            store: store.clone(),
            saga,
            config,
            registry: Registry::default(),
            place: Place::default(),
            last_number: Mutex::default(),
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
        rows: impl FnOnce(&mut Writer, &mut SagaRecord<S::Data>) -> Result<T, E>
        + Clone
        + Send
        + 'static,
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
                Found::Driven(driven) => driven.await_end(),
                Found::Elsewhere => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    continue;
                }
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
        self.0.read(id)
    }

    /// A user's wish to cancel: a saga that has not come to its pivot turns back. Await the end to learn what came of it.
    ///
    /// # Errors
    /// `NOT_FOUND`; `INVALID_STATE` at or after the pivot; `SERVICE_UNAVAILABLE` if a shared database is away.
    pub async fn request_cancel(&self, id: &str) -> Result<(), Problem> {
        match self.driven(id)? {
            Found::Driven(driven) if driven.request_cancel() => Ok(()),
            Found::Elsewhere => self.0.ask_owner_to_cancel(id).await,
            Found::AtRest(Some(saga)) if saga.status == Status::Compensated => Ok(()),
            Found::AtRest(None) => Err(Code::NotFound.because(format!("no saga {id}"))),
            _ => Err(past_cancelling(id)),
        }
    }

    /// Takes up every open saga that no live task drives: it goes on, or turns back if it is past its deadline and before
    /// its pivot.
    pub fn recover(&self) -> Result<(), StoreError> {
        let open = self.0.store.read(|tx| tx.scan(&OPEN_SAGAS, ""))?;
        for (id, _) in open {
            let mine = match self.0.registry.claim(&id) {
                Ok(mine) => mine,
                Err(_) if !self.0.has(Bug::RecoveryRacesOwner) => continue,
                Err(_) => self.0.registry.register(&id),
            };
            let _ = self.take_up(&id, mine)?;
        }
        Ok(())
    }

    /// Recovers now and then every [`Config::recover_every`], for ever: where replicas share the store, what none drives.
    pub async fn keep_recovering(self) {
        if self.0.store.is_shared() {
            self.keep_taking_over().await;
        }
        while let Err(error) = self.note_letters().await {
            error.endure(&self.0.platform, "recovery").await;
        }
        loop {
            while let Err(error) = self.recover() {
                error.endure(&self.0.platform, "recovery").await;
            }
            tokio::time::sleep(self.0.config.recover_every).await;
        }
    }

    /// Notes the open letters of a database whose last build kept no notes of them.
    async fn note_letters(&self) -> Result<(), StoreError> {
        let unnoted = self.0.store.read(|rows| {
            let is_open = |letter: &DeadLetter| letter.redriven_ms.is_none();
            let mut unnoted = Vec::new();
            for (id, letter) in rows.scan_some(&DEAD_LETTERS, "", usize::MAX, is_open)? {
                if rows.get(&OPEN_LETTERS, &letter.saga_id)?.is_none() {
                    unnoted.push((letter.saga_id, id));
                }
            }
            Ok::<_, StoreError>(unnoted)
        })?;
        if unnoted.is_empty() {
            return Ok(());
        }
        let noted = self.0.store.write(move |tx| {
            for (saga, letter) in &unnoted {
                tx.put(&OPEN_LETTERS, saga, letter)?;
            }
            Ok(())
        });
        noted.await
    }

    /// Rebuilds the read side from the facts, in one transaction: each saga's row, its open mark, and what `project` makes
    /// of it after `clear` has removed the old. Returns the number of sagas.
    ///
    /// # Errors
    /// `INVALID_STATE` where sagas are not kept as [`Journal::Facts`](super::Journal::Facts).
    pub async fn rebuild(
        &self,
        clear: impl FnOnce(&mut Writer) -> Result<(), StoreError> + Clone + Send + 'static,
        project: impl Fn(&mut Writer, &SagaRecord<S::Data>) -> Result<(), StoreError>
        + Clone
        + Send
        + 'static,
    ) -> Result<usize, Problem> {
        if !self.0.config.keeps_facts() {
            let detail = "sagas are not kept as facts here: there is nothing to rebuild from";
            return Err(Code::InvalidState.because(detail));
        }
        let clear = move |tx: &mut Writer<'_>| {
            clear(tx)?;
            for (id, _) in tx.scan(&table::<S::Data>(), "")? {
                tx.delete(&table::<S::Data>(), &id)?;
                tx.delete(&OPEN_SAGAS, &id)?;
            }
            Ok::<_, StoreError>(())
        };
        let project = move |tx: &mut Writer<'_>| {
            let sagas = facts::fold_all(tx.scan(&facts::table::<S::Data>(), "")?);
            for saga in &sagas {
                tx.put(&table(), &saga.id, saga)?;
                if saga.status.is_open() {
                    tx.put(&OPEN_SAGAS, &saga.id, &OpenSaga::default())?;
                }
                project(tx, saga)?;
            }
            Ok::<_, StoreError>(sagas.len())
        };
        let store = &self.0.store;
        tracing::info!("rebuild begins");
        let sagas = match self.0.has(Bug::RebuildInTwoCommits) {
            true => {
                store.write(clear).await?;
                store.write(project).await?
            }
            false => {
                let rebuilt = store.write(move |tx| {
                    clear(tx)?;
                    project(tx)
                });
                rebuilt.await?
            }
        };
        tracing::info!(sagas, "rebuild ends");
        Ok(sagas)
    }

    /// Every saga that a person had or has to look at, by dead letter id.
    pub fn dead_letters(&self, page: &Page) -> Result<Listed<DeadLetter>, StoreError> {
        self.0.store.read(|rows| page.of(rows, &DEAD_LETTERS))
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

    /// Drives a saga on from its journal, now, whether it waits for a person or for the next recovery. What it has done
    /// stays done, and is not asked again.
    ///
    /// # Errors
    /// `NOT_FOUND`; `INVALID_STATE` if it has ended, or a live task drives it.
    pub async fn restart(&self, id: &str) -> Result<(), Problem> {
        let refused = |why: &str| Err(Code::InvalidState.because(format!("{id} {why}")));
        let missing = || Code::NotFound.because(format!("there is no saga {id}"));
        let saga = self.read(id)?.ok_or_else(missing)?;
        if saga.status.is_ended() {
            return refused("has ended: there is nothing left of it to do");
        }
        if saga.status == Status::NeedsAttention {
            return match self
                .0
                .store
                .read(|rows| Inner::<S>::open_letter(rows, id))?
            {
                Some(letter) => self.redrive(&letter.id).await.map(drop),
                None => refused("was sent on its way just now"),
            };
        }
        let Ok(mine) = self.0.registry.claim(id) else {
            return refused("is being driven right now: it goes on by itself");
        };
        match self.take_up(id, mine)? {
            Found::Driven(_) => Ok(()),
            _ => refused("has just come to rest: look at it again"),
        }
    }

    /// The live task that drives a saga, started here if the saga is open and has none; or the saga, if there is nothing to drive.
    fn driven(&self, id: &str) -> Result<Found<S>, StoreError> {
        if self.0.store.is_shared() {
            return Ok(match self.0.registry.of(id) {
                Some(driven) => Found::Driven(driven),
                None => match self.read(id)? {
                    Some(saga) if saga.status.is_open() => Found::Elsewhere,
                    saga => Found::AtRest(saga.map(Box::new)),
                },
            });
        }
        match self.0.registry.claim(id) {
            Ok(mine) => self.take_up(id, mine),
            Err(driven) => Ok(Found::Driven(driven)),
        }
    }

    /// Drives a saga that was claimed, or lets go of it if there is nothing to drive.
    fn take_up(&self, id: &str, mine: DrivenBy<S>) -> Result<Found<S>, StoreError> {
        // Read after the claim: an owner that has just finished committed before it let go.
        match self.read(id) {
            Ok(Some(saga)) if self.0.takes_up(&saga) => {
                self.resume(saga, Arc::clone(&mine));
                Ok(Found::Driven(mine))
            }
            other => {
                self.0.registry.release(id, &mine);
                Ok(Found::AtRest(other?.map(Box::new)))
            }
        }
    }
}

impl<S: Saga> Engine<S> {
    /// Drives a saga that was claimed, in a task of its own.
    pub(super) fn resume(&self, saga: SagaRecord<S::Data>, mine: DrivenBy<S>) {
        if saga.is_at_pivot(self.0.saga.steps(&saga.data)) {
            mine.close();
        }
        let inner = Arc::clone(&self.0);
        self.0.platform.spawn("saga", async move {
            inner.drive_resumed(saga, mine).await;
        });
    }
}

/// A deadline that does not come.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl<S: Saga> Inner<S> {
    /// Drives a saga whose first row was just committed.
    async fn drive_new(self: &Arc<Self>, saga: SagaRecord<S::Data>, driven: Arc<Driven<S::Data>>) {
        saga.context.span().in_scope(|| {
            tracing::info!(kind = %saga.kind, "saga starts");
            log_intent(self.saga.steps(&saga.data), &saga);
        });
        self.drive(saga, driven, false).await;
    }

    /// Drives a saga that an earlier life, or an earlier task, left.
    async fn drive_resumed(
        self: &Arc<Self>,
        mut saga: SagaRecord<S::Data>,
        driven: Arc<Driven<S::Data>>,
    ) {
        saga.context
            .span()
            .in_scope(|| tracing::info!(status = ?saga.status, "saga resumed"));
        self.saga.taken_up(&mut saga.data);
        self.drive(saga, driven, true).await;
    }

    async fn drive(
        self: &Arc<Self>,
        saga: SagaRecord<S::Data>,
        driven: Arc<Driven<S::Data>>,
        resumed: bool,
    ) {
        // The wall clock may jump: it is asked once, and never for more than the whole deadline.
        let left = saga
            .deadline_ms
            .saturating_sub(self.platform.clock.now_ms());
        let left = match self.has(Bug::NoSagaDeadline) {
            true => NEVER,
            false => Duration::from_millis(left).min(self.config.deadline),
        };
        let drive = Drive {
            inner: self,
            driven: &driven,
            plan: Vec::new(),
            open_ended: self.config.execution == Execution::Workflow,
            said: Vec::new(),
            deadline: Instant::now() + left,
            resumed,
            halted: AtomicBool::new(false),
        };
        let (id, span) = (saga.id.clone(), saga.context.span());
        let rests = match self.config.execution {
            Execution::Saga => drive.by_plan(saga).await,
            Execution::Workflow => workflow::replay(drive, saga).await,
        };
        match rests {
            Some(saga) => driven.announce(saga),
            None => {
                span.in_scope(|| tracing::info!("saga lost"));
                self.saga.lost(&id);
            }
        }
        self.registry.release(&id, &driven);
    }
}
