//! fred: a pool, a transaction, a script, a subscriber.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use fred::{clients::SubscriberClient, prelude::*, types::scripts::Script};

use crate::{PATIENCE, REDIS, SELL, heard::Heard};

pub struct Shop {
    pool: Pool,
    subscriber: SubscriberClient,
    heard: Heard,
}

impl crate::Shop for Shop {
    async fn open() -> Result<Self> {
        let mut builder = Builder::from_config(Config::from_url(REDIS)?);
        builder
            .with_connection_config(|config| {
                config.connection_timeout = PATIENCE / 2;
                config.internal_command_timeout = PATIENCE / 2;
                config.unresponsive.max_timeout = Some(PATIENCE / 2);
                config.unresponsive.interval = Duration::from_millis(200);
            })
            .with_performance_config(|config| config.default_command_timeout = PATIENCE / 2)
            .set_policy(ReconnectPolicy::new_exponential(0, 50, 1_000, 2));
        let pool = builder.build_pool(2)?;
        pool.init().await?;
        let subscriber = builder.build_subscriber_client()?;
        subscriber.init().await?;
        let (tells, heard) = Heard::new();
        let mut messages = subscriber.message_rx();
        tokio::spawn(async move {
            while let Ok(message) = messages.recv().await {
                tells.send_replace(message.value.as_string().unwrap_or_default());
            }
        });
        subscriber.manage_subscriptions();
        subscriber.subscribe("sold").await?;
        Ok(Shop {
            pool,
            subscriber,
            heard,
        })
    }

    async fn sell(&self, number: i64) -> Result<()> {
        let script = Script::from_lua(SELL);
        let keys = vec!["sold", "till"];
        let sell = script.evalsha_with_reload(self.pool.next(), keys, vec![number]);
        Ok(sell.await?)
    }

    async fn sold(&self) -> Result<BTreeSet<i64>> {
        let both = self.pool.next().multi();
        let () = both.smembers("sold").await?;
        let () = both.get("till").await?;
        let (sold, till): (Vec<i64>, Option<usize>) = both.exec(true).await?;
        ensure!(
            sold.len() == till.unwrap_or(0),
            "a sale is gone: {sold:?}, {till:?}"
        );
        Ok(sold.into_iter().collect())
    }

    async fn close(&self) -> Result<()> {
        // Who is asked nothing does not notice that its connection is gone.
        let () = self.subscriber.ping(None).await?;
        let () = self.pool.next().publish("sold", "closed").await?;
        self.heard.hears("closed").await
    }
}
