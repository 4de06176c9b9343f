//! Storms over a world that a closure builds: the shortest way into a `#[test]`.
//!
//! ```
//! use squall::{Client, Node};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! async fn server(node: Node) -> std::io::Result<()> {
//!     let mut listener = node.listen()?;
//!     loop {
//!         let mut stream = listener.accept().await?;
//!         let _ = stream.write_all(b"hello").await;
//!     }
//! }
//!
//! async fn visitor(client: Client) {
//!     let mut hello = [0; 5];
//!     while !matches!(&hello, b"hello") {
//!         client.sleep(std::time::Duration::from_millis(50)).await;
//!         if let Ok(mut stream) = client.connect("server").await {
//!             let reading = stream.read_exact(&mut hello);
//!             let _ = tokio::time::timeout(std::time::Duration::from_secs(1), reading).await;
//!         }
//!     }
//!     client.ok("visit", "greeted");
//! }
//!
//! # fn main() {
//! let totals = squall::storms("greeting").seeds(20).run(|sim| {
//!     sim.node("server", server);
//!     sim.client("visitor", visitor);
//! });
//! assert_eq!(totals.tally.count("calls ok"), 20);
//! # }
//! ```

mod replayed;
mod topology;

use std::{borrow::Borrow, path::Path, sync::OnceLock};

use squall_core::{
    interned::interned,
    seed::{Seed, Seeds},
};
use squall_engine::{
    Sim,
    isolation::Isolation,
    run::{Outcome, Spec, run, run_with},
    scenario::{Bug, Scenario, Setup},
    storm::{Plan, Profile},
};
use squall_explore::{
    campaign::{Campaign, Runner, Totals},
    strategy::Strategy,
};

use crate::testing::{self, Found, ReplayBy, env};
use topology::Learned;

/// Storms over the world that a closure builds. `name` is what the failures are called.
///
/// See [`Storms::run`].
pub fn storms(name: impl AsRef<str>) -> Storms {
    Storms {
        name: interned(name),
        about: "a world that a closure builds",
        bugs: Vec::new(),
        seeds: 100,
        strategy: Strategy::default(),
        plan: None,
        adjust: Box::new(|_| ()),
    }
}

/// What storms there are to be. Ends with [`run`](Storms::run), [`finds`](Storms::finds) or [`one`](Storms::one); or with
/// [`scenario`](Storms::scenario), for a command line.
#[must_use = "nothing happens before `run`, `finds`, `one` or `scenario`"]
pub struct Storms {
    name: &'static str,
    about: &'static str,
    bugs: Vec<Bug>,
    seeds: u64,
    strategy: Strategy,
    plan: Option<Plan>,
    adjust: Box<dyn Fn(&mut Profile) + Send + Sync>,
}

impl Storms {
    /// The number of storms, with the seeds `0..count`; 100 if not said. `SQUALL_SEED` and `SQUALL_SEEDS` in the
    /// environment say others.
    pub fn seeds(self, count: u64) -> Self {
        Storms {
            seeds: count,
            ..self
        }
    }

    /// How storms are found; [`Strategy::Swarm`] if not said.
    pub fn explore(self, strategy: Strategy) -> Self {
        Storms { strategy, ..self }
    }

    /// One storm for all seeds, instead of one that each seed draws. [`Plan::calm`] leaves only the faults that the
    /// closure itself brings about ([`Sim::crash`] and the like).
    pub fn plan(self, plan: Plan) -> Self {
        Storms {
            plan: Some(plan),
            ..self
        }
    }

    /// Changes what storms may do. What is given follows from the world: its nodes, the links that a run without faults
    /// uses, the events that its nodes log.
    pub fn profile(self, adjust: impl Fn(&mut Profile) + Send + Sync + 'static) -> Self {
        Storms {
            adjust: Box::new(adjust),
            ..self
        }
    }

    /// Builds the world anew for each seed and lets a storm loose on it. `build` adds nodes, clients and invariants; an
    /// assertion that fails in a client is a finding like a broken invariant.
    ///
    /// Which nodes and clients there are must not depend on the seed: what storms may do is learned from one run.
    ///
    /// With `SQUALL_REPLAY=FILE` in the environment, and a failure file of this name, that failure is replayed instead,
    /// and its whole trace printed; if it does not happen any more, the totals are those of that one run.
    ///
    /// # Panics
    ///
    /// When something is broken, with the smallest storm that breaks it and the command that replays it; the failure
    /// and its page are in the package's folder `failures`. When the environment asks for seeds that are none, or a
    /// file that can't be replayed.
    #[track_caller]
    pub fn run(self, build: impl Fn(&Sim) + Send + Sync) -> Totals {
        let told = self.checked(&run_with, &build, &env::failures());
        told.unwrap_or_else(|told| panic!("{told}"))
    }

    /// Storms until something is broken, which shows that the checks are not blind: `build` plants a bug.
    ///
    /// # Panics
    ///
    /// When no seed finds anything, or the harness itself fails.
    #[track_caller]
    pub fn finds(self, build: impl Fn(&Sim) + Send + Sync) -> Found {
        let seeds = Seeds::up_to(self.seeds);
        let world = self.over(&build);
        let found = testing::found_in(&run_with, self.campaign(&world, seeds), ReplayBy::Test);
        found.unwrap_or_else(|told| panic!("{told}"))
    }

    /// One run, with its whole trace, whatever becomes of it.
    pub fn one(self, seed: Seed, build: impl Fn(&Sim) + Send + Sync) -> Outcome {
        let world = self.over(&build);
        let campaign = self.campaign(&world, Seeds::one(seed));
        run(&world, &campaign.spec(seed), true)
    }

    /// What it is, in a line; for [`scenario`](Storms::scenario).
    pub fn about(self, about: &'static str) -> Self {
        Storms { about, ..self }
    }

    /// Bugs that can be planted into it, by name and with what they do: `build` looks which in [`Setup::plant`]. For
    /// [`scenario`](Storms::scenario).
    pub fn bugs(self, bugs: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        let bugs = bugs.into_iter().map(|(name, about)| Bug { name, about });
        Storms {
            bugs: bugs.collect(),
            ..self
        }
    }

    /// The same as a scenario of a [command line](crate::cli), which says how many seeds, and by which strategy.
    pub fn scenario(
        self,
        build: impl Fn(&Sim, &Setup) + Send + Sync + 'static,
    ) -> Box<dyn Scenario> {
        let learned = OnceLock::new();
        Box::new(World {
            storms: self,
            build,
            learned,
        })
    }

    fn checked(
        &self,
        runner: Runner<'_>,
        build: Build<'_>,
        failures: &Path,
    ) -> Result<Totals, String> {
        let world = self.over(build);
        if let Some(file) = env::replay()
            && let Some(replayed) = replayed::replay(runner, &world, &file)?
        {
            return Ok(replayed);
        }
        let campaign = self.campaign(&world, env::seeds(self.seeds)?);
        testing::checked(runner, &campaign, Some(failures), ReplayBy::Test)
    }

    fn over<'a>(&'a self, build: Build<'a>) -> impl Scenario + 'a {
        World {
            storms: self,
            build: move |sim: &Sim, _: &Setup| build(sim),
            learned: OnceLock::new(),
        }
    }

    fn campaign<'a>(&self, world: &'a dyn Scenario, seeds: Seeds) -> Campaign<'a> {
        Campaign {
            strategy: self.strategy,
            plan: self.plan.clone(),
            ..Campaign::over(world, seeds)
        }
    }
}

type Build<'a> = &'a (dyn Fn(&Sim) + Send + Sync);

/// The closure as a scenario.
struct World<S, B> {
    storms: S,
    build: B,
    learned: OnceLock<Learned>,
}

impl<S: Borrow<Storms>, B: Fn(&Sim, &Setup) + Send + Sync> World<S, B> {
    fn learned(&self) -> &Learned {
        self.learned.get_or_init(|| {
            let mut learned = topology::observed(&self.build);
            (self.storms.borrow().adjust)(&mut learned.profile);
            learned
        })
    }
}

impl<S, B> Scenario for World<S, B>
where
    S: Borrow<Storms> + Send + Sync,
    B: Fn(&Sim, &Setup) + Send + Sync,
{
    fn name(&self) -> &str {
        self.storms.borrow().name
    }

    fn about(&self) -> &str {
        self.storms.borrow().about
    }

    fn bugs(&self) -> Vec<Bug> {
        self.storms.borrow().bugs.clone()
    }

    fn profile(&self) -> Profile {
        self.learned().profile.clone()
    }

    fn isolation(&self) -> Option<Isolation> {
        self.learned().isolation
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        sim.clients_assert();
        (self.build)(sim, setup);
    }
}

/// The spec of a run without faults of a world.
fn calm(world: &dyn Scenario) -> Spec {
    Spec::of(world, Seed(0)).calm()
}

#[cfg(test)]
mod tests;
