//! Locks that are taken and released, as far as rows tell.
//!
//! A lock is a member called `lock` or `lease` of a row, or a row of a table called so. Who holds it is its `owner`.

use serde::Serialize;

use crate::trace::rows::{Change, Turn};

/// What a commit did to a lock.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Lock {
    pub turn: &'static str,
    /// The row that is locked.
    pub of: String,
    /// Who takes or loses it, where the row says so.
    pub owner: String,
}

/// What this change does to a lock, if to any.
pub fn of(change: &Change<'_>) -> Option<Lock> {
    let of = format!("{}/{}", change.table, change.key);
    if is_lock(change.table) {
        let turn = match change.turn {
            Turn::Created => "taken",
            Turn::Deleted => "released",
            Turn::Changed => "changed",
        };
        let owner = owner(change, |path| path == "owner");
        return Some(Lock { turn, of, owner });
    }
    let mut touched = change
        .fields
        .iter()
        .filter(|field| field.path.split('.').any(is_lock));
    let first = touched.next()?;
    let (mut taken, mut released) = (first.before.is_none(), first.after.is_none());
    for field in touched {
        taken &= field.before.is_none();
        released &= field.after.is_none();
    }
    let turn = match (taken, released) {
        (true, _) => "taken",
        (_, true) => "released",
        _ => "changed",
    };
    let owner = owner(change, |path| {
        path.ends_with(".owner") && path.split('.').any(is_lock)
    });
    Some(Lock { turn, of, owner })
}

fn is_lock(name: &str) -> bool {
    matches!(name, "lock" | "locks" | "lease" | "leases")
}

fn owner(change: &Change<'_>, is_owner: impl Fn(&str) -> bool) -> String {
    let field = change.fields.iter().find(|field| is_owner(&field.path));
    let value = field.and_then(|field| field.after.as_ref().or(field.before.as_ref()));
    match value {
        Some(serde_json::Value::String(owner)) => owner.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::{rows::Rows, testing::row};
    use squall_core::event::Row;

    fn told(rows: &[Row]) -> Vec<Option<(&'static str, String)>> {
        let mut memory = Rows::default();
        rows.iter()
            .map(|row| of(&memory.apply("n", "db", row)).map(|lock| (lock.turn, lock.owner)))
            .collect()
    }

    #[test]
    fn a_lock_in_a_row_is_taken_changed_and_released() {
        let product = |lock| {
            row(
                "products",
                "lamp",
                Some(json!({"on_hand": 3, "lock": lock})),
            )
        };
        let held = |state: &str| json!({"owner": "SAGA-1", "state": state});
        let told = told(&[
            product(json!(null)),
            product(held("Reserving")),
            product(held("Reserved")),
            product(json!(null)),
        ]);
        let saga = || "SAGA-1".to_owned();
        assert_eq!(
            told,
            [
                None,
                Some(("taken", saga())),
                Some(("changed", String::new())),
                Some(("released", saga())),
            ]
        );
    }

    #[test]
    fn a_table_of_leases_holds_locks() {
        let told = told(&[
            row("leases", "sweep", Some(json!({"owner": "order-1"}))),
            row("leases", "sweep", None),
            row("clocks", "sweep", None),
        ]);
        assert_eq!(told[0], Some(("taken", "order-1".to_owned())));
        assert_eq!(told[1], Some(("released", String::new())));
        assert_eq!(told[2], None);
    }
}
