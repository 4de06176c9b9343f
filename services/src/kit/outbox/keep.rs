//! Looking after old rows: an alert for what has waited too long, an end for what was sent long ago.

use std::{sync::Arc, time::Duration};

use super::{Inner, PUBLISHED, State};
use crate::{kit::StoreError, planted_bug::Bug};

/// Keeps for ever.
pub(super) async fn keep(outbox: Arc<Inner>) {
    loop {
        tokio::time::sleep(outbox.config.policy.keep_every).await;
        if let Err(error) = outbox.look_after().await {
            tracing::error!(%error, "the outbox was not looked after");
        }
    }
}

impl Inner {
    async fn look_after(&self) -> Result<(), StoreError> {
        let policy = &self.config.policy;
        let before = |age: Duration| {
            let now_ms = self.platform.clock.now_ms();
            now_ms.saturating_sub(age.as_millis() as u64)
        };
        let late_ms = before(policy.pending_alert);
        let rows = self.scan()?;
        let late = rows
            .iter()
            .filter(|(_, row)| row.state == State::Pending && row.created_ms <= late_ms);
        for (_, row) in late.filter(|_| !self.config.bugs.has(Bug::OutboxPendingForgotten)) {
            self.alert();
            tracing::error!(kind = row.event.kind, id = row.event.id, "outbox row waits");
        }
        let old_ms = before(policy.published_kept);
        self.store
            .write(move |tx| {
                for (key, row) in tx.scan(&PUBLISHED, "")? {
                    if row.changed_ms < old_ms {
                        tx.delete(&PUBLISHED, &key)?;
                    }
                }
                Ok(())
            })
            .await
    }
}
