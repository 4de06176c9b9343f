//! Events: what can happen in a run, on whose behalf, and how it is hashed.
//!
//! Plain data. They are recorded by the engine.

mod json;
pub mod message;
mod rolling;

use std::{borrow::Cow, fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use rolling::Rolling;

pub use crate::vocabulary::{ConnectionEvent, DiskEvent, Fate, FaultEvent, Level, Life, Phase};
use crate::{fault::Action, time::VirtualTime};

/// In place of a file's name: rows that an outage left behind, found on a dead node's disk.
pub const FOUND_AFTER_OUTAGE: &str = "found after the outage";

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
        /// What befell it.
        event: ConnectionEvent,
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
        /// What becomes of it.
        fate: Fate,
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
    /// The disk did something worth telling.
    Disk {
        /// What.
        event: DiskEvent,
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
        /// How important it is.
        level: Level,
        /// The event's message.
        message: Cow<'a, str>,
        /// The other fields, in order: `name=value`.
        fields: Cow<'a, str>,
    },
    /// A client's call.
    Client {
        /// The operation's label.
        op: Cow<'a, str>,
        /// How far it has come.
        phase: Phase,
        /// Request or answer in a few words.
        detail: Cow<'a, str>,
    },
    /// A node's life takes a turn.
    Node {
        /// Which.
        event: Life,
        /// Why, or for how long.
        detail: Cow<'a, str>,
    },
    /// A fault of the storm takes a turn.
    Fault {
        /// Which.
        event: FaultEvent,
        /// Ordinal in the plan.
        index: usize,
        /// The fault.
        action: Cow<'a, Action>,
    },
    /// The storm is over: what had not ended has, and every node comes back.
    Healed,
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

impl Row {
    /// A row of a logical table.
    pub fn new(
        table: impl Into<Cow<'static, str>>,
        key: impl Into<String>,
        value: Option<Vec<u8>>,
    ) -> Self {
        let (table, key) = (table.into(), key.into());
        Row { table, key, value }
    }
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
            What::Fault { .. } | What::Healed => Kind::Fault,
            What::Violation { .. } => Kind::Violation,
        }
    }

    /// Whether it happens to the event's node; faults and violations belong to the run as a whole.
    pub fn is_of_a_node(&self) -> bool {
        !matches!(self.kind(), Kind::Fault | Kind::Violation)
    }

    /// The same, owning all that it tells.
    pub fn into_owned(self) -> What<'static> {
        /// Owns some fields of each variant, and takes the others as they are.
        macro_rules! owned {
            ($($What:ident($($own:ident)*; $($keep:ident)*))*) => {
                match self {
                    $(What::$What { $($own,)* $($keep),* } => What::$What {
                        $($own: Cow::Owned($own.into_owned()),)*
                        $($keep),*
                    },)*
                    What::Healed => What::Healed,
                }
            };
        }
        owned! {
            Connection(peer; connection event)
            Burst(to bytes label; connection latency fate)
            Arrival(from; connection bytes)
            Disk(; event)
            Commit(file rows;)
            Log(message fields; level)
            Client(op detail; phase)
            Node(detail; event)
            Fault(action; event index)
            Violation(invariant detail;)
        }
    }
}
