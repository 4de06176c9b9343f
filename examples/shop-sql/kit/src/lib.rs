//! What the services of the shop share.

pub mod audit;
pub mod idempotency;
pub mod outbox;

mod bug;
mod database;
mod http;
mod lock;
mod peer;
mod settings;

pub use bug::{Bug, Bugs};
pub use database::{
    Database, READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE, Transaction, migrations,
};
pub use http::{Error, Result, serve};
pub use lock::{Lease, Locks};
pub use peer::Peer;
pub use settings::{program, var};
