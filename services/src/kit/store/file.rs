//! From a file name to a usable database, whatever an earlier life left behind.

use std::{
    fmt, io,
    ops::{Bound, Deref},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use redb::{BackendError, Database, DatabaseError, StorageBackend, StorageError};

use super::{StoreError, rows};
use crate::ports::Storage;

/// Page cache. A reference service's whole state is smaller.
const CACHE_BYTES: usize = 4 << 20;

/// An open database. Dropping it closes it in order, or abandons it if its storage is gone.
pub(super) struct Open {
    /// `None` once it is dropped.
    database: Option<Database>,
    storage: Arc<dyn Storage>,
}

impl Open {
    /// Opens `file` of this storage, or makes it.
    pub fn file(storage: Arc<dyn Storage>, file: &str) -> Result<Open, StoreError> {
        let database = Some(open(storage.as_ref(), file)?);
        Ok(Open { database, storage })
    }
}

impl Deref for Open {
    type Target = Database;
    fn deref(&self) -> &Database {
        self.database.as_ref().expect("it is there until the drop")
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.storage.is_gone()
            && let Some(database) = self.database.take()
        {
            abandon(database);
        }
    }
}

/// Drops a database as a crash would. redb closes one with a commit that spares the next open its recovery, unless a
/// panic is unwinding.
pub(super) fn abandon(database: Database) {
    let drops = AssertUnwindSafe(|| {
        let _database = database;
        resume_unwind(Box::new(()))
    });
    let _: std::thread::Result<()> = catch_unwind(drops);
}

/// Opens `file`, or makes it. A power loss while a database is being made leaves a file that is refused for ever, so
/// it gets its name only when it is complete.
fn open(storage: &dyn Storage, file: &str) -> Result<Database, StoreError> {
    let unfinished = format!("{file}.new");
    storage.remove(&unfinished)?;
    if !storage.exists(file)? {
        let database = open_database(storage.open(&unfinished)?, false)?;
        storage.rename(&unfinished, file)?;
        return Ok(database);
    }
    let backend = storage.open(file)?;
    if backend.len()? == 0 {
        return Err(StoreError::Corrupt(format!("{file} is empty")));
    }
    let database =
        open_database(backend, storage.verifies_on_open()).map_err(|error| error.within(file))?;
    rows::check(&database).map_err(|error| error.within(file))?;
    Ok(database)
}

/// Opens a database over a backend, recovering it if its last user crashed. A damaged file can make the engine
/// panic: that is told as damage.
pub(super) fn open_database(
    backend: Box<dyn StorageBackend>,
    verify: bool,
) -> Result<Database, StoreError> {
    catch_unwind(AssertUnwindSafe(|| {
        Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(verify)
            .create_with_backend(Boxed(backend))
    }))
    .map_err(|_| StoreError::Corrupt("it cannot be read".to_owned()))?
    .map_err(StoreError::from)
}

impl StoreError {
    fn within(self, file: &str) -> Self {
        match self {
            StoreError::Corrupt(what) => StoreError::Corrupt(format!("{file}: {what}")),
            StoreError::Io(what) => StoreError::Io(format!("{file}: {what}")),
            elsewhere => elsewhere,
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        // How redb says that the file does not begin as a database does.
        match error.kind() {
            io::ErrorKind::InvalidData => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Io(error.to_string()),
        }
    }
}

impl From<StorageError> for StoreError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Corrupted(what) => StoreError::Corrupt(what),
            StorageError::Io(error) => error.into(),
            other => StoreError::Io(other.to_string()),
        }
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Storage(error) => error.into(),
            DatabaseError::DatabaseAlreadyOpen => {
                StoreError::Io("another process has the database open; stop that one first".into())
            }
            other => StoreError::Corrupt(other.to_string()),
        }
    }
}

/// The port's boxed backend as redb wants it: by type.
struct Boxed(Box<dyn StorageBackend>);

impl fmt::Debug for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StorageBackend for Boxed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }
    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }
    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }
    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }
    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }
    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}
