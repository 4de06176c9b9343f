//! Sweep: a census of a calm run, then one storm for each site and each kind of fault that applies to it; then pairs. Of
//! several seeds, each has its calm run and one site of each thing that happens before any has the rest of its sites.
//!
//! A storm goes exactly as its calm run until its fault strikes, so that the site is always met (where it is not, the
//! matrix says so). Sites that are alike ([`Met::alike`]) are tried once, also across the workloads of several seeds.
//! Exhaustive fault injection of this kind: Gunawi et al., "FATE and DESTINI", NSDI 2011.

mod matrix;
mod pairs;
mod strikes;

use std::{collections::BTreeMap, mem};

pub use matrix::{Cell, CellResult, Column, Matrix, Pairs, Row};

use super::{Explorer, Trial};
use crate::{
    campaign::Seeds,
    run::{Options, Outcome, Verdict},
    scenario::Scenario,
    seed::Seed,
    site::{Met, Site},
    storm::{Fault, Plan, Profile, When},
};
use matrix::Gone;
use pairs::Fresh;

/// Goes through all sites of the calm runs of some seeds.
pub struct Sweep {
    profile: Profile,
    seeds: Seeds,
    /// So many pairs are tried.
    budget: usize,
    stage: Stage,
    /// Seeds whose calm runs have begun.
    begun: u64,
    sites_met: u64,
    /// Sites of calm runs that are alike, by what they have in common: how many.
    known: BTreeMap<u64, u64>,
    targets: Vec<Target>,
    /// The storms of one fault, of all seeds so far.
    singles: Vec<Storm>,
    /// Those of the present stage, and those for which it is too early.
    batch: Vec<usize>,
    deferred: Vec<usize>,
    /// Sites that the calm runs so far did not meet, by what those that are alike have in common: what the system does
    /// about a fault.
    fresh: BTreeMap<u64, Fresh>,
    pairs: Vec<Storm>,
    pairs_possible: u64,
    /// How many trials of the present stage were learned.
    learned: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    Calm,
    /// The first site of each thing that happens.
    Singles,
    /// The others.
    Rest,
    Pairs,
}

/// A site at which something is tried.
struct Target {
    seed: Seed,
    /// Its place in the census.
    place: usize,
    met: Met,
    /// Columns and the storms in them.
    cells: Vec<(String, usize)>,
}

/// A storm and how it went.
struct Storm {
    seed: Seed,
    faults: Vec<Fault>,
    /// On whose behalf the site of its last fault is met, and the place of that site in the census.
    behalf: String,
    place: usize,
    gone: Option<Gone>,
}

impl Sweep {
    /// A sweep over the sites of these seeds' calm runs, and over `budget` pairs of faults.
    pub fn new(scenario: &dyn Scenario, seeds: Seeds, budget: usize) -> Self {
        Sweep {
            profile: scenario.profile(),
            seeds,
            budget,
            stage: Stage::Begin,
            begun: 0,
            sites_met: 0,
            known: BTreeMap::new(),
            targets: Vec::new(),
            singles: Vec::new(),
            batch: Vec::new(),
            deferred: Vec::new(),
            fresh: BTreeMap::new(),
            pairs: Vec::new(),
            pairs_possible: 0,
            learned: 0,
        }
    }

    /// What was found so far.
    pub fn matrix(&self) -> Matrix {
        let names = strikes::columns(&self.profile);
        let mut columns: Vec<Column> = names.into_iter().map(Column::named).collect();
        let mut rows = Vec::new();
        let mut targets: Vec<&Target> = self.targets.iter().collect();
        // Each seed's in the order of its calm run.
        targets.sort_by_key(|target| (target.seed.0, target.place));
        for target in targets {
            let mut cells = Vec::new();
            for column in &mut columns {
                let own = target.cells.iter().find(|(name, _)| *name == column.name);
                if let Some((_, storm)) = own {
                    let gone = self.singles[*storm].gone.as_ref();
                    column.count(gone);
                    cells.push(Cell::of(&column.name, gone));
                }
            }
            rows.push(Row {
                seed: target.seed,
                site: target.met.site.clone(),
                at_ms: target.met.at.since_start().as_secs_f64() * 1_000.0,
                stands_for: self.known[&target.met.alike],
                cells,
            });
        }
        columns.retain(|column| column.planned > 0);
        Matrix {
            sites_met: self.sites_met,
            sites_pruned: self.sites_met - self.targets.len() as u64,
            storms: self.singles.len() as u64,
            columns,
            rows,
            pairs: (self.budget > 0).then(|| self.count_pairs()),
        }
    }

    fn count_pairs(&self) -> Pairs {
        let mut pairs = Pairs {
            possible: self.pairs_possible,
            planned: self.pairs.len() as u64,
            ..Pairs::default()
        };
        let gone = self.pairs.iter().filter_map(|storm| storm.gone.as_ref());
        gone.for_each(|gone| pairs.count(gone));
        pairs
    }

    /// One storm for each site of a calm run that stands for others and each kind of fault; equal storms once.
    fn plan_singles(&mut self, seed: Seed, sites: &[Met]) {
        self.sites_met += sites.len() as u64;
        let mut storms = Storms {
            all: &mut self.singles,
            places: BTreeMap::new(),
        };
        let nexts = nexts(sites);
        for (rank, place) in broadly(sites) {
            let met = &sites[place];
            let planned = storms.all.len();
            let count = self.known.entry(met.alike).or_insert(0);
            *count += 1;
            if *count > 1 {
                continue;
            }
            self.fresh.remove(&met.alike);
            let next = nexts[place].map(|next| &sites[next].site);
            let strikes = strikes::strikes(met, next, &self.profile);
            let cells = strikes.into_iter().map(|(column, fault)| {
                let storm = storms.place_of(seed, fault, &met.behalf, place);
                (column, storm)
            });
            self.targets.push(Target {
                seed,
                place,
                met: met.clone(),
                cells: cells.collect(),
            });
            let queue = match rank {
                1 => &mut self.batch,
                _ => &mut self.deferred,
            };
            queue.extend(planned..storms.all.len());
        }
    }

    fn storms(&self) -> Vec<&Storm> {
        match self.stage {
            Stage::Begin | Stage::Calm => Vec::new(),
            Stage::Singles | Stage::Rest => {
                let storms = self.batch.iter();
                storms.map(|&single| &self.singles[single]).collect()
            }
            Stage::Pairs => self.pairs.iter().collect(),
        }
    }

    /// What the system does about this fault and did not do without it.
    fn remember_fresh(&mut self, single: usize, outcome: &Outcome) {
        let nexts = nexts(&outcome.sites);
        for (place, met) in outcome.sites.iter().enumerate() {
            if self.known.contains_key(&met.alike) {
                continue;
            }
            self.fresh.entry(met.alike).or_insert_with(|| Fresh {
                single,
                met: met.clone(),
                next: nexts[place].map(|next| outcome.sites[next].site.clone()),
            });
        }
    }
}

impl Explorer for Sweep {
    fn next(&mut self) -> Vec<Trial> {
        self.learned = 0;
        loop {
            self.stage = match self.stage {
                Stage::Calm => Stage::Singles,
                Stage::Pairs => return Vec::new(),
                Stage::Begin | Stage::Singles => match self.seeds.nth(self.begun) {
                    Some(seed) => {
                        self.stage = Stage::Calm;
                        self.begun += 1;
                        self.batch.clear();
                        let plan = Some(Plan::calm());
                        return vec![Trial { seed, plan }];
                    }
                    None => {
                        self.batch = mem::take(&mut self.deferred);
                        Stage::Rest
                    }
                },
                Stage::Rest => {
                    (self.pairs, self.pairs_possible) = pairs::plan(self);
                    Stage::Pairs
                }
            };
            let trial = |storm: &Storm| Trial {
                seed: storm.seed,
                plan: Some(Plan::new(storm.faults.clone())),
            };
            let trials: Vec<Trial> = self.storms().into_iter().map(trial).collect();
            if !trials.is_empty() {
                return trials;
            }
        }
    }

    fn learn(&mut self, trial: &Trial, outcome: &Outcome) {
        let place = self.learned;
        self.learned += 1;
        match self.stage {
            Stage::Begin => {}
            Stage::Calm => {
                // What breaks without a storm would break in each of them.
                if outcome.verdict == Verdict::Survived {
                    self.plan_singles(trial.seed, &outcome.sites);
                }
            }
            Stage::Singles | Stage::Rest => {
                let (gone, place) = (Gone::of(outcome), self.batch[place]);
                if gone.survived() && gone.effective {
                    self.remember_fresh(place, outcome);
                }
                self.singles[place].gone = Some(gone);
            }
            Stage::Pairs => self.pairs[place].gone = Some(Gone::of(outcome)),
        }
    }

    fn options(&self, _: &Trial) -> Options {
        let census = match self.stage {
            Stage::Begin | Stage::Calm => true,
            Stage::Singles | Stage::Rest => self.budget > 0,
            Stage::Pairs => false,
        };
        Options {
            census,
            ..Options::default()
        }
    }

    fn planned(&self) -> Option<u64> {
        let planned = matches!(self.stage, Stage::Singles | Stage::Rest | Stage::Pairs);
        let known = planned && self.begun == self.seeds.len();
        known.then(|| self.begun + (self.singles.len() + self.pairs.len()) as u64)
    }
}

/// Storms of one fault, each once.
struct Storms<'a> {
    all: &'a mut Vec<Storm>,
    places: BTreeMap<(Seed, Site), Vec<usize>>,
}

impl Storms<'_> {
    fn place_of(&mut self, seed: Seed, fault: Fault, behalf: &str, place: usize) -> usize {
        let When::Site(site) = &fault.when else {
            unreachable!("a sweep aims at sites")
        };
        let at_site = self.places.entry((seed, site.clone())).or_default();
        let known = at_site
            .iter()
            .find(|storm| self.all[**storm].faults[0] == fault);
        if let Some(known) = known {
            return *known;
        }
        at_site.push(self.all.len());
        self.all.push(Storm {
            seed,
            faults: vec![fault],
            behalf: behalf.to_owned(),
            place,
            gone: None,
        });
        self.all.len() - 1
    }
}

/// The places of all sites: first one of each thing that happens, then the second of each, and so on; with the how-manieth
/// it is. What is done late in a run is tried early, and what is done again and again does not hold it up.
fn broadly(sites: &[Met]) -> Vec<(usize, usize)> {
    let mut times: BTreeMap<u64, usize> = BTreeMap::new();
    let ranks = sites.iter().map(|met| {
        let rank = times.entry(met.thing).or_insert(0);
        *rank += 1;
        *rank
    });
    let mut places: Vec<(usize, usize)> = ranks.zip(0..).collect();
    places.sort_unstable();
    places
}

/// For each site the place of the next one on its node.
fn nexts(sites: &[Met]) -> Vec<Option<usize>> {
    let mut latest: BTreeMap<&str, usize> = BTreeMap::new();
    let mut nexts = vec![None; sites.len()];
    for (place, met) in sites.iter().enumerate().rev() {
        nexts[place] = latest.insert(&met.site.node, place);
    }
    nexts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{site::Kind, time::VirtualTime};

    #[test]
    fn what_happens_late_is_tried_before_what_happened_once_more() {
        let sites: Vec<Met> = [1, 1, 2, 1, 2, 3]
            .map(|thing| Met {
                site: Site {
                    node: "order".to_owned(),
                    kind: Kind::Commit,
                    label: String::new(),
                    attempt: 1,
                },
                at: VirtualTime::ZERO,
                behalf: String::new(),
                asks: None,
                thing,
                alike: 0,
            })
            .into();
        let places: Vec<usize> = broadly(&sites)
            .into_iter()
            .map(|(_, place)| place)
            .collect();
        assert_eq!(places, [0, 2, 5, 1, 4, 3]);
    }
}
