//! Rows that can't be read.

use super::{
    Draw, Drawing, Effect, Fault, FaultKind, Injectable, Number, Profile, Rows, Target, Turn,
};
use crate::seed::Seed;

/// One storm in so many makes rows unreadable.
const ONE_STORM_IN: u64 = 9;

fault! {
    /// Some rows of the node's databases can't be read for a while: reads of them fail, whatever is cached.
    pub struct UnreadableRow = "unreadable-row" on node at sites {
        /// Rows of this table only; of all, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        table: Option<String>,
        /// Rows of this key only; one row in four, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Which rows, where no key is named.
        choice: u64,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
    told "{rows} of {node} can't be read",
        rows = rows_in_words(table.as_deref(), key.as_deref());
    effective once "a read met one of the rows";
    drawn |from| UnreadableRow {
        node: from.node(),
        table: None,
        key: None,
        choice: from.below(1 << 20),
        for_ms: from.ms(200, 20_000),
    };
}

impl Injectable for UnreadableRow {
    fn drawing() -> Drawing {
        Drawing {
            joins: Some(Turn::BeforeAiming),
            ..Drawing::default()
        }
    }

    fn join(profile: &Profile, faults: &mut Vec<Fault>, seed: Seed) {
        let mut rng = seed.stream("unreadable");
        let one_more = rng.below(ONE_STORM_IN) == 0;
        // A storm that can have nothing else has this.
        if profile.can(FaultKind::UnreadableRow) && (one_more || faults.is_empty()) {
            let fault = Draw::new(profile, &mut rng).fault(FaultKind::UnreadableRow);
            profile.join(faults, fault);
        }
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Amount(&mut self.for_ms)]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.make_unreadable(&self.node, &self.rows(), on);
    }

    fn touched(&self, target: &dyn Target) -> u64 {
        target.count(Effect::RowUnreadable(&self.node, &self.rows()))
    }
}

impl UnreadableRow {
    fn rows(&self) -> Rows {
        Rows {
            table: self.table.clone(),
            key: self.key.clone(),
            choice: self.choice,
        }
    }
}

/// `some rows`, `the row orders/ORD-1`.
fn rows_in_words(table: Option<&str>, key: Option<&str>) -> String {
    match (table, key) {
        (None, None) => "some rows".to_owned(),
        (Some(table), None) => format!("some rows of table \"{table}\""),
        (None, Some(key)) => format!("rows of key \"{key}\""),
        (Some(table), Some(key)) => format!("the row {table}/{key}"),
    }
}
