//! What one build writes and another one reads.
//!
//! In a rolling upgrade, and after a rollback, processes of two builds read and write the same rows, events and keys. Build 2
//! knows of a [rebate](More::rebate) that the shop gives on an order: it puts it into what it writes, and build 1 knows
//! nothing of it. Two rules keep what was promised:
//!
//! * whoever reads something and writes it back, or hands it on, keeps the members that it does not know;
//! * whoever misses a member takes it for what its absence meant to the build that wrote it. There was no rebate then.
//!
//! Services that take money are upgraded before those that ask for it: whatever their build, they know of rebates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    gap::{Gap, Gaps},
    ports::Platform,
};

/// The build that knows of no rebates; builds count from 0.
pub const FIRST: u32 = 0;
/// The newest one, which does.
pub const NEWEST: u32 = 1;

/// The share of an order's amount that the shop gives back: one won in so many.
const REBATE_ONE_IN: u64 = 20;

/// The member of a rebate.
const REBATE: &str = "rebate";

/// The members of a row, an event or a request that the first build has not known. To be flattened into it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct More(BTreeMap<String, Value>);

impl More {
    fn of_rebate(won: u64) -> Self {
        More(BTreeMap::from([(REBATE.to_owned(), won.into())]))
    }

    /// What the shop gives back of the order's amount, in won: so much less is paid.
    pub fn rebate(&self) -> u64 {
        self.0.get(REBATE).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Hands these members on with a JSON object.
    pub fn join(&self, object: &mut Value) {
        if let Value::Object(members) = object {
            members.extend(self.0.clone());
        }
    }

    /// What is to be paid of an amount.
    pub fn payable(&self, amount: u64) -> u64 {
        amount.saturating_sub(self.rebate())
    }
}

/// How a process reads and writes what processes of other builds write and read.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    build: u32,
    gaps: Gaps,
}

impl Format {
    /// That of this process.
    pub fn of(platform: &Platform, gaps: Gaps) -> Self {
        Format {
            build: platform.build,
            gaps,
        }
    }

    /// What this build writes of a new order of this amount, besides what the first one did.
    pub fn promise(self, amount: u64) -> More {
        match (self.build, amount / REBATE_ONE_IN) {
            (FIRST, _) | (_, 0) => More::default(),
            (_, rebate) => More::of_rebate(rebate),
        }
    }

    /// What this build makes of what was read of an order of this amount, for whatever it does and writes then.
    pub fn read(self, amount: u64, more: More) -> More {
        match self.build {
            FIRST if self.gaps.has(Gap::UnknownFieldsDropped) => More::default(),
            FIRST => more,
            _ if self.gaps.has(Gap::OldReaderTakesDefault) && more.rebate() == 0 => {
                self.promise(amount)
            }
            _ => more,
        }
    }
}
