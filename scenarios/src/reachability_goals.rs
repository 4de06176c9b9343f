//! Reachability goals: what a campaign must have met at least once before its silence counts as evidence.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use squall::{Client, Sim};
use squall_services::kit::Reply;

use crate::lock;

/// Reached by a client whose answer was lost and whose repeat was answered.
pub const ANSWER_LOST: &str = "a request whose answer was lost was asked again and answered";

/// Reached by a client that was refused an order for good.
pub const REFUSED: &str = "a refusal was final and stayed so";

/// Reached by a client that asks again after the run has settled.
pub const LATE_ANSWER: &str = "somebody asked again once all was settled, and was answered";

/// Reached by a client that buys in a rush after the run has settled.
pub const RUSH: &str = "declined and good cards took turns once all was settled";

/// Two devices asked for one basket, and both were told of one order.
pub const TWO_DEVICES: &str = "two devices asked for one basket";

/// Two orders of the same, asked for at the same instant, were both made.
pub const TWINS: &str = "twins were both ordered";

/// A customer went away for minutes, and ordered again.
pub const CAME_BACK: &str = "a customer came back after minutes";

/// An order was made at a price that was not asked yet when it was asked for.
pub const PRICE_MOVED: &str = "a price moved between request and order";

/// An operator sent a saga on its way while the storm lasted.
pub const REDRIVEN: &str = "a saga was redriven in the storm";

/// An operator was refused what another one had done.
pub const REDRIVEN_BEFORE: &str = "a dead letter that was redriven before was refused";

/// The read side was made anew while the storm lasted.
pub const REBUILT: &str = "the read side was made anew in the storm";

/// The operator who requested a rebuild got no answer.
const REBUILD_INTERRUPTED: &str = "a rebuild of the read side was interrupted";

/// Goals of the workflows' read side, which operators rebuild: a rebuild was interrupted if the process began
/// one that it did not end, and begins another one in its next life.
pub fn rebuilds(sim: &Sim, node: &'static str) {
    sim.goal(REBUILT);
    let begun = Arc::new(Mutex::new(None));
    let (ended, weather) = (begun.clone(), sim.weather());
    sim.hear(node, "rebuild ends", move |_, _| *lock(&ended) = None);
    sim.sometimes_logged_where(REBUILD_INTERRUPTED, node, "rebuild begins", move |_, _| {
        let life = weather.life_of(node);
        let before = lock(&begun).replace(life);
        before.is_some_and(|before| before != life)
    });
}

/// Goals of replicas that were taken for dead: they go on beside their successors, under the same names.
pub fn outlived(
    sim: &Sim,
    nodes: &[&'static str],
    database: &'static str,
    others: &[&'static str],
) {
    for node in nodes {
        let writes = "an old process wrote to the shared database while its successor was up";
        sim.sometimes_outlived(writes, node, database);
        for other in others {
            let calls = "an old process called another service while its successor was up";
            sim.sometimes_outlived(calls, node, other);
        }
    }
}

/// Goals of services, and of those that call others.
pub fn services(sim: &Sim, callers: &[&'static str]) {
    logged(sim, callers, &[("a breaker opened", "the breaker opened")]);
    deaths(sim);
    sim.goal(ANSWER_LOST);
}

/// Goals of databases.
pub fn deaths(sim: &Sim) {
    sim.sometimes(
        "a transaction was durable whose writer had died in it",
        |commit| !commit.acknowledged,
    );
}

/// Goals of stock, on the nodes that own it.
pub fn stock(sim: &Sim, nodes: &[&'static str]) {
    logged(
        sim,
        nodes,
        &[
            ("somebody came for the last unit too late", "stock refused"),
            ("a cancel came before its reserve", "tombstone left"),
        ],
    );
}

/// Goals of stock whose buyers give up before they are answered.
pub fn late_reserves(sim: &Sim, nodes: &[&'static str]) {
    logged(
        sim,
        nodes,
        &[("a reserve came after its cancel", "late reserve refused")],
    );
}

/// Goals of leases, on the nodes that work under them.
pub fn leases(sim: &Sim, holders: &[&'static str]) {
    let lasting = ("a lease ran out before it was released", "lease ran out");
    let waiting = ("somebody waited for a lease in vain", "lease refused");
    logged(sim, &["lock"], &[lasting, waiting]);
    let lost = ("a holder learned that its lease was lost", "lease lost");
    logged(sim, holders, &[lost]);
}

pub(crate) fn logged(sim: &Sim, nodes: &[&'static str], all: &[(&'static str, &'static str)]) {
    for node in nodes {
        for (name, message) in all {
            sim.sometimes_logged(name, node, message);
        }
    }
}

/// The nodes that may keep clients' keys; which one does depends on the topology.
const KEEPERS: [&str; 4] = ["order", "order-1", "order-2", "checkout"];

/// By the build that reads.
const KEYS_READ: [&str; 2] = [
    "a key that build 2 wrote was read by build 1",
    "a key that build 1 wrote was read by build 2",
];

/// By the build that ends it.
const CROSSED: [&str; 2] = [
    "what build 2 began was ended by build 1",
    "what build 1 began was ended by build 2",
];

/// By the build that reads.
const EVENTS_READ: [&str; 2] = [
    "an event of build 2 was read by build 1",
    "an event of build 1 was read by build 2",
];

/// By which build what has this id was begun.
type Begun = Arc<Mutex<BTreeMap<String, u32>>>;

/// Goals of sagas during an upgrade, on the nodes that drive them. None if no node comes in two builds.
pub fn builds(sim: &Sim, drivers: &[&'static str]) {
    if drivers.iter().all(|node| sim.builds().of(node).is_none()) {
        return;
    }
    KEYS_READ.iter().for_each(|name| _ = sim.goal(name));
    let begun = Begun::default();
    for &node in drivers {
        let (of, builds) = (begun.clone(), sim.builds());
        sim.sometimes_logged_where(
            "build 2 began a saga",
            node,
            "saga starts",
            move |scope, _| {
                let build = builds.of(node).unwrap_or(0);
                lock(&of).insert(scope.saga_id.clone(), build);
                build == 1
            },
        );
        for ended in ["saga completed", "saga compensated"] {
            for (by, name) in (0..).zip(CROSSED) {
                let (of, builds) = (begun.clone(), sim.builds());
                sim.sometimes_logged_where(name, node, ended, move |scope, _| {
                    let began = lock(&of).get(&scope.saga_id).copied();
                    builds.of(node) == Some(by) && began == Some(1 - by)
                });
            }
        }
    }
}

/// Goals of events during an upgrade: `"order"` says the first and the last one of each key, `readers` those between.
pub fn builds_of_events(sim: &Sim, readers: &[&'static str]) {
    KEYS_READ.iter().for_each(|name| _ = sim.goal(name));
    let begun = Begun::default();
    let (of, builds) = (begun.clone(), sim.builds());
    sim.sometimes_logged_where(
        "build 2 said the first event",
        "order",
        "says",
        move |_, fields| {
            let build = builds.of("order").unwrap_or(0);
            *lock(&of).entry(key(fields)).or_insert(build) == 1
        },
    );
    for (by, (ended, read)) in (0..).zip(CROSSED.into_iter().zip(EVENTS_READ)) {
        let (of, builds) = (begun.clone(), sim.builds());
        sim.sometimes_logged_where(ended, "order", "says", move |_, fields| {
            let began = lock(&of).get(&key(fields)).copied();
            builds.of("order") == Some(by) && began == Some(1 - by)
        });
        for &reader in readers {
            let (of, builds) = (begun.clone(), sim.builds());
            sim.sometimes_logged_where(read, reader, "says", move |_, fields| {
                let began = lock(&of).get(&key(fields)).copied();
                builds.of(reader) == Some(by) && began == Some(1 - by)
            });
        }
    }
}

/// The key that an event is said of.
fn key(fields: &str) -> String {
    let value = |field: &str| Some(field.strip_prefix("key=")?.trim_matches('"').to_owned());
    fields.split(' ').find_map(value).unwrap_or_default()
}

/// Somebody asked again under a key and was told of what was made then: by another build than the one that runs now?
pub fn key_read(client: &Client, reply: &Reply) {
    let mut builds = KEEPERS.iter().filter_map(|node| client.build_of(node));
    let Some(by) = builds.next().filter(|by| builds.all(|other| other == *by)) else {
        return;
    };
    // Only build 2 promises a rebate, and it always does.
    let wrote = u32::from(reply.body["rebate"].is_number());
    let is_order = reply.is_success() && reply.body["quantity"].is_number();
    if is_order && wrote != by {
        client.reached(KEYS_READ[by as usize]);
    }
}
