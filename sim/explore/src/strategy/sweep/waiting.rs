//! In which order the storms of one fault are run.
//!
//! No order is best for all bugs: one shows at a site that one workload in fifty has, another at many sites of one
//! workload in three. So columns take turns, and in one round each has what was planned least, in the next whatever is
//! drawn by lot.

use std::collections::{BTreeMap, BTreeSet};

use squall_core::seed::mix;

/// Storms that were not run yet, by their places among all.
#[derive(Default)]
pub(super) struct Waiting {
    left: BTreeSet<usize>,
    columns: BTreeMap<String, Column>,
    turn: usize,
}

#[derive(Default)]
struct Column {
    by_need: Queue,
    by_lot: Queue,
}

/// A storm may have been drawn from another queue already.
type Queue = BTreeSet<(Need, usize)>;

/// How little it is needed: whether the same thing has happened before in the run, and how often it had been planned.
type Need = (bool, u64);

impl Waiting {
    /// `need` orders it among the storms of its column. A storm of two columns waits in both.
    pub fn insert(&mut self, column: &str, need: Need, storm: usize) {
        let lot = (false, mix(storm as u64));
        let column = self.columns.entry(column.to_owned()).or_default();
        column.by_need.insert((need, storm));
        column.by_lot.insert((lot, storm));
        self.left.insert(storm);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.left.len()
    }

    /// The storm whose turn it is.
    pub fn pop(&mut self) -> Option<usize> {
        while !self.left.is_empty() {
            let columns = self.columns.len();
            let (round, nth) = (self.turn / columns, self.turn % columns);
            self.turn += 1;
            let column = self.columns.values_mut().nth(nth)?;
            let queue = match round % 2 {
                0 => &mut column.by_need,
                _ => &mut column.by_lot,
            };
            while let Some((_, storm)) = queue.pop_first() {
                if self.left.remove(&storm) {
                    return Some(storm);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(waiting: &mut Waiting) -> Vec<usize> {
        std::iter::from_fn(|| waiting.pop()).collect()
    }

    #[test]
    fn a_small_column_is_not_held_up_by_a_large_one() {
        let mut waiting = Waiting::default();
        (0..1_000).for_each(|storm| waiting.insert("crash", (false, 0), storm));
        (1_000..1_010).for_each(|storm| waiting.insert("delayed", (false, 0), storm));
        let drawn = drawn(&mut waiting);
        assert!(drawn[..20].iter().filter(|&&storm| storm >= 1_000).count() == 10);
        let each: BTreeSet<usize> = drawn.iter().copied().collect();
        assert_eq!((drawn.len(), each.len()), (1_010, 1_010), "each once");
    }

    #[test]
    fn what_was_planned_least_comes_first_in_every_other_round() {
        let mut waiting = Waiting::default();
        for storm in 0..100 {
            // The first of all has happened before in its run.
            waiting.insert("crash", (storm == 0, storm as u64 % 10), storm);
        }
        let drawn = drawn(&mut waiting);
        let by_need: Vec<usize> = drawn.iter().copied().step_by(2).take(4).collect();
        let left = |storm: &usize| storm.is_multiple_of(10) && *storm > 0;
        assert!(by_need.iter().all(left), "{by_need:?}");
        assert!(by_need.is_sorted());
    }
}
