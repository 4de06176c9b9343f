//! Deadlines: a purchase that is not decided in time is cancelled, whatever it waits for.
//!
//! A deadline is counted from when this process first saw the order, so no jump of the wall clock moves it.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use tokio::time::Instant;

use super::{
    Orders,
    store::{OPEN, Open},
};
use crate::{
    kit::{Context, StoreError, timer::within},
    planted_bug::Bug,
};

/// Since when which order is open, and the request that began it.
type Armed = BTreeMap<String, (Instant, Context)>;

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
        let mut seen = Armed::new();
        loop {
            let open = self.member.store().read(|rows| rows.scan(&OPEN, ""))?;
            let (earlier, now) = (std::mem::take(&mut seen), Instant::now());
            for (id, Open { context }) in open {
                let since = earlier.get(&id).map_or(now, |(since, _)| *since);
                match now.duration_since(since) < self.deadline {
                    true => _ = seen.insert(id, (since, context)),
                    false => self.expire(&id).await?,
                }
            }
            match seen.values().map(|(since, _)| *since).min() {
                Some(oldest) => {
                    let wait = (oldest + self.deadline).saturating_duration_since(now);
                    let disturbed = within(wait, self.opened.notified()).await.is_some();
                    if !disturbed && self.member.bugs().has(Bug::LateTimerActs) {
                        self.act_late(&seen).await?;
                    }
                }
                None => self.opened.notified().await,
            }
        }
    }

    /// Cancels the purchases whose time is over by what was known when their timers were set. Only for the planted bug
    /// `late-timer-acts`.
    async fn act_late(&self, armed: &Armed) -> Result<(), StoreError> {
        for (id, (since, context)) in armed {
            if since.elapsed() >= self.deadline {
                self.expire_late(id, context.clone()).await?;
            }
        }
        Ok(())
    }
}
