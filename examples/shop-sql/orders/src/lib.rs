//! The order service. An order is a saga: goods are reserved, money is charged, and then it is confirmed; or it is
//! cancelled, and what was reserved and charged is given back.
//!
//! What follows from the decision goes through an outbox: its events are written together with it. Any number of instances
//! may share a database.

mod api;
mod order;
mod saga;
mod sweep;

use std::time::Duration;

use anyhow::Result;
use shop_sql_kit::{
    Bugs, Database, Locks, Peer, idempotency,
    outbox::{self, Relay},
    program, serve, var,
};
use tokio::task::JoinSet;

pub use api::Place;
pub use order::{Order, State};

/// How its schema is made.
pub const MIGRATIONS: &[&str] = &[
    outbox::MIGRATION,
    idempotency::MIGRATION,
    include_str!("schema.sql"),
];

/// What the service is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub port: u16,
    /// Its database, of which it has the schema `orders`.
    pub database: String,
    /// A copy of the database that may be late, if there is one.
    pub replica: String,
    /// Where the locks are.
    pub redis: String,
    /// Where the inventory is.
    pub inventory: String,
    /// Where the payments service is.
    pub payments: String,
    /// How long it waits for an answer of theirs.
    pub patience: Duration,
    /// How long an order is locked for a step of its saga.
    pub lease: Duration,
    /// The bugs that it has.
    pub bugs: Bugs,
}

impl Config {
    /// As the environment says: `PORT`, `DATABASE_URL`, `DATABASE_REPLICA_URL`, `REDIS_URL`, `INVENTORY_URL`,
    /// `PAYMENTS_URL`, `PATIENCE_MS`, `LEASE_MS`, `SHOP_BUG`.
    ///
    /// # Errors
    ///
    /// A variable means nothing.
    pub fn from_env() -> Result<Config> {
        Ok(Config {
            port: var("PORT", "8080")?,
            database: var("DATABASE_URL", "postgres://localhost/shop")?,
            replica: var("DATABASE_REPLICA_URL", "")?,
            redis: var("REDIS_URL", "redis://localhost")?,
            inventory: var("INVENTORY_URL", "http://inventory:8080")?,
            payments: var("PAYMENTS_URL", "http://payments:8080")?,
            patience: Duration::from_millis(var("PATIENCE_MS", "400")?),
            lease: Duration::from_millis(var("LEASE_MS", "1500")?),
            bugs: var("SHOP_BUG", "")?,
        })
    }
}

/// The program: as [`run`], with the environment's configuration.
///
/// # Errors
///
/// As [`run`].
pub fn main() -> Result<()> {
    program(async { run(Config::from_env()?).await })
}

/// Serves on the port of the configuration until the process is told to end.
///
/// # Errors
///
/// The port is taken, the database does not come, or the configuration is wrong.
pub async fn run(config: Config) -> Result<()> {
    let database = Database::open(&config.database, "orders")?;
    database.migrate(MIGRATIONS).await?;
    let replica = match &*config.replica {
        "" => database.clone(),
        url => Database::open(url, "orders")?,
    };
    let peer = |url: &str, tries| Peer::new(url.to_owned(), config.patience, tries);
    let relay = Relay {
        database: database.clone(),
        subscribers: vec![
            (peer(&config.inventory, 1)?, &["confirmed", "cancelled"]),
            (
                peer(&config.payments, 1)?,
                &["placed", "confirmed", "cancelled"],
            ),
        ],
        bugs: config.bugs.clone(),
    };
    let orders = saga::Orders {
        database: database.clone(),
        replica,
        locks: Locks::open(&config.redis)?,
        lease: config.lease,
        inventory: peer(&config.inventory, 2)?,
        payments: peer(&config.payments, 2)?,
        bugs: config.bugs.clone(),
    };
    let mut background = JoinSet::new();
    background.spawn(relay.run());
    background.spawn(sweep::run(orders.clone()));
    serve(config.port, api::router(orders), database).await
}
