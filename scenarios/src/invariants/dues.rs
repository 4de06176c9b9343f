//! What orders are to cost: as their customers were promised when the orders were made, whichever build serves them.

use std::collections::BTreeMap;

use squall::check::Findings;

/// An order costs in the end what it was promised to cost at first.
pub const PROMISED: &str = "an order costs what was promised";

/// What is to be paid for each order, by id, as the order said when it was made.
#[derive(Debug, Default)]
pub struct Dues(BTreeMap<String, u64>);

impl Dues {
    /// The order says now that this much is to be paid for it.
    pub fn follow(&mut self, id: &str, says: u64, findings: &mut Findings) {
        let promised = *self.0.entry(id.to_owned()).or_insert(says);
        if promised != says {
            findings.broken_as(
                PROMISED,
                "another promise",
                &[id],
                format!("{promised} won, as promised when it was made"),
                format!("{says} won"),
            );
        }
    }

    /// What is to be paid for an order that is completed.
    pub fn of(&self, id: &str) -> u64 {
        self.0.get(id).copied().unwrap_or(0)
    }
}
