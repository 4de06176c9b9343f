//! Strategies: which storm is tried next, and what is learned from how it went.
//!
//! An [`Explorer`] decides what is run; a [`Campaign`](crate::campaign::Campaign) runs it on its workers. What an
//! explorer is told does not depend on their number: it hears of every trial of a generation in the generation's own
//! order, and nothing of the next generation is asked for before.

pub mod corpus;
mod enumeration;
mod mutation;

use std::fmt;

use enumeration::Enumeration;

use squall_core::seed::{Seed, Seeds};
use squall_engine::{
    run::{Options, Outcome},
    scenario::Scenario,
    storm::{Plan, Profile},
};

/// One thing to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The seed of the world and of its workload.
    pub seed: Seed,
    /// The storm.
    pub plan: Plan,
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

/// What the file of a strategy says of it. A new one is such a file and a line in the registry below.
pub trait Kind {
    /// Its name on the command line and in logs.
    const NAME: &str;
    /// How storms are found, for the command line's help.
    const ABOUT: &str;
    /// Whether a campaign over seeds can be explored so: see [`Strategy::goes_by_seeds`].
    const GOES_BY_SEEDS: bool = true;

    /// The storm that a seed alone stands for; `None` if it depends on the runs before.
    fn plan(_profile: &Profile, _seed: Seed) -> Option<Plan> {
        None
    }

    /// Explores a scenario over these seeds. As a default it runs the [storm](Self::plan) of each.
    fn explorer(scenario: &dyn Scenario, seeds: Seeds) -> Box<dyn Explorer> {
        Box::new(Enumeration {
            seeds,
            drawn: 0,
            profile: scenario.profile(),
            plan: Self::plan,
        })
    }
}

/// Makes strategies known, each by its type and its file.
macro_rules! registry {
    ($($(#[$default:meta])? $Kind:ident in $file:ident,)*) => {
        $(pub mod $file;)*
        $(pub use $file::$Kind;)*

        /// A strategy, by name.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Strategy {
            $(
                #[doc = concat!("See [`", stringify!($Kind), "`](struct@", stringify!($Kind), ").")]
                $(#[$default])?
                $Kind,
            )*
        }

        impl Strategy {
            /// All strategies.
            pub const ALL: &'static [Strategy] = &[$(Strategy::$Kind),*];

            /// Its name on the command line and in logs.
            pub fn name(self) -> &'static str {
                match self { $(Strategy::$Kind => $Kind::NAME),* }
            }

            /// How it finds storms.
            pub fn about(self) -> &'static str {
                match self { $(Strategy::$Kind => $Kind::ABOUT),* }
            }

            /// Whether it goes through seeds; a sweep goes through sites, and is a command of its own.
            pub fn goes_by_seeds(self) -> bool {
                match self { $(Strategy::$Kind => $Kind::GOES_BY_SEEDS),* }
            }

            /// The storm that a seed alone stands for; `None` if it depends on the runs before.
            pub fn plan(self, profile: &Profile, seed: Seed) -> Option<Plan> {
                match self { $(Strategy::$Kind => $Kind::plan(profile, seed)),* }
            }

            /// An explorer of this kind for a campaign over these seeds.
            pub fn explorer(self, scenario: &dyn Scenario, seeds: Seeds) -> Box<dyn Explorer> {
                match self { $(Strategy::$Kind => $Kind::explorer(scenario, seeds)),* }
            }
        }
    };
}

registry! {
    Random in random,
    #[default]
    Swarm in swarm,
    Sweep in sweep,
    Guided in guided,
    Pct in pct,
}

impl Strategy {
    /// Reads a name.
    pub fn named(name: &str) -> Option<Strategy> {
        let mut all = Strategy::ALL.iter().copied();
        all.find(|strategy| strategy.name() == name)
    }

    /// Whether a seed alone says what is run, whatever was run before.
    pub fn draws_by_seed(self) -> bool {
        self.plan(&Profile::new(&[], &[]), Seed(0)).is_some()
    }

    /// Whether the command that replays a seed has to name it.
    pub fn is_told(self) -> bool {
        self != Strategy::default() && self.draws_by_seed()
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_strategy_that_contributors_are_shown_is_one_that_is_compiled() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../CONTRIBUTING.md");
        let shown = std::fs::read_to_string(path).expect("it is beside the workspace's Cargo.toml");
        let file = format!("```rust\n{}```", include_str!("strategy/random.rs"));
        assert!(shown.contains(&file), "copy strategy/random.rs there");
        let line = "    Random in random,\n";
        assert!(shown.contains(line) && include_str!("strategy.rs").contains(line));
    }
}
