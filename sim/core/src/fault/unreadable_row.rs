//! Rows that can't be read.

use super::*;

/// One storm in this many makes rows unreadable.
const ONE_STORM_IN: u64 = 9;

fault! {
    /// Some rows of the node's databases can't be read for a while: reads of them fail, whatever is cached.
    pub struct UnreadableRow = "unreadable-row" on NodeAtSites(node) {
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
    effective once "a read met one of the rows", counted as RowUnreadable(node, &rows(table, key, *choice));
    drawn |from| UnreadableRow::new(from.node(), None, None, from.below(1 << 20), from.ms(200, 20_000));
}

impl Injectable for UnreadableRow {
    fn drawing() -> Drawing {
        Drawing {
            joins: Some(Turn::BeforeAiming),
            one_storm_in: Some((ONE_STORM_IN, "unreadable")),
            ..Drawing::default()
        }
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Amount(&mut self.for_ms)]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.make_unreadable(&self.node, &rows(&self.table, &self.key, self.choice), on);
    }
}

fn rows(table: &Option<String>, key: &Option<String>, choice: u64) -> Rows {
    let (table, key) = (table.clone(), key.clone());
    Rows { table, key, choice }
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
