//! The bus's tables.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kit::{Table, bus::Event};

/// The database's file.
pub const FILE: &str = "bus.redb";

/// Key: [`entry_key`].
pub const EVENTS: Table<Entry> = Table::new("events");

/// Key: [`group_key`].
pub const GROUPS: Table<Group> = Table::new("groups");

/// An appended event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Of which topic.
    pub topic: String,
    /// Its place in the topic.
    pub offset: u64,
    /// The partition that its key falls into.
    pub partition: u32,
    /// The event.
    pub event: Event,
    /// When it was appended; wall clock.
    pub at_ms: u64,
}

/// How far a group of consumers is in a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// By partition: the first offset that was not looked at yet.
    pub next: BTreeMap<u32, u64>,
    /// By partition: what was delivered and not settled.
    pub pending: BTreeMap<u32, Pending>,
}

/// A delivery that was not settled yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Of which event.
    pub offset: u64,
    /// How often it was delivered.
    pub deliveries: u32,
}

/// Keys in the order of the topic. Topics hold no `/`.
pub fn entry_key(topic: &str, offset: u64) -> String {
    format!("{topic}/{offset:016}")
}

/// One row per topic and group, neither of which holds a `/`.
pub fn group_key(topic: &str, group: &str) -> String {
    format!("{topic}/{group}")
}
