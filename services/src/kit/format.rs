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
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

/// The build that knows of no rebates; builds count from 0.
pub const FIRST: u32 = 0;
/// The newest one, which does.
pub const NEWEST: u32 = 1;

/// The share of an order's amount that the shop gives back: one won in this many.
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
    bugs: Bugs,
}

impl Format {
    /// That of this process.
    pub fn of(platform: &Platform, bugs: Bugs) -> Self {
        Format {
            build: platform.build,
            bugs,
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
            FIRST if self.bugs.has(Bug::UnknownFieldsDropped) => More::default(),
            FIRST => more,
            _ if self.bugs.has(Bug::OldReaderTakesDefault) && more.rebate() == 0 => {
                self.promise(amount)
            }
            _ => more,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A row with what a later build knows of it.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        amount: u64,
        #[serde(flatten)]
        more: More,
    }

    const OLD: Format = Format {
        build: FIRST,
        bugs: Bugs::NONE,
    };
    const NEW: Format = Format {
        build: NEWEST,
        bugs: Bugs::NONE,
    };

    fn written(format: Format, amount: u64) -> Value {
        let more = format.promise(amount);
        serde_json::to_value(Row { amount, more }).expect("a row is JSON")
    }

    /// What a build makes of a row and writes back.
    fn read(format: Format, row: &Value) -> Value {
        let Row { amount, more } = serde_json::from_value(row.clone()).expect("it is a row");
        let more = format.read(amount, more);
        serde_json::to_value(Row { amount, more }).expect("a row is JSON")
    }

    #[test]
    fn the_first_build_writes_what_it_always_did_and_the_next_one_adds_a_rebate() {
        assert_eq!(written(OLD, 3_000), json!({ "amount": 3_000 }));
        assert_eq!(
            written(NEW, 3_000),
            json!({ "amount": 3_000, "rebate": 150 })
        );
        assert_eq!(written(NEW, 19), json!({ "amount": 19 }));
    }

    #[test]
    fn whatever_a_build_writes_the_other_reads_and_writes_back_unchanged() {
        let later = json!({ "amount": 3_000, "rebate": 150, "gift": { "of": ["ann"] } });
        for row in [written(OLD, 3_000), written(NEW, 3_000), later] {
            for format in [OLD, NEW] {
                assert_eq!(read(format, &row), row, "{format:?}");
            }
        }
    }

    #[test]
    fn a_promise_is_what_it_was_whoever_reads_it_except_where_the_bugs_are() {
        let (without, with) = (written(OLD, 3_000), written(NEW, 3_000));
        let planted = |format: Format, bug| Format {
            bugs: Bugs::NONE.with(bug),
            ..format
        };
        let dropping = Bug::UnknownFieldsDropped;
        assert_eq!(read(planted(OLD, dropping), &with), without);
        assert_eq!(read(planted(NEW, dropping), &with), with);
        let guessing = Bug::OldReaderTakesDefault;
        assert_eq!(read(planted(NEW, guessing), &without), with);
        assert_eq!(read(planted(OLD, guessing), &without), without);
    }

    #[test]
    fn what_is_to_be_paid_is_the_amount_less_the_rebate() {
        assert_eq!(NEW.promise(3_000).payable(3_000), 2_850);
        assert_eq!(OLD.promise(3_000).payable(3_000), 3_000);
        let mut bill = json!({ "amount": 3_000 });
        NEW.promise(3_000).join(&mut bill);
        assert_eq!(bill, json!({ "amount": 3_000, "rebate": 150 }));
    }
}
