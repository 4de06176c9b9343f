//! What can befall connections, messages, disks, nodes and faults, each with the word that traces have for it.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

/// Declares an enum of words. A word is part of a trace's hash.
macro_rules! words {
    ($($(#[$about:meta])* $Words:ident { $($(#[$meaning:meta])* $Word:ident = $text:literal,)* })*) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $Words {
            $(#[doc = concat!("`", $text, "`")] $(#[$meaning])* #[serde(rename = $text)] $Word,)*
        }

        impl $Words {
            /// All of them.
            pub const ALL: &'static [$Words] = &[$($Words::$Word),*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $($Words::$Word => $text),* }
            }
        }

        impl fmt::Display for $Words {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )*};
}

words! {
    /// What befalls a connection, as one of its ends learns it.
    ConnectionEvent {
        Connect = "connect",
        Accept = "accept",
        Refused = "refused",
        Unreachable = "unreachable",
        TimedOut = "timed out",
        Reset = "reset",
        Closed = "closed",
    }

    /// What becomes of a burst of bytes.
    Fate {
        Sent = "sent",
        Lost = "lost",
        Reset = "reset",
        Delayed = "delayed",
        Duplicated = "duplicated",
        /// The link is cut: it is retransmitted later.
        HeldBack = "held back",
    }

    /// How important a log line is.
    Level {
        Error = "ERROR",
        Warn = "WARN",
        Info = "INFO",
        Debug = "DEBUG",
        Trace = "TRACE",
        /// Of an unmodified program: a line of its standard output.
        Out = "OUT",
        /// A line of its standard error.
        Err = "ERR",
    }

    /// How far a client's call has come.
    Phase {
        Invoked = "invoked",
        Ok = "ok",
        Failed = "failed",
        Unknown = "unknown",
    }

    /// A turn of a node's life.
    Life {
        Boots = "boots",
        Crashes = "crashes",
        LosesPower = "loses power",
        IsRestarted = "is restarted",
        IsUpgraded = "is upgraded",
        IsRolledBack = "is rolled back",
        Stops = "stops",
        Panics = "panics",
        Pauses = "pauses",
        Resumes = "resumes",
        /// Its successor boots, and its process lives on.
        OldLivesOn = "an old process lives on",
        OldEnds = "the old process ends",
    }

    /// A turn of a fault.
    FaultEvent {
        Begins = "begins",
        Fires = "fires",
        Ends = "ends",
    }
}

/// What a disk does that is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskEvent {
    /// A write failed.
    WriteFailed,
    /// There was no room for a write.
    Full,
    /// A sector could not be read.
    SectorUnreadable,
    /// A sync failed.
    SyncFailed,
    /// The machine has lost power.
    PowerLost {
        /// Sectors that had not been synced and are gone.
        lost: u64,
        /// Sectors of which a part was written.
        torn: u64,
    },
}

impl ConnectionEvent {
    /// Whether it tells a node that the other end is gone.
    pub fn is_end(self) -> bool {
        use ConnectionEvent::*;
        matches!(self, Refused | TimedOut | Reset | Closed)
    }
}

impl Fate {
    /// Whether the burst never arrives.
    pub fn is_dropped(self) -> bool {
        matches!(self, Fate::Lost | Fate::Reset)
    }

    /// Whether the burst arrives later than usual.
    pub fn is_late(self) -> bool {
        matches!(self, Fate::Delayed | Fate::HeldBack)
    }
}

impl Level {
    /// Whether the line is for developers only.
    pub fn is_detail(self) -> bool {
        matches!(self, Level::Debug | Level::Trace)
    }
}

impl Life {
    /// Whether a node is worse off after it.
    pub fn is_for_the_worse(self) -> bool {
        use Life::*;
        !matches!(self, Boots | Resumes | Stops | OldEnds)
    }

    /// Whether it concerns an old process beside the node's own.
    pub fn is_of_old(self) -> bool {
        matches!(self, Life::OldLivesOn | Life::OldEnds)
    }

    /// Whether the node's own process ends or starts.
    pub fn changes_process(self) -> bool {
        !self.is_of_old() && !matches!(self, Life::Pauses | Life::Resumes)
    }
}

impl DiskEvent {
    /// In a few words, which are part of a trace's hash.
    pub fn words(self) -> Cow<'static, str> {
        match self {
            DiskEvent::WriteFailed => "write failed".into(),
            DiskEvent::Full => "disk full".into(),
            DiskEvent::SectorUnreadable => "sector unreadable".into(),
            DiskEvent::SyncFailed => "sync failed".into(),
            DiskEvent::PowerLost { lost, torn } => {
                format!("power lost: {lost} sectors lost, {torn} torn").into()
            }
        }
    }
}

impl fmt::Display for DiskEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.words())
    }
}
