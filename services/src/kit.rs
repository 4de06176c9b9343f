//! What the services share: HTTP in and out, transactions, idempotency, sagas, events.

pub mod bulkhead;
pub mod bus;
pub mod context;
pub mod events;
pub mod executor;
pub mod format;
pub mod http;
pub mod idempotency;
pub mod inbox;
pub mod input;
pub(crate) mod json;
pub mod lease;
pub mod member;
pub mod outbox;
pub mod page;
pub mod peer;
pub mod problem;
pub mod reservation;
pub mod resource_pool;
pub mod saga;
pub(crate) mod stale;
pub mod store;
pub mod stub_faults;
pub(crate) mod timer;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use bulkhead::{Permit, Permits};
pub use context::Context;
pub use page::{Listed, Page};
pub use peer::{CallError, Peer, PeerPolicy, Reply};
pub use problem::{Code, Problem};
pub use store::{Reader, Store, StoreError, Table, Writer};

/// Locks a mutex. A panic ends the process, so nobody ever sees what a poisoned one holds.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
