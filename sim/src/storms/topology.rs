//! What a storm over a world may do, as a run of it without faults shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use squall_core::{
    event::{ConnectionEvent, Event, What},
    fault::DiskUse,
    interned::interned,
    site::{Kind, Met},
};
use squall_engine::{
    Sim,
    isolation::Isolation,
    run::{Died, Options, isolated, run_with},
    scenario::{Scenario, Setup},
    sim::{OBSERVER, SETUP},
    storm::{CustomFault, FaultKind, Profile},
    trace::Trace,
};

use super::calm;
use crate::kernel::{forked, in_child};

/// Sites are aimed within a little more than what the run without faults has, and faults begin within the time that it
/// takes, all within these bounds.
const COMMITS: (u64, u64) = (8, 200);
const BURSTS: (u64, u64) = (8, 200);
const HORIZON_MS: (u64, u64) = (1_000, 60_000);

/// A world that nothing befalls, and what it brings.
struct Calm<'a> {
    build: &'a (dyn Fn(&Sim, &Setup) + Send + Sync),
    /// The names of its services, and the faults of its own.
    brings: Mutex<(Vec<String>, Vec<Own>)>,
}

/// A fault of its own: its name, its node, and how strong it is.
type Own = (String, String, (u64, u64));

impl Scenario for Calm<'_> {
    fn name(&self) -> &str {
        "a run without faults"
    }

    fn about(&self) -> &str {
        ""
    }

    fn profile(&self) -> Profile {
        Profile::new(&[], &[])
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        sim.clients_assert();
        (self.build)(sim, setup);
        sim.complete();
        let own = sim.own_faults().into_iter();
        let own = own.map(|own| (own.name.to_owned(), own.node.to_owned(), own.amount));
        *self.brings.lock().expect("one run at a time") = (sim.services(), own.collect());
    }
}

/// What a run without faults tells of a world.
pub(super) struct Learned {
    /// What storms over it may do.
    pub profile: Profile,
    /// What keeps its runs apart: there are unmodified programs in it.
    pub isolation: Option<Isolation>,
}

/// Learns of the world that `build` makes. The run that tells is kept apart: nobody knows yet what takes part in it. Should
/// it bring its process down, so will the runs of the campaign, which then say so.
pub(super) fn observed(build: &(dyn Fn(&Sim, &Setup) + Send + Sync)) -> Learned {
    let run = || {
        let world = Calm {
            build,
            brings: Mutex::default(),
        };
        let options = Options {
            census: true,
            ..Options::traced(true)
        };
        let outcome = run_with(&world, &calm(&world), options);
        (
            world.brings.into_inner().unwrap_or_default(),
            outcome.trace.unwrap_or_default(),
            outcome.programs,
            outcome.sites,
        )
    };
    let (learned, died) = match isolated(forked, run) {
        Ok(learned) => (learned, false),
        Err(Died::Harness(_)) => (run(), false),
        Err(Died::Child(_)) => (Default::default(), true),
    };
    let ((services, own), trace, programs, sites) = learned;
    let is_apart = died || !programs.is_empty();
    let custom = own.iter().map(|(name, node, amount)| CustomFault {
        name: interned(name),
        node: interned(node),
        amount: *amount,
    });
    Learned {
        profile: Profile {
            custom: custom.collect(),
            ..profile(&services, &trace, &programs, &sites)
        },
        isolation: is_apart.then_some(in_child as Isolation),
    }
}

/// The profile of a world: its services, the links on which somebody connects, the events that services log, and how much
/// there is of everything.
fn profile(services: &[String], trace: &Trace, programs: &[String], sites: &[Met]) -> Profile {
    let mut links = BTreeSet::new();
    let mut events = BTreeSet::new();
    let mut commits = BTreeMap::<&str, u64>::new();
    let mut bursts = BTreeMap::<(&str, &str), u64>::new();
    let mut begins = None;
    let mut ends = None;
    for Event { at, node, what, .. } in &trace.events {
        match what {
            What::Connection {
                peer,
                event: ConnectionEvent::Connect,
                ..
            } => {
                links.insert((interned(node), interned(peer)));
            }
            What::Log { message, .. } if services.contains(node) => {
                events.insert((interned(node), interned(message)));
            }
            What::Commit { .. } => *commits.entry(node).or_default() += 1,
            What::Burst { to, .. } => {
                *bursts.entry((node, to)).or_default() += 1;
                begins.get_or_insert(*at);
                ends = Some(*at);
            }
            _ => {}
        }
    }
    links.retain(|(from, _)| *from != SETUP && !from.starts_with(OBSERVER));
    let services: Vec<&'static str> = services.iter().map(interned).collect();
    let most = |counts: Option<u64>, (least, most): (u64, u64)| {
        let most_seen = counts.unwrap_or(0);
        (most_seen + most_seen / 4).clamp(least, most)
    };
    let took = begins.zip(ends).map(|(begins, ends)| ends.since(begins));
    let took_ms = took.map(|took| took.as_millis() as u64);
    let runs_a_program = |service: &&str| programs.iter().any(|name| name == service);
    let programs: Vec<&'static str> = services.iter().copied().filter(runs_a_program).collect();
    let met = |node: &str, kind: &Kind| {
        let is_it = |met: &&Met| met.site.node == node && met.site.kind == *kind;
        sites.iter().filter(is_it).count() as u64
    };
    let disks = programs.iter().map(|node| DiskUse {
        node,
        syncs: met(node, &Kind::Sync),
        writes: met(node, &Kind::Write),
    });
    let disks = disks.filter(|disk| disk.syncs + disk.writes > 0).collect();
    // The rows of a program's database are its own affair.
    let never = match programs.is_empty() {
        true => Vec::new(),
        false => vec![FaultKind::UnreadableRow],
    };
    Profile {
        programs,
        disks,
        never,
        events: events.into_iter().collect(),
        commits: most(commits.into_values().max(), COMMITS),
        bursts: most(bursts.into_values().max(), BURSTS),
        horizon_ms: most(took_ms, HORIZON_MS),
        ..Profile::new(&services, &links.into_iter().collect::<Vec<_>>())
    }
}
