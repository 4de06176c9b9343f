//! Orders that were left: by a process that died, or by one whose database did not answer.

use std::{collections::HashMap, time::Duration};

use shop_sql_kit::{Bug, READ_COMMITTED, Result, Transaction};
use tokio::time::sleep;
use tracing::{info, warn};
use uuid::Uuid;

use crate::saga::Orders;

/// How often they are looked for. An order that nobody has taken meanwhile is left.
const ROUND: Duration = Duration::from_secs(1);
/// The advisory lock of whoever looks.
const SWEEPING: i64 = 0x5357_4550;

const UNDER_WAY: &str = "SELECT id, fence FROM orders WHERE state IN ('reserving', 'charging')";

type UnderWay = HashMap<Uuid, i64>;

/// Takes up what is left, for ever.
pub(crate) async fn run(orders: Orders) {
    let mut before = UnderWay::new();
    loop {
        sleep(ROUND).await;
        let now = match orders.bugs.has(Bug::AdvisoryLockPooled) {
            true => look_locked_by_session(&orders).await,
            false => look(&orders).await,
        };
        match now {
            Ok(Some(now)) => {
                for (id, fence) in &now {
                    if before.get(id) == Some(fence) {
                        info!("{id} is taken up");
                        tokio::spawn(orders.drive(*id));
                    }
                }
                before = now;
            }
            Ok(None) => {}
            Err(error) => warn!("sweep: {error}"),
        }
    }
}

/// The orders that are under way, unless another instance is looking.
async fn look(orders: &Orders) -> Result<Option<UnderWay>> {
    orders.database.transaction(READ_COMMITTED, look_in).await
}

async fn look_in(mut transaction: Transaction) -> Result<Option<UnderWay>> {
    // It goes with the transaction, however that ends.
    let (is_mine,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_xact_lock($1)")
        .bind(SWEEPING)
        .fetch_one(&mut *transaction)
        .await?;
    if !is_mine {
        return Ok(None);
    }
    let under_way: Vec<_> = sqlx::query_as(UNDER_WAY)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Some(under_way.into_iter().collect()))
}

/// The same with a lock that goes with a connection: but which one?
async fn look_locked_by_session(orders: &Orders) -> Result<Option<UnderWay>> {
    let database = &orders.database;
    let lock = sqlx::query_as("SELECT pg_try_advisory_lock($1)").bind(SWEEPING);
    let is_mine: Vec<(bool,)> = database.fetch(lock).await?;
    if is_mine != [(true,)] {
        return Ok(None);
    }
    let under_way = database.fetch(sqlx::query_as(UNDER_WAY)).await?;
    let unlock = sqlx::query_as("SELECT pg_advisory_unlock($1)").bind(SWEEPING);
    let _: Vec<(bool,)> = database.fetch(unlock).await?;
    Ok(Some(under_way.into_iter().collect()))
}
