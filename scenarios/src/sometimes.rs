//! What should sometimes happen: the races and recoveries that a campaign has to have met before its silence counts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use squall::{Sim, check::Commit};
use squall_services::{
    order::{
        model::Status,
        store::{ORDERS, OrderRow},
    },
    payment::{Payment, Status as PaymentStatus},
};

use crate::{
    invariants::{money::Money, orders::Orders, stock::Stock},
    lock,
};

/// Told by whoever asked again and then got an answer.
pub const ANSWER_LOST: &str = "a request whose answer was lost was asked again and answered";

/// A saga went on that its last driver had left.
const RECOVERED: &str = "a saga was recovered";

/// An undo was asked that had been asked in vain.
const INSISTED: &str = "a compensation was asked again";

/// Told by whoever was refused an order for good: from then on it must not be.
pub const REFUSED: &str = "an order was refused for good, and held to that";

/// Told by whoever asked again once all was settled.
pub const LATE_ANSWER: &str = "somebody asked again once all was settled, and was answered";

/// Told by whoever bought in a rush once all was settled.
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

/// Whoever had the read side made anew was not answered.
pub const REBUILD_INTERRUPTED: &str = "a rebuild of the read side was interrupted";

/// What befalls sagas, on the nodes that drive them.
pub fn sagas(sim: &Sim, node: &'static str) {
    sim.sometimes_logged("a saga needed attention", node, "saga needs attention");
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    sim.sometimes_logged(RECOVERED, node, "saga resumed");
    sim.sometimes_logged_where(
        "a saga was recovered twice",
        node,
        "saga resumed",
        move |scope, _| {
            let times = times.entry(scope.saga_id.clone()).or_default();
            *times += 1;
            *times == 2
        },
    );
    sim.sometimes_logged("the outcome of a step was not known", node, "step unknown");
    sim.sometimes_logged(INSISTED, node, "undo unknown");
}

/// A replica died, or seemed to, and another one had its saga before it was back.
pub const TAKEN_OVER: &str = "a replica took over another one's saga";

/// A replica that was taken for dead was not, and went on until its next commit.
pub const FENCED_OFF: &str = "a replica that lost its saga was kept from a commit";

/// What befalls sagas that replicas drive.
pub fn replicas(sim: &Sim, nodes: &[&'static str]) {
    for node in nodes {
        sagas(sim, node);
        sim.sometimes_logged(TAKEN_OVER, node, "saga taken over");
        sim.sometimes_logged(FENCED_OFF, node, "saga lost");
    }
}

/// What befalls replicas that were taken for dead: they go on beside their successors, which have their names.
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

/// What befalls services and those of them that call others.
pub fn services(sim: &Sim, callers: &[&'static str]) {
    logged(sim, callers, &[("a breaker opened", "the breaker opened")]);
    deaths(sim);
    sim.goal(ANSWER_LOST);
}

/// What befalls databases.
pub fn deaths(sim: &Sim) {
    sim.sometimes(
        "a transaction was durable whose writer had died in it",
        |commit| !commit.acknowledged,
    );
}

/// What befalls stock, on the nodes that answer for it.
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

/// What befalls stock whose buyers give up before they are answered.
pub fn late_reserves(sim: &Sim, nodes: &[&'static str]) {
    logged(
        sim,
        nodes,
        &[("a reserve came after its cancel", "late reserve refused")],
    );
}

/// What befalls leases, on the nodes that work under them.
pub fn leases(sim: &Sim, holders: &[&'static str]) {
    let lasting = ("a lease ran out before it was released", "lease ran out");
    let waiting = ("somebody waited for a lease in vain", "lease refused");
    logged(sim, &["lock"], &[lasting, waiting]);
    let lost = ("a holder learned that its lease was lost", "lease lost");
    logged(sim, holders, &[lost]);
}

/// What befalls what is written under leases, on the nodes that write.
pub fn fences(sim: &Sim, writers: &[&'static str]) {
    let fenced = (
        "what was written under an old lease was fenced off",
        "write fenced off",
    );
    logged(sim, writers, &[fenced]);
}

/// What befalls events between their outbox and whoever handles them.
pub fn events(sim: &Sim, nodes: &[&'static str]) {
    logged(
        sim,
        nodes,
        &[
            ("an event was sent again", "outbox row failed"),
            ("an event was given up", "outbox row dead-lettered"),
            (
                "a dead letter was sent on its way again",
                "outbox row redriven",
            ),
        ],
    );
}

fn logged(sim: &Sim, nodes: &[&'static str], all: &[(&'static str, &'static str)]) {
    for node in nodes {
        for (name, message) in all {
            sim.sometimes_logged(name, node, message);
        }
    }
}

/// What befalls money.
pub fn money(sim: &Sim, orders: &Arc<Mutex<Orders>>, money: &Arc<Mutex<Money>>) {
    sim.sometimes_logged(
        "a payment could not be settled at once",
        "payment",
        "payment not settled yet",
    );
    for (name, message) in [
        ("a hold was given up", "payment voided"),
        ("a charge was paid back", "payment refunded"),
    ] {
        // A cancel that came before its payment gives up nothing.
        let something = |fields: &str| fields.split(' ').all(|field| field != "amount=0");
        sim.sometimes_logged_where(name, "payment", message, move |_, fields| something(fields));
    }
    let (raced, taking) = (orders.clone(), money.clone());
    sim.sometimes("a cancel raced a capture", move |commit| {
        let money = lock(&taking);
        let is_taken = |order: &OrderRow| {
            let of_order = |p: &&Payment| p.saga_id == order.saga_id;
            let payment = money.payments.values().find(of_order);
            payment.is_some_and(|p| {
                matches!(p.status, PaymentStatus::Capturing | PaymentStatus::Charging)
            })
        };
        turning_back(commit, &lock(&raced)).any(is_taken)
    });
    let orders = orders.clone();
    sim.sometimes("a customer cancelled in mid-saga", move |commit| {
        let by_customer = |order: &OrderRow| {
            let refusal = order.refusal.as_ref();
            refusal.is_some_and(|problem| problem.detail == "cancelled by the user")
        };
        turning_back(commit, &lock(&orders)).any(by_customer)
    });
}

/// What befalls rewards.
pub fn rewards(sim: &Sim, orders: &Arc<Mutex<Orders>>) {
    let orders = orders.clone();
    sim.sometimes(
        "a product left the shelves while a reward of it was under way",
        move |commit| {
            let gone = |row: &squall::trace::Row| {
                let value = row.value.as_deref().unwrap_or_default();
                String::from_utf8_lossy(value).contains("\"on_sale\":false")
            };
            let mut products = commit
                .rows
                .iter()
                .filter(|row| commit.node == "catalog" && row.table == "products" && gone(row));
            products.any(|row| {
                let orders = lock(&orders);
                let mut orders = orders.orders.values();
                orders.any(|order| order.sku == row.key && order.status == Status::Pending)
            })
        },
    );
}

/// The orders that a commit has changed and that are being cancelled after it.
fn turning_back<'a>(
    commit: &'a Commit<'_>,
    orders: &'a Orders,
) -> impl Iterator<Item = &'a OrderRow> {
    let rows = commit.rows.iter();
    rows.filter(|row| commit.node == "order" && row.table == ORDERS.name)
        .filter_map(|row| orders.orders.get(&row.key))
        .filter(|order| order.status == Status::Cancelling)
}

/// Counts how often a healer was needed: a saga recovered, a compensation insisted on, a product swept.
pub fn healers(sim: &Sim, stock: &Arc<Mutex<Stock>>) {
    let (recovered, insisted) = (sim.goal(RECOVERED), sim.goal(INSISTED));
    let stock = stock.clone();
    sim.at_end(move |_| {
        vec![
            ("healed: compensations asked again", insisted.hits()),
            ("healed: products swept", lock(&stock).swept),
            ("healed: sagas recovered", recovered.hits()),
        ]
    });
}
