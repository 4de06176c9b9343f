//! The sagas' tables, and the commits that change them.

use std::sync::Arc;
use tracing::Instrument;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Event, Journal, Saga, SagaRecord, engine::Inner, facts, registry::Driven};
use crate::kit::{Code, Context, Problem, StoreError, Table, Writer};

/// The journal. One store holds the sagas of one [`Engine`](super::Engine).
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

impl<S: Saga> Inner<S> {
    /// The saga's first row, with the caller's own.
    pub async fn commit_first<T, E>(
        self: &Arc<Self>,
        context: Context,
        data: S::Data,
        rows: impl FnOnce(&mut Writer, &mut SagaRecord<S::Data>) -> Result<T, E> + Send + 'static,
    ) -> Result<(T, SagaRecord<S::Data>, Arc<Driven<S::Data>>), E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let inner = Arc::clone(self);
        let span = context.span();
        let committed = self.write(move |tx| {
            let id = inner.unused_id(tx, &table::<S::Data>(), "SAGA")?;
            let now = inner.platform.clock.now_ms();
            let deadline = now.saturating_add(inner.config.deadline.as_millis() as u64);
            let (kind, plan) = (inner.saga.kind(&data), inner.saga.steps(&data));
            let mut saga = SagaRecord::begin((id, kind), context, data, plan, now, deadline);
            let value = rows(tx, &mut saga)?;
            let row = inner.journal(tx, &saga)?;
            tx.put(&table(), &saga.id, &row)?;
            if saga.status.is_open() {
                tx.put(&OPEN_SAGAS, &saga.id, &OpenSaga {})?;
            }
            let driven = inner.own(&saga);
            Ok((value, saga, driven))
        });
        committed.instrument(span).await
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
        let span = saga.context.span();
        let committed = self.write(move |tx| {
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
        match committed.instrument(span).await {
            Ok(saga) => {
                self.saga.committed(&saga);
                saga
            }
            Err(error) => self.end_process("saga journal", &error).await,
        }
    }

    /// The row of a saga that a person sends on its way again.
    pub async fn commit_redrive(
        self: &Arc<Self>,
        id: String,
    ) -> Result<(DeadLetter, SagaRecord<S::Data>, Arc<Driven<S::Data>>), Problem> {
        let missing = |id: &str| Problem::new(Code::NotFound, format!("no dead letter {id}"));
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
            if letter.redriven_ms.is_some() {
                return Err(Problem::new(
                    Code::InvalidState,
                    format!(
                        "dead letter {id} was redriven before; look for a later one of its saga"
                    ),
                ));
            }
            let mut saga = tx
                .get(&table::<S::Data>(), &letter.saga_id)?
                .ok_or_else(missing)?;
            let now = inner.platform.clock.now_ms();
            saga.apply(inner.saga.steps(&saga.data), Event::Redriven, now)
                .map_err(|illegal| Problem::new(Code::InvalidState, illegal.to_string()))?;
            letter.redriven_ms = Some(now);
            tx.put(&DEAD_LETTERS, &id, &letter)?;
            inner.put(tx, &saga)?;
            let driven = inner.own(&saga);
            Ok((letter, saga, driven))
        });
        committed.instrument(span).await
    }

    fn put(&self, tx: &mut Writer, saga: &SagaRecord<S::Data>) -> Result<(), StoreError> {
        let row = self.journal(tx, saga)?;
        tx.put(&table(), &saga.id, &row)?;
        if saga.status.is_open() {
            tx.put(&OPEN_SAGAS, &saga.id, &OpenSaga {})?;
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
    ) -> Result<SagaRecord<S::Data>, StoreError> {
        let row = match self.defences.intent_first {
            true => saga.clone(),
            false => saga.clone().without_intent(),
        };
        match self.config.journal {
            Journal::State => Ok(row),
            Journal::Facts => {
                let now_ms = self.platform.clock.now_ms();
                facts::append(tx, &row, now_ms, |fact| self.saga.fact_name(fact))
            }
        }
    }

    /// The saga as the journal has it.
    pub fn read(&self, id: &str) -> Result<Option<SagaRecord<S::Data>>, StoreError> {
        self.store.read(|tx| match self.config.journal {
            Journal::State => tx.get(&table(), id),
            Journal::Facts => {
                let stream = tx.scan(&facts::table::<S::Data>(), &facts::stream(id))?;
                Ok(facts::fold(stream.into_iter().map(|(_, fact)| fact.fact)))
            }
        })
    }

    /// Makes the caller the owner of a saga before its row can be seen, so that no recovery takes it for an orphan.
    fn own(&self, saga: &SagaRecord<S::Data>) -> Arc<Driven<S::Data>> {
        let driven = self.registry.register(&saga.id);
        if saga.is_at_pivot(self.saga.steps(&saga.data)) {
            driven.close();
        }
        driven
    }

    async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match self.defences.sync {
            true => self.store.write(work).await,
            false => self.store.write_unsynced(work).await,
        }
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
