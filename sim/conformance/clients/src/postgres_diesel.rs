//! diesel-async, pooled by deadpool.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use diesel::{prelude::*, result::Error, sql_query, sql_types::Text};
use diesel_async::{
    AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection,
    pooled_connection::{AsyncDieselConnectionManager, deadpool::Pool},
};
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::{
    PATIENCE, POSTGRES,
    heard::{Heard, Tells},
};

diesel::table! {
    sold (number) {
        number -> BigInt,
    }
}

diesel::table! {
    till (id) {
        id -> Integer,
        amount -> BigInt,
    }
}

pub struct Shop {
    pool: Pool<AsyncPgConnection>,
    heard: Heard,
}

async fn listens(tells: Tells) -> Result<()> {
    let mut connection = timeout(PATIENCE, AsyncPgConnection::establish(POSTGRES)).await??;
    timeout(PATIENCE, connection.batch_execute("LISTEN sold")).await??;
    let mut notifications = std::pin::pin!(connection.notifications_stream());
    // Who hears nothing for long connects anew.
    while let Some(notification) = timeout(PATIENCE, notifications.next()).await? {
        tells.send_replace(notification?.payload);
    }
    bail!("the connection has ended")
}

impl crate::Shop for Shop {
    async fn open() -> Result<Self> {
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(POSTGRES);
        let pool = Pool::builder(manager)
            .max_size(4)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE / 2))
            .create_timeout(Some(PATIENCE / 2))
            .recycle_timeout(Some(PATIENCE / 4))
            .build()?;
        let mut connection = pool.get().await?;
        connection
            .batch_execute(include_str!("../migrations/1_shop.sql"))
            .await?;
        drop(connection);
        let heard = Heard::from(listens);
        Ok(Shop { pool, heard })
    }

    async fn sell(&self, number: i64) -> Result<()> {
        let mut connection = self.pool.get().await?;
        let sale = connection.transaction::<_, Error, _>(async move |connection| {
            let sell = diesel::insert_into(sold::table).values(sold::number.eq(number));
            let sell = sell.on_conflict_do_nothing();
            if sell.execute(connection).await? == 1 {
                let amount = till::amount.eq(till::amount + 1);
                let fill = diesel::update(till::table).set(amount);
                fill.execute(connection).await?;
            }
            let notify = sql_query("SELECT pg_notify('sold', $1)");
            let notify = notify.bind::<Text, _>(number.to_string());
            notify.execute(connection).await?;
            Ok(())
        });
        Ok(sale.await?)
    }

    async fn sold(&self) -> Result<BTreeSet<i64>> {
        let mut connection = self.pool.get().await?;
        let numbers = sold::table.select(sold::number);
        let numbers: Vec<i64> = numbers.load(&mut connection).await?;
        Ok(numbers.into_iter().collect())
    }

    async fn close(&self) -> Result<()> {
        let mut connection = self.pool.get().await?;
        connection.batch_execute("NOTIFY sold, 'closed'").await?;
        self.heard.hears("closed").await
    }
}
