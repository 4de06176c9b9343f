//! Appending, reading, settling, trimming.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Bus, EVENT_BYTES_MAX, Fault, SAVED_WITHIN,
    log::{Due, Log, partition},
    store::{EVENTS, Entry, entry_key},
};
use crate::kit::{
    Code, Problem, StoreError,
    bus::{Delivery, Event, Read},
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
        if let Some(offset) = self.log().topic(topic).offset_of(&event.id) {
            return Ok((offset, true));
        }
        let behaviour = &self.config.behaviour;
        let hidden = behaviour.strikes(Fault::Delay);
        let (log, topic, kind) = (self.log.clone(), topic.to_owned(), event.kind.clone());
        let now_ms = self.platform.clock.now_ms();
        let appended = self.store.write(move |tx| {
            let mut log = lock(&log);
            let known = log.topic(&topic);
            // Another request may have brought it since.
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
            log.save(tx)?;
            Ok((entry.offset, false))
        });
        let (offset, before) = appended.await?;
        tracing::debug!(kind, offset, before, "event appended");
        self.appended.notify_waiters();
        Ok((offset, before))
    }

    /// Settles what the reader is done with, and waits for something to give it.
    ///
    /// Neither waits for the disk. A delivery is not stored at all, and how far the group is soon will be: a
    /// crash in between makes the group hear again what it has handled, in the same order.
    pub(super) async fn read(
        &self,
        topic: &str,
        group: &str,
        mut read: Read,
    ) -> Result<Vec<Delivery>, Problem> {
        let until = Instant::now() + Duration::from_millis(read.wait_ms);
        let number = self.log().topic(topic).place(group).enter(&read.consumer);
        self.misbehave(topic, group, &mut read);
        if self.log().settle(topic, group, &read.settled) {
            self.settled.notify_one();
        }
        // An earlier read of the same consumer gives way, and others may have what was waiting behind what is settled.
        self.appended.notify_waiters();
        loop {
            let mut appended = std::pin::pin!(self.appended.notified());
            appended.as_mut().enable();
            let (due, wakes, latest) = {
                let mut log = self.log();
                let topic = log.topic(topic);
                let (due, wakes) = topic.due(group, &read.kinds, read.max);
                let latest = topic.place(group).is_latest(&read.consumer, number);
                (due, wakes, latest)
            };
            let due = self.readable(topic, due)?;
            if latest && !due.is_empty() {
                let deliveries = self.hand_out(topic, group, due);
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

    /// Those events that are committed: the others are about to be, and their appends will tell.
    fn readable(&self, topic: &str, due: Vec<Due>) -> Result<Vec<(Due, Event)>, StoreError> {
        if due.is_empty() {
            return Ok(Vec::new());
        }
        self.store.read(|rows| {
            let mut readable = Vec::with_capacity(due.len());
            for due in due {
                let entry = rows.get(&EVENTS, &entry_key(topic, due.1))?;
                readable.extend(entry.map(|entry| (due, entry.event)));
            }
            Ok(readable)
        })
    }

    fn hand_out(&self, topic: &str, group: &str, mut due: Vec<(Due, Event)>) -> Vec<Delivery> {
        let behaviour = &self.config.behaviour;
        if behaviour.strikes(Fault::Reorder).is_some() {
            due.reverse();
        }
        let mut log = self.log();
        let place = log.topic(topic).place(group);
        let deliveries = due.into_iter().map(|(due, event)| {
            let visibility = match behaviour.strikes(Fault::Redeliver) {
                Some(_) => Duration::ZERO,
                None => self.config.visibility,
            };
            Delivery {
                offset: due.1,
                deliveries: place.deliver(due, visibility),
                event,
            }
        });
        deliveries.filter(|_| behaviour.strikes(Fault::Lose).is_none()).collect()
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
                let mut log = lock(&log);
                for (name, topic) in log.topics() {
                    for offset in topic.trim(old_ms) {
                        tx.delete(&EVENTS, &entry_key(name, offset))?;
                    }
                }
                // The groups' places are what keeps the offsets of trimmed events from being given out again.
                log.save(tx)
            })
            .await
    }
}

/// Stores how far groups are, [soon](SAVED_WITHIN) after they are there, unless an append has taken it along.
pub(super) async fn keep_saving(bus: Arc<Bus>) {
    loop {
        bus.settled.notified().await;
        tokio::time::sleep(SAVED_WITHIN).await;
        if !bus.log().is_unsaved() {
            continue;
        }
        let log = bus.log.clone();
        if let Err(error) = bus.store.write(move |tx| lock(&log).save(tx)).await {
            tracing::error!(%error, "the groups' places were not saved");
        }
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
