//! Noting what was sent.
//!
//! That a row was sent is known in memory at once. The note of it in the table rides along with the next commit of the
//! outbox, or is a commit of its own [soon](super::Policy::noted_within). A crash before that sends the row once more,
//! which whoever hears of it knows by its id.

use std::sync::Arc;

use super::{Inner, OUTBOX, PUBLISHED, Row, State};
use crate::kit::{StoreError, Writer};

/// Notes what no other commit has taken along, for ever.
pub(super) async fn keep_noting(outbox: Arc<Inner>) {
    loop {
        outbox.sent.notified().await;
        tokio::time::sleep(outbox.config.policy.noted_within).await;
        while !outbox.memory().unnoted().is_empty() {
            if let Err(error) = outbox.transact(|_| Ok::<_, StoreError>(())).await {
                error
                    .endure(&outbox.platform, "the notes of what was sent")
                    .await;
            }
        }
    }
}

impl Inner {
    /// Runs `work` in a transaction that also notes what was sent.
    pub(super) async fn transact<T, E>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Writer) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let outbox = self.clone();
        let committed = self.store.write(move |tx| {
            let noted = outbox.note_sent(tx)?;
            Ok::<_, E>((work(tx)?, noted))
        });
        let (value, noted) = committed.await?;
        self.memory().noted(&noted);
        Ok(value)
    }

    fn note_sent(&self, tx: &mut Writer<'_>) -> Result<Vec<String>, StoreError> {
        let sent = self.memory().unnoted();
        let now_ms = self.platform.clock.now_ms();
        for key in &sent {
            // Another process may have sent and noted it.
            let Some(row) = tx.get(&OUTBOX, key)? else {
                continue;
            };
            let row = Row {
                state: State::Published,
                changed_ms: now_ms,
                ..row
            };
            tx.delete(&OUTBOX, key)?;
            tx.put(&PUBLISHED, key, &row)?;
        }
        Ok(sent)
    }
}
