//! The real PostgreSQL and the real Redis as nodes of a scenario: their own executables, unmodified, in the simulated
//! kernel.
//!
//! They are looked for in the usual places; where they are missing, a scenario that wants one says what to install.

mod binaries;
mod image;
mod postgres;
mod redis;

use squall_engine::Sim;

pub use binaries::{Absent, postgres_is_installed, redis_is_installed};
pub use postgres::Postgres;
pub use redis::{Fsync, Redis};

/// Nodes that are servers which everybody knows.
pub trait Servers {
    /// Adds a node that is a PostgreSQL server, the real one: it listens on port 5432, and lets everybody in without a
    /// password (`postgres://app@NAME/app`).
    ///
    /// # Panics
    /// It is not installed, or the machine refuses to make a process.
    fn postgres(&self, name: &str) -> Postgres;

    /// Adds a node that is a Redis server, the real one: it listens on port 6379 (`redis://NAME`).
    ///
    /// # Panics
    /// It is not installed, or the machine refuses to make a process.
    fn redis(&self, name: &str) -> Redis;
}

impl Servers for Sim {
    fn postgres(&self, name: &str) -> Postgres {
        postgres::add(self, name)
    }

    fn redis(&self, name: &str) -> Redis {
        redis::add(self, name)
    }
}
