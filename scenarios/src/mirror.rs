//! Typed mirrors of the services' tables, kept from the feed of commits: what the invariants look at.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use serde::de::DeserializeOwned;
use squall::check::Commit;
use squall_services::kit::Table;

/// The rows of one table of one node.
pub struct Mirror<V: 'static> {
    node: &'static str,
    table: Table<V>,
    rows: BTreeMap<String, Arc<V>>,
}

/// A row before and after a commit.
pub struct Change<V> {
    /// The row's key.
    pub key: String,
    /// As it was; `None` if it is new.
    pub before: Option<Arc<V>>,
    /// As it is; `None` if it was deleted.
    pub after: Option<Arc<V>>,
}

impl<V: DeserializeOwned> Mirror<V> {
    /// An empty mirror of `table` on `node`.
    pub fn new(node: &'static str, table: Table<V>) -> Self {
        Mirror {
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
    pub fn follow(&mut self, commit: &Commit<'_>) -> Vec<Change<V>> {
        if commit.node != self.node {
            return Vec::new();
        }
        let mut changes = Vec::new();
        for row in commit
            .rows
            .iter()
            .filter(|row| row.table == self.table.name)
        {
            let after = row
                .value
                .as_ref()
                .map(|value| match self.table.decode(value) {
                    Ok(after) => Arc::new(after),
                    Err(error) => panic!("{}/{}/{}: {error}", self.node, row.table, row.key),
                });
            let before = match &after {
                Some(after) => self.rows.insert(row.key.clone(), after.clone()),
                None => self.rows.remove(&row.key),
            };
            changes.push(Change {
                key: row.key.clone(),
                before,
                after,
            });
        }
        changes
    }

    /// One row.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.rows.get(key).map(|row| &**row)
    }

    /// All rows, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.rows.iter().map(|(key, row)| (key.as_str(), &**row))
    }

    /// The rows whose keys begin with `prefix`, by key.
    pub fn under(&self, prefix: &str) -> impl Iterator<Item = (&str, &V)> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let rows = self.rows.range::<str, _>(from);
        rows.map(|(key, row)| (key.as_str(), &**row))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// All rows, without their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.rows.values().map(|row| &**row)
    }
}
