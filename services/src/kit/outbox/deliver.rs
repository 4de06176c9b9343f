//! Sending rows, and noting what became of them.

use std::time::Duration;

use futures_util::future::join_all;
use tracing::Instrument;

use super::{
    Bulkhead, DEAD_LETTERS, Inner, OUTBOX, Outgoing, PUBLISHED, Policy, Row, State, Target,
};
use crate::{
    kit::{Peer, PeerPolicy, StoreError, Writer, lock},
    planted_bug::Bug,
};

/// The longest wait between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Rows that one pass takes.
pub(super) const BATCH: usize = 16;

/// What became of rows: the key, and why it was not sent.
pub(super) type Outcomes = Vec<(String, Result<(), String>)>;

impl Inner {
    /// Sends rows and notes what became of them.
    pub(super) async fn send_and_settle(
        &self,
        by: Option<&str>,
        rows: &[(String, Row)],
    ) -> Result<(), StoreError> {
        if self.config.bugs.has(Bug::RowMarkedBeforeSent) {
            return self.mark_and_send(by, rows).await;
        }
        let outcomes = self.send_all(rows).await;
        self.hold_back(by, rows, &outcomes);
        self.settle(by, outcomes).await
    }

    /// Sends rows of different lanes side by side.
    pub(super) async fn send_all(&self, rows: &[(String, Row)]) -> Outcomes {
        let sent = rows.iter().map(|(key, row)| async move {
            let span = row.event.context.span();
            let sent = self.send(&row.target, &row.event).instrument(span).await;
            (key.clone(), sent)
        });
        join_all(sent).await
    }

    /// Sends once.
    pub(super) async fn send(&self, target: &Target, event: &super::Event) -> Result<(), String> {
        match target {
            Target::Stream(topic) => self
                .bus
                .append(topic, event)
                .await
                .map_err(|e| e.to_string()),
            Target::Channel(channel) => self
                .bus
                .publish(channel, event)
                .await
                .map_err(|e| e.to_string()),
            Target::Webhook { service, path } => {
                let context = event.context.step("webhook");
                let (peer, path) = (self.service(service), path.clone());
                let body = event.body.clone();
                let call = async move {
                    match peer.call(&context, "POST", &path, None, &body).await {
                        Ok(reply) if reply.is_success() => Ok(()),
                        Ok(reply) => Err(reply.problem().to_string()),
                        Err(error) => Err(error.to_string()),
                    }
                };
                match self.bulkhead(target) {
                    Some(Bulkhead {
                        service, executor, ..
                    }) => match executor.run(service, call).await {
                        Ok(sent) => sent,
                        Err(full) => Err(full.to_string()),
                    },
                    None => call.await,
                }
            }
        }
    }

    /// Sends once, and only says so if that fails.
    pub(super) async fn send_once(&self, outgoing: &Outgoing) -> bool {
        let sent = self.send(&outgoing.target, &outgoing.event).await;
        if let Err(reason) = &sent {
            tracing::warn!(kind = outgoing.event.kind, reason, "event not sent");
        }
        sent.is_ok()
    }

    /// The bulkhead of a webhook that has one.
    pub(super) fn bulkhead(&self, target: &Target) -> Option<&Bulkhead> {
        let Target::Webhook { service, .. } = target else {
            return None;
        };
        let mut bulkheads = self.config.bulkheads.iter();
        bulkheads.find(|bulkhead| bulkhead.service == service)
    }

    fn service(&self, name: &str) -> Peer {
        let mut services = lock(&self.services);
        if let Some((_, peer)) = services.iter().find(|(known, _)| known == name) {
            return peer.clone();
        }
        let peer = Peer::new(&self.platform, name, PeerPolicy::once());
        services.push((name.to_owned(), peer.clone()));
        peer
    }

    /// Has the rows that failed wait, before their failure is committed: another poller may see it at once.
    pub(super) fn hold_back(&self, by: Option<&str>, rows: &[(String, Row)], outcomes: &Outcomes) {
        let mut memory = self.memory();
        for ((key, row), (_, sent)) in rows.iter().zip(outcomes) {
            if sent.is_err() {
                let wait = self.config.policy.wait(row.attempts + 1);
                memory.back_off(&self.schedule(by, key), wait);
            }
        }
    }

    /// Notes what became of rows. `by` has them in hand; what is in other hands by now is left to those, unless it was
    /// sent: then it was.
    pub(super) async fn settle(
        &self,
        by: Option<&str>,
        outcomes: Outcomes,
    ) -> Result<(), StoreError> {
        let (config, now_ms) = (self.config.clone(), self.platform.clock.now_ms());
        let holder = by.map(str::to_owned);
        let noted = self.store.write(move |tx| {
            let mut noted = Vec::new();
            for (key, sent) in outcomes {
                let Some(mut row) = tx.get(&OUTBOX, &key)? else {
                    continue;
                };
                let in_hand = match (&row.state, &holder) {
                    (State::Processing { by, .. }, Some(holder)) => by == holder,
                    (_, None) => true,
                    _ => false,
                };
                row.changed_ms = now_ms;
                match sent {
                    Ok(()) => {
                        row.state = State::Published;
                        tx.delete(&OUTBOX, &key)?;
                        tx.put(&PUBLISHED, &key, &row)?;
                        noted.push((key, None));
                    }
                    Err(reason) if in_hand => {
                        row.attempts += 1;
                        row.reason = Some(reason);
                        let blocks = config.bugs.has(Bug::OutboxPoisonBlocks);
                        if row.attempts >= config.policy.attempts_max && !blocks {
                            bury(tx, &key, &mut row, config.bugs.has(Bug::DeadLetterDropped))?;
                        } else {
                            row.state = State::Pending;
                            tx.put(&OUTBOX, &key, &row)?;
                        }
                        noted.push((key, Some(row)));
                    }
                    Err(_) => {}
                }
            }
            Ok::<_, StoreError>(noted)
        });
        for (key, failed) in noted.await? {
            self.follow_up(by, &key, failed);
        }
        Ok(())
    }

    /// What follows the commit: the row's next try, or the alarm.
    fn follow_up(&self, by: Option<&str>, key: &str, failed: Option<Row>) {
        let schedule = self.schedule(by, key);
        let mut memory = self.memory();
        memory.forget(key);
        memory.forget(&schedule);
        let Some(row) = failed else { return };
        let (kind, id) = (row.event.kind.as_str(), row.event.id.as_str());
        let reason = row.reason.as_deref().unwrap_or("");
        if row.state == State::Failed {
            self.alert();
            tracing::error!(kind, id, reason, "outbox row dead-lettered");
            return;
        }
        let attempts = row.attempts;
        tracing::warn!(kind, id, attempts, reason, "outbox row failed");
        memory.back_off(&schedule, self.config.policy.wait(row.attempts));
    }
}

fn bury(tx: &mut Writer<'_>, key: &str, row: &mut Row, drop_it: bool) -> Result<(), StoreError> {
    row.state = State::Failed;
    tx.delete(&OUTBOX, key)?;
    match drop_it {
        true => Ok(()),
        false => tx.put(&DEAD_LETTERS, key, row),
    }
}

impl Policy {
    /// Backoff after this many failures.
    pub fn wait(&self, failures: u32) -> Duration {
        let growth = self.growth.saturating_pow(failures.saturating_sub(1));
        self.backoff.saturating_mul(growth).min(BACKOFF_MAX)
    }
}
