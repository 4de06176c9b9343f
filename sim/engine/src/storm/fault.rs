//! What a storm can do to a system.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty),* } = $name:literal;)*) => {
        /// One thing that a storm does. Nodes are named; times are virtual milliseconds.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
        pub enum Action { $($(#[$doc])* $variant { $($(#[$fdoc])* $field: $ty),* }),* }

        /// An [`Action`] without its particulars: what campaigns count by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum FaultKind { $($(#[$doc])* $variant),* }

        impl FaultKind {
            /// All kinds.
            pub const ALL: &'static [FaultKind] = &[$(FaultKind::$variant),*];
            /// The kind's name in tables and plan files.
            pub fn name(self) -> &'static str { match self { $(FaultKind::$variant => $name),* } }
        }

        impl Action {
            /// Its kind.
            pub fn kind(&self) -> FaultKind { match self { $(Action::$variant { .. } => FaultKind::$variant),* } }
        }
    };
}

actions! {
    /// The process dies: memory is lost, its kernel closes its connections; it is started again.
    Crash {
        /// Who.
        node: String,
        /// Time until it is started again.
        down_ms: u64
    } = "crash";
    /// The machine dies: unsynced writes are lost or torn, peers hear nothing until it is back.
    PowerLoss {
        /// Who.
        node: String,
        /// Time until it is started again.
        down_ms: u64
    } = "power-loss";
    /// The process dies again and again.
    CrashLoop {
        /// Who.
        node: String,
        /// How many times.
        times: u32,
        /// Time that it is down, and then up, each time.
        down_ms: u64
    } = "crash-loop";
    /// The process stands still (a stopped machine, a long collection); time goes on.
    Pause {
        /// Who.
        node: String,
        /// For how long.
        for_ms: u64
    } = "pause";
    /// The process is told to stop (`SIGTERM`; one that does not listen for it dies at once) and is started again.
    Restart {
        /// Who.
        node: String
    } = "restart";
    /// The process is taken for dead while it lives: its successor boots at once under its name, and new connections
    /// reach that one, while the old process goes on with its tasks, timers and connections, and may open new ones.
    /// Only where the node keeps no files, which its process would lock.
    Overlap {
        /// Who.
        node: String,
        /// For how long the old process lives on; then its kernel closes its connections.
        for_ms: u64
    } = "overlap";
    /// Every task of the node has to wait for the processor.
    SlowNode {
        /// Who.
        node: String,
        /// Wait before each turn.
        wait_ms: u64,
        /// For how long.
        for_ms: u64
    } = "slow-node";
    /// Nothing passes between two nodes.
    Cut {
        /// From here ...
        from: String,
        /// ... to here.
        to: String,
        /// The other way too.
        both: bool,
        /// For how long.
        for_ms: u64
    } = "cut";
    /// Nothing passes between a node and all others.
    Isolate {
        /// Who.
        node: String,
        /// For how long.
        for_ms: u64
    } = "isolate";
    /// A link goes down and up, again and again.
    Flap {
        /// One end.
        from: String,
        /// The other.
        to: String,
        /// How many times.
        times: u32,
        /// Time down, then up.
        each_ms: u64
    } = "flap";
    /// A link is slow.
    Latency {
        /// From here ...
        from: String,
        /// ... to here.
        to: String,
        /// Added to each burst.
        extra_ms: u64,
        /// For how long.
        for_ms: u64
    } = "latency";
    /// A link loses packets, which are sent again.
    Loss {
        /// From here ...
        from: String,
        /// ... to here.
        to: String,
        /// Share of packets lost, in percent.
        percent: u8,
        /// For how long.
        for_ms: u64
    } = "loss";
    /// A link is thin.
    Trickle {
        /// From here ...
        from: String,
        /// ... to here.
        to: String,
        /// Bytes per second.
        bytes_per_s: u64,
        /// For how long.
        for_ms: u64
    } = "trickle";
    /// The node's port answers connects with a reset.
    Refuse {
        /// Who.
        node: String,
        /// For how long.
        for_ms: u64
    } = "refuse";
    /// Connects to the node hang.
    HangConnects {
        /// Who.
        node: String,
        /// For how long.
        for_ms: u64
    } = "hang-connects";
    /// All connections between two nodes are reset.
    ResetConnections {
        /// One end.
        from: String,
        /// The other.
        to: String
    } = "reset-connections";
    /// All connections between two nodes die silently.
    HalfOpen {
        /// One end.
        from: String,
        /// The other.
        to: String
    } = "half-open";
    /// The connection is silently cut at this burst. At a site only.
    LoseBurst {} = "lose-burst";
    /// The connection is reset at this burst. At a site only.
    ResetBurst {} = "reset-burst";
    /// This burst is late. At a site only.
    DelayBurst {
        /// By how much.
        by_ms: u64
    } = "delay-burst";
    /// This burst comes a second time, on a connection of its own. At a site only.
    DuplicateBurst {
        /// How much later.
        after_ms: u64
    } = "duplicate-burst";
    /// Commits take long.
    SlowDisk {
        /// Who.
        node: String,
        /// Added to each commit.
        extra_ms: u64,
        /// For how long.
        for_ms: u64
    } = "slow-disk";
    /// The next sync fails.
    SyncError {
        /// Who.
        node: String
    } = "sync-error";
    /// The next write fails.
    WriteError {
        /// Who.
        node: String
    } = "write-error";
    /// The disk is full.
    DiskFull {
        /// Who.
        node: String,
        /// For how long.
        for_ms: u64
    } = "disk-full";
    /// A stored sector can't be read until it is written again.
    SectorError {
        /// Who.
        node: String,
        /// Which, modulo the sectors that are stored.
        choice: u64
    } = "sector-error";
    /// The wall clock jumps.
    ClockJump {
        /// Who.
        node: String,
        /// By how much; backwards if negative.
        by_ms: i64
    } = "clock-jump";
    /// The wall clock runs fast or slow.
    ClockDrift {
        /// Who.
        node: String,
        /// Parts per million; slow if negative.
        ppm: i64,
        /// For how long.
        for_ms: u64
    } = "clock-drift";
    /// A fault that the scenario brings: it knows what the name means.
    Custom {
        /// Its name.
        name: String,
        /// Who is concerned.
        node: String,
        /// How strong.
        amount: u64,
        /// For how long.
        for_ms: u64
    } = "custom";
    /// Some rows of the node's databases can't be read for a while: reads of them fail, whatever is cached.
    UnreadableRow {
        /// Who.
        node: String,
        /// Rows of this table only; of all, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        table: Option<String>,
        /// Rows of this key only; one row in [`UNREADABLE_ONE_IN`], if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Which rows, where no key is named.
        choice: u64,
        /// For how long.
        for_ms: u64
    } = "unreadable-row";
    /// The process is told to stop and is started again as the next build; one that runs it already, as the one before.
    Upgrade {
        /// Who.
        node: String
    } = "upgrade";
}

/// Where no key is named, one row in so many can't be read.
pub const UNREADABLE_ONE_IN: u64 = 4;

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Action {
    /// The name that campaigns count by: the kind's, or a custom fault's own.
    pub fn counted_as(&self) -> &str {
        match self {
            Action::Custom { name, .. } => name,
            other => other.kind().name(),
        }
    }

    /// Whether it makes sense only at a burst that is being sent.
    pub fn needs_burst(&self) -> bool {
        matches!(
            self,
            Action::LoseBurst {}
                | Action::ResetBurst {}
                | Action::DelayBurst { .. }
                | Action::DuplicateBurst { .. }
        )
    }

    /// The nodes that it names.
    pub fn nodes(&self) -> Vec<&str> {
        use Action::*;
        match self {
            Crash { node, .. }
            | PowerLoss { node, .. }
            | CrashLoop { node, .. }
            | Pause { node, .. }
            | Restart { node }
            | Overlap { node, .. }
            | SlowNode { node, .. }
            | Isolate { node, .. }
            | Refuse { node, .. }
            | HangConnects { node, .. }
            | SlowDisk { node, .. }
            | SyncError { node }
            | WriteError { node }
            | DiskFull { node, .. }
            | SectorError { node, .. }
            | UnreadableRow { node, .. }
            | ClockJump { node, .. }
            | ClockDrift { node, .. }
            | Custom { node, .. }
            | Upgrade { node } => vec![node],
            Cut { from, to, .. }
            | Flap { from, to, .. }
            | Latency { from, to, .. }
            | Loss { from, to, .. }
            | Trickle { from, to, .. }
            | ResetConnections { from, to }
            | HalfOpen { from, to } => vec![from, to],
            LoseBurst {} | ResetBurst {} | DelayBurst { .. } | DuplicateBurst { .. } => vec![],
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Action::*;
        let s = |ms: &u64| format!("{} s", *ms as f64 / 1000.0);
        match self {
            Crash { node, down_ms } => write!(f, "{node} crashes; back {} later", s(down_ms)),
            PowerLoss { node, down_ms } => {
                write!(f, "{node} loses power; back {} later", s(down_ms))
            }
            CrashLoop {
                node,
                times,
                down_ms,
            } => write!(f, "{node} crashes {times} times, every {}", s(down_ms)),
            Pause { node, for_ms } => write!(f, "{node} stands still for {}", s(for_ms)),
            Restart { node } => write!(f, "{node} is restarted"),
            Overlap { node, for_ms } => write!(
                f,
                "a successor of {node} boots; the old process lives on for {}",
                s(for_ms)
            ),
            SlowNode {
                node,
                wait_ms,
                for_ms,
            } => {
                write!(f, "{node} is slow ({wait_ms} ms a turn) for {}", s(for_ms))
            }
            Cut {
                from,
                to,
                both,
                for_ms,
            } => {
                write!(
                    f,
                    "{from} {} {to} is cut for {}",
                    if *both { "↔" } else { "→" },
                    s(for_ms)
                )
            }
            Isolate { node, for_ms } => write!(f, "{node} is cut off from all for {}", s(for_ms)),
            Flap {
                from,
                to,
                times,
                each_ms,
            } => write!(f, "{from} ↔ {to} flaps {times} times, {} each", s(each_ms)),
            Latency {
                from,
                to,
                extra_ms,
                for_ms,
            } => {
                write!(f, "{from} → {to} is {extra_ms} ms slower for {}", s(for_ms))
            }
            Loss {
                from,
                to,
                percent,
                for_ms,
            } => write!(f, "{from} → {to} loses {percent} % for {}", s(for_ms)),
            Trickle {
                from,
                to,
                bytes_per_s,
                for_ms,
            } => {
                write!(
                    f,
                    "{from} → {to} trickles at {bytes_per_s} B/s for {}",
                    s(for_ms)
                )
            }
            Refuse { node, for_ms } => write!(f, "{node} refuses connections for {}", s(for_ms)),
            HangConnects { node, for_ms } => write!(f, "connects to {node} hang for {}", s(for_ms)),
            ResetConnections { from, to } => write!(f, "connections {from} ↔ {to} are reset"),
            HalfOpen { from, to } => write!(f, "connections {from} ↔ {to} die silently"),
            LoseBurst {} => write!(f, "it is lost and the connection is dead"),
            ResetBurst {} => write!(f, "the connection is reset"),
            DelayBurst { by_ms } => write!(f, "it is {} late", s(by_ms)),
            DuplicateBurst { after_ms } => write!(f, "it comes again {} later", s(after_ms)),
            SlowDisk {
                node,
                extra_ms,
                for_ms,
            } => write!(f, "{node}'s disk is {extra_ms} ms slower for {}", s(for_ms)),
            SyncError { node } => write!(f, "{node}'s disk fails a sync"),
            WriteError { node } => write!(f, "{node}'s disk fails a write"),
            DiskFull { node, for_ms } => write!(f, "{node}'s disk is full for {}", s(for_ms)),
            SectorError { node, .. } => write!(f, "a sector of {node}'s disk can't be read"),
            ClockJump { node, by_ms } => write!(f, "{node}'s clock jumps by {by_ms} ms"),
            ClockDrift { node, ppm, for_ms } => {
                write!(f, "{node}'s clock drifts by {ppm} ppm for {}", s(for_ms))
            }
            Custom {
                name,
                node,
                amount,
                for_ms,
            } => {
                write!(f, "{node}: {name} ({amount}) for {}", s(for_ms))
            }
            UnreadableRow {
                node,
                table,
                key,
                for_ms,
                ..
            } => {
                let rows = rows_in_words(table.as_deref(), key.as_deref());
                write!(f, "{rows} of {node} can't be read for {}", s(for_ms))
            }
            Upgrade { node } => write!(f, "{node} is restarted as its other build"),
        }
    }
}

/// Which rows can't be read: `some rows`, `the row orders/ORD-1`.
pub fn rows_in_words(table: Option<&str>, key: Option<&str>) -> String {
    match (table, key) {
        (None, None) => "some rows".to_owned(),
        (Some(table), None) => format!("some rows of table \"{table}\""),
        (None, Some(key)) => format!("rows of key \"{key}\""),
        (Some(table), Some(key)) => format!("the row {table}/{key}"),
    }
}
