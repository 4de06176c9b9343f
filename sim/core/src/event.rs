//! Events: what can happen in a run, on whose behalf, and how it is hashed.
//!
//! Plain data. They are recorded by the engine.

pub mod http;
mod json;
mod rolling;

use std::{borrow::Cow, fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use rolling::Rolling;

use crate::time::VirtualTime;

/// A word of the harness's own vocabulary.
pub type Word = &'static str;

/// In place of a file's name: rows that an outage left behind, found on a dead node's disk.
pub const FOUND_AFTER_OUTAGE: &str = "found after the outage";

/// A turn of a node's life: its successor boots, and its process lives on.
pub const OLD_LIVES_ON: Word = "an old process lives on";
/// The process that had lived on is gone.
pub const OLD_ENDS: Word = "the old process ends";

/// On whose behalf something happens: the fields of the service's tracing span. Unknown ones are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// The W3C trace id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
    /// The request's id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// What the caller is doing: `alice-2-place/reserve`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The saga.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub saga_id: String,
}

impl Scope {
    /// Nothing is known.
    pub const NONE: Scope = Scope {
        trace_id: String::new(),
        request_id: String::new(),
        op: String::new(),
        saga_id: String::new(),
    };

    /// What is empty here, as `outer` has it; unless this is another trace's, which owes nothing to `outer`.
    pub fn inherit(&mut self, outer: &Scope) {
        if !self.trace_id.is_empty() && self.trace_id != outer.trace_id {
            return;
        }
        for (mine, theirs) in [
            (&mut self.trace_id, &outer.trace_id),
            (&mut self.request_id, &outer.request_id),
            (&mut self.op, &outer.op),
            (&mut self.saga_id, &outer.saga_id),
        ] {
            if mine.is_empty() {
                mine.clone_from(theirs);
            }
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Ordinal within the run; from 0.
    pub index: u64,
    /// When.
    pub at: VirtualTime,
    /// Where.
    pub node: String,
    /// On whose behalf.
    pub scope: Scope,
    /// What.
    pub what: What<'static>,
}

/// What happened. Borrowed, because a campaign only hashes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What<'a> {
    /// A connection was opened, accepted, refused, reset, closed ...
    Connection {
        /// Ordinal of the connection within the run's (from, to) pair.
        connection: u64,
        /// The other end's name.
        peer: Cow<'a, str>,
        /// `connect`, `refused`, `reset`, `closed`, `timed out`.
        #[serde(deserialize_with = "json::word")]
        event: Word,
    },
    /// A burst of bytes was handed to the network by the event's node.
    Burst {
        /// The receiver's name.
        to: Cow<'a, str>,
        /// Ordinal of the connection within its (from, to) pair.
        connection: u64,
        /// The bytes (a campaign hashes them, a full trace keeps them).
        #[serde(with = "json::text")]
        bytes: Cow<'a, [u8]>,
        /// On whose behalf.
        label: Cow<'a, str>,
        /// How long it travels.
        latency: Duration,
        /// `sent`, `lost`, `reset`, `delayed`, `duplicated`, `held back` (the link is cut: retransmitted later).
        #[serde(deserialize_with = "json::word")]
        fate: Word,
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
        #[serde(deserialize_with = "json::word")]
        level: Word,
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
        #[serde(deserialize_with = "json::word")]
        phase: Word,
        /// Request or answer in a few words.
        detail: Cow<'a, str>,
    },
    /// A node's life: `boots`, `crashes`, `loses power`, `pauses`, `resumes`, `stops`, `panics`.
    Node {
        /// Which turn.
        #[serde(deserialize_with = "json::word")]
        event: Word,
        /// Why, or for how long.
        detail: Cow<'a, str>,
    },
    /// The storm did something: a fault began, ended, or bit.
    Fault {
        /// `begins`, `ends`, `fires`.
        #[serde(deserialize_with = "json::word")]
        event: Word,
        /// Ordinal in the plan; none where the whole storm ends.
        index: Option<usize>,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Logical table.
    pub table: Cow<'static, str>,
    /// Key as text.
    pub key: String,
    /// Value after the commit; `None` if the row was deleted.
    #[serde(with = "json::optional_text")]
    pub value: Option<Vec<u8>>,
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Kind {
    Connection,
    Burst,
    Arrival,
    Disk,
    Commit,
    Log,
    Client,
    Node,
    Fault,
    Violation,
}

impl Kind {
    /// All kinds, in the order of their discriminants.
    pub const ALL: [Kind; 10] = [
        Kind::Connection,
        Kind::Burst,
        Kind::Arrival,
        Kind::Disk,
        Kind::Commit,
        Kind::Log,
        Kind::Client,
        Kind::Node,
        Kind::Fault,
        Kind::Violation,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl What<'_> {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            What::Connection { .. } => Kind::Connection,
            What::Burst { .. } => Kind::Burst,
            What::Arrival { .. } => Kind::Arrival,
            What::Disk { .. } => Kind::Disk,
            What::Commit { .. } => Kind::Commit,
            What::Log { .. } => Kind::Log,
            What::Client { .. } => Kind::Client,
            What::Node { .. } => Kind::Node,
            What::Fault { .. } => Kind::Fault,
            What::Violation { .. } => Kind::Violation,
        }
    }

    /// The same, owning all that it tells.
    pub fn into_owned(self) -> What<'static> {
        fn own<T: ?Sized + ToOwned>(value: Cow<'_, T>) -> Cow<'static, T> {
            Cow::Owned(value.into_owned())
        }
        match self {
            What::Connection {
                connection,
                peer,
                event,
            } => What::Connection {
                connection,
                peer: own(peer),
                event,
            },
            What::Burst {
                to,
                connection,
                bytes,
                label,
                latency,
                fate,
            } => What::Burst {
                to: own(to),
                connection,
                bytes: own(bytes),
                label: own(label),
                latency,
                fate,
            },
            What::Arrival {
                from,
                connection,
                bytes,
            } => What::Arrival {
                from: own(from),
                connection,
                bytes,
            },
            What::Disk { event } => What::Disk { event: own(event) },
            What::Commit { file, rows } => What::Commit {
                file: own(file),
                rows: own(rows),
            },
            What::Log {
                level,
                message,
                fields,
            } => What::Log {
                level,
                message: own(message),
                fields: own(fields),
            },
            What::Client { op, phase, detail } => What::Client {
                op: own(op),
                phase,
                detail: own(detail),
            },
            What::Node { event, detail } => What::Node {
                event,
                detail: own(detail),
            },
            What::Fault {
                event,
                index,
                detail,
            } => What::Fault {
                event,
                index,
                detail: own(detail),
            },
            What::Violation { invariant, detail } => What::Violation {
                invariant: own(invariant),
                detail: own(detail),
            },
        }
    }
}
