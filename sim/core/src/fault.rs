//! Faults: each kind in a file of its own, and one line below that registers it.
//!
//! A kind's file holds its fields and, as [`Injectable`], all that the harness knows of it: how it is drawn and
//! checked, how it begins and ends, what it touched, what is weaker, how a person reads it, which columns of a sweep it
//! fills. Everything else asks an [`Action`] or a [`FaultKind`] and matches on none. This module knows neither plans nor
//! the world: [`Target`] is what a fault can do to a system.

#[macro_use]
mod declare;

mod burst;
mod draw;
mod injectable;
mod limits;
mod number;
mod profile;
mod reference;
mod sweep;
mod target;
mod when;
pub mod words;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use serde::{Deserialize, Serialize};

use crate::{seed::Seed, site::Kind, vocabulary::Life};

pub use burst::BurstFault;
pub use declare::{Declared, Described, Strikes, Value};
pub use draw::{Draw, Drawing, Held, Turn, duration};
pub use injectable::{Definition, Injectable};
pub use limits::FOR_EVER_MS;
pub use number::Number;
pub use profile::{CustomFault, Profile, Usual};
pub use reference::reference;
pub use sweep::{Candidate, Candidates, Heading, Length};
pub use target::{Effect, Links, Rows, Target, UNREADABLE_ONE_IN};
pub use when::{Fault, When};

/// Makes kinds of fault known, each by its struct and its file.
macro_rules! registry {
    ($($Kind:ident in $file:ident,)*) => {
        $(mod $file;)*
        $(pub use $file::$Kind;)*

        /// One thing that a storm does: a fault of one of the kinds, as which it can be used. Nodes are named; times are
        /// virtual milliseconds.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "do", rename_all = "kebab-case")]
        pub enum Action {
            $(#[doc = concat!("See [`", stringify!($Kind), "`](struct@", stringify!($Kind), ").")] $Kind($Kind)),*
        }

        /// An [`Action`] without its particulars: what campaigns count by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum FaultKind {
            $(#[doc = concat!("See [`", stringify!($Kind), "`](struct@", stringify!($Kind), ").")] $Kind),*
        }

        impl FaultKind {
            /// All kinds.
            pub const ALL: &'static [FaultKind] = &[$(FaultKind::$Kind),*];

            /// What is known of the kind without a fault of it.
            pub fn definition(self) -> &'static Definition {
                match self { $(FaultKind::$Kind => const { &Definition::of::<$Kind>() }),* }
            }
        }

        impl Action {
            /// Its kind.
            pub fn kind(&self) -> FaultKind {
                match self { $(Action::$Kind(_) => FaultKind::$Kind),* }
            }
        }

        impl Deref for Action {
            type Target = dyn Injectable;

            fn deref(&self) -> &Self::Target {
                match self { $(Action::$Kind(fault) => fault),* }
            }
        }

        impl DerefMut for Action {
            fn deref_mut(&mut self) -> &mut Self::Target {
                match self { $(Action::$Kind(fault) => fault),* }
            }
        }

        $(impl From<$Kind> for Action {
            fn from(fault: $Kind) -> Self {
                Action::$Kind(fault)
            }
        })*
    };
}

// The order decides what seeds draw and how tables are sorted: new kinds go to the end.
registry! {
    Crash in crash,
    PowerLoss in power_loss,
    CrashLoop in crash_loop,
    Pause in pause,
    Restart in restart,
    Overlap in overlap,
    SlowNode in slow_node,
    Cut in cut,
    Isolate in isolate,
    Flap in flap,
    Latency in latency,
    Loss in loss,
    Trickle in trickle,
    Refuse in refuse,
    HangConnects in hang_connects,
    ResetConnections in reset_connections,
    HalfOpen in half_open,
    LoseBurst in lose_burst,
    ResetBurst in reset_burst,
    DelayBurst in delay_burst,
    DuplicateBurst in duplicate_burst,
    SlowDisk in slow_disk,
    SyncError in sync_error,
    WriteError in write_error,
    DiskFull in disk_full,
    SectorError in sector_error,
    ClockJump in clock_jump,
    ClockDrift in clock_drift,
    Custom in custom,
    UnreadableRow in unreadable_row,
    Upgrade in upgrade,
    Terminate in terminate,
    FailNames in fail_names,
    SlowNames in slow_names,
    NoDescriptors in no_descriptors,
    StaleNames in stale_names,
    KillProcess in kill_process,
    LyingSyncs in lying_syncs,
}

impl FaultKind {
    /// The kind's name in tables and plan files.
    pub fn name(self) -> &'static str {
        self.definition().name
    }
}

impl Action {
    /// The name that campaigns count by: the kind's, or a custom fault's own.
    pub fn counted_as(&self) -> &str {
        self.own_name().unwrap_or(self.kind().name())
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}
