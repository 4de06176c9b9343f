//! Deadlines: a purchase that is not decided in time is cancelled, whatever it waits for.
//!
//! A deadline is counted from when this process first saw the order, so no jump of the wall clock moves it.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use tokio::time::Instant;

use super::{Orders, store::OPEN};
use crate::kit::{StoreError, timer::within};

/// Keeps deadlines for ever.
pub(super) async fn keep(orders: Arc<Orders>) {
    loop {
        let Err(error) = orders.keep_deadlines().await;
        error
            .endure(orders.member.platform(), "who keeps the deadlines")
            .await;
    }
}

impl Orders {
    async fn keep_deadlines(&self) -> Result<Infallible, StoreError> {
        let mut seen: BTreeMap<String, Instant> = BTreeMap::new();
        loop {
            let open = self.member.store().read(|rows| rows.scan(&OPEN, ""))?;
            let (earlier, now) = (std::mem::take(&mut seen), Instant::now());
            for (id, _) in open {
                let since = earlier.get(&id).copied().unwrap_or(now);
                match now.duration_since(since) < self.deadline {
                    true => _ = seen.insert(id, since),
                    false => self.expire(&id).await?,
                }
            }
            match seen.values().min() {
                Some(oldest) => {
                    let wait = (*oldest + self.deadline).saturating_duration_since(now);
                    within(wait, self.opened.notified()).await;
                }
                None => self.opened.notified().await,
            }
        }
    }
}
