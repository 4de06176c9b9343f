//! Scenarios: what a team writes to put its own services into the storm.

use squall_core::{names::Unknown, seed::Seed};

use crate::{isolation::Isolation, sim::Sim, storm::Profile};

/// A system of services, its workload and what must hold.
///
/// A scenario is stateless: [`build`](Scenario::build) sets a fresh world up for each run.
pub trait Scenario: Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &str;

    /// One line for `list`.
    fn about(&self) -> &str;

    /// The shapes that it comes in, the default first.
    fn shapes(&self) -> Vec<Shape> {
        vec![Shape {
            name: "hardened",
            about: "made right; must survive every storm",
            must_survive: true,
        }]
    }

    /// The bugs that can be planted into it.
    fn bugs(&self) -> Vec<Bug> {
        Vec::new()
    }

    /// What a random storm over it may do.
    fn profile(&self) -> Profile;

    /// Adds nodes, clients and invariants to a fresh world.
    fn build(&self, sim: &Sim, setup: &Setup);

    /// What keeps its runs apart. A scenario with unmodified programs has each run in a child process of its own
    /// (`squall::in_child`): what a program leaves in static variables, or does to its process, ends with the run.
    fn isolation(&self) -> Option<Isolation> {
        None
    }
}

/// A variant of a scenario's system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line for `list`.
    pub about: &'static str,
    /// Whether a violation in it is a failure of the project (exit code 1) or what it is there to show.
    pub must_survive: bool,
}

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bug {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line for `list`.
    pub about: &'static str,
}

/// How a world is to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// One of the scenario's shapes.
    pub shape: String,
    /// One of its bugs, planted.
    pub plant: Option<String>,
    /// The run's seed: the workload draws from `seed.stream("workload")`.
    pub seed: Seed,
}

/// All scenarios of a program.
pub struct Catalogue {
    /// The scenarios, in the order of `list`.
    pub scenarios: Vec<Box<dyn Scenario>>,
    /// The bug that every campaign's self-test plants and must find: (scenario, bug).
    pub canary: Option<(&'static str, &'static str)>,
}

impl Catalogue {
    /// The scenario of this name.
    pub fn get(&self, name: &str) -> Option<&dyn Scenario> {
        self.scenarios
            .iter()
            .find(|s| s.name() == name)
            .map(|s| &**s)
    }
}

/// Whether the scenario has this shape and can have this bug.
pub fn variant_exists(
    scenario: &dyn Scenario,
    shape: &str,
    plant: Option<&str>,
) -> Result<(), Unknown> {
    let place = format!("{} has", scenario.name());
    Unknown::unless_known(&place, "shape", shape, &shapes(scenario))?;
    match plant {
        Some(bug) => Unknown::unless_known(&place, "bug", bug, &bugs(scenario)),
        None => Ok(()),
    }
}

/// The names of its shapes.
pub fn shapes(scenario: &dyn Scenario) -> Vec<&'static str> {
    scenario.shapes().iter().map(|shape| shape.name).collect()
}

/// The shape that is meant where none is said.
pub fn default_shape(scenario: &dyn Scenario) -> &'static str {
    shapes(scenario).first().copied().unwrap_or("hardened")
}

/// The names of its bugs.
pub fn bugs(scenario: &dyn Scenario) -> Vec<&'static str> {
    scenario.bugs().iter().map(|bug| bug.name).collect()
}
