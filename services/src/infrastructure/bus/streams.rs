//! Appending, reading, settling, trimming.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Bus, EVENT_BYTES_MAX, Fault,
    log::{Due, Log, partition},
    store::{EVENTS, Entry, entry_key},
};
use crate::kit::{
    Code, Problem, StoreError,
    bus::{Delivery, Event, Read},
    lock,
    timer::within,
};

/// What a reader is given, and when there may be more.
struct Handed {
    deliveries: Vec<Delivery>,
    wakes: Option<Instant>,
}

impl Bus {
    /// Appends an event, once; says where it is, and whether it was there before.
    pub(super) async fn append(&self, topic: &str, event: Event) -> Result<(u64, bool), Problem> {
        let bytes = event.body.to_string().len();
        if bytes > EVENT_BYTES_MAX {
            return Err(Code::BodyTooLarge.because(format!(
                "the event's body has {bytes} bytes; send at most {EVENT_BYTES_MAX}"
            )));
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
            log.store_moved(tx)?;
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
        self.misbehave(topic, group, &mut read);
        let number = {
            let mut log = lock(&self.log);
            let place = log.topic(topic).place(group);
            let number = place.enter(&read.consumer);
            if place.settle(&read.settled) {
                self.moved(&mut log, topic, group);
            }
            number
        };
        // What was settled makes way for what follows it, and an earlier read of the same consumer for this one.
        self.appended.notify_waiters();
        loop {
            let mut appended = std::pin::pin!(self.appended.notified());
            appended.as_mut().enable();
            let handed = self.hand_out(topic, group, &read, number)?;
            let Some(Handed { deliveries, wakes }) = handed else {
                return Ok(Vec::new());
            };
            let now = Instant::now();
            if !deliveries.is_empty() || read.max == 0 || now >= until {
                return Ok(deliveries);
            }
            let wait = wakes.map_or(until, |wakes| wakes.min(until)) - now;
            within(wait, appended).await;
        }
    }

    /// What a reader is given now; `None` if a later read has taken its place.
    fn hand_out(
        &self,
        topic: &str,
        group: &str,
        read: &Read,
        number: u64,
    ) -> Result<Option<Handed>, StoreError> {
        let behaviour = &self.config.behaviour;
        let mut log = lock(&self.log);
        let known = log.topic(topic);
        if !known.place(group).is_latest(&read.consumer, number) {
            return Ok(None);
        }
        let (mut due, mut wakes) = known.due(group, &read.kinds, read.max);
        if due.is_empty() {
            let deliveries = Vec::new();
            return Ok(Some(Handed { deliveries, wakes }));
        }
        if behaviour.strikes(Fault::Reorder).is_some() {
            due.reverse();
        }
        let entries = self.store.read(|rows| {
            let entry = |(_, pending): &Due| rows.get(&EVENTS, &entry_key(topic, pending.offset));
            due.iter().map(entry).collect::<Result<Vec<_>, _>>()
        })?;
        let mut deliveries = Vec::new();
        let place = known.place(group);
        for ((partition, pending), entry) in due.into_iter().zip(entries) {
            let Some(entry) = entry else {
                if pending.deliveries == 0 {
                    // The commit that appends it is still under way: its end wakes the reader.
                    continue;
                }
                let key = entry_key(topic, pending.offset);
                return Err(StoreError::Corrupt(format!("no event {key}")));
            };
            let visibility = match behaviour.strikes(Fault::Redeliver) {
                Some(_) => Duration::ZERO,
                None => self.config.visibility,
            };
            let delivery = Delivery {
                offset: pending.offset,
                deliveries: place.deliver(partition, pending.offset, visibility),
                event: entry.event,
            };
            if behaviour.strikes(Fault::Lose).is_none() {
                deliveries.push(delivery);
            } else {
                let again = Instant::now() + visibility;
                wakes = Some(wakes.map_or(again, |wakes| wakes.min(again)));
            }
        }
        self.moved(&mut log, topic, group);
        Ok(Some(Handed { deliveries, wakes }))
    }

    /// Notes that a group's place is to be stored.
    fn moved(&self, log: &mut Log, topic: &str, group: &str) {
        log.moved(topic, group);
        self.moved.notify_one();
    }

    /// The faults that concern a reader as it comes.
    fn misbehave(&self, topic: &str, group: &str, read: &mut Read) {
        let behaviour = &self.config.behaviour;
        if !read.settled.is_empty() && behaviour.strikes(Fault::Duplicate).is_some() {
            let settled = std::mem::take(&mut read.settled);
            lock(&self.log).topic(topic).place(group).unsettle(&settled);
        }
        if behaviour.strikes(Fault::Rebalance).is_some() {
            lock(&self.log).rebalance();
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
                // With what is gone, so that no offset is given out twice.
                log.store_moved(tx)
            })
            .await
    }
}

/// Stores where groups are, a while after one has moved.
pub(super) async fn keep_places(bus: Arc<Bus>) {
    loop {
        bus.moved.notified().await;
        tokio::time::sleep(bus.config.places_every).await;
        let log = bus.log.clone();
        let stored = bus.store.write(move |tx| lock(&log).store_moved(tx)).await;
        if let Err::<(), StoreError>(error) = stored {
            tracing::error!(%error, "where groups are was not stored");
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
