//! tokio-postgres, pooled by deadpool.

use std::{collections::BTreeSet, future::poll_fn};

use anyhow::Result;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::{AsyncMessage, Config, NoTls};

use crate::{
    PATIENCE, POSTGRES,
    heard::{Heard, Tells},
};

pub struct Shop {
    pool: Pool,
    heard: Heard,
}

fn config() -> Result<Config> {
    let mut config: Config = POSTGRES.parse()?;
    config.connect_timeout(PATIENCE);
    Ok(config)
}

async fn listens(tells: Tells) -> Result<()> {
    let (client, mut connection) = timeout(PATIENCE, config()?.connect(NoTls)).await??;
    let (sender, mut notifications) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = sender.send(notification);
            }
        }
    });
    timeout(PATIENCE, client.batch_execute("LISTEN sold")).await??;
    // Who hears nothing for long connects anew.
    while let Some(notification) = timeout(PATIENCE, notifications.recv()).await? {
        tells.send_replace(notification.payload().to_owned());
    }
    Ok(())
}

impl crate::Shop for Shop {
    async fn open() -> Result<Self> {
        let config_of_pool = ManagerConfig {
            recycling_method: RecyclingMethod::Verified,
        };
        let manager = Manager::from_config(config()?, NoTls, config_of_pool);
        let pool = Pool::builder(manager)
            .max_size(4)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE / 2))
            .create_timeout(Some(PATIENCE / 2))
            .recycle_timeout(Some(PATIENCE / 4))
            .build()?;
        let client = pool.get().await?;
        client
            .batch_execute(include_str!("../migrations/1_shop.sql"))
            .await?;
        let heard = Heard::from(listens);
        Ok(Shop { pool, heard })
    }

    async fn sell(&self, number: i64) -> Result<()> {
        let mut client = self.pool.get().await?;
        let sale = client.transaction().await?;
        let sell = sale
            .prepare_cached("INSERT INTO sold VALUES ($1) ON CONFLICT DO NOTHING")
            .await?;
        if sale.execute(&sell, &[&number]).await? == 1 {
            sale.execute("UPDATE till SET amount = amount + 1", &[])
                .await?;
        }
        let notify = "SELECT pg_notify('sold', $1)";
        sale.execute(notify, &[&number.to_string()]).await?;
        sale.commit().await?;
        Ok(())
    }

    async fn sold(&self) -> Result<BTreeSet<i64>> {
        let client = self.pool.get().await?;
        let rows = client.query("SELECT number FROM sold", &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn close(&self) -> Result<()> {
        let client = self.pool.get().await?;
        client.batch_execute("NOTIFY sold, 'closed'").await?;
        self.heard.hears("closed").await
    }
}
