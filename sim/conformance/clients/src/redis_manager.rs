//! redis: the connection manager, which connects and subscribes anew by itself.

use std::collections::BTreeSet;

use anyhow::Result;
use redis::{
    AsyncCommands, Client, FromRedisValue, PushInfo, PushKind,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::sync::mpsc;

use crate::{
    PATIENCE, REDIS,
    heard::Heard,
    redis_multiplexed::{sell, sold},
};

pub struct Shop {
    manager: ConnectionManager,
    heard: Heard,
}

impl crate::Shop for Shop {
    async fn open() -> Result<Self> {
        let (sender, mut pushes) = mpsc::unbounded_channel::<PushInfo>();
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(2)
            .set_connection_timeout(Some(PATIENCE / 4))
            .set_push_sender(sender)
            .set_automatic_resubscription();
        let client = Client::open(format!("{REDIS}/?protocol=resp3"))?;
        let mut manager = client.get_connection_manager_with_config(config).await?;
        manager.subscribe("sold").await?;
        let (tells, heard) = Heard::new();
        tokio::spawn(async move {
            while let Some(PushInfo { kind, mut data }) = pushes.recv().await {
                let payload = data.pop().filter(|_| kind == PushKind::Message);
                if let Some(Ok(payload)) = payload.map(String::from_redis_value) {
                    tells.send_replace(payload);
                }
            }
        });
        Ok(Shop { manager, heard })
    }

    async fn sell(&self, number: i64) -> Result<()> {
        sell(&mut self.manager.clone(), number).await
    }

    async fn sold(&self) -> Result<BTreeSet<i64>> {
        sold(&mut self.manager.clone()).await
    }

    async fn close(&self) -> Result<()> {
        let () = self.manager.clone().publish("sold", "closed").await?;
        self.heard.hears("closed").await
    }
}
