//! Which two faults are worth a storm together.
//!
//! Both were effective alone, or the second strikes where the system is dealing with the first. What broke something
//! alone is left out: it would break the same again.

use std::collections::BTreeMap;

use squall_core::{
    fault::{Candidate, Candidates},
    seed::mix,
    site::{Met, Site},
};

use super::{Length, Storm, Sweep};

/// A site that only a fault made appear.
pub(super) struct Fresh {
    /// The storm, among those of one fault.
    pub single: usize,
    pub met: Met,
    pub next: Option<Site>,
}

/// Pairs within the budget, by turns of the two kinds, each kind in an order that prefers no part of the run; and how
/// many there could have been.
pub(super) fn plan(sweep: &Sweep) -> (Vec<Storm>, u64) {
    if sweep.budget == 0 {
        return (Vec::new(), 0);
    }
    let (recovery, same_saga) = (in_recovery(sweep), on_one_behalf(sweep));
    let possible = (recovery.len() + same_saga.len()) as u64;
    let mut pairs = Vec::new();
    let mut kinds = [
        scattered(recovery).into_iter(),
        scattered(same_saga).into_iter(),
    ];
    while pairs.len() < sweep.budget {
        let before = pairs.len();
        for kind in &mut kinds {
            pairs.extend(kind.next().map(|pair| pair.storm(sweep)));
        }
        if pairs.len() == before {
            break;
        }
    }
    pairs.truncate(sweep.budget);
    (pairs, possible)
}

/// Two faults, by reference.
#[derive(Clone, Copy)]
enum Pair {
    /// A single storm, and a strike at a site that it made appear.
    Recovery { fresh: u64, candidate: usize },
    /// Two single storms, the earlier first.
    SameSaga(usize, usize),
}

impl Pair {
    fn storm(self, sweep: &Sweep) -> Storm {
        let (single, second) = match self {
            Pair::Recovery { fresh, candidate } => {
                let fresh = &sweep.fresh[&fresh];
                let mut candidates = at(fresh, sweep);
                (fresh.single, candidates.swap_remove(candidate).fault)
            }
            Pair::SameSaga(one, other) => (one, sweep.singles[other].faults[0].clone()),
        };
        let single = &sweep.singles[single];
        Storm {
            seed: single.seed,
            faults: vec![single.faults[0].clone(), second],
            behalf: single.behalf.clone(),
            place: single.place,
            gone: None,
        }
    }
}

fn at(fresh: &Fresh, sweep: &Sweep) -> Vec<Candidate> {
    let next = fresh.next.as_ref();
    Candidates::at(&fresh.met, next, &sweep.profile, Length::Usual)
}

fn in_recovery(sweep: &Sweep) -> Vec<Pair> {
    let all = sweep.fresh.iter();
    all.flat_map(|(&fresh, site)| {
        (0..at(site, sweep).len()).map(move |candidate| Pair::Recovery { fresh, candidate })
    })
    .collect()
}

fn on_one_behalf(sweep: &Sweep) -> Vec<Pair> {
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, storm) in sweep.singles.iter().enumerate() {
        let gone = storm.gone.as_ref();
        if gone.is_some_and(|gone| gone.survived() && gone.effective) {
            let group = groups.entry((storm.seed, &*storm.behalf)).or_default();
            group.push(place);
        }
    }
    let mut pairs = Vec::new();
    for group in groups.values() {
        for &one in group {
            let later = |&&other: &&usize| sweep.singles[one].place < sweep.singles[other].place;
            let others = group.iter().filter(later);
            pairs.extend(others.map(|&other| Pair::SameSaga(one, other)));
        }
    }
    pairs
}

/// In an order that is always the same and prefers nothing.
fn scattered(pairs: Vec<Pair>) -> Vec<Pair> {
    let mut keyed: Vec<(u64, Pair)> = (0..).map(mix).zip(pairs).collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, pair)| pair).collect()
}
