//! The real PostgreSQL and the real Redis as nodes of a scenario: their own executables, unmodified, in the simulated
//! kernel.
//!
//! They are looked for in the usual places; where they are missing, a scenario that wants one says what to install.

mod binaries;
mod checks;
mod client;
mod image;
mod operator;
mod postgres;
mod redis;
mod settings;
mod sql;
mod wire;

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

    /// Whenever a transaction that may have written something was committed, and once all is settled, this query of the
    /// server's database is to give no row: each that it gives is broken. It is one statement; what it is about need not be
    /// there from the beginning.
    ///
    /// It is asked over a connection of the harness's own, as superuser, as soon as the server has answered the commit: what
    /// is true for a shorter time than the question takes on its way (half a millisecond) can be missed, and while no
    /// connection can be had nothing is asked.
    fn always_sql(&self, db: &Postgres, name: &str, sql: &str);

    /// Once the storm is over and all is settled, this query of the server's database is to give no row within a minute.
    fn finally_sql(&self, db: &Postgres, name: &str, sql: &str);
}

impl Servers for Sim {
    fn postgres(&self, name: &str) -> Postgres {
        postgres::add(self, name)
    }

    fn redis(&self, name: &str) -> Redis {
        redis::add(self, name)
    }

    fn always_sql(&self, db: &Postgres, name: &str, sql: &str) {
        sql::add(self, db, checks::Query::new(name, sql, true));
    }

    fn finally_sql(&self, db: &Postgres, name: &str, sql: &str) {
        sql::add(self, db, checks::Query::new(name, sql, false));
    }
}
