//! Which of a node's threads goes on: by lot, or by priorities where the run's tasks are ordered so (PCT: see
//! `squall-engine`'s `world/pct.rs`).

use std::collections::BTreeMap;

use squall_core::seed::{Stream as Rng, unit};
use squall_engine::Node;

use crate::cpu::Tid;

/// How often, by lot, another thread gets the turn of one that could go on.
const PREEMPTED: f64 = 0.1;
/// Change points lie within this many turns for which there is a choice. The services of a storm have hundreds each.
const TURNS_MAX: f64 = 4_096.0;
/// After so many of these turns without an idle moment, a thread that had one goes to the end of the line: programs may
/// wait for each other's threads in loops.
const BUSY_MAX: u64 = 2_000;
/// Priorities at birth are at least this; those of threads that fell behind are less.
const BIRTH: u64 = 1 << 63;

pub(super) enum Schedule {
    /// The thread that had the last turn, or another by lot.
    Lot,
    /// The thread of the highest priority.
    Priorities(Box<Priorities>),
}

pub(super) struct Priorities {
    rng: Rng,
    /// That of each thread that there ever was: numbers are not given again.
    of: BTreeMap<Tid, u64>,
    /// Still to come, the next last: the thread whose turn it is falls behind all others.
    changes: Vec<u64>,
    /// Turns for which there was a choice: ever, and since there was nothing to do.
    turns: u64,
    busy: u64,
    /// The lowest priority so far.
    last: u64,
}

impl Schedule {
    /// As the run has it for its tasks.
    pub fn of(node: &Node) -> Self {
        let Some((mut rng, depth)) = node.priorities() else {
            return Schedule::Lot;
        };
        let change = |_| TURNS_MAX.powf(unit(rng.bits())) as u64;
        let mut changes: Vec<u64> = (1..depth).map(change).collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        Schedule::Priorities(Box::new(Priorities {
            rng,
            of: BTreeMap::new(),
            changes,
            turns: 0,
            busy: 0,
            last: BIRTH,
        }))
    }

    /// The thread that goes on, of those that can, which come in order; `last` had the last turn, if it can go on.
    pub fn next(
        &mut self,
        by_lot: &mut Rng,
        last: Option<Tid>,
        able: impl Iterator<Item = Tid> + Clone,
    ) -> Option<Tid> {
        match self {
            Schedule::Priorities(priorities) => priorities.next(able),
            Schedule::Lot => {
                if last.is_some() && !by_lot.chance(PREEMPTED) {
                    return last;
                }
                let chosen = match able.clone().count() {
                    0 => return None,
                    1 => 0,
                    count => by_lot.below(count as u64),
                };
                able.clone().nth(chosen as usize)
            }
        }
    }
}

impl Priorities {
    fn next(&mut self, able: impl Iterator<Item = Tid> + Clone) -> Option<Tid> {
        let first = self.highest(able.clone());
        if able.clone().nth(1).is_none() {
            self.busy *= u64::from(first.is_some());
            return first;
        }
        self.turns += 1;
        self.busy += 1;
        if self.changes.pop_if(|turn| *turn <= self.turns).is_some() || self.busy > BUSY_MAX {
            self.last -= 1;
            self.of.extend(first.map(|tid| (tid, self.last)));
        }
        self.highest(able)
    }

    fn highest(&mut self, able: impl Iterator<Item = Tid>) -> Option<Tid> {
        let (of, rng) = (&mut self.of, &mut self.rng);
        able.max_by_key(|tid| *of.entry(*tid).or_insert_with(|| BIRTH | rng.bits()))
    }
}

#[cfg(test)]
mod tests {
    use squall_core::seed::Seed;

    use super::*;

    fn priorities(changes: &[u64]) -> Schedule {
        Schedule::Priorities(Box::new(Priorities {
            rng: Seed(1).stream("test"),
            of: BTreeMap::new(),
            changes: changes.to_vec(),
            turns: 0,
            busy: 0,
            last: BIRTH,
        }))
    }

    fn turns(mut schedule: Schedule, count: usize) -> Vec<Tid> {
        let mut by_lot = Seed(1).stream("lot");
        let mut last = 1;
        let turns = std::iter::from_fn(|| {
            last = schedule.next(&mut by_lot, Some(last), [1, 2, 3].into_iter())?;
            Some(last)
        });
        turns.take(count).collect()
    }

    #[test]
    fn one_goes_on_until_a_change_point_puts_it_behind_the_others() {
        let turns = turns(priorities(&[21, 11]), 30);
        let runs: Vec<_> = turns.chunk_by(|a, b| a == b).map(|run| run.len()).collect();
        assert_eq!(runs, [10, 10, 10]);
        let mut all = [turns[0], turns[10], turns[20]];
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3]);
    }

    #[test]
    fn who_is_busy_for_very_long_takes_turns() {
        let turns = turns(priorities(&[]), BUSY_MAX as usize + 9);
        let mut late = turns[BUSY_MAX as usize..].to_vec();
        late.sort_unstable();
        assert_eq!(late, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
    }

    #[test]
    fn by_lot_most_turns_follow_one_another() {
        let turns = turns(Schedule::Lot, 1_000);
        let changed = turns.windows(2).filter(|two| two[0] != two[1]).count();
        assert!((30..150).contains(&changed), "{changed}");
    }
}
