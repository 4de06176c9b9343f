//! Rows that can't be read.

use std::fmt;

use super::{
    Draw, Drawing, Effect, Fault, FaultKind, Injectable, Number, Profile, Rows, Target, Turn, When,
    limits,
    words::{self, Clause, Moment, seconds},
};
use crate::seed::Seed;

/// One storm in so many makes rows unreadable.
const ONE_STORM_IN: u64 = 9;

fault! {
    /// Some rows of the node's databases can't be read for a while: reads of them fail, whatever is cached.
    pub struct UnreadableRow = "unreadable-row" {
        /// The node.
        node: String,
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
}

impl Injectable for UnreadableRow {
    fn effective_once() -> &'static str {
        "a read met one of the rows"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        UnreadableRow {
            node: from.node(),
            table: None,
            key: None,
            choice: from.rng.below(1 << 20),
            for_ms: from.ms(200, 20_000),
        }
    }

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

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::lasts(self.for_ms)
    }

    fn lasts_ms(&self) -> Option<u64> {
        Some(self.for_ms)
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        let (rows, node) = (self.rows_in_words(), &self.node);
        words::lasting(format_args!("{rows} of {node} can't be read"), self.for_ms)
    }

    fn when(&self, from: &mut Draw<'_>) -> When {
        from.site_or_instant(&self.node)
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

impl fmt::Display for UnreadableRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, node) = (self.rows_in_words(), &self.node);
        let lasts = seconds(self.for_ms);
        write!(f, "{rows} of {node} can't be read for {lasts}")
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

    /// `some rows`, `the row orders/ORD-1`.
    fn rows_in_words(&self) -> String {
        match (self.table.as_deref(), self.key.as_deref()) {
            (None, None) => "some rows".to_owned(),
            (Some(table), None) => format!("some rows of table \"{table}\""),
            (None, Some(key)) => format!("rows of key \"{key}\""),
            (Some(table), Some(key)) => format!("the row {table}/{key}"),
        }
    }
}
