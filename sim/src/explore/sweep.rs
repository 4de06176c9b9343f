//! Sweep: a census of a calm run, then one storm for each site and each kind of fault that applies to it, then pairs.
//!
//! A storm goes exactly as its calm run until its fault strikes, so that the site is always met (where it is not, the
//! matrix says so). Sites that are alike ([`Met::alike`]) are tried once, also across the workloads of several seeds.
//! Exhaustive fault injection of this kind: Gunawi et al., "FATE and DESTINI", NSDI 2011.

mod matrix;
mod pairs;
mod strikes;

use std::collections::BTreeMap;

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
    calm: Vec<Calm>,
    /// Sites that are alike, by what they have in common: how many.
    known: BTreeMap<u64, u64>,
    targets: Vec<Target>,
    singles: Vec<Storm>,
    /// Sites that no calm run met: what the system does about a fault.
    fresh: Vec<Fresh>,
    pairs: Vec<Storm>,
    pairs_possible: u64,
    /// How many trials of the present stage were learned.
    learned: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    Calm,
    Singles,
    Pairs,
}

/// A calm run.
struct Calm {
    seed: Seed,
    sites: Vec<Met>,
}

/// A site at which something is tried.
struct Target {
    seed: Seed,
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
            calm: Vec::new(),
            known: BTreeMap::new(),
            targets: Vec::new(),
            singles: Vec::new(),
            fresh: Vec::new(),
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
        for target in &self.targets {
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
        let sites_met = self.calm.iter().map(|calm| calm.sites.len() as u64).sum();
        Matrix {
            sites_met,
            sites_pruned: sites_met - self.targets.len() as u64,
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

    /// One storm for each site that stands for others and each kind of fault; equal storms once.
    fn plan_singles(&mut self) {
        let mut storms = Storms::default();
        for calm in &self.calm {
            let nexts = nexts(&calm.sites);
            for (place, met) in calm.sites.iter().enumerate() {
                let count = self.known.entry(met.alike).or_insert(0);
                *count += 1;
                if *count > 1 {
                    continue;
                }
                let next = nexts[place].map(|next| &calm.sites[next].site);
                let strikes = strikes::strikes(met, next, &self.profile);
                let cells = strikes.into_iter().map(|(column, fault)| {
                    let storm = storms.place_of(calm.seed, fault, &met.behalf, place);
                    (column, storm)
                });
                self.targets.push(Target {
                    seed: calm.seed,
                    met: met.clone(),
                    cells: cells.collect(),
                });
            }
        }
        self.singles = storms.all;
    }

    fn storms(&self) -> &[Storm] {
        match self.stage {
            Stage::Begin | Stage::Calm => &[],
            Stage::Singles => &self.singles,
            Stage::Pairs => &self.pairs,
        }
    }

    /// What the system does about this fault and did not do without it.
    fn remember_fresh(&mut self, single: usize, outcome: &Outcome) {
        let nexts = nexts(&outcome.sites);
        for (place, met) in outcome.sites.iter().enumerate() {
            if self.known.contains_key(&met.alike) {
                continue;
            }
            self.known.insert(met.alike, 1);
            self.fresh.push(Fresh {
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
        match self.stage {
            Stage::Begin => {
                self.stage = Stage::Calm;
                let seeds = (0..).map_while(|ordinal| self.seeds.nth(ordinal));
                let calm = |seed| Trial {
                    seed,
                    plan: Some(Plan::calm()),
                };
                return seeds.map(calm).collect();
            }
            Stage::Calm => {
                self.stage = Stage::Singles;
                self.plan_singles();
            }
            Stage::Singles => {
                self.stage = Stage::Pairs;
                (self.pairs, self.pairs_possible) = pairs::plan(self);
            }
            Stage::Pairs => return Vec::new(),
        }
        let trial = |storm: &Storm| Trial {
            seed: storm.seed,
            plan: Some(Plan::new(storm.faults.clone())),
        };
        self.storms().iter().map(trial).collect()
    }

    fn learn(&mut self, trial: &Trial, outcome: &Outcome) {
        let place = self.learned;
        self.learned += 1;
        match self.stage {
            Stage::Begin => {}
            Stage::Calm => {
                // What breaks without a storm would break in each of them.
                if outcome.verdict == Verdict::Survived {
                    self.calm.push(Calm {
                        seed: trial.seed,
                        sites: outcome.sites.clone(),
                    });
                }
            }
            Stage::Singles => {
                let gone = Gone::of(outcome);
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
            Stage::Singles => self.budget > 0,
            Stage::Pairs => false,
        };
        Options {
            census,
            ..Options::default()
        }
    }

    fn planned(&self) -> Option<u64> {
        let known = matches!(self.stage, Stage::Singles | Stage::Pairs);
        known.then(|| self.seeds.len() + (self.singles.len() + self.pairs.len()) as u64)
    }
}

/// Storms of one fault, each once.
#[derive(Default)]
struct Storms {
    all: Vec<Storm>,
    places: BTreeMap<(Seed, Site), Vec<usize>>,
}

impl Storms {
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

/// For each site the place of the next one on its node.
fn nexts(sites: &[Met]) -> Vec<Option<usize>> {
    let mut latest: BTreeMap<&str, usize> = BTreeMap::new();
    let mut nexts = vec![None; sites.len()];
    for (place, met) in sites.iter().enumerate().rev() {
        nexts[place] = latest.insert(&met.site.node, place);
    }
    nexts
}
