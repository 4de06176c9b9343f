//! Coverage-guided exploration: storms that reach something new are kept, changed a little, and tried again.
//!
//! The loop is that of a grey-box fuzzer, with the energy of a kept storm given by how rare its features are (Böhme,
//! Pham, Roychoudhury, "Coverage-based Greybox Fuzzing as Markov Chain", CCS 2016). Two things are our own: a feature
//! knows the site at which it was first covered, so that a mutation can strike at precisely that moment of the same
//! run; and a share of every generation is fresh swarm storms, so that no campaign is led astray for good.

use std::collections::{BTreeMap, VecDeque};

use squall_core::seed::{Seed, Seeds, Stream, unit};
use squall_engine::{
    run::{Options, Outcome, Verdict},
    scenario::Scenario,
    storm::{Plan, Profile},
    trace::Feature,
};

use super::{
    Explorer, Kind, Trial,
    corpus::{CORPUS_VERSION, Kept},
    mutation::{Parent, mutate},
};

/// Trials of a generation. Large enough to keep many workers busy, small enough to learn often.
const GENERATION: u64 = 32;
/// How many fresh storms come first.
const FRESH_FIRST: u64 = 96;
/// The share of fresh storms afterwards.
const FRESH: f64 = 0.4;
/// Storms that are kept; beyond that the one with the least energy goes.
const KEPT_MAX: usize = 400;

/// Storms that cover something new are kept and changed.
pub struct Guided {
    scenario: String,
    profile: Profile,
    seeds: Seeds,
    rng: Stream,
    /// Fresh seeds that were used, and trials that were asked for, of these seeds.
    drawn: u64,
    issued: u64,
    /// Trials in all.
    begun: u64,
    /// Storms of an earlier campaign that are still to be run.
    loaded: VecDeque<Kept>,
    kept: Vec<Entry>,
    /// Runs that covered a feature.
    hits: BTreeMap<u64, u64>,
    /// What was learned, for the corpus on disk: also what is no longer kept.
    found: Vec<Kept>,
}

/// A kept storm.
struct Entry {
    seed: Seed,
    plan: Plan,
    features: Vec<Feature>,
    /// Those that it was the first to cover.
    added: Vec<u64>,
    /// Mutants that were made of it.
    picks: u64,
}

impl Guided {
    /// As many trials as there are seeds. The first seed is that of the campaign: everything is drawn from it.
    pub fn new(scenario: &dyn Scenario, seeds: Seeds) -> Self {
        let profile = scenario.profile();
        let first = seeds.nth(0).unwrap_or(Seed(0));
        Guided {
            scenario: scenario.name().to_owned(),
            profile,
            seeds,
            rng: first.stream("guided"),
            drawn: 0,
            issued: 0,
            begun: 0,
            loaded: VecDeque::new(),
            kept: Vec::new(),
            hits: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    /// Begins with these storms.
    pub fn with_corpus(mut self, corpus: Vec<Kept>) -> Self {
        self.loaded = corpus.into();
        self
    }

    /// Goes on with as many trials as there are of these seeds, and with all that was learned.
    pub fn go_on(&mut self, seeds: Seeds) {
        self.seeds = seeds;
        self.drawn = 0;
        self.issued = 0;
    }

    /// The storms that covered something new, in the order in which they did.
    pub fn found(&self) -> &[Kept] {
        &self.found
    }

    /// The same, and they are not told again.
    pub fn take_found(&mut self) -> Vec<Kept> {
        std::mem::take(&mut self.found)
    }

    /// How many features were covered so far.
    pub fn features(&self) -> usize {
        self.hits.len()
    }

    fn rarity(&self, feature: u64) -> f64 {
        1.0 / self.hits.get(&feature).copied().unwrap_or(1).max(1) as f64
    }

    /// How much a kept storm promises: it covers what few others do, and has not been tried often.
    fn energy(&self, entry: &Entry) -> f64 {
        let rare: f64 = entry.added.iter().map(|id| self.rarity(*id)).sum();
        rare / (1.0 + entry.picks as f64).sqrt()
    }

    /// A storm of the corpus of which not all is known to be covered by now. What it is said to have added was added
    /// to another corpus or by another build: a storm with features unknown here is run.
    fn of_corpus(&mut self) -> Option<Trial> {
        loop {
            let kept = self.loaded.pop_front()?;
            let known = |id: &String| {
                u64::from_str_radix(id, 16).is_ok_and(|id| self.hits.contains_key(&id))
            };
            if kept.added.is_empty() || !kept.added.iter().all(known) {
                return Some(Trial {
                    seed: kept.seed,
                    plan: kept.plan,
                });
            }
        }
    }

    fn fresh(&mut self) -> Option<Trial> {
        let seed = self.seeds.nth(self.drawn)?;
        self.drawn += 1;
        let plan = self.profile.draw(seed);
        Some(Trial { seed, plan })
    }

    fn mutant(&mut self) -> Option<Trial> {
        let energies: Vec<f64> = self.kept.iter().map(|entry| self.energy(entry)).collect();
        let mut left = unit(self.rng.bits()) * energies.iter().sum::<f64>();
        let chosen = energies.iter().position(|energy| {
            left -= energy;
            left <= 0.0
        })?;
        let other = self.rng.below(self.kept.len() as u64) as usize;
        self.kept[chosen].picks += 1;
        let entry = &self.kept[chosen];
        let features: Vec<(f64, &Feature)> = entry
            .features
            .iter()
            .filter(|feature| feature.when.is_some())
            .map(|feature| (self.rarity(feature.id), feature))
            .collect();
        let parent = Parent {
            seed: entry.seed,
            plan: &entry.plan,
            features: &features,
            other: &self.kept[other].plan,
        };
        Some(mutate(&parent, &self.profile, &mut self.rng))
    }

    fn keep(&mut self, entry: Entry) {
        self.found.push(Kept {
            version: CORPUS_VERSION,
            scenario: self.scenario.clone(),
            seed: entry.seed,
            plan: entry.plan.clone(),
            added: entry.added.iter().map(|id| format!("{id:016x}")).collect(),
        });
        self.kept.push(entry);
        if self.kept.len() > KEPT_MAX {
            let energies = self.kept.iter().map(|entry| self.energy(entry));
            let least = energies.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((least, _)) = least {
                self.kept.remove(least);
            }
        }
    }
}

impl Kind for Guided {
    const NAME: &str = "guided";
    const ABOUT: &str = "storms that reach something new are kept and changed";

    fn explorer(scenario: &dyn Scenario, seeds: Seeds) -> Box<dyn Explorer> {
        Box::new(Guided::new(scenario, seeds))
    }
}

impl Explorer for Guided {
    fn next(&mut self) -> Vec<Trial> {
        let mut generation = Vec::new();
        while self.issued < self.seeds.len() && (generation.len() as u64) < GENERATION {
            let is_fresh =
                self.kept.is_empty() || self.begun < FRESH_FIRST || self.rng.chance(FRESH);
            // A large corpus must not be all that a short sitting tries.
            let is_old = self.issued.is_multiple_of(2);
            let old = if is_old { self.of_corpus() } else { None };
            let trial = match old {
                Some(trial) => Some(trial),
                None if is_fresh => self.fresh(),
                None => self.mutant(),
            };
            let Some(trial) = trial.or_else(|| self.fresh()) else {
                break;
            };
            self.issued += 1;
            self.begun += 1;
            generation.push(trial);
        }
        generation
    }

    fn learn(&mut self, trial: &Trial, outcome: &Outcome) {
        let mut added = Vec::new();
        for Feature { id, .. } in &outcome.features {
            let hits = self.hits.entry(*id).or_default();
            *hits += 1;
            if *hits == 1 {
                added.push(*id);
            }
        }
        // A failure has been found: its neighbours would only find it again.
        if !added.is_empty() && outcome.verdict == Verdict::Survived {
            self.keep(Entry {
                seed: trial.seed,
                plan: outcome.plan.clone(),
                features: outcome.features.clone(),
                added,
                picks: 0,
            });
        }
    }

    fn options(&self, _: &Trial) -> Options {
        Options {
            cover: true,
            ..Options::default()
        }
    }

    fn covered(&self) -> Option<u64> {
        Some(self.features() as u64)
    }

    fn planned(&self) -> Option<u64> {
        Some(self.seeds.len())
    }
}
