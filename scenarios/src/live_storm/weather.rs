//! What of a plan is carried out between processes, at its time; and what is not at all.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use squall::{
    Sim,
    site::{Kind, Site},
    storm::{Fault, When},
};

use super::{forecast::told, system::System};
use crate::lock;

/// Faults that the nodes themselves suffer, whose processes then do too, and those of links to clients.
const OF_NODES: [&str; 4] = ["crash", "crash-loop", "power-loss", "restart"];

/// Faults that are carried out on processes and proxies.
const OF_PROCESSES: [&str; 11] = [
    "pause",
    "cut",
    "isolate",
    "flap",
    "latency",
    "trickle",
    "refuse",
    "hang-connects",
    "reset-connections",
    "half-open",
    "custom",
];

/// Faults of a single burst.
const OF_BURSTS: [&str; 4] = [
    "lose-burst",
    "duplicate-burst",
    "delay-burst",
    "reset-burst",
];

/// Something that is done so long after the beginning of the storm.
type Deed = (u64, Box<dyn Fn(&System) + Send>);

/// What of a fault is not carried out, if it is not. What happens between a client and a service does, in the scenario's
/// own world.
pub(crate) fn not_carried_out(fault: &Fault, services: &[&str]) -> Option<String> {
    let what = told(fault);
    let kind = what["do"].as_str().unwrap_or_default();
    let is_service = |name: &str| services.contains(&name);
    let at_a_client = match &fault.when {
        When::AtMs(_) => false,
        When::Site(Site { node, kind, .. }) | When::Nth { node, kind, .. } => {
            !is_service(node) || matches!(kind, Kind::Send(peer) if !is_service(peer))
        }
    };
    let at_a_time = matches!(fault.when, When::AtMs(_));
    let named = ["from", "to"].map(|name| what[name].as_str());
    let of_a_client = named.into_iter().flatten().any(|name| !is_service(name));
    let carried_out = OF_NODES.contains(&kind)
        || (OF_PROCESSES.contains(&kind) && at_a_time)
        || (at_a_client && (OF_BURSTS.contains(&kind) || of_a_client))
        || (of_a_client && at_a_time);
    let told = match at_a_time {
        true => kind.to_owned(),
        false => format!("{kind} at a site"),
    };
    (!carried_out).then_some(told)
}

/// In what way a fault is carried out as another one.
pub(crate) fn otherwise(fault: &Fault) -> &'static str {
    match told(fault)["do"].as_str() {
        Some("power-loss") => ", as a crash: what was written is kept",
        _ => "",
    }
}

/// Carries the faults out between the processes from the beginning of the storm on.
pub(super) fn watch(sim: &Sim, system: &Arc<System>) {
    let system = system.clone();
    sim.operator("weather", move |_| async move {
        system.weather.begins(system.clock.now());
        let faults = lock(&system.weather.faults).clone();
        let mut deeds: Vec<Deed> = faults.iter().flat_map(deeds).collect();
        deeds.sort_by_key(|(at_ms, _)| *at_ms);
        let of = system.clone();
        system.aside(move || {
            let began = Instant::now();
            for (at_ms, deed) in deeds {
                let due = Duration::from_millis(at_ms);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
                deed(&of);
            }
        });
        pending::<()>().await;
    });
}

/// What is to be done for a fault, and undone.
fn deeds(fault: &Fault) -> Vec<Deed> {
    let When::AtMs(at) = fault.when else {
        return Vec::new();
    };
    let what = told(fault);
    let text = |name: &str| what[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| what[name].as_u64().unwrap_or_default();
    let (node, from, to) = (text("node"), text("from"), text("to"));
    let ends = at + number("for_ms");
    let kind = text("do");
    match kind.as_str() {
        "pause" => lasting(at, ends, move |system, on| {
            system.signal(&node, if on { "-STOP" } else { "-CONT" });
        }),
        "cut" => {
            let both = what["both"].as_bool().unwrap_or_default();
            lasting(at, ends, move |system, on| {
                system.links.cut(&from, &to, on);
                if both {
                    system.links.cut(&to, &from, on);
                }
            })
        }
        "flap" => {
            let each = number("each_ms");
            let down = (0..number("times")).flat_map(|n| {
                let (from, to) = (from.clone(), to.clone());
                let begins = at + 2 * n * each;
                lasting(begins, begins + each, move |system, on| {
                    system.links.cut(&from, &to, on);
                    system.links.cut(&to, &from, on);
                })
            });
            down.collect()
        }
        "isolate" => lasting(at, ends, move |system, on| system.links.isolate(&node, on)),
        "latency" => {
            let extra_ms = number("extra_ms");
            lasting(at, ends, move |system, on| {
                system.links.slow(&from, &to, extra_ms, on);
            })
        }
        "trickle" => {
            let rate = number("bytes_per_s");
            lasting(at, ends, move |system, on| {
                system.links.trickle(&from, &to, rate, on);
            })
        }
        "refuse" => lasting(at, ends, move |system, on| system.links.refuse(&node, on)),
        "hang-connects" => lasting(at, ends, move |system, on| system.links.hang(&node, on)),
        "reset-connections" => once(at, move |system| system.links.reset(&from, &to)),
        "half-open" => once(at, move |system| system.links.silence(&from, &to)),
        _ => Vec::new(),
    }
}

fn once(at_ms: u64, deed: impl Fn(&System) + Send + 'static) -> Vec<Deed> {
    vec![(at_ms, Box::new(deed))]
}

/// Something that is switched on, and off again.
fn lasting(
    begins: u64,
    ends: u64,
    switch: impl Fn(&System, bool) + Send + Sync + 'static,
) -> Vec<Deed> {
    let (on, off) = (Arc::new(switch), ends);
    let again = on.clone();
    vec![
        (begins, Box::new(move |system| on(system, true))),
        (off, Box::new(move |system| again(system, false))),
    ]
}
