//! Transactions over one embedded database per service.
//!
//! All logical tables are key ranges of one B-tree: a commit's cost grows with the trees that it touches.
//! A row is a text key and a JSON value. Writing is a closure that runs in one piece; what it returns as an error is
//! rolled back. A commit that fails is an unknown outcome: the process ends rather than answer for it.

use std::{marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::ports::Platform;

/// A logical table: its name and the type of its rows. Keys are text.
pub struct Table<V> {
    /// The name, unique within the service.
    pub name: &'static str,
    row: PhantomData<fn() -> V>,
}

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
        serde_json::from_slice(value)
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
}

/// A service's database.
#[derive(Clone)]
pub struct Store {
    #[allow(dead_code)]
    inner: Arc<()>,
}

/// A consistent view of all rows.
pub struct Reader {
    _private: (),
}

/// A transaction under way.
pub struct Writer {
    _private: (),
}

#[allow(unused_variables, clippy::todo, missing_docs)]
impl Store {
    /// Opens the service's database, creating it under a temporary name first.
    pub async fn open(platform: &Platform, file: &str) -> Result<Store, StoreError> {
        todo!()
    }
    /// Runs `work` in a transaction and commits it durably. An `Err` rolls back.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        todo!()
    }
    /// Like `write`, but the commit is not synced: a power loss may undo it. Only for the planted bug `commit-without-sync`.
    pub async fn write_unsynced<T, E>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        todo!()
    }
    /// Reads at one instant.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, E>,
    ) -> Result<T, E> {
        todo!()
    }
}

#[allow(unused_variables, clippy::todo, missing_docs)]
impl Reader {
    pub fn get<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        key: &str,
    ) -> Result<Option<V>, StoreError> {
        todo!()
    }
    /// All rows of a table whose key begins with `prefix`, in key order.
    pub fn scan<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        prefix: &str,
    ) -> Result<Vec<(String, V)>, StoreError> {
        todo!()
    }
}

#[allow(unused_variables, clippy::todo, missing_docs)]
impl Writer {
    pub fn get<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        key: &str,
    ) -> Result<Option<V>, StoreError> {
        todo!()
    }
    pub fn scan<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        prefix: &str,
    ) -> Result<Vec<(String, V)>, StoreError> {
        todo!()
    }
    pub fn put<V: Serialize>(
        &mut self,
        table: &Table<V>,
        key: &str,
        value: &V,
    ) -> Result<(), StoreError> {
        todo!()
    }
    pub fn delete<V>(&mut self, table: &Table<V>, key: &str) -> Result<(), StoreError> {
        todo!()
    }
}

impl From<StoreError> for super::Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "store");
        super::Problem::new(
            super::Code::Internal,
            "the service could not read its own state",
        )
    }
}
