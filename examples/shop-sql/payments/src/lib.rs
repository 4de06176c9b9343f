//! The payments: what customers are charged, and the mails that tell them.

use std::{str::FromStr, time::Duration};

use anyhow::Context;
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shop_sql_kit::{
    Bug, Bugs, Database, Error, READ_COMMITTED, REPEATABLE_READ, Result, SERIALIZABLE, Transaction,
    outbox::{Event, heard},
    program, serve, var,
};
use tokio::time::sleep;
use tracing::info;
use uuid::Uuid;

/// How its schema is made.
pub const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

/// What the service is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub port: u16,
    /// Its database, of which it has the schema `payments`.
    pub database: String,
    /// What customers may owe.
    pub accounts: Accounts,
    /// How long the bank takes, for which this service stands.
    pub bank: Duration,
    /// The bugs that it has.
    pub bugs: Bugs,
}

impl Config {
    /// As the environment says: `PORT`, `DATABASE_URL`, `ACCOUNTS`, `BANK_MS`, `SHOP_BUG`.
    ///
    /// # Errors
    ///
    /// A variable means nothing.
    pub fn from_env() -> anyhow::Result<Config> {
        Ok(Config {
            port: var("PORT", "8080")?,
            database: var("DATABASE_URL", "postgres://localhost/shop")?,
            accounts: var("ACCOUNTS", "ann=100,ben=100")?,
            bank: Duration::from_millis(var("BANK_MS", "20")?),
            bugs: var("SHOP_BUG", "")?,
        })
    }
}

/// Customers, and what each may owe: `ann=100,ben=100`.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Vec<(String, i64)>);

impl FromStr for Accounts {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let accounts = text.split(',').map(|account| {
            let (customer, credit) = account.split_once('=').context("expected name=credit")?;
            Ok((customer.to_owned(), credit.parse()?))
        });
        accounts.collect::<anyhow::Result<_>>().map(Accounts)
    }
}

/// What `POST /charges` asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Charge {
    /// For which order.
    pub order: Uuid,
    /// Who pays.
    pub customer: String,
    /// How much.
    pub amount: i64,
}

#[derive(Clone)]
struct Payments {
    database: Database,
    bank: Duration,
    bugs: Bugs,
}

/// The program: as [`run`], with the environment's configuration.
///
/// # Errors
///
/// As [`run`].
pub fn main() -> anyhow::Result<()> {
    program(async { run(Config::from_env()?).await })
}

/// Serves on the port of the configuration until the process is told to end.
///
/// # Errors
///
/// The port is taken, the database does not come, or the configuration is wrong.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let database = Database::open(&config.database, "payments")?;
    database.migrate(MIGRATIONS).await?;
    let open = |transaction| open(transaction, &config.accounts);
    database.transaction(READ_COMMITTED, open).await?;
    let payments = Payments {
        database: database.clone(),
        bank: config.bank,
        bugs: config.bugs,
    };
    let app = Router::new()
        .route("/charges", post(charge))
        .route("/events", post(hear))
        .with_state(payments);
    serve(config.port, app, database).await
}

/// Opens the accounts that are not known yet.
async fn open(mut transaction: Transaction, Accounts(accounts): &Accounts) -> Result<()> {
    for (customer, credit) in accounts {
        sqlx::query(
            "INSERT INTO accounts (customer, credit) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(customer)
        .bind(credit)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}

/// Charges a customer for an order, once, or declines to: once and for all, too.
async fn charge(
    State(payments): State<Payments>,
    Json(charge): Json<Charge>,
) -> Result<Json<Value>> {
    sleep(payments.bank).await;
    // The sum of the other charges has to stay what it is until this one is counted: only transactions that are as if
    // each were alone promise that.
    let begin = match payments.bugs.has(Bug::WriteSkew) {
        true => REPEATABLE_READ,
        false => SERIALIZABLE,
    };
    let charge = |transaction| charge_in(transaction, &charge);
    match &*payments.database.transaction(begin, charge).await? {
        "charged" => Ok(heard()),
        "refunded" => Err(Error::refused(StatusCode::GONE, "refunded")),
        _ => Err(Error::refused(StatusCode::PAYMENT_REQUIRED, "declined")),
    }
}

/// Returns the state of the charge.
async fn charge_in(mut transaction: Transaction, charge: &Charge) -> Result<String> {
    let known: Option<(String,)> = sqlx::query_as("SELECT state FROM charges WHERE order_id = $1")
        .bind(charge.order)
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some((state,)) = known {
        return Ok(state);
    }
    let left: Option<(i64,)> = sqlx::query_as(
        "SELECT credit - coalesce(sum(amount), 0)::bigint FROM accounts
         LEFT JOIN charges ON charges.customer = accounts.customer AND state = 'charged'
         WHERE accounts.customer = $1 GROUP BY credit",
    )
    .bind(&charge.customer)
    .fetch_optional(&mut *transaction)
    .await?;
    let state = match left {
        Some((left,)) if left >= charge.amount => "charged",
        _ => "declined",
    };
    // That another transaction has just charged for the same order is a serialization failure here.
    sqlx::query(
        "INSERT INTO charges (order_id, customer, amount, state) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(charge.order)
    .bind(&charge.customer)
    .bind(charge.amount)
    .bind(state)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    info!("{}: {state}, {} of {left:?}", charge.order, charge.amount);
    Ok(state.to_owned())
}

/// Hears what has become of an order, and mails it to the customer; once, however often it is told.
async fn hear(State(payments): State<Payments>, Json(event): Json<Event>) -> Result<Json<Value>> {
    let hear = |transaction| hear_in(transaction, &event);
    payments.database.transaction(READ_COMMITTED, hear).await?;
    Ok(heard())
}

async fn hear_in(mut transaction: Transaction, event: &Event) -> Result<()> {
    let customer = event.detail["customer"].as_str().unwrap_or_default();
    let mailed = sqlx::query(
        "INSERT INTO mails (event, order_id, customer, kind) VALUES ($1, $2, $3, $4)
         ON CONFLICT (event) DO NOTHING",
    )
    .bind(event.event)
    .bind(event.subject)
    .bind(customer)
    .bind(&event.kind)
    .execute(&mut *transaction)
    .await?;
    if mailed.rows_affected() == 1 && event.kind == "cancelled" {
        // If there is nothing to refund yet, it must not come any more.
        sqlx::query(
            "INSERT INTO charges (order_id, customer, amount, state) VALUES ($1, $2, 0, 'refunded')
             ON CONFLICT (order_id) DO UPDATE SET state = 'refunded' WHERE charges.state = 'charged'",
        )
        .bind(event.subject)
        .bind(customer)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}
