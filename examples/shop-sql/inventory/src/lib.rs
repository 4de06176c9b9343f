//! The inventory: how much there is of what, and for which orders it is reserved.

use std::{
    str::FromStr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use shop_sql_kit::{
    Bug, Bugs, Database, Error, READ_COMMITTED, Result, Transaction,
    outbox::{Event, heard},
    program, serve, var,
};
use sqlx::PgConnection;
use tracing::info;
use uuid::Uuid;

/// How its schema is made.
pub const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

/// What the service is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub port: u16,
    /// Its database, of which it has the schema `inventory`.
    pub database: String,
    /// What there is at first.
    pub items: Goods,
    /// The bugs that it has.
    pub bugs: Bugs,
}

impl Config {
    /// As the environment says: `PORT`, `DATABASE_URL`, `STOCK_ITEMS`, `SHOP_BUG`.
    ///
    /// # Errors
    ///
    /// A variable means nothing.
    pub fn from_env() -> anyhow::Result<Config> {
        Ok(Config {
            port: var("PORT", "8080")?,
            database: var("DATABASE_URL", "postgres://localhost/shop")?,
            items: var("STOCK_ITEMS", "tea=20@3,mug=5@8")?,
            bugs: var("SHOP_BUG", "")?,
        })
    }
}

/// Names of goods, how many there are, and what one costs: `tea=20@3,mug=5@8`.
#[derive(Clone, Debug, Default)]
pub struct Goods(Vec<(String, i64, i64)>);

impl FromStr for Goods {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let goods = text.split(',').map(|good| {
            let (sku, rest) = good.split_once('=').context("expected sku=free@price")?;
            let (free, price) = rest.split_once('@').context("expected sku=free@price")?;
            Ok((sku.to_owned(), free.parse()?, price.parse()?))
        });
        goods.collect::<anyhow::Result<_>>().map(Goods)
    }
}

/// Some of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Of what.
    pub sku: String,
    /// How many.
    pub qty: u16,
}

/// What `POST /reservations` asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reserve {
    /// For which order.
    pub order: Uuid,
    /// Each thing once.
    pub lines: Vec<Line>,
}

/// What it answers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Reserved {
    /// What all of it costs.
    pub total: i64,
}

#[derive(Clone)]
struct Inventory {
    database: Database,
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
    let database = Database::open(&config.database, "inventory")?;
    database.migrate(MIGRATIONS).await?;
    let stock = |transaction| stock(transaction, &config.items);
    database.transaction(READ_COMMITTED, stock).await?;
    let inventory = Inventory {
        database: database.clone(),
        bugs: config.bugs,
    };
    let app = Router::new()
        .route("/items", get(items))
        .route("/reservations", post(reserve))
        .route("/events", post(hear))
        .with_state(inventory);
    serve(config.port, app, database).await
}

/// Adds the goods that are not known yet.
async fn stock(mut transaction: Transaction, Goods(goods): &Goods) -> Result<()> {
    for (sku, stocked, price) in goods {
        sqlx::query(
            "INSERT INTO items (sku, stocked, free, price) VALUES ($1, $2, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(sku)
        .bind(stocked)
        .bind(price)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}

/// How much there is of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub sku: String,
    /// How many can be had.
    pub free: i64,
    /// What one costs.
    pub price: i64,
}

async fn items(State(inventory): State<Inventory>) -> Result<Json<Vec<Item>>> {
    let items = sqlx::query_as("SELECT sku, free, price FROM items ORDER BY sku");
    let items = inventory.database.fetch(items).await?.into_iter();
    let items = items.map(|(sku, free, price)| Item { sku, free, price });
    Ok(Json(items.collect()))
}

async fn reserve(
    State(Inventory { database, bugs }): State<Inventory>,
    Json(mut reserve): Json<Reserve>,
) -> Result<Json<Reserved>> {
    // All take what they need in the same order, and nobody waits for somebody who waits for him.
    if !bugs.has(Bug::DeadlockHalfRetried) {
        reserve.lines.sort_by(|a, b| a.sku.cmp(&b.sku));
    }
    // How many lines are taken, and what they cost.
    let taken = Mutex::new((0, 0));
    let reserve = |transaction| async {
        if !bugs.has(Bug::DeadlockHalfRetried) {
            *locked(&taken) = (0, 0);
        }
        reserve_in(transaction, &reserve, &taken, &bugs).await
    };
    let reserved = database.transaction(READ_COMMITTED, reserve).await;
    reserved.map(Json)
}

fn locked(taken: &Mutex<(usize, i64)>) -> MutexGuard<'_, (usize, i64)> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn reserve_in(
    mut transaction: Transaction,
    Reserve { order, lines }: &Reserve,
    taken: &Mutex<(usize, i64)>,
    bugs: &Bugs,
) -> Result<Reserved> {
    let (mut first, mut total) = *locked(taken);
    if let Some(known) = begin(&mut transaction, *order).await? {
        return Ok(known);
    }
    for line in &lines[first..] {
        total += take(&mut transaction, *order, line, bugs).await?;
        first += 1;
        *locked(taken) = (first, total);
    }
    sqlx::query("UPDATE reservations SET total = $2 WHERE order_id = $1")
        .bind(order)
        .bind(total)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    info!("{order}: reserved for {total}");
    Ok(Reserved { total })
}

/// Begins a reservation, unless it is there already.
async fn begin(transaction: &mut PgConnection, order: Uuid) -> Result<Option<Reserved>> {
    let begun = sqlx::query(
        "INSERT INTO reservations (order_id, state) VALUES ($1, 'held') ON CONFLICT DO NOTHING",
    )
    .bind(order)
    .execute(&mut *transaction)
    .await?;
    if begun.rows_affected() == 1 {
        return Ok(None);
    }
    let (state, total): (String, i64) =
        sqlx::query_as("SELECT state, total FROM reservations WHERE order_id = $1")
            .bind(order)
            .fetch_one(transaction)
            .await?;
    match &*state {
        "released" => Err(Error::refused(StatusCode::GONE, "released")),
        _ => Ok(Some(Reserved { total })),
    }
}

/// Takes what a line asks for. Returns what it costs.
async fn take(
    transaction: &mut PgConnection,
    order: Uuid,
    line: &Line,
    bugs: &Bugs,
) -> Result<i64> {
    let qty = i64::from(line.qty);
    let sold_out = || Error::refused(StatusCode::CONFLICT, "sold out");
    let update = if bugs.has(Bug::CheckThenAct) {
        let free: Option<(i64,)> = sqlx::query_as("SELECT free FROM items WHERE sku = $1")
            .bind(&line.sku)
            .fetch_optional(&mut *transaction)
            .await?;
        free.filter(|(free,)| *free >= qty).ok_or_else(sold_out)?;
        "UPDATE items SET free = free - $2 WHERE sku = $1 RETURNING price"
    } else {
        "UPDATE items SET free = free - $2 WHERE sku = $1 AND free >= $2 RETURNING price"
    };
    let price: Option<(i64,)> = sqlx::query_as(update)
        .bind(&line.sku)
        .bind(qty)
        .fetch_optional(&mut *transaction)
        .await?;
    let (price,) = price.ok_or_else(sold_out)?;
    sqlx::query("INSERT INTO reservation_lines (order_id, sku, qty) VALUES ($1, $2, $3)")
        .bind(order)
        .bind(&line.sku)
        .bind(qty)
        .execute(transaction)
        .await?;
    Ok(qty * price)
}

/// Hears what has become of an order.
async fn hear(
    State(inventory): State<Inventory>,
    Json(event): Json<Event>,
) -> Result<Json<serde_json::Value>> {
    let Event { subject, kind, .. } = event;
    let hear = |transaction| hear_in(transaction, subject, &kind);
    inventory.database.transaction(READ_COMMITTED, hear).await?;
    Ok(heard())
}

async fn hear_in(mut transaction: Transaction, order: Uuid, kind: &str) -> Result<()> {
    match kind {
        "confirmed" => sell(&mut transaction, order).await?,
        "cancelled" => release(&mut transaction, order).await?,
        _ => {}
    }
    transaction.commit().await
}

async fn sell(transaction: &mut PgConnection, order: Uuid) -> Result<()> {
    sqlx::query("UPDATE reservations SET state = 'sold' WHERE order_id = $1 AND state = 'held'")
        .bind(order)
        .execute(transaction)
        .await?;
    Ok(())
}

/// Gives back what is reserved for an order, and refuses it from then on.
async fn release(transaction: &mut PgConnection, order: Uuid) -> Result<()> {
    let released = sqlx::query(
        "INSERT INTO reservations (order_id, state) VALUES ($1, 'released')
         ON CONFLICT (order_id) DO UPDATE SET state = 'released' WHERE reservations.state <> 'released'",
    )
    .bind(order)
    .execute(&mut *transaction)
    .await?;
    if released.rows_affected() == 1 {
        sqlx::query(
            "WITH back AS (SELECT sku, qty FROM reservation_lines WHERE order_id = $1 ORDER BY sku)
             UPDATE items SET free = free + qty FROM back WHERE items.sku = back.sku",
        )
        .bind(order)
        .execute(transaction)
        .await?;
        info!("{order}: released");
    }
    Ok(())
}
