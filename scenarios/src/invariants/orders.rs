//! Orders and their sagas: everything ends, nothing is paid and forgotten, what was told stays true.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde::Deserialize;
use squall::{Client, Sim, check::Findings};
use squall_services::{
    inventory::model::ReservationState,
    kit::{Code, Table},
    order::{
        model::Status,
        store::{KEYS, Kind, ORDERS, OrderRow},
    },
};

use super::{
    money::Money,
    prices::{Asked, Prices},
    sagas::{self, COURSES, Course, JOURNAL_ENDS, SAGAS_END, Traces},
    stock::Stock,
};
use crate::{
    lock,
    mirror::{Change, Mirror},
};

/// The order service as committed.
pub struct Orders {
    /// By id.
    pub orders: Mirror<OrderRow>,
    /// By id.
    pub sagas: Mirror<Course>,
    /// What is kept under the clients' keys.
    keys: Mirror<Kept>,
    prices: Prices,
    /// When the orders' operations were first asked for.
    asked: Asked,
    /// The orders that each client operation has made.
    made_by: BTreeMap<String, Vec<String>>,
    /// The trace that each saga belongs to.
    traces: Traces,
}

/// Watches the nodes `"order"` and `"catalog"`.
pub fn watch(sim: &Sim) -> Arc<Mutex<Orders>> {
    watch_at(sim, "order")
}

/// Watches the orders whose database is on `node`, and the node `"catalog"`.
pub fn watch_at(sim: &Sim, node: &'static str) -> Arc<Mutex<Orders>> {
    let asked = Asked::default();
    let orders = Arc::new(Mutex::new(Orders {
        orders: Mirror::new(node, ORDERS),
        sagas: Mirror::new(node, COURSES),
        keys: Mirror::new(node, Table::new(KEYS.name)),
        prices: Prices::new(&asked),
        asked,
        made_by: BTreeMap::new(),
        traces: Traces::default(),
    }));
    let follow = orders.clone();
    sim.always("one key, one effect", move |commit, findings| {
        let orders = &mut *lock(&follow);
        orders.prices.follow(commit, findings.now());
        sagas::follow(&mut orders.sagas, commit, findings);
        for change in orders.keys.follow(commit) {
            judge_key(&change, findings);
        }
        let mut ops = Vec::new();
        for change in orders.orders.follow(commit) {
            let Some(order) = change.after() else {
                continue;
            };
            match change.before() {
                None if !commit.scope.op.is_empty() => {
                    let made = orders.made_by.entry(commit.scope.op.clone()).or_default();
                    made.push(order.id.clone());
                    ops.push(commit.scope.op.clone());
                    orders.judge_time(order, &commit.scope.op, findings);
                }
                Some(before) if before.status.toward(order.status).is_err() => findings.broken_as(
                    "an order goes its way",
                    "forbidden transition",
                    &[&order.id],
                    format!("what may follow {:?}", before.status),
                    format!("{:?}", order.status),
                ),
                _ => {}
            }
            if change
                .before()
                .is_none_or(|before| terms(before) != terms(order))
            {
                orders.judge_price(order, findings);
            }
        }
        for op in ops {
            let made = &orders.made_by[&op];
            let live = |id: &&String| {
                orders
                    .orders
                    .get(id)
                    .is_some_and(|o| o.status != Status::Cancelled)
            };
            let live: Vec<&str> = made.iter().filter(live).map(String::as_str).collect();
            if live.len() > 1 {
                findings.broken(
                    "ordered twice",
                    &live,
                    format!("one order for {op}"),
                    format!("{}", live.len()),
                );
            }
        }
        orders.traces.judge(commit, findings);
    });

    let ended = orders.clone();
    sim.finally("every saga ends", JOURNAL_ENDS, move |_, findings| {
        let orders = lock(&ended);
        let sagas = orders.sagas.iter().map(|(id, saga)| (id, saga.status));
        sagas::judge_ended(sagas, findings);
        for order in orders.orders.values() {
            let ended = match order.status {
                Status::Completed | Status::Cancelled => true,
                Status::Confirmed => order.kind == Kind::Reward,
                _ => false,
            };
            if !ended {
                let found = format!("{:?}", order.status);
                findings.broken(
                    "order left open",
                    &[&order.id],
                    "an order that has ended",
                    found,
                );
            }
        }
    });
    orders
}

/// What is ordered, and what is asked for it.
fn terms(order: &OrderRow) -> (&str, Kind, [u64; 5]) {
    let numbers = [
        order.quantity,
        order.unit_price,
        order.price_version,
        order.discount,
        order.total,
    ];
    (&order.sku, order.kind, numbers)
}

impl Orders {
    /// A purchase costs what the catalog says.
    fn judge_price(&self, order: &OrderRow, findings: &mut Findings) {
        let version = self.prices.version(&order.sku, order.price_version);
        let price = version.map(|version| version.price);
        let asked = order.unit_price * order.quantity - order.discount;
        if order.kind == Kind::Purchase && (price != Some(order.unit_price) || order.total != asked)
        {
            findings.broken_as(
                PRICE,
                "another price",
                &[&order.id],
                format!(
                    "{price:?} (version {}) × {}",
                    order.price_version, order.quantity
                ),
                format!("{} for {} each", order.total, order.unit_price),
            );
        }
    }

    /// The price of a purchase is of a version that was valid between the request and the order.
    fn judge_time(&self, order: &OrderRow, op: &str, findings: &mut Findings) {
        if order.kind == Kind::Purchase {
            let version = (order.sku.as_str(), order.price_version);
            self.prices
                .judge_time((PRICE, "an old price"), &order.id, version, op, findings);
        }
    }
}

/// What the checks look at of a [`KeyRow`](squall_services::order::store::KeyRow).
#[derive(Deserialize)]
struct Kept {
    state: KeptState,
}

#[derive(Deserialize)]
enum KeptState {
    InFlight {},
    Answered { answer: KeptAnswer },
    Cancelled,
}

#[derive(Deserialize)]
struct KeptAnswer {
    status: u16,
    body: KeptBody,
}

#[derive(Deserialize)]
struct KeptBody {
    code: Option<Code>,
}

/// Reports a key under which a refusal is kept that would not last.
fn judge_key(change: &Change<Kept>, findings: &mut Findings) {
    let Some(KeptState::Answered { answer }) = change.after().map(|row| &row.state) else {
        return;
    };
    if let Some(code) = answer.body.code.filter(|code| code.is_transient()) {
        findings.broken(
            "transient refusal kept",
            &[change.key],
            "an answer that stays true",
            format!("{} {code:?}", answer.status),
        );
    }
}

/// Judges orders against money: the three-way agreement of order, ledger and customer.
pub fn watch_money(sim: &Sim, orders: &Arc<Mutex<Orders>>, money: &Arc<Mutex<Money>>) {
    let (orders, money) = (orders.clone(), money.clone());
    sim.finally("no lost refund", SAGAS_END, move |_, findings| {
        let (orders, money) = (lock(&orders), lock(&money));
        let balances = money.balances();
        for (reference, balance) in &balances {
            let order = orders.orders.get(reference);
            let due = match order {
                Some(order) if order.status == Status::Completed => order.total as i64,
                _ => 0,
            };
            let status = order.map_or("an order that nobody knows".to_owned(), |o| {
                format!("{:?}", o.status)
            });
            if balance.taken != due {
                let tag = if balance.taken > due {
                    "money kept"
                } else {
                    "money missing"
                };
                findings.broken(
                    tag,
                    &[reference],
                    format!("{due} taken for {status}"),
                    format!("{} taken", balance.taken),
                );
            }
            if balance.held != 0 {
                findings.broken(
                    "hold left",
                    &[reference],
                    "no hold left",
                    format!("{} held, {status}", balance.held),
                );
            }
        }
        for order in orders.orders.values() {
            let due = order.kind == Kind::Purchase
                && order.status == Status::Completed
                && order.total > 0;
            if due && !balances.contains_key(order.id.as_str()) {
                findings.broken(
                    "never paid",
                    &[&order.id],
                    format!("{} taken", order.total),
                    "nothing",
                );
            }
        }
    });
}

/// Judges orders against stock: a saga that has ended holds nothing, and what was sold is what was ordered.
pub fn watch_stock(sim: &Sim, orders: &Arc<Mutex<Orders>>, stock: &Arc<Mutex<Stock>>) {
    let (sagas, held) = (orders.clone(), stock.clone());
    sim.finally("no leaked reservation", SAGAS_END, move |_, findings| {
        let (orders, stock) = (lock(&sagas), lock(&held));
        for reservation in stock.reservations.values() {
            let ended = orders
                .sagas
                .get(&reservation.saga_id)
                .is_some_and(|saga| saga.status.is_ended());
            if ended && reservation.state == ReservationState::Reserved {
                findings.broken(
                    "held by an ended saga",
                    &[&reservation.sku, &reservation.saga_id],
                    "confirmed or released units",
                    format!("{} still reserved", reservation.quantity),
                );
            }
        }
    });
    let (orders, stock) = (orders.clone(), stock.clone());
    sim.finally("no oversell", SAGAS_END, move |_, findings| {
        let (orders, stock) = (lock(&orders), lock(&stock));
        for product in stock.products.values() {
            let kept = |o: &&OrderRow| {
                o.sku == product.sku && matches!(o.status, Status::Completed | Status::Confirmed)
            };
            let ordered: u64 = orders
                .orders
                .values()
                .filter(kept)
                .map(|o| o.quantity)
                .sum();
            if ordered > product.units.stocked {
                findings.broken(
                    "oversold",
                    &[&product.sku],
                    format!(
                        "at most {} units in completed orders",
                        product.units.stocked
                    ),
                    ordered.to_string(),
                );
            }
            if ordered != product.units.sold {
                findings.broken(
                    "sold and ordered differ",
                    &[&product.sku],
                    format!("{ordered} units sold, as completed orders say"),
                    product.units.sold.to_string(),
                );
            }
        }
    });
}

/// What customers were told: states that an order never leaves, so they hold from that instant on.
pub struct Promises {
    orders: Arc<Mutex<Orders>>,
    asked: Asked,
    told: Mutex<Vec<(String, Status)>>,
}

impl Promises {
    /// Watches that every promise is kept to the end.
    pub fn watch(sim: &Sim, orders: &Arc<Mutex<Orders>>) -> Arc<Self> {
        let promises = Arc::new(Promises {
            orders: orders.clone(),
            asked: lock(orders).asked.clone(),
            told: Mutex::default(),
        });
        let kept = promises.clone();
        sim.finally(DURABLE, SAGAS_END, move |_, findings| {
            for (order_id, status) in lock(&kept.told).iter() {
                if let Some(found) = kept.contradiction(order_id, *status) {
                    findings.broken(
                        "told otherwise",
                        &[order_id],
                        format!("{status:?}, as told"),
                        found,
                    );
                }
            }
        });
        promises
    }

    /// Where customers note what they ask for.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// A customer is told that an order is in a state that it will never leave: it must be so already.
    pub fn told(&self, client: &Client, order_id: &str, status: Status) {
        if let Some(found) = self.contradiction(order_id, status) {
            client.broken(
                DURABLE,
                "told too early",
                &[order_id],
                format!("{status:?}, as told"),
                found,
            );
        }
        lock(&self.told).push((order_id.to_owned(), status));
    }

    fn contradiction(&self, order_id: &str, status: Status) -> Option<String> {
        let found = lock(&self.orders)
            .orders
            .get(order_id)
            .map(|order| order.status);
        (found != Some(status))
            .then(|| found.map_or("no such order".to_owned(), |s| format!("{s:?}")))
    }
}

/// What an order costs.
pub const PRICE: &str = "price charged = unit price × quantity − discount";

/// The invariant that promises are held to.
pub const DURABLE: &str = "acknowledged is durable";
