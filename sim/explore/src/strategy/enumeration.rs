//! One storm a seed, in the order of the seeds.

use squall_core::seed::{Seed, Seeds};
use squall_engine::{
    run::Outcome,
    storm::{Plan, Profile},
};

use super::{Explorer, Trial};

/// Trials of a generation; only a matter of speed, since nothing is learned.
const AT_ONCE: usize = 64;

/// Goes through seeds one by one and learns nothing.
pub(super) struct Enumeration {
    pub seeds: Seeds,
    pub drawn: u64,
    pub profile: Profile,
    /// The storm of a seed; none ends it.
    pub plan: fn(&Profile, Seed) -> Option<Plan>,
}

impl Explorer for Enumeration {
    fn next(&mut self) -> Vec<Trial> {
        let seeds = (self.drawn..).map_while(|ordinal| self.seeds.nth(ordinal));
        let trials = seeds.map_while(|seed| {
            let plan = (self.plan)(&self.profile, seed)?;
            Some(Trial { seed, plan })
        });
        let trials: Vec<Trial> = trials.take(AT_ONCE).collect();
        self.drawn += trials.len() as u64;
        trials
    }

    fn learn(&mut self, _: &Trial, _: &Outcome) {}

    fn is_blind(&self) -> bool {
        true
    }

    fn planned(&self) -> Option<u64> {
        Some(self.seeds.len())
    }
}
