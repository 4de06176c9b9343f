//! Rows of JSON in a redb file.

use std::{path::Path, sync::Arc};

use redb::{Durability, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Bug, Bugs, Health, Refusal};

/// A table's name and type.
pub type Definition = redb::TableDefinition<'static, &'static str, &'static [u8]>;

/// A table that is being written.
pub type Table<'t> = redb::Table<'t, &'static str, &'static [u8]>;

/// A redb file that async code uses.
#[derive(Clone)]
pub struct Database {
    file: Arc<redb::Database>,
    durability: Durability,
    health: Health,
}

impl Database {
    /// Opens a file, and makes it and its tables if they are not there.
    ///
    /// # Errors
    ///
    /// The file can't be opened, is open already, or holds something else.
    pub fn open(path: &Path, tables: &[Definition], bugs: &Bugs) -> anyhow::Result<Database> {
        let file = redb::Database::create(path)?;
        let first = file.begin_write()?;
        for table in tables {
            first.open_table(*table)?;
        }
        first.commit()?;
        let durability = match bugs.has(Bug::CommitWithoutSync) {
            true => Durability::None,
            false => Durability::Immediate,
        };
        let file = Arc::new(file);
        let health = Health::default();
        Ok(Database {
            file,
            durability,
            health,
        })
    }

    /// Whether it can still be relied on.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Reads in one transaction.
    ///
    /// # Errors
    ///
    /// What `read` fails with, or what the file does.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let file = self.file.clone();
        let reading = move || read(&file.begin_read()?);
        self.health.blocking(reading).await
    }

    /// Changes rows in one transaction; if it fails, it has changed nothing.
    ///
    /// # Errors
    ///
    /// What `change` fails with, or what the file does.
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (file, durability) = (self.file.clone(), self.durability);
        let writing = move || {
            let mut transaction = file.begin_write()?;
            transaction.set_durability(durability)?;
            let changed = change(&transaction)?;
            transaction.commit()?;
            Ok(changed)
        };
        self.health.blocking(writing).await
    }
}

/// A row, if it is there.
///
/// # Errors
///
/// The row can't be read, or is something else.
pub fn get<T: DeserializeOwned>(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> anyhow::Result<Option<T>> {
    let row = table.get(key)?;
    let row = row.map(|row| serde_json::from_slice(row.value()));
    Ok(row.transpose()?)
}

/// All rows, by key.
///
/// # Errors
///
/// One can't be read, or is something else.
pub fn all<T: DeserializeOwned>(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
) -> anyhow::Result<Vec<(String, T)>> {
    let rows = table.iter()?.map(|row| {
        let (key, row) = row?;
        Ok((key.value().to_owned(), serde_json::from_slice(row.value())?))
    });
    rows.collect()
}

/// Writes a row.
///
/// # Errors
///
/// The table can't be written.
pub fn put<T: Serialize>(table: &mut Table<'_>, key: &str, row: &T) -> anyhow::Result<()> {
    table.insert(key, serde_json::to_vec(row)?.as_slice())?;
    Ok(())
}
