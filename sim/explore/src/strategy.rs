//! Strategies: which storm is tried next, and what is learned from how it went.
//!
//! An [`Explorer`] decides what is run; a [`Campaign`](crate::campaign::Campaign) runs it on its workers. What an
//! explorer is told does not depend on their number: it hears of every trial of a generation in the generation's own
//! order, and nothing of the next generation is asked for before.

pub mod corpus;
mod enumeration;
mod guided;
mod mutation;
pub mod sweep;

use std::fmt;

pub use enumeration::Enumeration;
pub use guided::Guided;
pub use sweep::Sweep;

use squall_core::seed::{Seed, Seeds};
use squall_engine::{
    run::{Options, Outcome},
    scenario::Scenario,
    storm::Plan,
};

/// One thing to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The seed of the world and of its workload.
    pub seed: Seed,
    /// The storm; drawn from the seed by the scenario's profile when `None`.
    pub plan: Option<Plan>,
}

impl Trial {
    /// The storm that the seed draws.
    pub fn of(seed: Seed) -> Self {
        Trial { seed, plan: None }
    }
}

/// Decides what is run next.
pub trait Explorer {
    /// The next generation, in order; empty when nothing is left. Called again only when all trials of the generation
    /// before have been [learned](Explorer::learn), save for a [blind](Explorer::is_blind) explorer.
    fn next(&mut self) -> Vec<Trial>;

    /// How a trial went: called for each trial of a generation, in the generation's order.
    fn learn(&mut self, trial: &Trial, outcome: &Outcome);

    /// What a run of this trial has to observe.
    fn options(&self, _trial: &Trial) -> Options {
        Options::default()
    }

    /// Whether what is learned changes nothing, so that workers need not wait for the end of a generation.
    fn is_blind(&self) -> bool {
        false
    }

    /// How many features were covered so far, where it goes by them.
    fn covered(&self) -> Option<u64> {
        None
    }

    /// How many trials there will be in all, as far as that is known.
    fn planned(&self) -> Option<u64> {
        None
    }
}

/// A strategy, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// Each seed draws from all kinds of fault.
    Random,
    /// Each seed first draws which kinds of fault are on.
    #[default]
    Swarm,
    /// Every kind of fault at every site.
    Sweep,
    /// Storms that cover something new are kept and changed.
    Guided,
}

impl Strategy {
    /// All strategies.
    pub const ALL: &'static [Strategy] = &[
        Strategy::Random,
        Strategy::Swarm,
        Strategy::Sweep,
        Strategy::Guided,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Random => "random",
            Strategy::Swarm => "swarm",
            Strategy::Sweep => "sweep",
            Strategy::Guided => "guided",
        }
    }

    /// An explorer of this kind for a campaign over these seeds.
    pub fn explorer<'a>(self, scenario: &'a dyn Scenario, seeds: Seeds) -> Box<dyn Explorer + 'a> {
        match self {
            Strategy::Random => Box::new(Enumeration::plain(scenario, seeds)),
            Strategy::Swarm => Box::new(Enumeration::swarm(seeds)),
            Strategy::Sweep => Box::new(Sweep::new(scenario, seeds, 0)),
            Strategy::Guided => Box::new(Guided::new(scenario, seeds)),
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
