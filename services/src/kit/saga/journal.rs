//! The commits that change sagas.

use std::sync::Arc;

use tracing::Instrument;

use serde::de::DeserializeOwned;

use super::{
    DEAD_LETTERS, DeadLetter, Event, Execution, OPEN_LETTERS, OPEN_SAGAS, OpenSaga, Saga,
    SagaRecord,
    facts::{self, Fact, FactRow},
    inner::Inner,
    registry::Driven,
    table,
};
use crate::{
    kit::{Code, Context, Problem, Reader, StoreError, Table, Writer, idempotency, lock},
    planted_bug::Bug,
};

/// What came of a commit.
pub(super) enum Committed<D> {
    /// It is durable.
    Yes(Box<SagaRecord<D>>),
    /// Another replica owns the saga now.
    Lost,
    /// The saga must not come to its pivot: it is to be cancelled.
    Cancelled,
}

impl<S: Saga> Inner<S> {
    /// The saga's first row, with the caller's own.
    pub async fn commit_first<T, E>(
        self: &Arc<Self>,
        context: Context,
        data: S::Data,
        rows: impl FnOnce(&mut Writer, &mut SagaRecord<S::Data>) -> Result<T, E>
        + Clone
        + Send
        + 'static,
    ) -> Result<(T, SagaRecord<S::Data>, Arc<Driven<S::Data>>), E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let inner = Arc::clone(self);
        let span = context.span();
        let committed = self.write(move |tx| {
            let id = match inner.has(Bug::SagaIdsCollide) {
                true => format!("SAGA-{:08X}", inner.platform.random.next_u64() as u8),
                false if inner.has(Bug::IdsCountedByName) => inner.counted_id(tx)?,
                false => inner.unused_id(tx, &table::<S::Data>(), "SAGA")?,
            };
            let now = inner.platform.clock.now_ms();
            let deadline = now.saturating_add(inner.config.deadline.as_millis() as u64);
            let (kind, plan) = (inner.saga.kind(&data), inner.saga.steps(&data));
            let mut saga = SagaRecord::fresh((id, kind), context, data, now, deadline);
            if inner.config.execution == Execution::Saga {
                saga.advance(plan, now);
            }
            let value = rows(tx, &mut saga)?;
            saga.version = inner.next_version(&saga);
            let row = inner.journal(tx, &saga, Vec::new())?;
            tx.put(&table(), &saga.id, &row)?;
            if saga.status.is_open() {
                tx.put(&OPEN_SAGAS, &saga.id, &inner.open_mark(None))?;
            }
            let driven = inner.own(&saga);
            Ok((value, saga, driven))
        });
        committed.instrument(span).await
    }

    /// The first row of a saga that does once more what another one does or has done. Only for the planted bug
    /// `letter-redriven-twice`.
    fn begin_anew(
        &self,
        tx: &mut Writer,
        before: SagaRecord<S::Data>,
    ) -> Result<SagaRecord<S::Data>, StoreError> {
        let id = self.unused_id(tx, &table::<S::Data>(), "SAGA")?;
        let mut data = before.data;
        self.saga.begins_anew(&mut data, &id);
        let plan = self.saga.steps(&data);
        let now = self.platform.clock.now_ms();
        let deadline = now.saturating_add(self.config.deadline.as_millis() as u64);
        let identity = (id, before.kind.as_str());
        let mut saga = SagaRecord::fresh(identity, before.context, data, now, deadline);
        if self.config.execution == Execution::Saga {
            saga.advance(plan, now);
        }
        saga.version = self.next_version(&saga);
        self.put(tx, &saga, Vec::new())?;
        Ok(saga)
    }

    /// Journals the saga with the service's own rows, and before it what was said on the way. A commit with which the
    /// saga `comes_to_pivot` is not made if it is to be cancelled.
    pub async fn commit(
        self: &Arc<Self>,
        saga: SagaRecord<S::Data>,
        comes_to_pivot: bool,
        said: Vec<Fact<S::Data>>,
        letter: Option<String>,
    ) -> Committed<S::Data> {
        if saga.status.is_open() && self.has(Bug::NoJournal) {
            return Committed::Yes(Box::new(saga));
        }
        let next = SagaRecord {
            version: self.next_version(&saga),
            ..saga
        };
        let mut tries = 0;
        loop {
            let (inner, saga, letter) = (Arc::clone(self), next.clone(), letter.clone());
            let said = said.clone();
            let committed =
                self.write(move |tx| inner.commit_in(tx, saga, comes_to_pivot, said, letter));
            match committed.await {
                Ok(committed) => {
                    if let Committed::Yes(saga) = &committed {
                        self.saga.committed(saga);
                    }
                    return committed;
                }
                // Asking again does no harm: the version tells whether this commit was there before.
                Err(error) if error.may_pass() => {
                    tracing::info!(%error, "saga not journalled yet");
                    tries += 1;
                    let wait = self
                        .config
                        .asking
                        .wait(tries, self.platform.random.as_ref());
                    tokio::time::sleep(wait).await;
                }
                Err(error) => self.end_process("saga journal", &error).await,
            }
        }
    }

    fn commit_in(
        &self,
        tx: &mut Writer,
        saga: SagaRecord<S::Data>,
        comes_to_pivot: bool,
        said: Vec<Fact<S::Data>>,
        letter: Option<String>,
    ) -> Result<Committed<S::Data>, StoreError> {
        if let Some(otherwise) = self.fenced(tx, &saga, comes_to_pivot)? {
            return Ok(otherwise);
        }
        if let Some(reason) = letter {
            let letter = DeadLetter {
                id: self.unused_id(tx, &DEAD_LETTERS, "DEAD")?,
                saga_id: saga.id.clone(),
                reason,
                at_ms: self.platform.clock.now_ms(),
                redriven_ms: None,
            };
            tx.put(&DEAD_LETTERS, &letter.id, &letter)?;
            tx.put(&OPEN_LETTERS, &letter.saga_id, &letter.id)?;
        }
        self.put(tx, &saga, said)?;
        Ok(Committed::Yes(Box::new(saga)))
    }

    /// What is to be said of a commit among replicas, unless it is to be made.
    fn fenced(
        &self,
        tx: &Writer,
        saga: &SagaRecord<S::Data>,
        comes_to_pivot: bool,
    ) -> Result<Option<Committed<S::Data>>, StoreError> {
        let Some(me) = self.me() else { return Ok(None) };
        let open = tx.get(&OPEN_SAGAS, &saga.id)?;
        let Some(stored) = tx.get(&table::<S::Data>(), &saga.id)? else {
            return Ok(Some(Committed::Lost));
        };
        if !self.has(Bug::RecoveryRacesOwner) && !self.has(Bug::OwnerNotChecked) {
            let mine = open
                .as_ref()
                .is_none_or(|open| open.owner.as_ref() == Some(&me));
            if mine && stored.version == saga.version {
                return Ok(Some(Committed::Yes(Box::new(stored))));
            }
            if stored.version + 1 != saga.version {
                return Ok(Some(Committed::Lost));
            }
        }
        let turns_back = comes_to_pivot && open.is_some_and(|open| open.cancel);
        Ok(turns_back.then_some(Committed::Cancelled))
    }

    /// The version of the saga's next commit.
    pub fn next_version(&self, saga: &SagaRecord<S::Data>) -> u64 {
        match self.store.is_shared() {
            true => saga.version + 1,
            false => saga.version,
        }
    }

    /// A mark that this process drives a saga.
    pub fn open_mark(&self, before: Option<OpenSaga>) -> OpenSaga {
        OpenSaga {
            owner: self.me(),
            cancel: before.is_some_and(|open| open.cancel),
        }
    }

    /// The dead letter of a saga that waits for a person.
    pub fn open_letter(rows: &Reader, saga: &str) -> Result<Option<DeadLetter>, StoreError> {
        match rows.get(&OPEN_LETTERS, saga)? {
            Some(letter) => rows.get(&DEAD_LETTERS, &letter),
            None => Ok(None),
        }
    }

    /// The row of a saga that a person sends on its way again.
    pub async fn commit_redrive(
        self: &Arc<Self>,
        id: String,
    ) -> Result<(DeadLetter, SagaRecord<S::Data>, Arc<Driven<S::Data>>), Problem> {
        let missing = |id: &str| Code::NotFound.because(format!("no dead letter {id}"));
        let letter = self.store.read(|tx| tx.get(&DEAD_LETTERS, &id))?;
        let saga = match letter {
            Some(letter) => self.read(&letter.saga_id)?,
            None => None,
        };
        let span = saga.ok_or_else(|| missing(&id))?.context.span();
        let inner = Arc::clone(self);
        let committed = self.write(move |tx| {
            let missing = || missing(&id);
            let mut letter = tx.get(&DEAD_LETTERS, &id)?.ok_or_else(missing)?;
            if letter.redriven_ms.is_some() && !inner.has(Bug::LetterRedrivenTwice) {
                return Err(Code::InvalidState.because(format!(
                    "dead letter {id} was redriven before; look for a later one of its saga"
                )));
            }
            let mut saga = tx
                .get(&table::<S::Data>(), &letter.saga_id)?
                .ok_or_else(missing)?;
            if letter.redriven_ms.is_some() {
                let saga = inner.begin_anew(tx, saga)?;
                let driven = inner.own(&saga);
                return Ok((letter, saga, driven));
            }
            let now = inner.platform.clock.now_ms();
            saga.apply(inner.saga.steps(&saga.data), Event::Redriven, now)
                .map_err(|illegal| Code::InvalidState.because(illegal.to_string()))?;
            saga.version = inner.next_version(&saga);
            letter.redriven_ms = Some(now);
            tx.put(&DEAD_LETTERS, &id, &letter)?;
            tx.delete(&OPEN_LETTERS, &letter.saga_id)?;
            inner.put(tx, &saga, Vec::new())?;
            let driven = inner.own(&saga);
            Ok((letter, saga, driven))
        });
        committed.instrument(span).await
    }

    fn put(
        &self,
        tx: &mut Writer,
        saga: &SagaRecord<S::Data>,
        said: Vec<Fact<S::Data>>,
    ) -> Result<(), StoreError> {
        let row = self.journal(tx, saga, said)?;
        tx.put(&table(), &saga.id, &row)?;
        if saga.status.is_open() {
            let before = match self.store.is_shared() {
                true => tx.get(&OPEN_SAGAS, &saga.id)?,
                false => None,
            };
            tx.put(&OPEN_SAGAS, &saga.id, &self.open_mark(before))?;
        } else {
            tx.delete(&OPEN_SAGAS, &saga.id)?;
        }
        self.saga.on_change(tx, &row)
    }

    /// The saga's row, once the journal has what that is made of.
    fn journal(
        &self,
        tx: &mut Writer,
        saga: &SagaRecord<S::Data>,
        said: Vec<Fact<S::Data>>,
    ) -> Result<SagaRecord<S::Data>, StoreError> {
        let row = match self.has(Bug::JournalAfterCall) {
            true => saga.clone().without_intent(),
            false => saga.clone(),
        };
        if !self.config.keeps_facts() {
            return Ok(row);
        }
        let now_ms = self.platform.clock.now_ms();
        facts::append(tx, &row, said, now_ms, |fact| self.saga.fact_name(fact))
    }

    /// The saga as the journal has it.
    pub fn read(&self, id: &str) -> Result<Option<SagaRecord<S::Data>>, StoreError> {
        match self.config.keeps_facts() {
            true => Ok(facts::fold(self.facts(id)?.into_iter().map(|row| row.fact))),
            false => self.store.read(|tx| tx.get(&table(), id)),
        }
    }

    /// What happened to a saga, where that is kept.
    pub fn facts(&self, id: &str) -> Result<Vec<FactRow<S::Data>>, StoreError> {
        let scan = |tx: &Reader| tx.scan(&facts::table::<S::Data>(), &facts::stream(id));
        let rows = self.store.read(scan)?.into_iter();
        Ok(rows.map(|(_, row)| row).collect())
    }

    /// Makes the caller the owner of a saga before its row can be seen, so that no recovery takes it for an orphan.
    fn own(&self, saga: &SagaRecord<S::Data>) -> Arc<Driven<S::Data>> {
        let driven = self.registry.register(&saga.id);
        if saga.is_at_pivot(self.saga.steps(&saga.data)) {
            driven.close();
        }
        driven
    }

    pub(super) async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, E> + Clone + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.store.commit(self.config.bugs, work).await
    }

    /// The next number of this replica's. Only for the planted bug `ids-counted-by-name`.
    fn counted_id(&self, tx: &Writer) -> Result<String, StoreError> {
        let name = idempotency::fingerprint(&self.platform.name.to_string()) as u16;
        let numbered = format!("SAGA-{name:04X}");
        let mut last = lock(&self.last_number);
        let before = match *last {
            Some(before) => before,
            None => {
                let found = tx.scan(&table::<S::Data>(), &numbered)?;
                let highest = found.last().and_then(|(id, _)| id.strip_prefix(&numbered));
                highest.map_or(0, |number| u16::from_str_radix(number, 16).unwrap_or(0))
            }
        };
        *last = Some(before + 1);
        Ok(format!("{numbered}{:04X}", before + 1))
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
}
