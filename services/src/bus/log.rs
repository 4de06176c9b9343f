//! The streams as this life of the process knows them: an index over the stored events, the groups, and what is delivered
//! to them, which a restart forgets: then everything that is not settled is delivered again.
//!
//! Plain data, stored by its callers. An event is indexed within the transaction that stores it. How far a group is may be
//! ahead of what is stored: [`Log::save`] puts that into whichever transaction comes next.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    PARTITIONS,
    store::{EVENTS, Entry, GROUPS, Group, group_key},
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
    /// Groups, by topic and name, that are further than what is stored.
    unsaved: BTreeSet<(String, String)>,
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
    /// How far it is.
    reached: Group,
    /// By partition: what was delivered and not settled.
    pending: BTreeMap<u32, Pending>,
    /// By consumer: its latest read; an earlier one that still waits gives up.
    readers: BTreeMap<String, u64>,
}

/// A delivery that was not settled yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    offset: u64,
    /// How often it was delivered.
    deliveries: u32,
    /// Until then it is not delivered again.
    invisible_until: Instant,
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
                topic.place(group).reached = stored;
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

    /// Notes what became of deliveries to a group; whether more may be delivered to it now. What is not pending any more
    /// is passed by.
    pub fn settle(&mut self, topic: &str, group: &str, settled: &[Settled]) -> bool {
        let done = self.topic(topic).place(group).settle(settled);
        if done {
            self.unsaved.insert((topic.to_owned(), group.to_owned()));
        }
        done
    }

    /// Whether some group is further than what is stored.
    pub fn is_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Stores how far the groups are. A transaction that does not commit after this ends the process.
    pub fn save(&mut self, tx: &mut Writer<'_>) -> Result<(), StoreError> {
        for (topic, group) in std::mem::take(&mut self.unsaved) {
            let reached = &self.topic(&topic).place(&group).reached;
            tx.put(&GROUPS, &group_key(&topic, &group), reached)?;
        }
        Ok(())
    }

    /// Makes everything that is pending anywhere visible at once.
    pub fn rebalance(&mut self) {
        let places = self.topics.values_mut().flat_map(|t| t.groups.values_mut());
        let pending = places.flat_map(|place| place.pending.values_mut());
        pending.for_each(Pending::show);
    }
}

/// The partition of a key.
pub(super) fn partition(key: &str) -> u32 {
    (fingerprint(&key) % u64::from(PARTITIONS)) as u32
}

/// What is to be delivered: partition and offset.
pub(super) type Due = (u32, u64);

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
            if let Some(pending) = place.pending.get(&partition) {
                match now < pending.invisible_until {
                    true => later(pending.invisible_until),
                    false => due.push((partition, pending.offset)),
                }
                continue;
            }
            let mut rest = self
                .entries
                .range((partition, place.next(partition))..(partition + 1, 0));
            let concerns = |known: &Known| kinds.is_empty() || kinds.contains(&known.kind);
            let Some(((_, offset), known)) = rest.find(|(_, known)| concerns(known)) else {
                continue;
            };
            match known.hidden_until {
                Some(until) if now < until => later(until),
                _ => due.push((partition, *offset)),
            }
        }
        due.sort_by_key(|(_, offset)| *offset);
        due.truncate(max);
        (due, wakes)
    }

    /// Forgets entries that were appended before that instant and that every group is done with.
    pub fn trim(&mut self, older_than_ms: u64) -> Vec<u64> {
        let groups = &self.groups;
        let passed = |partition: u32, offset: u64| {
            groups.values().all(|place| offset < place.next(partition))
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
        let entries = self.entries.keys();
        let ahead = entries.filter(|(partition, offset)| *offset >= place.next(*partition));
        ahead.count()
    }
}

impl Pending {
    /// Makes it visible at once.
    fn show(&mut self) {
        self.invisible_until = Instant::now();
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

    /// The first offset of a partition that is neither settled nor passed over.
    fn next(&self, partition: u32) -> u64 {
        self.reached.next.get(&partition).copied().unwrap_or(0)
    }

    /// The offsets that are delivered and not settled.
    pub fn pending(&self) -> Vec<u64> {
        self.pending.values().map(|pending| pending.offset).collect()
    }

    fn partition_of(&self, offset: u64) -> Option<u32> {
        let mut pending = self.pending.iter();
        let found = pending.find(|(_, pending)| pending.offset == offset);
        found.map(|(partition, _)| *partition)
    }

    /// Whether anything is done with for good.
    fn settle(&mut self, settled: &[Settled]) -> bool {
        let mut done = false;
        for Settled { offset, outcome } in settled {
            let Some(partition) = self.partition_of(*offset) else {
                continue;
            };
            match outcome {
                Outcome::Done => {
                    self.pending.remove(&partition);
                    self.reached.next.insert(partition, offset + 1);
                    done = true;
                }
                Outcome::RetryAfterMs(wait) => {
                    let at = Instant::now() + Duration::from_millis(*wait);
                    self.pending.entry(partition).and_modify(|p| p.invisible_until = at);
                }
            }
        }
        done
    }

    /// Makes the deliveries that settle here visible again instead, as if nobody had settled them.
    pub fn unsettle(&mut self, settled: &[Settled]) {
        for Settled { offset, .. } in settled {
            if let Some(partition) = self.partition_of(*offset) {
                self.pending.entry(partition).and_modify(Pending::show);
            }
        }
    }

    /// Notes that this is delivered now, and how often it has been.
    pub fn deliver(&mut self, (partition, offset): Due, visibility: Duration) -> u32 {
        let invisible_until = Instant::now() + visibility;
        let pending = self.pending.entry(partition).or_insert(Pending {
            offset,
            deliveries: 0,
            invisible_until,
        });
        pending.deliveries += 1;
        pending.invisible_until = invisible_until;
        pending.deliveries
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
        due.into_iter().map(|(_, offset)| offset).collect()
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
            topic.place("g").deliver((partition(key), offset), VISIBILITY);
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
        assert_eq!(topic.place("g").deliver((at, 0), VISIBILITY), 1);
        assert_eq!(due(&topic), [0; 0]);
        tokio::time::sleep(VISIBILITY).await;
        assert_eq!(due(&topic), [0]);
        assert_eq!(topic.place("g").deliver((at, 0), VISIBILITY), 2);
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
        assert_eq!(due[0].1, 2);
    }

    #[tokio::test]
    async fn only_what_every_group_is_done_with_is_trimmed() {
        let mut topic = topic(&["x", "x"]);
        let at = partition("x");
        topic.place("g").deliver((at, 0), VISIBILITY);
        assert_eq!(topic.trim(10), [0; 0], "it is pending");
        topic.place("g").settle(&[done(0)]);
        topic.place("late");
        assert_eq!(topic.trim(10), [0; 0], "another group has not seen it");
        topic.place("late").deliver((at, 0), VISIBILITY);
        topic.place("late").settle(&[done(0)]);
        assert_eq!(topic.trim(0), [0; 0], "it is not old enough");
        assert_eq!(topic.trim(10), [0]);
        assert_eq!(topic.offset_of("EVT-0"), None);
        assert_eq!(topic.offset_of("EVT-1"), Some(1));
    }
}
