//! Rows of logical tables within the one physical B-tree: the key is `table`, a NUL, the row's key.

use std::{cell::RefCell, ops::Bound, sync::Arc};

use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, WriteTransaction,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Dump, StoreError, Table,
    remote_rows::{self, Changes},
};
use crate::ports::{RowChange, Storage};

type Bytes = &'static [u8];

const ROWS: TableDefinition<Bytes, Bytes> = TableDefinition::new("rows");

/// Refuses a database that some other program made. One without any table is new.
pub(super) fn check(database: &Database) -> Result<(), StoreError> {
    let transaction = database.begin_read().map_err(io)?;
    let is_new = transaction.list_tables()?.next().is_none();
    if is_new || open(&transaction)?.is_some() {
        Ok(())
    } else {
        let reason = "it was not made by this program";
        Err(StoreError::Corrupt(reason.to_owned()))
    }
}

pub(super) fn dump(database: &Database) -> Result<Dump, StoreError> {
    let Some(rows) = open_rows(database)? else {
        return Ok(Dump::new());
    };
    let mut all = Dump::new();
    for entry in rows.iter()? {
        let (key, value) = entry?;
        let (table, key) = std::str::from_utf8(key.value())
            .ok()
            .and_then(|text| text.split_once('\0'))
            .ok_or_else(|| StoreError::Corrupt("a row's key is not a table and a text".into()))?;
        all.push((table.to_owned(), key.to_owned(), value.value().to_vec()));
    }
    Ok(all)
}

/// The rows; none in a new database.
fn open_rows(database: &Database) -> Result<Option<ReadOnlyTable<Bytes, Bytes>>, StoreError> {
    open(&database.begin_read().map_err(io)?)
}

fn open(transaction: &ReadTransaction) -> Result<Option<ReadOnlyTable<Bytes, Bytes>>, StoreError> {
    match transaction.open_table(ROWS) {
        Ok(rows) => Ok(Some(rows)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(TableError::Storage(error)) => Err(error.into()),
        Err(error) => Err(StoreError::Corrupt(error.to_string())),
    }
}

fn io(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Corrupted(what) => StoreError::Corrupt(what),
        error => StoreError::Io(error.to_string()),
    }
}

fn physical_key(table: &str, key: &str) -> Vec<u8> {
    [table.as_bytes(), b"\0", key.as_bytes()].concat()
}

/// The first refusal of the disk, kept even if the caller swallows the error.
#[derive(Default)]
struct Refusal(RefCell<Option<String>>);

impl Refusal {
    fn note<T>(&self, result: Result<T, redb::StorageError>) -> Result<T, StoreError> {
        result.map_err(|error| {
            self.0.borrow_mut().get_or_insert_with(|| error.to_string());
            error.into()
        })
    }
}

/// How rows are reached.
pub(super) struct Access {
    pub storage: Arc<dyn Storage>,
    pub unreadable_is_absent: bool,
}

impl Access {
    /// Whether a row that is there is to be read.
    fn meets(&self, table: &str, key: &str) -> Result<bool, StoreError> {
        match self.storage.readable(table, key) {
            Ok(()) => Ok(true),
            Err(_) if self.unreadable_is_absent => Ok(false),
            Err(error) => Err(StoreError::Unreadable(error.to_string())),
        }
    }
}

fn get<V: DeserializeOwned>(
    rows: &impl ReadableTable<Bytes, Bytes>,
    (refusal, access): (&Refusal, &Access),
    table: &Table<V>,
    key: &str,
) -> Result<Option<V>, StoreError> {
    let found = refusal.note(rows.get(physical_key(table.name, key).as_slice()))?;
    match found {
        Some(value) if access.meets(table.name, key)? => table.decode(value.value()).map(Some),
        _ => Ok(None),
    }
}

fn scan<V: DeserializeOwned>(
    rows: &impl ReadableTable<Bytes, Bytes>,
    (refusal, access): (&Refusal, &Access),
    table: &Table<V>,
    (prefix, after): (&str, Option<&str>),
    (limit, wanted): (usize, impl Fn(&V) -> bool),
) -> Result<Vec<(String, V)>, StoreError> {
    let first = physical_key(table.name, prefix);
    let before = after.map(|after| [&first, after.as_bytes()].concat());
    let begin = match &before {
        Some(before) => Bound::Excluded(before.as_slice()),
        None => Bound::Included(first.as_slice()),
    };
    let mut found = Vec::new();
    for entry in refusal.note(rows.range::<&[u8]>((begin, Bound::Unbounded)))? {
        let (key, value) = refusal.note(entry)?;
        if !key.value().starts_with(&first) || found.len() == limit {
            break;
        }
        let key = String::from_utf8_lossy(&key.value()[table.name.len() + 1..]);
        if !access.meets(table.name, &key)? {
            continue;
        }
        let row = table.decode(value.value())?;
        if wanted(&row) {
            found.push((key.into_owned(), row));
        }
    }
    Ok(found)
}

/// A consistent view of all rows.
pub struct Reader(View);

enum View {
    Tree {
        rows: Option<ReadOnlyTable<Bytes, Bytes>>,
        access: Access,
        refusal: Refusal,
    },
    There(remote_rows::Rows),
}

impl Reader {
    pub(super) fn begin(database: &Database, access: Access) -> Result<Self, StoreError> {
        Ok(Reader(View::Tree {
            rows: open_rows(database)?,
            access,
            refusal: Refusal::default(),
        }))
    }

    pub(super) fn there(rows: remote_rows::Rows) -> Self {
        Reader(View::There(rows))
    }

    /// What the disk said if it refused a read.
    pub(super) fn refusal(self) -> Option<String> {
        match self.0 {
            View::Tree { refusal, .. } => refusal.0.into_inner(),
            View::There(_) => None,
        }
    }

    /// One row.
    pub fn get<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        key: &str,
    ) -> Result<Option<V>, StoreError> {
        match &self.0 {
            View::Tree {
                rows: Some(rows),
                access,
                refusal,
            } => get(rows, (refusal, access), table, key),
            View::Tree { rows: None, .. } => Ok(None),
            View::There(rows) => decoded(table, rows.get(table.name, key)?),
        }
    }

    /// All rows of a table whose key begins with `prefix`, in key order.
    pub fn scan<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        prefix: &str,
    ) -> Result<Vec<(String, V)>, StoreError> {
        self.scan_some(table, prefix, usize::MAX, |_| true)
    }

    /// The first rows of a [`scan`](Self::scan) that are wanted, at most `limit`. Nothing after them is read.
    pub fn scan_some<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        prefix: &str,
        limit: usize,
        wanted: impl Fn(&V) -> bool,
    ) -> Result<Vec<(String, V)>, StoreError> {
        self.scan_after(table, (prefix, None), (limit, wanted))
    }

    /// Like [`scan_some`](Self::scan_some), of the rows behind the key `prefix` + `after`, which need not be there.
    pub(in crate::kit) fn scan_after<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        place: (&str, Option<&str>),
        which: (usize, impl Fn(&V) -> bool),
    ) -> Result<Vec<(String, V)>, StoreError> {
        match &self.0 {
            View::Tree {
                rows: Some(rows),
                access,
                refusal,
            } => scan(rows, (refusal, access), table, place, which),
            View::Tree { rows: None, .. } => Ok(Vec::new()),
            View::There(rows) => rows.scan(table, place, which),
        }
    }
}

fn decoded<V: DeserializeOwned>(
    table: &Table<V>,
    row: Option<Vec<u8>>,
) -> Result<Option<V>, StoreError> {
    row.map(|row| table.decode(&row)).transpose()
}

/// A transaction under way. It sees its own changes.
pub struct Writer<'t> {
    base: Base<'t>,
    changes: Changes,
}

/// What a transaction changes.
enum Base<'t> {
    Tree {
        rows: redb::Table<'t, Bytes, Bytes>,
        access: Access,
        refusal: Refusal,
    },
    There(remote_rows::Rows),
}

impl<'t> Writer<'t> {
    pub(super) fn begin(
        transaction: &'t WriteTransaction,
        access: Access,
    ) -> Result<Self, StoreError> {
        let base = Base::Tree {
            rows: transaction.open_table(ROWS).map_err(io)?,
            access,
            refusal: Refusal::default(),
        };
        let changes = Changes::new();
        Ok(Writer { base, changes })
    }

    pub(super) fn there(rows: remote_rows::Rows) -> Self {
        Writer {
            base: Base::There(rows),
            changes: Changes::new(),
        }
    }

    /// Each changed row once with its last value, by table and key; and what the disk said if it refused.
    pub(super) fn into_outcome(self) -> (Vec<RowChange>, Option<String>) {
        let refusal = match self.base {
            Base::Tree { refusal, .. } => refusal.0.into_inner(),
            Base::There(_) => None,
        };
        (remote_rows::listed(self.changes), refusal)
    }

    /// Of one on a server: its rows, and what is still to be sent there.
    pub(super) fn into_there(self) -> Option<(remote_rows::Rows, Vec<RowChange>)> {
        match self.base {
            Base::Tree { .. } => None,
            Base::There(rows) => Some((rows, remote_rows::listed(self.changes))),
        }
    }

    /// One row.
    pub fn get<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        key: &str,
    ) -> Result<Option<V>, StoreError> {
        match &self.base {
            Base::Tree {
                rows,
                access,
                refusal,
            } => get(rows, (refusal, access), table, key),
            Base::There(rows) => {
                let row = match self.changes.get(&(table.name, key.to_owned())) {
                    Some(after) => after.clone(),
                    None => rows.get(table.name, key)?,
                };
                decoded(table, row)
            }
        }
    }

    /// All rows of a table whose key begins with `prefix`, in key order.
    pub fn scan<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        prefix: &str,
    ) -> Result<Vec<(String, V)>, StoreError> {
        match &self.base {
            Base::Tree {
                rows,
                access,
                refusal,
            } => {
                let all = (usize::MAX, |_: &V| true);
                scan(rows, (refusal, access), table, (prefix, None), all)
            }
            Base::There(rows) => rows.scan_with(table, prefix, &self.changes),
        }
    }

    /// Writes a row, over any older one.
    pub fn put<V: Serialize>(
        &mut self,
        table: &Table<V>,
        key: &str,
        value: &V,
    ) -> Result<(), StoreError> {
        let value = serde_json::to_vec(value)
            .map_err(|e| StoreError::Corrupt(format!("table {}: {e}", table.name)))?;
        if let Base::Tree { rows, refusal, .. } = &mut self.base {
            let physical = physical_key(table.name, key);
            refusal.note(rows.insert(physical.as_slice(), value.as_slice()).map(drop))?;
        }
        self.changes
            .insert((table.name, key.to_owned()), Some(value));
        Ok(())
    }

    /// Deletes a row, if it is there.
    pub fn delete<V>(&mut self, table: &Table<V>, key: &str) -> Result<(), StoreError> {
        let change = (table.name, key.to_owned());
        let was_there = match &mut self.base {
            Base::Tree { rows, refusal, .. } => {
                let physical = physical_key(table.name, key);
                refusal.note(rows.remove(physical.as_slice()).map(|old| old.is_some()))?
            }
            Base::There(rows) => match self.changes.get(&change) {
                Some(after) => after.is_some(),
                None => rows.get(table.name, key)?.is_some(),
            },
        };
        if was_there {
            self.changes.insert(change, None);
        }
        Ok(())
    }
}
