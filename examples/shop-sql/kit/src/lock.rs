//! Locks in Redis.

use std::time::Duration;

use redis::{
    Client, RedisResult, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::{Instant, sleep};
use tracing::warn;
use uuid::Uuid;

/// How long Redis may take.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often a lock is asked for that somebody holds.
const ROUND: Duration = Duration::from_millis(30);

const ACQUIRE: &str = "
    if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
        return redis.call('INCR', KEYS[1] .. ':fence')
    end";
const RELEASE: &str = "
    if redis.call('GET', KEYS[1]) == ARGV[1] then
        return redis.call('DEL', KEYS[1])
    end
    return 0";

/// Locks by name. They keep others from doing the same work at the same time; that it is done once is not theirs to say,
/// since a lease runs out while its holder sleeps, and Redis forgets.
#[derive(Clone)]
pub struct Locks {
    redis: ConnectionManager,
}

/// A lock that is held, for a while.
#[derive(Debug)]
pub struct Lease {
    name: String,
    token: String,
    /// How often the lock has been taken, as far as Redis knows.
    pub number: i64,
}

impl Locks {
    /// Connects when it is used, and whenever the connection is lost.
    ///
    /// # Errors
    ///
    /// The URL means nothing.
    pub fn open(url: &str) -> anyhow::Result<Locks> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_max_delay(PATIENCE)
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let redis = ConnectionManager::new_lazy_with_config(Client::open(url)?, config)?;
        Ok(Locks { redis })
    }

    /// Takes a lock for `lease`, and waits for it if somebody holds it: not longer than `patience`.
    ///
    /// # Errors
    ///
    /// Redis does not answer.
    pub async fn acquire(
        &self,
        name: &str,
        lease: Duration,
        patience: Duration,
    ) -> RedisResult<Option<Lease>> {
        let token = Uuid::new_v4().to_string();
        let until = Instant::now() + patience;
        let script = Script::new(ACQUIRE);
        let mut acquire = script.key(name);
        acquire.arg(&token).arg(lease.as_millis() as u64);
        loop {
            let number = acquire.invoke_async(&mut self.redis.clone()).await?;
            if let Some(number) = number {
                let name = name.to_owned();
                return Ok(Some(Lease {
                    name,
                    token,
                    number,
                }));
            }
            if Instant::now() > until {
                return Ok(None);
            }
            sleep(ROUND).await;
        }
    }

    /// Gives a lock back, unless it is another's by now. If that fails, it runs out.
    pub async fn release(&self, lease: Lease) {
        let Lease { name, token, .. } = &lease;
        let script = Script::new(RELEASE);
        let mut release = script.key(name);
        let released: RedisResult<i64> = release
            .arg(token)
            .invoke_async(&mut self.redis.clone())
            .await;
        if let Err(error) = released {
            warn!("{name}: {error}");
        }
    }
}
