//! rslock: each sale is made under a lock.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, bail};
use redis::Client;
use rslock::LockManager;

use crate::{
    REDIS,
    redis_multiplexed::{sell, sold},
};

/// For how long a lock is taken: who loses it waits for so long.
const LEASE: Duration = Duration::from_secs(1);

pub struct Shop {
    client: Client,
    locks: LockManager,
}

impl crate::Shop for Shop {
    async fn open() -> Result<Self> {
        Ok(Shop {
            client: Client::open(REDIS)?,
            locks: LockManager::new(vec![REDIS]),
        })
    }

    async fn sell(&self, number: i64) -> Result<()> {
        let guard = self.locks.acquire("sells", LEASE).await?;
        self.locks.extend(&guard.lock, LEASE).await?;
        let mut connection = self.client.get_multiplexed_async_connection().await?;
        sell(&mut connection, number).await?;
        guard.release().await;
        Ok(())
    }

    async fn sold(&self) -> Result<BTreeSet<i64>> {
        let mut connection = self.client.get_multiplexed_async_connection().await?;
        sold(&mut connection).await
    }

    async fn close(&self) -> Result<()> {
        let guard = self.locks.acquire("closes", LEASE).await?;
        let mut others = LockManager::new(vec![REDIS]);
        others.set_retry(1, Duration::from_millis(1));
        if others.lock("closes", LEASE).await.is_ok() {
            bail!("two have the lock");
        }
        guard.release().await;
        let lock = others.lock("closes", LEASE).await?;
        others.unlock(&lock).await;
        Ok(())
    }
}
