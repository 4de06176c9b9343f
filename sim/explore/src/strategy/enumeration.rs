//! One storm a seed, in the order of the seeds: swarm (Groce et al., "Swarm Testing", ISSTA 2012), where each seed first
//! draws which kinds of fault are on, and plain random, where all of them are.

use squall_core::seed::Seeds;
use squall_engine::{run::Outcome, scenario::Scenario, storm::Profile};

use super::{Explorer, Trial};

/// Trials of a generation; only a matter of speed, since nothing is learned.
const AT_ONCE: usize = 64;

/// Goes through seeds one by one and learns nothing.
pub struct Enumeration {
    seeds: Seeds,
    drawn: u64,
    /// What draws the storms where that is not left to the run.
    plain: Option<Profile>,
}

impl Enumeration {
    /// Each seed draws its kinds of fault, then its storm: what a run does by itself.
    pub fn swarm(seeds: Seeds) -> Self {
        Enumeration {
            seeds,
            drawn: 0,
            plain: None,
        }
    }

    /// Each seed draws its storm from all kinds of fault.
    pub fn plain(scenario: &dyn Scenario, seeds: Seeds) -> Self {
        Enumeration {
            plain: Some(scenario.profile()),
            ..Enumeration::swarm(seeds)
        }
    }
}

impl Explorer for Enumeration {
    fn next(&mut self) -> Vec<Trial> {
        let seeds = (self.drawn..).map_while(|ordinal| self.seeds.nth(ordinal));
        let trials: Vec<Trial> = seeds
            .take(AT_ONCE)
            .map(|seed| Trial {
                seed,
                plan: self.plain.as_ref().map(|profile| profile.draw_plain(seed)),
            })
            .collect();
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
