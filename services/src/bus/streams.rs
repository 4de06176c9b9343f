//! Appending, reading, settling, trimming.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Bus, EVENT_BYTES_MAX, Fault,
    log::{Log, partition},
    store::{EVENTS, Entry, GROUPS, entry_key, group_key},
};
use crate::kit::{
    Code, Problem, StoreError,
    bus::{Delivery, Event, Outcome, Read},
    timer::within,
};

impl Bus {
    fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    /// Appends an event, once; says where it is, and whether it was there before.
    pub(super) async fn append(&self, topic: &str, event: Event) -> Result<(u64, bool), Problem> {
        let bytes = event.body.to_string().len();
        if bytes > EVENT_BYTES_MAX {
            return Err(Problem::new(
                Code::BodyTooLarge,
                format!("the event's body has {bytes} bytes; send at most {EVENT_BYTES_MAX}"),
            ));
        }
        let behaviour = &self.config.behaviour;
        let hidden = behaviour.strikes(Fault::Delay);
        let (log, topic, kind) = (self.log.clone(), topic.to_owned(), event.kind.clone());
        let now_ms = self.platform.clock.now_ms();
        let appended = self.store.write(move |tx| {
            let mut log = lock(&log);
            let known = log.topic(&topic);
            // Looked for in here only, behind the commit that brings it: a repeat is never told of what is not durable yet.
            if let Some(offset) = known.offset_of(&event.id) {
                return Ok::<_, StoreError>((offset, true));
            }
            let entry = Entry {
                offset: known.next_offset(),
                partition: partition(&event.key),
                topic,
                event,
                at_ms: now_ms,
            };
            tx.put(&EVENTS, &entry_key(&entry.topic, entry.offset), &entry)?;
            known.index(&entry, hidden.map(Duration::from_millis));
            Ok((entry.offset, false))
        });
        let (offset, before) = appended.await?;
        tracing::debug!(kind, offset, before, "event appended");
        self.appended.notify_waiters();
        Ok((offset, before))
    }

    /// Settles what the reader is done with, and waits for something to give it.
    pub(super) async fn read(
        &self,
        topic: &str,
        group: &str,
        mut read: Read,
    ) -> Result<Vec<Delivery>, Problem> {
        let until = Instant::now() + Duration::from_millis(read.wait_ms);
        let number = self.log().topic(topic).place(group).enter(&read.consumer);
        // An earlier read of the same consumer gives way.
        self.appended.notify_waiters();
        self.misbehave(topic, group, &mut read);
        loop {
            let mut appended = std::pin::pin!(self.appended.notified());
            appended.as_mut().enable();
            let (due, wakes, latest) = {
                let mut log = self.log();
                let topic = log.topic(topic);
                let (due, wakes) = topic.due(group, &read.kinds, read.max);
                let latest = topic.place(group).is_latest(&read.consumer, number);
                (!due.is_empty(), wakes, latest)
            };
            if !read.settled.is_empty() || due && latest {
                let deliveries = self.hand_out(topic, group, &mut read, latest).await?;
                if !deliveries.is_empty() {
                    return Ok(deliveries);
                }
                continue;
            }
            let now = Instant::now();
            if !latest || read.max == 0 || now >= until {
                return Ok(Vec::new());
            }
            let wait = wakes.map_or(until, |wakes| wakes.min(until)) - now;
            within(wait, appended).await;
        }
    }

    /// Settles and delivers in one transaction.
    async fn hand_out(
        &self,
        topic: &str,
        group: &str,
        read: &mut Read,
        deliver: bool,
    ) -> Result<Vec<Delivery>, Problem> {
        let settled = std::mem::take(&mut read.settled);
        let (log, kinds) = (self.log.clone(), read.kinds.clone());
        let max = if deliver { read.max } else { 0 };
        let reorder = self.config.behaviour.strikes(Fault::Reorder).is_some();
        let behaviour = self.config.behaviour.clone();
        let (topic, group) = (topic.to_owned(), group.to_owned());
        let visibility = self.config.visibility;
        let freed = settled.iter().any(|one| one.outcome == Outcome::Done);
        let handed = self.store.write(move |tx| {
            let mut log = lock(&log);
            let known = log.topic(&topic);
            let mut changed = known.place(&group).settle(&settled);
            let (mut due, _) = known.due(&group, &kinds, max);
            if reorder {
                due.reverse();
            }
            let mut deliveries = Vec::new();
            for (partition, pending) in due {
                let key = entry_key(&topic, pending.offset);
                let entry = tx.get(&EVENTS, &key)?;
                let entry = entry.ok_or_else(|| StoreError::Corrupt(format!("no event {key}")))?;
                let visibility = match behaviour.strikes(Fault::Redeliver) {
                    Some(_) => Duration::ZERO,
                    None => visibility,
                };
                let place = known.place(&group);
                let delivery = Delivery {
                    offset: pending.offset,
                    deliveries: place.deliver(partition, pending.offset, visibility),
                    event: entry.event,
                };
                changed = true;
                if behaviour.strikes(Fault::Lose).is_none() {
                    deliveries.push(delivery);
                }
            }
            if changed {
                let stored = &known.place(&group).stored;
                tx.put(&GROUPS, &group_key(&topic, &group), stored)?;
            }
            Ok::<_, StoreError>(deliveries)
        });
        let deliveries = handed.await?;
        if freed {
            self.appended.notify_waiters();
        }
        Ok(deliveries)
    }

    /// The faults that concern a reader as it comes.
    fn misbehave(&self, topic: &str, group: &str, read: &mut Read) {
        let behaviour = &self.config.behaviour;
        if !read.settled.is_empty() && behaviour.strikes(Fault::Duplicate).is_some() {
            let settled = std::mem::take(&mut read.settled);
            self.log().topic(topic).place(group).unsettle(&settled);
        }
        if behaviour.strikes(Fault::Rebalance).is_some() {
            self.log().rebalance();
        }
    }

    async fn trim(&self) -> Result<(), StoreError> {
        let retention_ms = self.config.retention.as_millis() as u64;
        let old_ms = self.platform.clock.now_ms().saturating_sub(retention_ms);
        let log = self.log.clone();
        self.store
            .write(move |tx| {
                for (name, topic) in lock(&log).topics() {
                    for offset in topic.trim(old_ms) {
                        tx.delete(&EVENTS, &entry_key(name, offset))?;
                    }
                }
                Ok(())
            })
            .await
    }
}

/// Trims for ever.
pub(super) async fn keep_trimming(bus: Arc<Bus>) {
    loop {
        tokio::time::sleep(bus.config.trim_every).await;
        if let Err(error) = bus.trim().await {
            tracing::error!(%error, "the streams were not trimmed");
        }
    }
}

fn lock(log: &std::sync::Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
