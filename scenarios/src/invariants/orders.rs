//! Orders and their sagas: everything ends, nothing is paid and forgotten, nothing that was refused is done.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde::Deserialize;
use squall::{
    Sim,
    check::{Findings, Goal},
};
use squall_services::{
    kit::{Code, Table},
    orchestration::orders::{
        model::Status,
        store::{KEYS, Kind, ORDERS, OrderRow},
    },
    shared::inventory::model::ReservationState,
};

use super::{
    dues::Dues,
    money::Money,
    prices::Prices,
    sagas::{self, COURSES, Course, JOURNAL_ENDS, SAGAS_END, Traces},
    stock::Stock,
};
use crate::{
    lock,
    person::Asked,
    table_view::{Change, TableView},
};

/// The order service as committed.
pub struct Orders {
    /// By id.
    pub orders: TableView<OrderRow>,
    /// By id.
    pub sagas: TableView<Course>,
    /// What is kept under the clients' keys.
    keys: TableView<Kept>,
    prices: Prices,
    /// What is to be paid for each.
    dues: Dues,
    /// When the orders' operations were first asked for.
    pub(super) asked: Asked,
    /// The orders that each client operation has made.
    made_by: BTreeMap<String, Vec<String>>,
    /// The operation that each order was made by.
    op_of: BTreeMap<String, String>,
    /// The operations that were refused for good.
    pub(super) refused: BTreeMap<String, Code>,
    /// An order is of a price that was not asked yet when it was asked for.
    pub(super) price_moved: Goal,
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
        orders: TableView::new(node, ORDERS),
        sagas: TableView::new(node, COURSES),
        keys: TableView::new(node, Table::new(KEYS.name)),
        prices: Prices::new(&asked),
        dues: Dues::default(),
        asked,
        made_by: BTreeMap::new(),
        op_of: BTreeMap::new(),
        refused: BTreeMap::new(),
        price_moved: Goal::default(),
        traces: Traces::default(),
    }));
    sagas::declare(sim);
    sim.inside(sagas::TRACE);
    sim.inside(KEYS_KEPT);
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
                findings.broken_as(
                    "an order that was made is there ever after",
                    "gone",
                    &[change.key],
                    "the order, whatever has become of it",
                    "nothing",
                );
                continue;
            };
            let due = order.more.payable(order.total);
            orders.dues.follow(&order.id, due, findings);
            match change.before() {
                None if orders.op_of.contains_key(&order.id) => {}
                None if !commit.scope.op.is_empty() => {
                    let op = &commit.scope.op;
                    orders.op_of.insert(order.id.clone(), op.clone());
                    let made = orders.made_by.entry(op.clone()).or_default();
                    made.push(order.id.clone());
                    ops.push(op.clone());
                    orders.judge_time(order, op, findings);
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
            if change.before().map(|before| before.status) != Some(order.status) {
                orders.judge_refused(order, findings);
            }
        }
        for op in ops {
            let live = orders.live(&op);
            if live.len() > 1 {
                findings.broken(
                    "ordered twice",
                    &live,
                    format!("one order for {op}"),
                    format!("{}", live.len()),
                );
            }
            let intent = op.trim_end_matches(OTHER_DEVICE);
            let other = format!("{intent}{OTHER_DEVICE}");
            let (mut both, others) = (orders.live(intent), orders.live(&other));
            if !both.is_empty() && !others.is_empty() {
                both.extend(others);
                findings.broken_as(
                    INTENT,
                    "ordered twice",
                    &both,
                    format!("one order for the basket {intent}, whichever device asks"),
                    format!("{}", both.len()),
                );
            }
        }
        orders.traces.judge(commit, findings);
    });

    let ended = orders.clone();
    sim.finally(sagas::JOURNAL, JOURNAL_ENDS, move |_, findings| {
        let orders = lock(&ended);
        let sagas = orders.sagas.iter().map(|(id, saga)| (id, saga.status));
        sagas::judge_ended(sagas, findings);
    });
    let ended = orders.clone();
    sim.finally("every order ends", JOURNAL_ENDS, move |_, findings| {
        let orders = lock(&ended);
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
    /// The orders of an operation that have not come to nothing.
    fn live(&self, op: &str) -> Vec<&str> {
        let live = |id: &&String| {
            let order = self.orders.get(id);
            order.is_some_and(|order| order.status != Status::Cancelled)
        };
        let made = self.made_by.get(op).into_iter().flatten();
        made.filter(live).map(String::as_str).collect()
    }

    /// An order of this operation that has come, or will come, to what was wanted.
    pub(super) fn done(&self, op: &str) -> Option<(&str, Status)> {
        let made = self.made_by.get(op).into_iter().flatten();
        let orders = made.filter_map(|id| self.orders.get(id));
        let mut done = orders.filter(|order| is_done(order.status));
        done.next().map(|order| (&*order.id, order.status))
    }

    /// An order whose operation was refused for good must not come to what was wanted.
    fn judge_refused(&self, order: &OrderRow, findings: &mut Findings) {
        let op = self.op_of.get(&order.id);
        let refused = op.and_then(|op| Some((op, self.refused.get(op)?)));
        if let Some((op, code)) = refused.filter(|_| is_done(order.status)) {
            findings.broken_as(
                REFUSED,
                "done all the same",
                &[op, &order.id],
                format!("no order, as told ({code:?})"),
                format!("{:?}", order.status),
            );
        }
    }

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
            if self.prices.is_newer(version, op) {
                self.price_moved.hit();
            }
            self.prices
                .judge_time((PRICE, "an old price"), &order.id, version, op, findings);
        }
    }
}

/// Whether an order has come to what was wanted, or is bound to.
fn is_done(status: Status) -> bool {
    matches!(status, Status::Confirmed | Status::Completed)
}

/// What the checks look at of a [`KeyRow`](squall_services::orchestration::orders::store::KeyRow).
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
        findings.broken_as(
            KEYS_KEPT,
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
        for (op, code) in &orders.refused {
            let made = orders.made_by.get(op).into_iter().flatten();
            let taken = |id: &&String| balances.get(id.as_str()).is_some_and(|b| b.taken > 0);
            if let Some(id) = made.clone().find(taken) {
                findings.broken_as(
                    REFUSED,
                    "paid all the same",
                    &[op, id],
                    format!("nothing taken, as told ({code:?})"),
                    format!("{} taken", balances[id.as_str()].taken),
                );
            }
        }
        for (reference, balance) in &balances {
            let order = orders.orders.get(reference);
            let due = match order {
                Some(order) if order.status == Status::Completed => {
                    orders.dues.of(&order.id) as i64
                }
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
                    format!("{} taken", orders.dues.of(&order.id)),
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

/// What an order costs.
pub const PRICE: &str = "price charged = unit price × quantity − discount";

/// The invariant that promises are held to.
pub const DURABLE: &str = "acknowledged is durable";

/// The invariant that refusals are held to.
pub const REFUSED: &str = "what was refused for good never happens";

/// The invariant that each client is owed an answer.
pub const ANSWERED: &str = "whoever asks again is answered, promptly and alike";

/// The invariant that a basket is held to, whatever its keys.
pub const INTENT: &str = "one intent, one effect";

/// Looks into the table of the order service's keys.
const KEYS_KEPT: &str = "the keys' table keeps no refusal that would not last";

/// What the operation's label ends with where the same basket is asked for from another device.
pub const OTHER_DEVICE: char = 't';
