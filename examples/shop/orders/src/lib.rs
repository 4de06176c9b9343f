//! The order service. An order is a saga: goods are reserved, money is charged, and then it is confirmed; or it is
//! refused, and what was reserved and charged is given back.
//!
//! What follows from the decision, once it is made, goes through an outbox: its rows are written together with it.

mod api;
mod calls;
mod saga;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use shop_kit::{Bugs, log_to_stderr, var};
use tokio::{net::TcpListener, runtime::Runtime, task::JoinSet};

pub use api::Place;
pub use saga::{Order, State};

/// What the service is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub port: u16,
    /// Its redb file.
    pub data: PathBuf,
    /// Where the stock service is.
    pub stock: String,
    /// Where the payments service is.
    pub ledger: String,
    /// How long it waits for an answer of theirs.
    pub patience: Duration,
    /// How often it asks them before it gives an order up.
    pub tries: u32,
    /// The bugs that it has.
    pub bugs: Bugs,
}

impl Config {
    /// As the environment says: `PORT`, `ORDERS_DATA`, `STOCK_URL`, `LEDGER_URL`, `ORDERS_PATIENCE_MS`,
    /// `ORDERS_TRIES`, `SHOP_BUG`.
    ///
    /// # Errors
    ///
    /// A variable means nothing.
    pub fn from_env() -> Result<Config> {
        Ok(Config {
            port: var("PORT", "8080")?,
            data: var("ORDERS_DATA", "orders.redb")?,
            stock: var("STOCK_URL", "http://stock:8080")?,
            ledger: var("LEDGER_URL", "http://ledger:8080")?,
            patience: Duration::from_millis(var("ORDERS_PATIENCE_MS", "500")?),
            tries: var("ORDERS_TRIES", "5")?,
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
    log_to_stderr();
    let config = Config::from_env()?;
    // `#[tokio::main]` panics if the system has no more to give.
    Runtime::new()?.block_on(run(config))
}

/// Serves on the port of the configuration until the process is told to end.
///
/// # Errors
///
/// The port is taken, the file can't be opened, or the configuration is wrong.
pub async fn run(config: Config) -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", config.port)).await?;
    serve(listener, config).await
}

/// Serves on a listener until the process is told to end.
///
/// # Errors
///
/// As [`run`].
pub async fn serve(listener: TcpListener, config: Config) -> Result<()> {
    let orders = saga::Orders::open(&config)?;
    let health = orders.health();
    let mut background = JoinSet::new();
    background.spawn(orders.clone().recover());
    background.spawn(orders.clone().relay());
    shop_kit::serve(listener, api::router(orders), health).await
}
