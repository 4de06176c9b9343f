//! What happened in a run: events, their rolling hash, the full record, and its text.

use std::{borrow::Cow, time::Duration};

/// What happened. Borrowed, because a campaign only hashes it.
#[derive(Clone, Debug, PartialEq)]
pub enum What<'a> {
    /// A connection was opened, accepted, refused, reset, closed ...
    Connection {
        /// Ordinal of the connection within the run's (from, to) pair.
        connection: u64,
        /// The other end's name.
        peer: Cow<'a, str>,
        /// `connect`, `refused`, `reset`, `closed`, `timed out`.
        event: &'static str,
    },
    /// A burst of bytes was handed to the network by the event's node.
    Burst {
        /// The receiver's name.
        to: Cow<'a, str>,
        /// Ordinal of the connection within its (from, to) pair.
        connection: u64,
        /// The bytes (a campaign hashes them, a full trace keeps their first line).
        bytes: Cow<'a, [u8]>,
        /// On whose behalf.
        label: Cow<'a, str>,
        /// How long it travels.
        latency: Duration,
        /// `sent`, `lost`, `reset`, `delayed`, `duplicated`, `held back` (the link is cut: retransmitted later).
        fate: &'static str,
    },
    /// A burst arrived at the event's node.
    Arrival {
        /// The sender's name.
        from: Cow<'a, str>,
        /// Ordinal of the connection.
        connection: u64,
        /// How many bytes.
        bytes: usize,
    },
    /// The disk did something worth telling: `power lost`, `sync failed`, `sector unreadable`.
    Disk {
        /// What, in a few words.
        event: Cow<'a, str>,
    },
    /// A transaction was committed. Rows as `(table, key, value or none)`.
    Commit {
        /// The database.
        file: Cow<'a, str>,
        /// The rows that changed.
        rows: Cow<'a, [Row]>,
    },
    /// A `tracing` event of a service.
    Log {
        /// `ERROR`, `WARN`, `INFO`, `DEBUG`, `TRACE`.
        level: &'static str,
        /// The event's message.
        message: Cow<'a, str>,
        /// The other fields, in order: `name=value`.
        fields: Cow<'a, str>,
    },
    /// A client's call: `invoked`, `ok`, `failed`, `unknown`.
    Client {
        /// The operation's label.
        op: Cow<'a, str>,
        /// Which phase.
        phase: &'static str,
        /// Request or answer in a few words.
        detail: Cow<'a, str>,
    },
    /// A node's life: `boots`, `crashes`, `loses power`, `pauses`, `resumes`, `stops`, `panics`.
    Node {
        /// Which turn.
        event: &'static str,
        /// Why, or for how long.
        detail: Cow<'a, str>,
    },
    /// The storm did something: a fault began, ended, or bit.
    Fault {
        /// `begins`, `ends`, `fires`.
        event: &'static str,
        /// Ordinal in the plan.
        index: usize,
        /// The fault in words.
        detail: Cow<'a, str>,
    },
    /// An invariant was broken.
    Violation {
        /// The invariant.
        invariant: Cow<'a, str>,
        /// What was expected and found.
        detail: Cow<'a, str>,
    },
}

/// A row as committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Logical table.
    pub table: Cow<'static, str>,
    /// Key as text.
    pub key: String,
    /// Value after the commit; `None` if the row was deleted.
    pub value: Option<Vec<u8>>,
}

/// Placeholder until the recorder lands.
#[derive(Clone, Debug, Default)]
pub struct Trace;
