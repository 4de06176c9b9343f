//! The stock service: how much there is of what, and for whom it is kept.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use anyhow::{Context, Result, bail};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{delete, get, post},
};
use serde::{Deserialize, Serialize};
use shop_kit::{
    Bug, Bugs, Refusal, log_to_stderr,
    rows::{self, Database, Definition},
    var,
};
use tokio::{net::TcpListener, runtime::Runtime};
use tracing::info;

const ITEMS: Definition = Definition::new("items");
const RESERVATIONS: Definition = Definition::new("reservations");

/// What the service is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub port: u16,
    /// Its redb file.
    pub data: PathBuf,
    /// What there is at first.
    pub items: Goods,
    /// The bugs that it has.
    pub bugs: Bugs,
}

impl Config {
    /// As the environment says: `PORT`, `STOCK_DATA`, `STOCK_ITEMS`, `SHOP_BUG`.
    ///
    /// # Errors
    ///
    /// A variable means nothing.
    pub fn from_env() -> Result<Config> {
        Ok(Config {
            port: var("PORT", "8080")?,
            data: var("STOCK_DATA", "stock.redb")?,
            items: var("STOCK_ITEMS", "tea=20@3,mug=5@8")?,
            bugs: var("SHOP_BUG", "")?,
        })
    }
}

/// Names of goods, how many there are, and what one costs: `tea=20@3,mug=5@8`.
#[derive(Clone, Debug, Default)]
pub struct Goods(BTreeMap<String, Item>);

impl FromStr for Goods {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let goods = text.split(',').map(|good| {
            let (sku, rest) = good.split_once('=').context("expected sku=free@price")?;
            let (free, price) = rest.split_once('@').context("expected sku=free@price")?;
            let item = Item {
                free: free.parse()?,
                reserved: 0,
                sold: 0,
                price: price.parse()?,
            };
            Ok((sku.to_owned(), item))
        });
        goods.collect::<Result<_>>().map(Goods)
    }
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// To be had.
    pub free: i64,
    /// Kept for orders that are under way.
    pub reserved: i64,
    /// Gone to customers.
    pub sold: i64,
    /// What one costs.
    pub price: i64,
}

/// What is kept for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Of what.
    pub sku: String,
    /// How many.
    pub qty: u32,
}

/// What `POST /reservations` asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reserve {
    /// The idempotency key, by which it is confirmed or released later.
    pub key: String,
    /// What is to be kept.
    #[serde(flatten)]
    pub line: Line,
}

/// What it answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reserved {
    /// What all of it costs.
    pub price: i64,
}

/// A row of reservations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Reservation {
    Held(Line),
    Sold(Line),
    /// Also if it was released before it was made: it must not be made any more.
    Released,
}

#[derive(Clone)]
struct Stock {
    database: Database,
    bugs: Bugs,
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
    let Config {
        data, items, bugs, ..
    } = config;
    let database = Database::open(&data, &[ITEMS, RESERVATIONS], &bugs)?;
    let stock = Stock { database, bugs };
    let health = stock.database.health();
    if let Err(Refusal(_, why)) = stock.take_in(items).await {
        bail!(why);
    }
    let app = Router::new()
        .route("/items", get(items_of))
        .route("/items/{sku}", get(item))
        .route("/reservations", post(reserve))
        .route("/reservations/{key}", delete(release))
        .route("/reservations/{key}/confirm", post(confirm))
        .with_state(stock);
    shop_kit::serve(listener, app, health).await
}

impl Stock {
    /// Adds the goods that are not known yet.
    async fn take_in(&self, goods: Goods) -> Result<(), Refusal> {
        let add = move |transaction: &redb::WriteTransaction| {
            let mut items = transaction.open_table(ITEMS)?;
            for (sku, item) in &goods.0 {
                if rows::get::<Item>(&items, sku)?.is_none() {
                    rows::put(&mut items, sku, item)?;
                }
            }
            Ok(())
        };
        self.database.write(add).await
    }

    /// Puts back what is kept for an order, and refuses it from now on.
    async fn release(&self, key: String) -> Result<StatusCode, Refusal> {
        let forgets = self.bugs.has(Bug::LateReserveAfterCancel);
        let change = move |transaction: &redb::WriteTransaction| {
            let mut items = transaction.open_table(ITEMS)?;
            let mut reservations = transaction.open_table(RESERVATIONS)?;
            match rows::get(&reservations, &key)? {
                Some(Reservation::Held(line)) => {
                    let qty = i64::from(line.qty);
                    let mut item: Item = rows::get(&items, &line.sku)?.ok_or_else(unknown)?;
                    item.reserved -= qty;
                    item.free += qty;
                    rows::put(&mut items, &line.sku, &item)?;
                    info!("{key}: {qty} {} released", line.sku);
                }
                Some(Reservation::Sold(_)) => {
                    return Err(Refusal::new(StatusCode::CONFLICT, "sold"));
                }
                Some(Reservation::Released) => return Ok(StatusCode::NO_CONTENT),
                None if forgets => return Ok(StatusCode::NO_CONTENT),
                None => {}
            }
            rows::put(&mut reservations, &key, &Reservation::Released)?;
            Ok(StatusCode::NO_CONTENT)
        };
        self.database.write(change).await
    }

    async fn item(&self, sku: &str) -> Result<Item, Refusal> {
        let sku = sku.to_owned();
        let read = move |transaction: &redb::ReadTransaction| {
            let item = rows::get(&transaction.open_table(ITEMS)?, &sku)?;
            item.ok_or_else(unknown)
        };
        self.database.read(read).await
    }
}

fn unknown() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "no such item")
}

async fn items_of(State(stock): State<Stock>) -> Result<Json<BTreeMap<String, Item>>, Refusal> {
    let read =
        |transaction: &redb::ReadTransaction| Ok(rows::all(&transaction.open_table(ITEMS)?)?);
    let items = stock.database.read(read).await?;
    Ok(Json(items.into_iter().collect()))
}

async fn item(State(stock): State<Stock>, Path(sku): Path<String>) -> Result<Json<Item>, Refusal> {
    stock.item(&sku).await.map(Json)
}

async fn reserve(
    State(stock): State<Stock>,
    Json(Reserve { key, line }): Json<Reserve>,
) -> Result<Json<Reserved>, Refusal> {
    let bugs = stock.bugs.clone();
    let (of, oversells) = (key.clone(), bugs.has(Bug::OversoldForAMoment));
    // What the two bugs have looked at before the transaction begins.
    let before = match bugs.has(Bug::LostUpdate) || bugs.has(Bug::CheckThenActStock) {
        true => Some(stock.item(&line.sku).await?),
        false => None,
    };
    let change = move |transaction: &redb::WriteTransaction| {
        let mut items = transaction.open_table(ITEMS)?;
        let mut reservations = transaction.open_table(RESERVATIONS)?;
        let qty = i64::from(line.qty);
        let now: Item = rows::get(&items, &line.sku)?.ok_or_else(unknown)?;
        let answer = Reserved {
            price: qty * now.price,
        };
        match rows::get(&reservations, &key)? {
            Some(_) if bugs.has(Bug::NoIdempotency) => {}
            Some(Reservation::Held(known) | Reservation::Sold(known)) if known == line => {
                return Ok((answer, now.free));
            }
            Some(Reservation::Released) => return Err(Refusal::new(StatusCode::GONE, "released")),
            Some(_) => {
                return Err(Refusal::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "the key is another's",
                ));
            }
            None => {}
        }
        let checked = before.unwrap_or(now);
        if checked.free < qty && !oversells {
            return Err(Refusal::new(StatusCode::CONFLICT, "sold out"));
        }
        let mut item = if bugs.has(Bug::LostUpdate) {
            checked
        } else {
            now
        };
        item.free -= qty;
        item.reserved += qty;
        rows::put(&mut items, &line.sku, &item)?;
        info!("{key}: {qty} {} reserved, {} left", line.sku, item.free);
        rows::put(&mut reservations, &key, &Reservation::Held(line))?;
        Ok((answer, item.free))
    };
    let (answer, left) = stock.database.write(change).await?;
    if oversells && left < 0 {
        stock.release(of).await?;
        return Err(Refusal::new(StatusCode::CONFLICT, "sold out"));
    }
    Ok(Json(answer))
}

async fn confirm(
    State(stock): State<Stock>,
    Path(key): Path<String>,
) -> Result<StatusCode, Refusal> {
    let change = move |transaction: &redb::WriteTransaction| {
        let mut items = transaction.open_table(ITEMS)?;
        let mut reservations = transaction.open_table(RESERVATIONS)?;
        match rows::get(&reservations, &key)? {
            Some(Reservation::Held(line)) => {
                let qty = i64::from(line.qty);
                let mut item: Item = rows::get(&items, &line.sku)?.ok_or_else(unknown)?;
                item.reserved -= qty;
                item.sold += qty;
                rows::put(&mut items, &line.sku, &item)?;
                info!("{key}: {qty} {} sold", line.sku);
                rows::put(&mut reservations, &key, &Reservation::Sold(line))?;
            }
            Some(Reservation::Sold(_)) => {}
            Some(Reservation::Released) | None => {
                return Err(Refusal::new(StatusCode::GONE, "not reserved"));
            }
        }
        Ok(StatusCode::NO_CONTENT)
    };
    stock.database.write(change).await
}

async fn release(
    State(stock): State<Stock>,
    Path(key): Path<String>,
) -> Result<StatusCode, Refusal> {
    stock.release(key).await
}
