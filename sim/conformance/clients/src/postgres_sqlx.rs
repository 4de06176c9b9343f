//! sqlx.

use std::collections::BTreeSet;

use anyhow::Result;
use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::time::timeout;

use crate::{
    PATIENCE, POSTGRES,
    heard::{Heard, Tells},
};

pub struct Shop {
    pool: PgPool,
    heard: Heard,
}

async fn listens(pool: PgPool, tells: Tells) -> Result<()> {
    let mut listener = PgListener::connect_with(&pool).await?;
    timeout(PATIENCE, listener.listen("sold")).await??;
    // It connects anew by itself, unless it is not told that its connection is gone.
    loop {
        let notification = timeout(PATIENCE, listener.recv()).await??;
        tells.send_replace(notification.payload().to_owned());
    }
}

impl crate::Shop for Shop {
    async fn open() -> Result<Self> {
        let options = PgPoolOptions::new().max_connections(4);
        let options = options.acquire_timeout(PATIENCE / 2);
        let pool = options.connect(POSTGRES).await?;
        sqlx::migrate!().run(&pool).await?;
        let listens_to = pool.clone();
        let heard = Heard::from(move |tells| listens(listens_to.clone(), tells));
        Ok(Shop { pool, heard })
    }

    async fn sell(&self, number: i64) -> Result<()> {
        let mut sale = self.pool.begin().await?;
        let sell = sqlx::query("INSERT INTO sold VALUES ($1) ON CONFLICT DO NOTHING");
        let sell = sell.bind(number).execute(&mut *sale).await?;
        if sell.rows_affected() == 1 {
            let fill = sqlx::query("UPDATE till SET amount = amount + 1");
            fill.execute(&mut *sale).await?;
        }
        let notify = sqlx::query("SELECT pg_notify('sold', $1)");
        let notify = notify.bind(number.to_string());
        notify.execute(&mut *sale).await?;
        Ok(sale.commit().await?)
    }

    async fn sold(&self) -> Result<BTreeSet<i64>> {
        let sold = sqlx::query_scalar("SELECT number FROM sold");
        let sold: Vec<i64> = sold.fetch_all(&self.pool).await?;
        Ok(sold.into_iter().collect())
    }

    async fn close(&self) -> Result<()> {
        let notify = sqlx::query("NOTIFY sold, 'closed'");
        notify.execute(&self.pool).await?;
        self.heard.hears("closed").await
    }
}
