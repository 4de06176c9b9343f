//! Rows that can't be read for a while: which they are, and whether a read has met one.
//!
//! A database serves most rows from its cache, so an error of a sector seldom meets a row. Here the error is in the row:
//! its readers get an error, wherever the row is read from.

use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use squall_core::fault::Rows;

use super::lock;

/// The rows of a node that can't be read at present, and those that could not before.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    any: AtomicBool,
    struck: Mutex<Vec<Struck>>,
}

#[derive(Debug)]
struct Struck {
    rows: Rows,
    is_on: bool,
    /// How often a read has met one.
    met: u64,
}

impl Unreadable {
    /// These can't be read from now on, or can again. On twice is on.
    pub(super) fn switch(&self, rows: Rows, on: bool) {
        let mut struck = lock(&self.struck);
        match struck.iter_mut().find(|known| known.rows == rows) {
            Some(known) => known.is_on = on,
            None => struck.push(Struck {
                rows,
                is_on: on,
                met: 0,
            }),
        }
        self.any.store(struck.iter().any(|s| s.is_on), Relaxed);
    }

    /// How often a read has met one of these while it could not be read.
    pub(super) fn met(&self, rows: &Rows) -> u64 {
        let struck = lock(&self.struck);
        let of_these = struck.iter().find(|known| known.rows == *rows);
        of_these.map_or(0, |known| known.met)
    }

    pub(super) fn check(&self, table: &str, key: &str) -> io::Result<()> {
        if !self.any.load(Relaxed) {
            return Ok(());
        }
        let mut struck = lock(&self.struck);
        let mut fails = false;
        for those in struck.iter_mut() {
            if those.is_on && those.rows.contain(table, key) {
                those.met += 1;
                fails = true;
            }
        }
        if fails {
            return Err(io::Error::other(format!(
                "row {table}/{key} cannot be read: input/output error"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "orders";

    fn rows(table: Option<&str>, key: Option<&str>, choice: u64) -> Rows {
        Rows {
            table: table.map(str::to_owned),
            key: key.map(str::to_owned),
            choice,
        }
    }

    fn unreadable(of: &Unreadable) -> Vec<u64> {
        let fails = |key: &u64| of.check(TABLE, &key.to_string()).is_err();
        (0..400).filter(fails).collect()
    }

    #[test]
    fn some_rows_are_chosen_others_by_another_choice_and_all_are_readable_in_the_end() {
        let node = Unreadable::default();
        let [one, other] = [1, 2].map(|choice| rows(None, None, choice));
        node.switch(one.clone(), true);
        node.switch(one.clone(), true);
        let first = unreadable(&node);
        assert!((50..150).contains(&first.len()), "{}", first.len());
        node.switch(other.clone(), true);
        node.switch(one.clone(), false);
        assert_ne!(unreadable(&node), first);
        // It was looked for once while it alone was struck.
        assert_eq!(node.met(&one), first.len() as u64);
        assert!(node.met(&other) > 50);
        node.switch(other, false);
        assert!(unreadable(&node).is_empty());
    }

    #[test]
    fn a_named_row_is_the_only_one() {
        let node = Unreadable::default();
        node.switch(rows(Some(TABLE), Some("7"), 0), true);
        assert_eq!(unreadable(&node), [7]);
        assert!(node.check("products", "7").is_ok());
        node.switch(rows(Some("products"), None, 0), true);
        assert_eq!(unreadable(&node), [7]);
    }
}
