//! redis: a multiplexed connection, scripts, subscriptions.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use futures_util::StreamExt;
use redis::{AsyncCommands, Client, Script, aio::MultiplexedConnection, pipe};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    PATIENCE, REDIS, SELL,
    heard::{Heard, Tells},
};

pub struct Shop {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    heard: Heard,
}

async fn listens(client: Client, tells: Tells) -> Result<()> {
    let mut listener = timeout(PATIENCE, client.get_async_pubsub()).await??;
    timeout(PATIENCE, listener.subscribe("sold")).await??;
    let mut messages = listener.on_message();
    // Who hears nothing for long connects anew.
    while let Some(message) = timeout(PATIENCE, messages.next()).await? {
        tells.send_replace(message.get_payload()?);
    }
    Ok(())
}

impl Shop {
    /// A connection of this kind does not come back: it is made anew after each failure.
    async fn with<T>(
        &self,
        task: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T>,
    ) -> Result<T> {
        let mut kept = self.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.client.get_multiplexed_async_connection().await?,
        };
        let done = task(&mut connection).await?;
        *kept = Some(connection);
        Ok(done)
    }
}

/// What is sold; there is as much in the till.
pub async fn sold(connection: &mut impl redis::aio::ConnectionLike) -> Result<BTreeSet<i64>> {
    let mut both = pipe();
    both.atomic().smembers("sold").get("till");
    let both: (BTreeSet<i64>, Option<usize>) = both.query_async(connection).await?;
    let (sold, till) = both;
    ensure!(
        sold.len() == till.unwrap_or(0),
        "a sale is gone: {sold:?}, {till:?}"
    );
    Ok(sold)
}

pub async fn sell(connection: &mut impl redis::aio::ConnectionLike, number: i64) -> Result<()> {
    let script = Script::new(SELL);
    let mut sell = script.key("sold");
    sell.key("till").arg(number);
    Ok(sell.invoke_async(connection).await?)
}

impl crate::Shop for Shop {
    async fn open() -> Result<Self> {
        let client = Client::open(REDIS)?;
        let listens_to = client.clone();
        Ok(Shop {
            client,
            connection: Mutex::default(),
            heard: Heard::from(move |tells| listens(listens_to.clone(), tells)),
        })
    }

    async fn sell(&self, number: i64) -> Result<()> {
        self.with(async |connection| sell(connection, number).await)
            .await
    }

    async fn sold(&self) -> Result<BTreeSet<i64>> {
        self.with(async |connection| sold(connection).await).await
    }

    async fn close(&self) -> Result<()> {
        self.with::<()>(async |connection| Ok(connection.publish("sold", "closed").await?))
            .await?;
        self.heard.hears("closed").await
    }
}
