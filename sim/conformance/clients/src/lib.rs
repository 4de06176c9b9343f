//! Shops that sell over clients of PostgreSQL and Redis, each as the client's own documentation uses it. No line of them
//! knows of the simulation.

mod heard;
mod postgres_deadpool;
mod postgres_diesel;
mod postgres_sea_orm;
mod postgres_sqlx;
mod redis_fred;
mod redis_lock;
mod redis_manager;
mod redis_multiplexed;

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    time::{sleep, timeout},
};

/// How many sales there are.
const SALES: i64 = 30;
/// How long anything may take: many clients wait for ever for a server that is gone.
const PATIENCE: Duration = Duration::from_secs(2);
/// What passes between two tries, and between two sales.
const ROUND: Duration = Duration::from_millis(50);

const POSTGRES: &str = "postgres://app@db/app";
const REDIS: &str = "redis://cache";
/// One sale, and with it the till and those who listen: of a sale that is repeated nothing is left.
const SELL: &str = "
    if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then
        redis.call('INCR', KEYS[2])
    end
    return redis.call('PUBLISH', 'sold', ARGV[1])";

/// A shop whose sales are in a server.
trait Shop: Sized {
    /// Connects, and makes what is needed.
    async fn open() -> Result<Self>;

    /// Sells, in one transaction; again where it is not known whether it has.
    async fn sell(&self, number: i64) -> Result<()>;

    /// What is sold.
    async fn sold(&self) -> Result<BTreeSet<i64>>;

    /// What else the client can do: it is told what is published, or has a lock.
    async fn close(&self) -> Result<()>;
}

/// Tries until it succeeds, as those do who call a server that comes back.
async fn again<T>(mut tries: impl AsyncFnMut() -> Result<T>) -> T {
    loop {
        match timeout(PATIENCE, tries()).await {
            Ok(Ok(done)) => return done,
            Ok(Err(error)) => eprintln!("again: {error:#}"),
            Err(_) => eprintln!("again: no answer"),
        }
        sleep(ROUND).await;
    }
}

async fn trade<S: Shop>() -> Result<()> {
    let shop = again(S::open).await;
    let mut told = BTreeSet::new();
    let mut there = BTreeSet::new();
    for number in 0..SALES {
        again(async || shop.sell(number).await).await;
        told.insert(number);
        there = again(async || shop.sold().await).await;
        assert!(
            told.is_subset(&there),
            "a sale is gone: {told:?}, {there:?}"
        );
        sleep(ROUND).await;
    }
    again(async || shop.close().await).await;
    let listener = TcpListener::bind("0.0.0.0:8080").await?;
    loop {
        let (mut visitor, _) = listener.accept().await?;
        let sold = format!("sold {}", there.len());
        let _ = visitor.write_all(sold.as_bytes()).await;
    }
}

/// Sells over the client of this name, and then tells whoever connects how much was sold.
///
/// # Errors
///
/// There is no port to tell it at.
///
/// # Panics
///
/// There is no client of this name; or a sale that was acknowledged is gone.
pub async fn trades(client: &str) -> Result<()> {
    match client {
        "tokio-postgres" => trade::<postgres_deadpool::Shop>().await,
        "diesel-async" => trade::<postgres_diesel::Shop>().await,
        "sea-orm" => trade::<postgres_sea_orm::Shop>().await,
        "sqlx" => trade::<postgres_sqlx::Shop>().await,
        "redis" => trade::<redis_multiplexed::Shop>().await,
        "redis-manager" => trade::<redis_manager::Shop>().await,
        "fred" => trade::<redis_fred::Shop>().await,
        "rslock" => trade::<redis_lock::Shop>().await,
        unknown => panic!("{unknown}?"),
    }
}
