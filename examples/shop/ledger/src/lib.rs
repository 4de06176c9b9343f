//! The payments service: what customers have, and what they were charged.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{delete, get, post},
};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use shop_kit::{Bug, Bugs, Health, Refusal, log_to_stderr, var};
use tokio::{net::TcpListener, runtime::Runtime, task::spawn_blocking};
use tracing::info;

/// What the service is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub port: u16,
    /// Its SQLite file.
    pub data: PathBuf,
    /// How SQLite keeps its journal: `delete`, `wal` and so on.
    pub journal: String,
    /// Who has how much at first.
    pub accounts: Accounts,
    /// The bugs that it has.
    pub bugs: Bugs,
}

impl Config {
    /// As the environment says: `PORT`, `LEDGER_DATA`, `LEDGER_JOURNAL`, `LEDGER_ACCOUNTS`, `SHOP_BUG`.
    ///
    /// # Errors
    ///
    /// A variable means nothing.
    pub fn from_env() -> Result<Config> {
        Ok(Config {
            port: var("PORT", "8080")?,
            data: var("LEDGER_DATA", "ledger.sqlite")?,
            journal: var("LEDGER_JOURNAL", "delete")?,
            accounts: var("LEDGER_ACCOUNTS", "ann=100,ben=100")?,
            bugs: var("SHOP_BUG", "")?,
        })
    }
}

/// Names of customers, and what they have: `ann=100,ben=100`.
#[derive(Clone, Debug, Default)]
pub struct Accounts(BTreeMap<String, i64>);

impl FromStr for Accounts {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let accounts = text.split(',').map(|account| {
            let (name, balance) = account.split_once('=').context("expected name=balance")?;
            Ok((name.to_owned(), balance.parse()?))
        });
        accounts.collect::<Result<_>>().map(Accounts)
    }
}

/// What `POST /charges` asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Charge {
    /// The idempotency key, by which it is refunded later.
    pub key: String,
    /// Whose account.
    pub customer: String,
    /// How much.
    pub amount: i64,
}

/// A charge as `GET /charges` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Whose account; empty if it was refunded before it was made.
    pub customer: String,
    /// How much.
    pub amount: i64,
    /// Whether it was paid back. One that was must not be made any more.
    pub refunded: bool,
}

#[derive(Clone)]
struct Ledger {
    connection: Arc<Mutex<Connection>>,
    bugs: Bugs,
    health: Health,
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
    let bugs = config.bugs.clone();
    let connection = spawn_blocking(|| open(config)).await??;
    let ledger = Ledger {
        connection: Arc::new(Mutex::new(connection)),
        bugs,
        health: Health::default(),
    };
    let health = ledger.health.clone();
    let app = Router::new()
        .route("/accounts", get(accounts))
        .route("/charges", get(charges))
        .route("/charges", post(charge))
        .route("/charges/{key}", delete(refund))
        .with_state(ledger);
    shop_kit::serve(listener, app, health).await
}

fn open(config: Config) -> Result<Connection> {
    let connection = Connection::open(config.data)?;
    connection.pragma_update(None, "journal_mode", config.journal)?;
    // A journal that is there again after a power loss undoes what was committed: "full" does not rule that out.
    let synchronous = match &config.bugs {
        bugs if bugs.has(Bug::CommitWithoutSync) => "off",
        bugs if bugs.has(Bug::JournalComesBack) => "full",
        _ => "extra",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch(
        "BEGIN IMMEDIATE;
         CREATE TABLE IF NOT EXISTS accounts (
             name TEXT PRIMARY KEY,
             balance INTEGER NOT NULL
         );
         CREATE TABLE IF NOT EXISTS charges (
             id INTEGER PRIMARY KEY,
             key TEXT NOT NULL,
             customer TEXT NOT NULL,
             amount INTEGER NOT NULL,
             refunded INTEGER NOT NULL
         );
         CREATE INDEX IF NOT EXISTS charges_by_key ON charges (key);
         COMMIT;",
    )?;
    for (name, balance) in config.accounts.0 {
        let sql = "INSERT OR IGNORE INTO accounts (name, balance) VALUES (?1, ?2)";
        connection.execute(sql, params![name, balance])?;
    }
    Ok(connection)
}

impl Ledger {
    /// Works with the database, which nobody else does meanwhile.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let connection = self.connection.clone();
        let working = move || {
            let connection = connection.lock();
            work(&mut connection.unwrap_or_else(PoisonError::into_inner))
        };
        self.health.blocking(working).await
    }
}

fn balance(connection: &Connection, customer: &str) -> Result<i64, Refusal> {
    let sql = "SELECT balance FROM accounts WHERE name = ?1";
    let balance = connection.query_row(sql, [customer], |row| row.get(0));
    let balance = balance.optional()?;
    balance.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no such account"))
}

fn entries(connection: &Connection, key: Option<&str>) -> Result<Vec<Entry>, Refusal> {
    let sql = "SELECT key, customer, amount, refunded FROM charges WHERE key = ?1 OR ?1 IS NULL ORDER BY id";
    let mut statement = connection.prepare(sql)?;
    let entries = statement.query_map([key], |row| {
        Ok(Entry {
            key: row.get(0)?,
            customer: row.get(1)?,
            amount: row.get(2)?,
            refunded: row.get(3)?,
        })
    });
    Ok(entries?.collect::<Result<_, _>>()?)
}

fn enter(connection: &Connection, entry: &Entry) -> Result<(), Refusal> {
    let sql = "INSERT INTO charges (key, customer, amount, refunded) VALUES (?1, ?2, ?3, ?4)";
    let values = params![entry.key, entry.customer, entry.amount, entry.refunded];
    connection.execute(sql, values)?;
    Ok(())
}

async fn accounts(State(ledger): State<Ledger>) -> Result<Json<BTreeMap<String, i64>>, Refusal> {
    let read = |connection: &mut Connection| {
        let mut statement = connection.prepare("SELECT name, balance FROM accounts")?;
        let accounts = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(accounts.collect::<Result<_, _>>()?)
    };
    ledger.with(read).await.map(Json)
}

async fn charges(State(ledger): State<Ledger>) -> Result<Json<Vec<Entry>>, Refusal> {
    let read = |connection: &mut Connection| entries(connection, None);
    ledger.with(read).await.map(Json)
}

async fn charge(
    State(ledger): State<Ledger>,
    Json(asked): Json<Charge>,
) -> Result<StatusCode, Refusal> {
    let bugs = ledger.bugs.clone();
    // The bug reads the balance, and has released the lock when it writes it.
    let before = match bugs.has(Bug::ReleaseBeforeCommit) {
        true => {
            let customer = asked.customer.clone();
            Some(
                ledger
                    .with(move |connection| balance(connection, &customer))
                    .await?,
            )
        }
        false => None,
    };
    let work = move |connection: &mut Connection| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Charge {
            key,
            customer,
            amount,
        } = asked;
        let entry = Entry {
            key,
            customer,
            amount,
            refunded: false,
        };
        match entries(&transaction, Some(&entry.key))?.first() {
            Some(_) if bugs.has(Bug::NoIdempotency) => {}
            Some(known) if *known == entry => return Ok(StatusCode::NO_CONTENT),
            Some(known) if known.refunded => {
                return Err(Refusal::new(StatusCode::GONE, "refunded"));
            }
            Some(_) => {
                return Err(Refusal::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "the key is another's",
                ));
            }
            None => {}
        }
        let balance = match before {
            Some(balance) => balance,
            None => balance(&transaction, &entry.customer)?,
        };
        if balance < amount {
            return Err(Refusal::new(
                StatusCode::PAYMENT_REQUIRED,
                "not enough money",
            ));
        }
        let sql = "UPDATE accounts SET balance = ?1 WHERE name = ?2";
        transaction.execute(sql, params![balance - amount, entry.customer])?;
        enter(&transaction, &entry)?;
        transaction.commit()?;
        info!("{}: {amount} charged to {}", entry.key, entry.customer);
        Ok(StatusCode::NO_CONTENT)
    };
    ledger.with(work).await
}

async fn refund(
    State(ledger): State<Ledger>,
    Path(key): Path<String>,
) -> Result<StatusCode, Refusal> {
    let work = move |connection: &mut Connection| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "UPDATE accounts SET balance = balance + coalesce(
                       (SELECT sum(amount) FROM charges WHERE key = ?1 AND customer = name AND NOT refunded), 0)";
        transaction.execute(sql, [&key])?;
        let sql = "UPDATE charges SET refunded = TRUE WHERE key = ?1";
        if transaction.execute(sql, [&key])? == 0 {
            let customer = String::new();
            let never = Entry {
                key: key.clone(),
                customer,
                amount: 0,
                refunded: true,
            };
            enter(&transaction, &never)?;
        }
        transaction.commit()?;
        info!("{key}: refunded");
        Ok(StatusCode::NO_CONTENT)
    };
    ledger.with(work).await
}
