//! The seams between a service and the machine that it runs on.
//!
//! A service is built from a [`Platform`] and nothing ambient: it opens connections, reads the wall clock, draws ids,
//! starts tasks and opens its database only through these traits. Timers and channels come from `tokio`.
//!
//! What is *not* here: HTTP, retries, transactions. Those are the [`kit`](crate::kit), built over the ports.

use std::{any::Any, fmt, future::Future, io, pin::Pin, sync::Arc};

use redb::StorageBackend;
use tokio::io::{AsyncRead, AsyncWrite};

/// A boxed future, as the object-safe ports return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connected byte stream with TCP's semantics.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One accepted or opened connection.
pub type Connection = Box<dyn Stream>;

/// A listening socket.
pub trait Listener: Send {
    /// The next connection; an error here means that the socket is unusable.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>>;
}

/// The network.
pub trait Net: Send + Sync {
    /// Listens for this service's requests on its own address.
    fn listen(&self) -> BoxFuture<'static, io::Result<Box<dyn Listener>>>;
    /// Opens a connection to the service called `peer` (`"inventory"`, `"pg"`).
    fn connect(&self, peer: &str) -> BoxFuture<'static, io::Result<Connection>>;
}

/// One row that a commit changed. Keys and values are the bytes as stored: a text key, a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// Logical table, as named in the service's `store` module.
    pub table: &'static str,
    /// The row's key as text.
    pub key: String,
    /// The value after the commit; `None` when the row was deleted.
    pub after: Option<Vec<u8>>,
}

/// Where databases live.
pub trait Storage: Send + Sync {
    /// Whether a file of this name exists.
    fn exists(&self, file: &str) -> io::Result<bool>;
    /// Opens a file, making it empty if there is none.
    fn open(&self, file: &str) -> io::Result<Box<dyn StorageBackend>>;
    /// Renames a file over any older one, durably: when this returns, a power loss keeps the new name. Whoever has the
    /// file open goes on using it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; no error if there is none.
    fn remove(&self, file: &str) -> io::Result<()>;
    /// Whether each database is read and verified in full when it is opened: worth its time where bits rot.
    fn verifies_on_open(&self) -> bool {
        false
    }
    /// Whether nothing that is written any more will be there: a database need not be closed in order.
    fn is_gone(&self) -> bool {
        false
    }
    /// The database that this machine has in common with others, in place of its own: a
    /// [`Shared`](crate::kit::store::Shared).
    fn shared(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }
    /// The server that keeps the rows of this machine's databases, in place of files.
    fn server(&self) -> Option<Arc<dyn Server>> {
        None
    }
    /// Whether this row can be read at present: asked about each row that a transaction meets. A machine's errors come
    /// from its files; one that is simulated may refuse a single row, whatever is cached.
    fn readable(&self, _table: &str, _key: &str) -> io::Result<()> {
        Ok(())
    }
    /// Runs a whole transaction, off the async threads where there are such.
    fn execute(&self, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()>;
    /// Told right before each commit of `file` what it is going to change. Nobody is told of one that fails: whether it
    /// is there after all shows when the file is opened again.
    fn committing(&self, _file: &str, _changes: &[RowChange]) {}
    /// Told at once after each commit of `file`, in commit order, before the writer learns of it.
    fn committed(&self, file: &str, changes: &[RowChange]);
    /// Whether somebody follows what is committed, and wants to be told what a database holds when it is opened.
    fn is_followed(&self) -> bool {
        false
    }
    /// Told, if it is followed, all rows of a database that was opened: table, key and value.
    fn found(&self, _file: &str, _rows: &[(String, String, Vec<u8>)]) {}
}

/// A database server. All of it may block: it is called where the platform runs transactions, but for what reads only.
pub trait Server: Send + Sync {
    /// Makes a service's database ready, which goes by the name of the file that it would be.
    fn open(&self, file: &str) -> Result<Arc<dyn Database>, ServerError>;
}

/// A service's database on a server.
pub trait Database: Send + Sync {
    /// Whether other processes transact over it too.
    fn is_shared(&self) -> bool;
    /// Begins a transaction that is serializable, or one that only reads, at one instant.
    fn begin(&self, reads_only: bool) -> Result<Box<dyn Transaction>, ServerError>;
}

/// A transaction on a server. One that is dropped has no effect.
pub trait Transaction: Send {
    /// A row as stored.
    fn get(&mut self, table: &str, key: &str) -> Result<Option<Vec<u8>>, ServerError>;
    /// At most `limit` rows of a table whose keys begin with `prefix` and come after the key `after`, by the bytes of
    /// their keys.
    fn range(
        &mut self,
        table: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ServerError>;
    /// All rows, as table, key and value, in the order of the bytes of these.
    fn all(&mut self) -> Result<Vec<(String, String, Vec<u8>)>, ServerError>;
    /// Writes the changes, and commits. What was read counts only if this succeeds.
    fn commit(self: Box<Self>, changes: &[RowChange]) -> Result<(), ServerError>;
}

/// Why a database server did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// Another transaction came in between; the whole has to be done again.
    #[error("another transaction came in between")]
    Conflict,
    /// It cannot be reached at present: nothing was done.
    #[error("{0}")]
    Unreachable(String),
    /// Whether the transaction was committed cannot be found out at present.
    #[error("{0}")]
    Unknown(String),
    /// It refuses, and would again.
    #[error("{0}")]
    Refused(String),
}

/// The node's wall clock. It can jump and drift: measure durations with `tokio::time::Instant`.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// Randomness for ids and jitter.
pub trait Random: Send + Sync {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;
}

/// Where tasks run and how the process ends.
pub trait Process: Send + Sync {
    /// Starts a task. A panic in it ends the process.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);
    /// Ends the process because it cannot go on; its supervisor starts it again. Tasks may still run for an instant,
    /// so callers must not answer anybody after this.
    fn fail(&self, reason: &str);
    /// Distinguishes this life of the process from every other one.
    fn boot_id(&self) -> u64;
}

/// Everything that a service needs of its machine.
#[derive(Clone)]
pub struct Platform {
    /// This service's name, as its peers know it.
    pub name: Arc<str>,
    /// The network.
    pub net: Arc<dyn Net>,
    /// The disk.
    pub storage: Arc<dyn Storage>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Ids and jitter.
    pub random: Arc<dyn Random>,
    /// Tasks.
    pub process: Arc<dyn Process>,
    /// The build of this process, where several run side by side: see [`format`](crate::kit::format).
    pub build: u32,
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platform")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Platform {
    /// An id of the form `PREFIX-XXXXXXXX` (eight upper-case hexadecimal digits).
    pub fn short_id(&self, prefix: &str) -> String {
        format!("{prefix}-{:08X}", self.random.next_u64() as u32)
    }

    /// Starts a task.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.process.spawn(name, Box::pin(task));
    }
}
