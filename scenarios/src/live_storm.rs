//! Storms carried out on real processes: `squall live-storm`.
//!
//! The scenario runs as it is: its clients, its operators and its invariants live in a world whose time is held to the
//! real one. Only its services do not: each node is a bridge to a process of its own. What a client sends to the node
//! is sent on to the process; when the storm kills the node, the process is killed, and started when the node boots;
//! and what the process commits, which it tells in a file, is what the invariants see as the node's commits. What
//! happens between services (cuts, resets, slow links) happens in a proxy on each link between two processes.
#![allow(clippy::disallowed_methods)]

mod bridge;
mod clock;
mod forecast;
mod links;
mod pace;
mod pipe;
mod system;
mod told;
mod weather;

use std::{
    cell::RefCell,
    panic::resume_unwind,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{
    Sim,
    cli::ExtraCommandError,
    run::{Outcome, Spec, Verdict, run},
    scenario::{Scenario, Setup},
    storm::Profile,
};
use squall_services::{settings::Settings, shared::payment_provider::Behaviour};

use crate::lock;
use system::System;
pub(crate) use weather::{not_carried_out, otherwise};

/// The scenarios whose services can be processes, and those services.
const SCENARIOS: &[(&str, &[&str])] = &[(
    "order-saga",
    &["order", "inventory", "payment", "pg", "catalog"],
)];

thread_local! {
    /// The processes, on the thread of a run over them.
    static HERE: RefCell<Option<Arc<System>>> = const { RefCell::new(None) };
}

fn here() -> Option<Arc<System>> {
    HERE.with_borrow(Clone::clone)
}

/// Hands the services' settings on, where they are processes.
pub(crate) fn set_up(settings: impl FnOnce() -> Settings) {
    if let Some(system) = here() {
        system.set_up(&settings());
    }
}

/// Makes the members of a topology bridges, where they are processes. Returns whether they are.
pub(crate) fn open<'a>(sim: &Sim, members: impl IntoIterator<Item = &'a str>) -> bool {
    let Some(system) = here() else {
        return false;
    };
    for member in members {
        let system = system.clone();
        sim.node(member, move |node| bridge::serve(node, system.clone()));
    }
    true
}

/// Hands the payment gateway's behaviour on, where it is a process.
pub(crate) fn behaves(behaviour: &Behaviour) {
    if let Some(system) = here() {
        system.behaves(&behaviour.rules());
    }
}

/// A scenario over processes.
struct Live<'a> {
    scenario: &'a dyn Scenario,
    system: Arc<System>,
    /// Why it could not be started.
    failed: Mutex<Option<String>>,
}

impl Scenario for Live<'_> {
    fn name(&self) -> &str {
        self.scenario.name()
    }

    fn about(&self) -> &str {
        self.scenario.about()
    }

    fn shapes(&self) -> Vec<squall::scenario::Shape> {
        self.scenario.shapes()
    }

    fn bugs(&self) -> Vec<squall::scenario::Bug> {
        self.scenario.bugs()
    }

    fn profile(&self) -> Profile {
        self.scenario.profile()
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        HERE.set(Some(self.system.clone()));
        self.scenario.build(sim, setup);
        if let Err(why) = self.system.start_all() {
            // No panic of anybody's: the run ends here, and `storm` tells why.
            resume_unwind(Box::new(self.fails(why)));
        }
        pace::hold(sim, &self.system);
        weather::watch(sim, &self.system);
    }
}

impl Live<'_> {
    fn fails(&self, why: String) -> String {
        *lock(&self.failed) = Some(why.clone());
        why
    }
}

/// Where the processes come from.
pub(crate) struct Place {
    /// The program `squall-live`.
    pub program: PathBuf,
    /// A PostgreSQL server in place of files, as a URL.
    pub store: Option<String>,
    /// How long nothing may happen until all is taken for quiet.
    pub quiet: Duration,
}

/// The services of a scenario, if they can be processes.
pub(crate) fn services_of(scenario: &dyn Scenario) -> Option<&'static [&'static str]> {
    let found = SCENARIOS.iter().find(|(name, _)| *name == scenario.name());
    found.map(|(_, services)| *services)
}

/// Carries out one storm. Returns also where the processes' files and logs are, if they are kept: of all that does not
/// survive.
///
/// # Errors
/// The scenario's services cannot be processes, or they cannot be started.
pub(crate) fn storm(
    scenario: &dyn Scenario,
    spec: &Spec,
    place: &Place,
) -> Result<(Outcome, String), ExtraCommandError> {
    let Some(services) = services_of(scenario) else {
        let able: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
        return Err(ExtraCommandError::Usage(format!(
            "the services of {} do not run as processes yet; those of {} do",
            scenario.name(),
            able.join(", ")
        )));
    };
    let failed = |error: std::io::Error| ExtraCommandError::Failed(error.to_string());
    let system = System::new(place, services).map_err(failed)?;
    system.plan(&spec.plan);
    let live = Live {
        scenario,
        system: system.clone(),
        failed: Mutex::default(),
    };
    let mut outcome = run(&live, spec, false);
    system.stop();
    let failed = lock(&live.failed).take();
    let survived = failed.is_none() && outcome.verdict == Verdict::Survived;
    let kept = match system.clear(!survived) {
        Some(folder) => format!("\nkept: {}", folder.display()),
        None => String::new(),
    };
    if let Some(why) = failed {
        return Err(ExtraCommandError::Failed(format!("{why}{kept}")));
    }
    // Those that look inside go by what services log, and by the scope in which they commit.
    outcome.overlook_insides();
    Ok((outcome, kept))
}
