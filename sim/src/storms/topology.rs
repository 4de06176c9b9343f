//! What a storm over a world may do, as a run of it without faults shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use squall_core::{
    event::{ConnectionEvent, Event, What},
    fault::Usual,
    interned::interned,
    site::{Kind, Met, SAYS},
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
    brings: Mutex<Brings>,
}

/// The names of its services, of the clients that come once all is settled, and the faults of its own.
type Brings = (Vec<String>, Vec<String>, Vec<Own>);

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
        *self.brings.lock().expect("one run at a time") =
            (sim.services(), sim.late_clients(), own.collect());
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
    let ((services, late, own), trace, programs, sites) = learned;
    let is_apart = died || !programs.is_empty();
    let custom = own.iter().map(|(name, node, amount)| CustomFault {
        name: interned(name),
        node: interned(node),
        amount: *amount,
    });
    Learned {
        profile: Profile {
            custom: custom.collect(),
            ..profile(&services, &late, &trace, &programs, &sites)
        },
        isolation: is_apart.then_some(in_child as Isolation),
    }
}

/// The profile of a world: its services, the links on which somebody connects, the events that services log, and how much
/// there is of everything.
fn profile(
    services: &[String],
    late: &[String],
    trace: &Trace,
    programs: &[String],
    sites: &[Met],
) -> Profile {
    let mut links = BTreeSet::new();
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
            What::Commit { .. } => *commits.entry(node).or_default() += 1,
            What::Burst { to, .. } => {
                *bursts.entry((node, to)).or_default() += 1;
                begins.get_or_insert(*at);
                ends = Some(*at);
            }
            _ => {}
        }
    }
    // No fault disturbs those who come once all is settled.
    let is_late = |from: &str| late.iter().any(|late| late == from);
    links.retain(|(from, _)| *from != SETUP && !from.starts_with(OBSERVER) && !is_late(from));
    let said = sites
        .iter()
        .filter_map(|Met { site, .. }| match &site.kind {
            Kind::Event(event) if services.contains(&site.node) => {
                Some((interned(&site.node), interned(event)))
            }
            _ => None,
        });
    let events: BTreeSet<_> = said.collect();
    let services: Vec<&'static str> = services.iter().map(interned).collect();
    let most = |counts: Option<u64>, (least, most): (u64, u64)| {
        let most_seen = counts.unwrap_or(0);
        (most_seen + most_seen / 4).clamp(least, most)
    };
    let took = begins.zip(ends).map(|(begins, ends)| ends.since(begins));
    let took_ms = took.map(|took| took.as_millis() as u64);
    let runs_a_program = |service: &&str| programs.iter().any(|name| name == service);
    let programs: Vec<&'static str> = services.iter().copied().filter(runs_a_program).collect();
    let usual = usual(sites, &programs);
    // The rows of a program's database are its own affair.
    let never = match programs.is_empty() {
        true => Vec::new(),
        false => vec![FaultKind::UnreadableRow],
    };
    Profile {
        programs,
        usual,
        never,
        events: events.into_iter().collect(),
        commits: most(commits.into_values().max(), COMMITS),
        bursts: most(bursts.into_values().max(), BURSTS),
        horizon_ms: most(took_ms, HORIZON_MS),
        ..Profile::new(&services, &links.into_iter().collect::<Vec<_>>())
    }
}

/// What programs, and those who speak with them, do.
fn usual(sites: &[Met], programs: &[&'static str]) -> Vec<Usual> {
    let mut times = BTreeMap::<_, u64>::new();
    for Met { site, .. } in sites {
        let label = match &site.kind {
            Kind::Send(_) if site.label.starts_with(SAYS) => &*site.label,
            Kind::Sync | Kind::Write | Kind::Event(_) if programs.contains(&&*site.node) => "",
            _ => continue,
        };
        *times.entry((&site.node, &site.kind, label)).or_default() += 1;
    }
    let usual = times.into_iter().map(|((node, kind, label), times)| Usual {
        node: interned(node),
        kind: kind.clone(),
        label: interned(label),
        times,
    });
    usual.collect()
}
