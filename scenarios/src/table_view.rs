//! Typed views of the services' tables, kept from the feed of commits: what the invariants look at.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, OnceLock},
};

use serde::de::DeserializeOwned;
use squall::{check::Commit, trace::Row};
use squall_services::kit::Table;

/// The rows of one table of one node.
pub struct TableView<V: 'static> {
    node: &'static str,
    table: Table<V>,
    rows: BTreeMap<String, Arc<StoredRow<V>>>,
}

/// A row, decoded by the time it is first looked at.
struct StoredRow<V: 'static> {
    node: &'static str,
    table: Table<V>,
    /// Empty if it was decoded at once.
    stored: Vec<u8>,
    row: OnceLock<V>,
}

impl<V: DeserializeOwned> StoredRow<V> {
    fn decode(&self, stored: &[u8]) -> V {
        match self.table.decode(stored) {
            Ok(row) => row,
            Err(error) => panic!(
                "{}: {error}: {}",
                self.node,
                String::from_utf8_lossy(stored)
            ),
        }
    }

    fn get(&self) -> &V {
        self.row.get_or_init(|| self.decode(&self.stored))
    }
}

/// A row before and after a commit.
pub struct Change<'c, V: 'static> {
    /// The row's key.
    pub key: &'c str,
    before: Option<Arc<StoredRow<V>>>,
    after: Option<Arc<StoredRow<V>>>,
}

impl<V: DeserializeOwned> Change<'_, V> {
    /// As it was; `None` if it is new.
    pub fn before(&self) -> Option<&V> {
        self.before.as_ref().map(|row| row.get())
    }

    /// As it is; `None` if it was deleted.
    pub fn after(&self) -> Option<&V> {
        self.after.as_ref().map(|row| row.get())
    }
}

impl<V: DeserializeOwned> TableView<V> {
    /// An empty view of `table` on `node`.
    pub fn new(node: &'static str, table: Table<V>) -> Self {
        TableView {
            node,
            table,
            rows: BTreeMap::new(),
        }
    }

    /// Takes a commit over and says what it changed in this table.
    ///
    /// # Panics
    ///
    /// If a row is not of the table's type: the scenario is wrong about the service.
    pub fn follow<'c>(&mut self, commit: &Commit<'c>) -> Vec<Change<'c, V>> {
        let mut changes = Vec::new();
        for row in self.concerned(commit) {
            let after = row.value.as_ref().map(|stored| {
                let after = self.stored_row(Vec::new());
                let decoded = after.decode(stored);
                after.row.get_or_init(|| decoded);
                Arc::new(after)
            });
            let before = match &after {
                Some(after) => self.rows.insert(row.key.clone(), after.clone()),
                None => self.rows.remove(&row.key),
            };
            changes.push(Change {
                key: &row.key,
                before,
                after,
            });
        }
        changes
    }

    /// Takes a commit over into a table that is rarely looked at: a row is decoded when it first is.
    pub fn keep(&mut self, commit: &Commit<'_>) {
        for row in self.concerned(commit) {
            match &row.value {
                Some(stored) => {
                    let row_now = Arc::new(self.stored_row(stored.clone()));
                    self.rows.insert(row.key.clone(), row_now);
                }
                None => {
                    self.rows.remove(&row.key);
                }
            }
        }
    }

    fn concerned<'c>(&self, commit: &Commit<'c>) -> impl Iterator<Item = &'c Row> + use<'c, V> {
        let (table, here) = (self.table.name, commit.node == self.node);
        let rows: &'c [Row] = if here { commit.rows } else { &[] };
        rows.iter().filter(move |row| row.table == table)
    }

    fn stored_row(&self, stored: Vec<u8>) -> StoredRow<V> {
        StoredRow {
            node: self.node,
            table: self.table,
            stored,
            row: OnceLock::new(),
        }
    }

    /// One row.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.rows.get(key).map(|row| row.get())
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// All rows, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.rows.iter().map(|(key, row)| (key.as_str(), row.get()))
    }

    /// The rows whose keys begin with `prefix`, by key.
    pub fn under(&self, prefix: &str) -> impl Iterator<Item = (&str, &V)> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let rows = self.rows.range::<str, _>(from);
        rows.map(|(key, row)| (key.as_str(), row.get()))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// All rows, without their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.rows.values().map(|row| row.get())
    }
}
