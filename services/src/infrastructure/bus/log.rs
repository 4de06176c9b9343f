//! The streams as this life of the process knows them: an index over the stored events, the groups, and the deadlines of
//! deliveries, which a restart forgets: then everything pending is delivered again.
//!
//! Plain data. Events are indexed within the transaction that stores them; a group's place is stored later.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    PARTITIONS,
    store::{EVENTS, Entry, GROUPS, Group, Pending, group_key},
};
use crate::kit::{
    Store, StoreError, Writer,
    bus::{Outcome, Settled},
    idempotency::fingerprint,
};

/// All topics.
#[derive(Debug, Default)]
pub(super) struct Log {
    topics: BTreeMap<String, Topic>,
    /// Topics and groups whose place has changed since it was stored.
    moved: BTreeSet<(String, String)>,
}

/// One topic.
#[derive(Debug, Default)]
pub(super) struct Topic {
    /// By partition and offset.
    entries: BTreeMap<(u32, u64), Known>,
    /// Which events are here.
    offsets: BTreeMap<String, u64>,
    next: u64,
    /// The groups, and what only this process knows of them.
    pub groups: BTreeMap<String, Place>,
}

/// What is known of an entry without reading it.
#[derive(Debug)]
struct Known {
    id: String,
    kind: String,
    at_ms: u64,
    /// Held back until then.
    hidden_until: Option<Instant>,
}

/// A group's place in a topic.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// What is stored of it, sooner or later.
    pub stored: Group,
    /// By partition: until when what is pending is invisible. None after a restart.
    deadlines: BTreeMap<u32, Instant>,
    /// By consumer: its latest read; an earlier one that still waits gives up.
    readers: BTreeMap<String, u64>,
}

impl Log {
    /// The log of an earlier life.
    pub fn read(store: &Store) -> Result<Self, StoreError> {
        let mut log = Log::default();
        store.read(|rows| {
            for (_, entry) in rows.scan(&EVENTS, "")? {
                log.topic(&entry.topic.clone()).index(&entry, None);
            }
            for (key, stored) in rows.scan(&GROUPS, "")? {
                let (topic, group) = key.split_once('/').unwrap_or((&key, ""));
                let topic = log.topic(topic);
                // What all groups are done with may have been trimmed: its offsets are not given out again.
                let done = stored.next.values().max().copied().unwrap_or(0);
                topic.next = topic.next.max(done);
                topic.place(group).stored = stored;
            }
            Ok(log)
        })
    }

    /// A topic, if anything was ever done with it.
    pub fn known(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    /// A topic, empty if it is new.
    pub fn topic(&mut self, name: &str) -> &mut Topic {
        if !self.topics.contains_key(name) {
            self.topics.insert(name.to_owned(), Topic::default());
        }
        self.topics.get_mut(name).expect("inserted above")
    }

    /// All topics by name.
    pub fn topics(&mut self) -> impl Iterator<Item = (&String, &mut Topic)> {
        self.topics.iter_mut()
    }

    /// Notes that a group's place is to be stored.
    pub fn moved(&mut self, topic: &str, group: &str) {
        self.moved.insert((topic.to_owned(), group.to_owned()));
    }

    /// Stores the places that are to be, within the caller's transaction.
    pub fn store_moved(&mut self, tx: &mut Writer<'_>) -> Result<(), StoreError> {
        for (topic, group) in &self.moved {
            let place = self.topics.get(topic).and_then(|t| t.groups.get(group));
            let place = place.expect("only known groups move");
            tx.put(&GROUPS, &group_key(topic, group), &place.stored)?;
        }
        self.moved.clear();
        Ok(())
    }

    /// Makes everything that is pending anywhere visible at once; says how many deliveries that were.
    pub fn rebalance(&mut self) -> u64 {
        let places = self.topics.values_mut().flat_map(|t| t.groups.values_mut());
        let taken = places.map(|place| std::mem::take(&mut place.deadlines).len() as u64);
        taken.sum()
    }
}

/// The partition of a key.
pub(super) fn partition(key: &str) -> u32 {
    (fingerprint(&key) % u64::from(PARTITIONS)) as u32
}

/// What is to be delivered: partition, offset, and the how-manieth time it is.
pub(super) type Due = (u32, Pending);

impl Topic {
    /// Where an event is, if it was appended before.
    pub fn offset_of(&self, event_id: &str) -> Option<u64> {
        self.offsets.get(event_id).copied()
    }

    /// The offset of the next event.
    pub fn next_offset(&self) -> u64 {
        self.next
    }

    /// Takes up an entry that is stored now; `hidden` for so long.
    pub fn index(&mut self, entry: &Entry, hidden: Option<Duration>) {
        let known = Known {
            id: entry.event.id.clone(),
            kind: entry.event.kind.clone(),
            at_ms: entry.at_ms,
            hidden_until: hidden.map(|hidden| Instant::now() + hidden),
        };
        self.offsets.insert(known.id.clone(), entry.offset);
        self.entries.insert((entry.partition, entry.offset), known);
        self.next = self.next.max(entry.offset + 1);
    }

    /// A group's place; a new group begins with the oldest event.
    pub fn place(&mut self, group: &str) -> &mut Place {
        if !self.groups.contains_key(group) {
            self.groups.insert(group.to_owned(), Place::default());
        }
        self.groups.get_mut(group).expect("inserted above")
    }

    /// What a group may be given now, at most `max`, and when there may be more.
    pub fn due(&self, group: &str, kinds: &[String], max: usize) -> (Vec<Due>, Option<Instant>) {
        let now = Instant::now();
        let (mut due, mut wakes): (Vec<Due>, Option<Instant>) = (Vec::new(), None);
        let Some(place) = self.groups.get(group) else {
            return (due, wakes);
        };
        let mut later =
            |at: Instant| wakes = Some(wakes.map_or(at, |known: Instant| known.min(at)));
        for partition in 0..PARTITIONS {
            if let Some(pending) = place.stored.pending.get(&partition) {
                match place.deadlines.get(&partition) {
                    Some(&deadline) if now < deadline => later(deadline),
                    _ => due.push((partition, *pending)),
                }
                continue;
            }
            let from = place.stored.next.get(&partition).copied().unwrap_or(0);
            let mut rest = self.entries.range((partition, from)..(partition + 1, 0));
            let concerns = |known: &Known| kinds.is_empty() || kinds.contains(&known.kind);
            let Some(((_, offset), known)) = rest.find(|(_, known)| concerns(known)) else {
                continue;
            };
            match known.hidden_until {
                Some(until) if now < until => later(until),
                _ => due.push((
                    partition,
                    Pending {
                        offset: *offset,
                        deliveries: 0,
                    },
                )),
            }
        }
        due.sort_by_key(|(_, pending)| pending.offset);
        due.truncate(max);
        (due, wakes)
    }

    /// Forgets entries that were appended before that instant and that every group is done with.
    pub fn trim(&mut self, older_than_ms: u64) -> Vec<u64> {
        let pending: BTreeSet<u64> = self
            .groups
            .values()
            .flat_map(|place| place.stored.pending.values().map(|pending| pending.offset))
            .collect();
        let groups = &self.groups;
        let passed = |partition: u32, offset: u64| {
            let next = |place: &Place| place.stored.next.get(&partition).copied().unwrap_or(0);
            groups.values().all(|place| offset < next(place)) && !pending.contains(&offset)
        };
        let old: Vec<(u32, u64)> = self
            .entries
            .iter()
            .filter(|((partition, offset), known)| {
                known.at_ms < older_than_ms && passed(*partition, *offset)
            })
            .map(|(at, _)| *at)
            .collect();
        for at in &old {
            if let Some(known) = self.entries.remove(at) {
                self.offsets.remove(&known.id);
            }
        }
        old.into_iter().map(|(_, offset)| offset).collect()
    }

    /// How many entries a group has not passed yet, pending ones included.
    pub fn behind(&self, group: &str) -> usize {
        let Some(place) = self.groups.get(group) else {
            return self.entries.len();
        };
        let next = |partition| place.stored.next.get(&partition).copied().unwrap_or(0);
        let ahead = self
            .entries
            .keys()
            .filter(|(partition, offset)| *offset >= next(*partition));
        ahead.count() + place.stored.pending.len()
    }
}

impl Place {
    /// A new read of this consumer; its number tells it from the one that takes its place.
    pub fn enter(&mut self, consumer: &str) -> u64 {
        let number = self.readers.entry(consumer.to_owned()).or_default();
        *number += 1;
        *number
    }

    /// Whether no later read of the consumer has come.
    pub fn is_latest(&self, consumer: &str, number: u64) -> bool {
        self.readers.get(consumer) == Some(&number)
    }

    /// Notes what became of deliveries; whether that changes what is stored. What is not pending any more is passed by.
    pub fn settle(&mut self, settled: &[Settled]) -> bool {
        let mut changed = false;
        for Settled { offset, outcome } in settled {
            let pending = self.stored.pending.iter();
            let found = pending.filter(|(_, pending)| pending.offset == *offset);
            let Some(partition) = found.map(|(partition, _)| *partition).next() else {
                continue;
            };
            match outcome {
                Outcome::Done => {
                    self.stored.pending.remove(&partition);
                    self.deadlines.remove(&partition);
                    changed = true;
                }
                Outcome::RetryAfterMs(wait) => {
                    let at = Instant::now() + Duration::from_millis(*wait);
                    self.deadlines.insert(partition, at);
                }
            }
        }
        changed
    }

    /// Makes the deliveries that settle here visible again instead, as if nobody had settled them.
    pub fn unsettle(&mut self, settled: &[Settled]) {
        for Settled { offset, .. } in settled {
            let pending = self.stored.pending.iter();
            let found = pending.filter(|(_, pending)| pending.offset == *offset);
            if let Some(partition) = found.map(|(partition, _)| *partition).next() {
                self.deadlines.remove(&partition);
            }
        }
    }

    /// Notes that this is delivered now, and how often it has been.
    pub fn deliver(&mut self, partition: u32, offset: u64, visibility: Duration) -> u32 {
        let pending = self.stored.pending.entry(partition).or_insert(Pending {
            offset,
            deliveries: 0,
        });
        pending.deliveries += 1;
        let deliveries = pending.deliveries;
        let next = self.stored.next.entry(partition).or_default();
        *next = (*next).max(offset + 1);
        self.deadlines
            .insert(partition, Instant::now() + visibility);
        deliveries
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::kit::{Context, bus::Event};

    const VISIBILITY: Duration = Duration::from_secs(10);

    fn topic(keys: &[&str]) -> Topic {
        let mut topic = Topic::default();
        for key in keys {
            let offset = topic.next_offset();
            let entry = Entry {
                topic: "t".to_owned(),
                offset,
                partition: partition(key),
                event: Event {
                    version: 1,
                    id: format!("EVT-{offset}"),
                    kind: format!("kind-{offset}"),
                    key: key.to_string(),
                    at_ms: 0,
                    context: Context::default(),
                    body: Value::Null,
                },
                at_ms: offset,
            };
            topic.index(&entry, None);
        }
        topic.place("g");
        topic
    }

    fn due(topic: &Topic) -> Vec<u64> {
        let (due, _) = topic.due("g", &[], 16);
        due.into_iter().map(|(_, pending)| pending.offset).collect()
    }

    fn done(offset: u64) -> Settled {
        Settled {
            offset,
            outcome: Outcome::Done,
        }
    }

    #[tokio::test]
    async fn events_of_one_key_are_delivered_one_after_another() {
        let mut topic = topic(&["x", "x", "y"]);
        assert_ne!(partition("x"), partition("y"), "or this test shows nothing");
        assert_eq!(due(&topic), [0, 2]);
        for (key, offset) in [("x", 0), ("y", 2)] {
            topic.place("g").deliver(partition(key), offset, VISIBILITY);
        }
        assert_eq!(
            due(&topic),
            [0; 0],
            "both partitions have something pending"
        );
        assert!(topic.place("g").settle(&[done(0)]));
        assert_eq!(due(&topic), [1]);
    }

    #[tokio::test]
    async fn what_is_not_settled_in_time_is_delivered_again() {
        let mut topic = topic(&["x"]);
        let at = partition("x");
        assert_eq!(topic.place("g").deliver(at, 0, VISIBILITY), 1);
        assert_eq!(due(&topic), [0; 0]);
        tokio::time::sleep(VISIBILITY).await;
        assert_eq!(due(&topic), [0]);
        assert_eq!(topic.place("g").deliver(at, 0, VISIBILITY), 2);
        assert!(topic.place("g").settle(&[done(0)]));
        assert!(
            !topic.place("g").settle(&[done(0)]),
            "it is settled already"
        );
        assert_eq!(topic.behind("g"), 0);
    }

    #[tokio::test]
    async fn kinds_that_do_not_concern_a_group_are_passed_over() {
        let topic = topic(&["x", "x", "x"]);
        let (due, _) = topic.due("g", &["kind-2".to_owned()], 16);
        assert_eq!(due[0].1.offset, 2);
    }

    #[tokio::test]
    async fn only_what_every_group_is_done_with_is_trimmed() {
        let mut topic = topic(&["x", "x"]);
        let at = partition("x");
        topic.place("g").deliver(at, 0, VISIBILITY);
        assert_eq!(topic.trim(10), [0; 0], "it is pending");
        topic.place("g").settle(&[done(0)]);
        topic.place("late");
        assert_eq!(topic.trim(10), [0; 0], "another group has not seen it");
        topic.place("late").deliver(at, 0, VISIBILITY);
        topic.place("late").settle(&[done(0)]);
        assert_eq!(topic.trim(0), [0; 0], "it is not old enough");
        assert_eq!(topic.trim(10), [0]);
        assert_eq!(topic.offset_of("EVT-0"), None);
        assert_eq!(topic.offset_of("EVT-1"), Some(1));
    }
}
