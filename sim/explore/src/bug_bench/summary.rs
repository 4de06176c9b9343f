//! Medians and worst cases.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use squall_engine::check::Class;

use super::Measured;

/// A number over several campaigns. `None`: not within the cut-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Figure<T> {
    /// The middle one.
    pub median: Option<T>,
    /// The largest.
    pub worst: Option<T>,
}

impl<T: Ord + Copy> Figure<T> {
    /// Of these, of which `None` is larger than any number. The median of an even number is the larger middle one.
    fn of(numbers: impl Iterator<Item = Option<T>>) -> Self {
        let mut numbers: Vec<Option<T>> = numbers.collect();
        numbers.sort_by_key(|number| (number.is_none(), *number));
        Figure {
            median: numbers.get(numbers.len() / 2).copied().flatten(),
            worst: numbers.last().copied().flatten(),
        }
    }
}

/// How well one strategy finds one bug.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Power {
    /// The scenario.
    pub scenario: String,
    /// The bug.
    pub bug: String,
    /// How storms were found.
    pub strategy: String,
    /// The storms after which a campaign was given up.
    pub cut_off: u64,
    /// Campaigns.
    pub campaigns: usize,
    /// Those that found it.
    pub found: usize,
    /// Storms to the first failure.
    pub runs: Figure<u64>,
    /// CPU time to the first failure.
    pub cpu: Figure<Duration>,
    /// CPU time of all campaigns, found or given up.
    pub spent: Duration,
    /// Faults of the failing storm.
    pub faults: Figure<u64>,
    /// Faults that were left when it was made small.
    pub small: Figure<u64>,
    /// Real time that this took.
    pub shrinking: Figure<Duration>,
    /// The campaigns among them that found damage.
    pub damage: usize,
    /// The invariant that spoke most often.
    pub invariant: Option<String>,
    /// The smallest storm of the first campaign that found it, in one sentence.
    pub storm: Option<String>,
}

/// One line for each bug and strategy, in the order of their names.
pub fn summarise(measured: &[Measured]) -> Vec<Power> {
    let mut groups: BTreeMap<(&str, &str, &str, u64), Vec<&Measured>> = BTreeMap::new();
    for one in measured {
        let task = &one.task;
        let group = (&*task.scenario, &*task.bug, &*task.strategy, task.cut_off);
        groups.entry(group).or_default().push(one);
    }
    let powers = groups.into_iter();
    powers
        .map(|((scenario, bug, strategy, cut_off), all)| {
            let first = |one: &&Measured| one.found.is_some().then_some(one.runs);
            let cpu = |one: &&Measured| one.found.is_some().then(|| one.cpu());
            let storms = all.iter().filter_map(|one| one.found.as_ref());
            let smalls = || storms.clone().filter_map(|found| found.small.as_ref());
            Power {
                scenario: scenario.to_owned(),
                bug: bug.to_owned(),
                strategy: strategy.to_owned(),
                cut_off,
                campaigns: all.len(),
                found: storms.clone().count(),
                runs: Figure::of(all.iter().map(first)),
                cpu: Figure::of(all.iter().map(cpu)),
                spent: all.iter().map(|one| one.cpu()).sum(),
                faults: Figure::of(storms.clone().map(|found| Some(found.faults))),
                small: Figure::of(smalls().map(|small| Some(small.faults))),
                shrinking: Figure::of(
                    smalls().map(|small| Some(Duration::from_millis(small.elapsed_ms))),
                ),
                damage: storms
                    .clone()
                    .filter(|found| found.class == Class::Damage)
                    .count(),
                invariant: most_often(storms.clone().map(|found| found.invariant.as_str())),
                storm: smalls().next().map(|small| small.sentence.clone()),
            }
        })
        .collect()
}

/// The first in the alphabet of those that are there most often.
fn most_often<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let best = counts
        .into_iter()
        .max_by(|(a, m), (b, n)| m.cmp(n).then(b.cmp(a)));
    best.map(|(name, _)| name.to_owned())
}
