//! Rows of a database on a server, as a transaction asks for them and changes them.

use std::{cell::RefCell, collections::BTreeMap};

use serde::de::DeserializeOwned;

use super::{StoreError, Table};
use crate::ports::{RowChange, ServerError, Transaction};

/// Rows that a scan asks for at once.
const ROWS_AT_ONCE: usize = 500;

/// The rows that a transaction sees.
pub(super) struct Rows {
    pub transaction: RefCell<Box<dyn Transaction>>,
    /// The first failure, kept even if the caller swallows the error.
    pub failed: RefCell<Option<ServerError>>,
}

impl Rows {
    pub fn new(transaction: Box<dyn Transaction>) -> Self {
        Rows {
            transaction: RefCell::new(transaction),
            failed: RefCell::default(),
        }
    }

    fn ask<T>(
        &self,
        ask: impl FnOnce(&mut dyn Transaction) -> Result<T, ServerError>,
    ) -> Result<T, StoreError> {
        if let Some(error) = self.failed.borrow().clone() {
            return Err(error.into());
        }
        ask(self.transaction.borrow_mut().as_mut()).map_err(|error| {
            *self.failed.borrow_mut() = Some(error.clone());
            error.into()
        })
    }

    pub fn get(&self, table: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(|transaction| transaction.get(table, key))
    }

    pub fn scan<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        (prefix, after): (&str, Option<&str>),
        (limit, wanted): (usize, impl Fn(&V) -> bool),
    ) -> Result<Vec<(String, V)>, StoreError> {
        let mut after = after.map(|after| format!("{prefix}{after}"));
        let mut found = Vec::new();
        while found.len() < limit {
            let rows = self.ask(|transaction| {
                transaction.range(table.name, prefix, after.as_deref(), ROWS_AT_ONCE)
            })?;
            let last = rows.len() < ROWS_AT_ONCE;
            after = rows.last().map(|(key, _)| key.clone());
            for (key, row) in rows {
                let row = table.decode(&row)?;
                if found.len() < limit && wanted(&row) {
                    found.push((key, row));
                }
            }
            if last {
                break;
            }
        }
        Ok(found)
    }

    /// A scan of all, with the changes that are still to be sent.
    pub fn scan_with<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        prefix: &str,
        changes: &Changes,
    ) -> Result<Vec<(String, V)>, StoreError> {
        let rows = self.scan(table, (prefix, None), (usize::MAX, |_: &V| true))?;
        let mut rows: BTreeMap<String, V> = rows.into_iter().collect();
        let of_table = changes.range((table.name, prefix.to_owned())..);
        let of_table =
            of_table.take_while(|((name, key), _)| *name == table.name && key.starts_with(prefix));
        for ((_, key), after) in of_table {
            match after {
                Some(row) => rows.insert(key.clone(), table.decode(row)?),
                None => rows.remove(key),
            };
        }
        Ok(rows.into_iter().collect())
    }
}

/// What a transaction has changed so far: the row after it, or none, by table and key.
pub(super) type Changes = BTreeMap<(&'static str, String), Option<Vec<u8>>>;

/// Each changed row once with its last value, by table and key.
pub(super) fn listed(changes: Changes) -> Vec<RowChange> {
    let change = |((table, key), after)| RowChange { table, key, after };
    changes.into_iter().map(change).collect()
}
