//! After-commit subscribers: they hear of everything that is committed, of nothing else, once, and nothing waits for
//! them or for each other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{Sim, check::Commit};
use squall_services::{
    checkout::{
        data_platform::FACTS,
        orders::store::OrderRow,
        ranking::store::{RANKS, Rank},
    },
    kit::executor::{Load, Peaks},
    orchestration::orders::model::Status,
    shared::notification::store::SENT,
};

use crate::{
    invariants::checkouts::Orders, invariants::sagas::SAGAS_END, lock, table_view::TableView,
};

/// An outbox row is tried for 75 seconds and then redriven by a person who looks every ten; a while for the sagas that
/// it waits for.
const TOLD: Duration = Duration::from_secs(7 * 60);

/// A job that waits longer than this while none of its kind runs is in somebody else's way.
const STARVED: Duration = Duration::from_millis(100);

/// What subscribers hear.
pub const HEARD: &str = "subscribers hear of what is committed";

/// Watches the nodes `"dataplatform"`, `"notification"` and `"ranking"`.
pub fn watch(sim: &Sim, orders: &Arc<Mutex<Orders>>) {
    let heard = orders.clone();
    sim.always(HEARD, move |commit, findings| {
        for id in orders_heard_of(commit) {
            let status = lock(&heard).orders.get(&id).map(|order| order.status);
            if status != Some(Status::Completed) {
                findings.broken(
                    "before the commit",
                    &[commit.node, &id],
                    "a completed order",
                    format!("{status:?}"),
                );
            }
        }
    });
    let orders = orders.clone();
    let ranks = Mutex::new(TableView::<Rank>::new("ranking", RANKS));
    let ranks = Arc::new(ranks);
    let follow = ranks.clone();
    sim.always(HEARD, move |commit, _| {
        lock(&follow).follow(commit);
    });
    sim.finally(HEARD, TOLD, move |truth, findings| {
        let orders = lock(&orders);
        let completed = |order: &&OrderRow| order.status == Status::Completed;
        let mut sold: BTreeMap<&str, u64> = BTreeMap::new();
        for order in orders.orders.values().filter(completed) {
            *sold.entry(&order.sku).or_default() += order.quantity;
            let event = format!("{}-completed", order.id);
            for (node, table) in [("dataplatform", FACTS.name), ("notification", SENT.name)] {
                if truth.row(node, table, &event).is_none() {
                    findings.broken(
                        "never told",
                        &[node, &order.id],
                        "the order was told of",
                        "nothing",
                    );
                }
            }
        }
        let ranks = lock(&ranks);
        let counted = |sku: &str| ranks.get(sku).map_or(0, |rank| rank.sold);
        let known = ranks.iter().map(|(sku, _)| sku);
        let mut skus: Vec<&str> = sold.keys().copied().chain(known).collect();
        skus.sort_unstable();
        skus.dedup();
        for sku in skus {
            let (expected, found) = (sold.get(sku).copied().unwrap_or(0), counted(sku));
            if expected != found {
                findings.broken(
                    "counted otherwise",
                    &["ranking", sku],
                    format!("{expected} units, as completed orders say"),
                    found.to_string(),
                );
            }
        }
    });
}

/// The orders of which a commit of a subscriber says that it has heard.
fn orders_heard_of(commit: &Commit<'_>) -> Vec<String> {
    let rows = commit.rows.iter().filter(|row| row.value.is_some());
    let event_ids = rows.filter_map(|row| match (commit.node, &*row.table) {
        ("dataplatform", "facts") | ("notification", "sent") | ("ranking", "counted") => {
            Some(row.key.as_str())
        }
        _ => None,
    });
    let ids = event_ids.filter_map(|id| id.rsplit_once('-').map(|(order, _)| order.to_owned()));
    ids.collect()
}

/// Looks at executors: what they take at a time.
const BOUNDED: &str = "queues are bounded";

/// Looks at executors: what their jobs wait for.
const APART: &str = "a slow subscriber starves no other";

/// Watches what executors come to.
pub fn watch_load(sim: &Sim, load: &Load) {
    for inside in [BOUNDED, APART] {
        sim.inside(inside);
    }
    let bounded = load.clone();
    sim.finally(BOUNDED, SAGAS_END, move |_, findings| {
        let Peaks { executors, .. } = bounded.peaks();
        for (name, (size, running, queued)) in executors {
            if running > size.max {
                findings.broken(
                    "too many at once",
                    &[name],
                    format!("at most {} jobs at once", size.max),
                    running.to_string(),
                );
            }
            if queued > size.queue {
                findings.broken(
                    "queue",
                    &[name],
                    format!("at most {} jobs wait", size.queue),
                    queued.to_string(),
                );
            }
        }
    });
    let apart = load.clone();
    sim.finally(APART, SAGAS_END, move |_, findings| {
        for (kind, waited) in apart.peaks().starved {
            if waited > STARVED {
                findings.broken(
                    "in another's way",
                    &[kind],
                    format!("at most {STARVED:?} while none of its jobs ran"),
                    format!("{waited:?}"),
                );
            }
        }
    });
}
