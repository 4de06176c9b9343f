//! Sweep: a census of a calm run, then one storm for each site and each kind of fault that applies to it; then pairs. Of
//! several seeds, a few calm runs go before each portion of storms: what a workload breaks by itself is found early, and
//! there are many workloads to choose from.
//!
//! A storm goes exactly as its calm run until its fault strikes, so that the site is always met (where it is not, the
//! matrix says so). Sites of one class ([`Met::class`]) are tried once; another seed that meets the class tries it with
//! faults of another [`Length`], until there are no more.
//! Exhaustive fault injection of this kind: Gunawi et al., "FATE and DESTINI", NSDI 2011.

mod matrix;
mod pairs;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use matrix::{Cell, CellResult, Column, Matrix, Pairs, Row};
pub use squall_core::fault::Length;

use super::{Explorer, Trial};
use matrix::Gone;
use pairs::Fresh;
use squall_core::{
    fault::{Candidates, Fault, Heading, Profile, When},
    seed::{Seed, Seeds},
    site::{Class, Kind, Met, Site},
};
use squall_engine::{
    run::{Options, Outcome, Verdict},
    scenario::Scenario,
    storm::Plan,
};
use waiting::Waiting;

/// While there are seeds left, a portion has this many runs, ...
const PORTION: usize = 56;
/// ... of which this many are calm ones, of further seeds.
const CALM: usize = 8;
/// The runs of a portion afterwards.
const LAST_PORTION: usize = 4_096;
/// No further seed is begun while more storms than this wait: they take memory.
const BACKLOG: usize = 200_000;

/// Every kind of fault at every site of the calm runs of some seeds, then pairs of faults.
pub struct Sweep {
    profile: Profile,
    seeds: Seeds,
    /// How many pairs are tried.
    budget: usize,
    /// Seeds whose calm runs have begun, and those whose have been learned.
    begun: u64,
    calm: u64,
    sites_met: u64,
    /// Sites of calm runs, by class.
    known: BTreeMap<Class, Known>,
    /// How often each thing that happens was planned, in a run for the first time with the same end.
    things: BTreeMap<u64, u64>,
    targets: Vec<Target>,
    /// The storms of one fault, of all seeds so far.
    singles: Vec<Storm>,
    /// Those that were not run yet.
    waiting: Waiting,
    /// Sites that the calm runs so far did not meet, by what those that are alike have in common: what the system does
    /// about a fault.
    fresh: BTreeMap<u64, Fresh>,
    /// Pasts of the sites of calm runs.
    pasts: BTreeSet<u64>,
    pairs: Option<Vec<Storm>>,
    pairs_possible: u64,
    /// What the trials of the present generation are, those that were learned left out.
    generation: VecDeque<Task>,
}

/// One trial.
#[derive(Clone, Copy, Debug)]
enum Task {
    Calm(Seed),
    Single(usize),
    Pair(usize),
}

/// A class of sites.
#[derive(Default)]
struct Known {
    /// The seeds that met it, and the last of them.
    seeds: usize,
    last: Option<Seed>,
    /// Sites, by the length of the faults at the one that stands for them.
    sites: [u64; Length::ALL.len()],
}

impl Known {
    /// The length of faults at its sites in this seed, and whether this is the first to be tried with it.
    fn meets(&mut self, seed: Seed) -> (Length, bool) {
        if self.last != Some(seed) {
            self.last = Some(seed);
            self.seeds += 1;
        }
        let length = Length::ALL[(self.seeds - 1) % Length::ALL.len()];
        let sites = &mut self.sites[length as usize];
        *sites += 1;
        (length, *sites == 1)
    }
}

/// A site at which something is tried.
struct Target {
    seed: Seed,
    /// Its place in the census.
    place: usize,
    met: Met,
    length: Length,
    /// Columns and the storms in them.
    cells: Vec<(Heading, usize)>,
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
            begun: 0,
            calm: 0,
            sites_met: 0,
            known: BTreeMap::new(),
            things: BTreeMap::new(),
            targets: Vec::new(),
            singles: Vec::new(),
            waiting: Waiting::default(),
            fresh: BTreeMap::new(),
            pasts: BTreeSet::new(),
            pairs: None,
            pairs_possible: 0,
            generation: VecDeque::new(),
        }
    }

    /// What was found so far.
    pub fn matrix(&self) -> Matrix {
        let headings = self.headings();
        let named = |heading: &&Heading| Column::named(heading.name.to_string());
        let mut columns: Vec<Column> = headings.iter().map(named).collect();
        let mut rows = Vec::new();
        let mut targets: Vec<&Target> = self.targets.iter().collect();
        // Each seed's in the order of its calm run.
        targets.sort_by_key(|target| (target.seed.0, target.place));
        for target in targets {
            let mut cells = Vec::new();
            for column in &mut columns {
                let own = target
                    .cells
                    .iter()
                    .find(|(heading, _)| heading.name == column.name);
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
                stands_for: self.known[&target.met.class()].sites[target.length as usize],
                length: target.length,
                cells,
            });
        }
        Matrix {
            sites_met: self.sites_met,
            sites_pruned: self.sites_met - self.targets.len() as u64,
            storms: self.singles.len() as u64,
            columns,
            rows,
            pairs: (self.budget > 0).then(|| self.count_pairs()),
        }
    }

    /// The columns in which there is anything, in the order of the table.
    fn headings(&self) -> Vec<&Heading> {
        let cells = self.targets.iter().flat_map(|target| &target.cells);
        let by_name: BTreeMap<&str, &Heading> = cells
            .map(|(heading, _)| (&*heading.name, heading))
            .collect();
        let mut headings: Vec<&Heading> = by_name.into_values().collect();
        headings.sort_by_key(|heading| heading.place);
        headings
    }

    fn count_pairs(&self) -> Pairs {
        let mut pairs = Pairs {
            possible: self.pairs_possible,
            planned: self.pairs().len() as u64,
            ..Pairs::default()
        };
        let gone = self.pairs().iter().filter_map(|storm| storm.gone.as_ref());
        gone.for_each(|gone| pairs.count(gone));
        pairs
    }

    fn pairs(&self) -> &[Storm] {
        self.pairs.as_deref().unwrap_or_default()
    }

    /// One storm for each site of a calm run that stands for others and each kind of fault; equal storms once.
    fn plan_singles(&mut self, seed: Seed, sites: &[Met]) {
        self.sites_met += sites.len() as u64;
        let mut storms = Storms {
            all: &mut self.singles,
            places: BTreeMap::new(),
        };
        let nexts = nexts(sites);
        let mut done = BTreeSet::new();
        for (place, met) in sites.iter().enumerate() {
            self.pasts.insert(met.alike);
            self.fresh.remove(&met.alike);
            let (length, stands) = self.known.entry(met.class()).or_default().meets(seed);
            if !stands {
                continue;
            }
            let again = !done.insert((met.thing, met.ends));
            let before = self.things.entry(met.thing).or_insert(0);
            // Most of what breaks amid a commit breaks right after it too.
            let amid_commit = matches!(met.site.kind, Kind::Write | Kind::Sync);
            let need = (again, *before + u64::from(amid_commit));
            let next = nexts[place].map(|next| &sites[next].site);
            let candidates = Candidates::at(met, next, &self.profile, length);
            let cells = candidates.into_iter().map(|candidate| {
                let single = storms.place_of(seed, candidate.fault, &met.behalf, place);
                self.waiting.insert(&candidate.heading.name, need, single);
                (candidate.heading, single)
            });
            self.targets.push(Target {
                seed,
                place,
                met: met.clone(),
                length,
                cells: cells.collect(),
            });
            *before += u64::from(!again);
        }
    }

    /// What is tried next.
    fn portion(&mut self) -> Vec<Task> {
        let seeds = self.seeds;
        let remembers = self.waiting.len() < BACKLOG;
        let calm = if remembers { CALM } else { 0 };
        let more = (self.begun..).map_while(|nth| seeds.nth(nth)).take(calm);
        let mut portion: Vec<Task> = more.map(Task::Calm).collect();
        self.begun += portion.len() as u64;
        let runs = match self.seeds.nth(self.begun) {
            Some(_) => PORTION,
            None if !portion.is_empty() => 0,
            None => LAST_PORTION,
        };
        while portion.len() < runs {
            let Some(single) = self.waiting.pop() else {
                break;
            };
            portion.push(Task::Single(single));
        }
        if portion.is_empty() && self.pairs.is_none() {
            let (pairs, possible) = pairs::plan(self);
            portion.extend((0..pairs.len()).map(Task::Pair));
            (self.pairs, self.pairs_possible) = (Some(pairs), possible);
        }
        portion
    }

    fn trial(&self, task: &Task) -> Trial {
        let of = |storm: &Storm| (storm.seed, Plan::new(storm.faults.clone()));
        let (seed, plan) = match *task {
            Task::Calm(seed) => (seed, Plan::calm()),
            Task::Single(single) => of(&self.singles[single]),
            Task::Pair(pair) => of(&self.pairs()[pair]),
        };
        Trial { seed, plan }
    }

    /// What the system does about this fault and did not do without it.
    fn remember_fresh(&mut self, single: usize, outcome: &Outcome) {
        let nexts = nexts(&outcome.sites);
        for (place, met) in outcome.sites.iter().enumerate() {
            if self.pasts.contains(&met.alike) {
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

impl super::Kind for Sweep {
    const NAME: &str = "sweep";
    const ABOUT: &str = "every kind of fault at every site";
    const GOES_BY_SEEDS: bool = false;

    fn explorer(scenario: &dyn Scenario, seeds: Seeds) -> Box<dyn Explorer> {
        Box::new(Sweep::new(scenario, seeds, 0))
    }
}

impl Explorer for Sweep {
    fn next(&mut self) -> Vec<Trial> {
        self.generation = self.portion().into();
        let generation = self.generation.iter();
        generation.map(|task| self.trial(task)).collect()
    }

    fn learn(&mut self, _: &Trial, outcome: &Outcome) {
        let task = self.generation.pop_front();
        match task.expect("what is learned was asked for") {
            Task::Calm(seed) => {
                self.calm += 1;
                // What breaks without a storm would break in each of them.
                if outcome.verdict == Verdict::Survived {
                    self.plan_singles(seed, &outcome.sites);
                }
            }
            Task::Single(single) => {
                let gone = Gone::of(outcome);
                if gone.survived() && gone.effective {
                    self.remember_fresh(single, outcome);
                }
                self.singles[single].gone = Some(gone);
            }
            Task::Pair(pair) => {
                let pairs = self.pairs.as_mut().expect("they were planned");
                pairs[pair].gone = Some(Gone::of(outcome));
            }
        }
    }

    fn options(&self, trial: &Trial) -> Options {
        let census = match trial.plan.faults.len() {
            0 => true,
            1 => self.budget > 0,
            _ => false,
        };
        Options {
            census,
            ..Options::default()
        }
    }

    fn planned(&self) -> Option<u64> {
        let known = self.calm == self.seeds.len();
        known.then(|| self.calm + (self.singles.len() + self.pairs().len()) as u64)
    }
}

/// Storms of one fault, each once; those of one seed by their sites.
struct Storms<'a> {
    all: &'a mut Vec<Storm>,
    places: BTreeMap<Site, Vec<usize>>,
}

impl Storms<'_> {
    fn place_of(&mut self, seed: Seed, fault: Fault, behalf: &str, place: usize) -> usize {
        let When::Site(site) = &fault.when else {
            unreachable!("a sweep aims at sites")
        };
        let at_site = self.places.entry(site.clone()).or_default();
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

/// For each site the place of the next one on its node. Reads of the clock don't count: it cannot be told from outside
/// whether a process that dies had read its clock.
fn nexts(sites: &[Met]) -> Vec<Option<usize>> {
    let mut latest: BTreeMap<&str, usize> = BTreeMap::new();
    let mut nexts = vec![None; sites.len()];
    for (place, met) in sites.iter().enumerate().rev() {
        nexts[place] = match met.site.kind {
            Kind::Clock => latest.get(&*met.site.node).copied(),
            _ => latest.insert(&met.site.node, place),
        };
    }
    nexts
}
