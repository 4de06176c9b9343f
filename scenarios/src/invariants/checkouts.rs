//! Checkouts: each ends completed or fully undone, at a price that was true, within its time, and stays what was told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use squall::{Client, Sim, check::Findings, time::VirtualTime};
use squall_services::{
    checkout::orders::store::{CheckoutData, FACTS, ORDERS, OrderRow, SAGAS},
    kit::{
        reservation::ReservationState,
        saga::{
            SagaRecord, Status as SagaStatus,
            facts::{self, FactRow},
        },
    },
    orchestration::orders::model::Status,
};

use crate::{
    invariants::balances::Books,
    invariants::{
        dues::Dues,
        orders::{DURABLE, PRICE},
        prices::Prices,
        sagas::{self, JOURNAL_ENDS, SAGAS_END},
        stock::Stock,
    },
    lock,
    person::Asked,
    table_view::{Change, TableView},
};

/// How much later than its deadline a saga may intend a step, and still go on from it.
const GRACE: Duration = Duration::from_secs(5);

/// Looks into the journal: when it turns back.
const LATE: &str = "a saga that is late turns back";

/// Looks into the event store.
const READ_SIDE: &str = "the read side is what the events say";

/// The checkout service as committed.
pub struct Orders {
    /// By id.
    pub orders: TableView<OrderRow>,
    /// By id.
    pub sagas: TableView<SagaRecord<CheckoutData>>,
    facts: TableView<FactRow<CheckoutData>>,
    /// Each saga as its facts tell it.
    folded: BTreeMap<String, Option<SagaRecord<CheckoutData>>>,
    prices: Prices,
    /// What is to be paid for each.
    dues: Dues,
    /// When each checkout was first asked for.
    asked: Asked,
    /// The orders that each client operation has made.
    made_by: BTreeMap<String, Vec<String>>,
    /// When, and in which life of the process, each saga and the step that it is at began.
    began: BTreeMap<String, (VirtualTime, u64, VirtualTime)>,
    /// What clients were told: orders that are complete.
    told: Vec<String>,
}

/// How often the checkout service has been started.
#[derive(Clone, Default)]
pub struct Lives(Arc<AtomicU64>);

impl Lives {
    /// One more.
    pub fn begin(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Watches the nodes `"checkout"` and `"catalog"`. `deadline` is the sagas'.
pub fn watch(sim: &Sim, deadline: Duration, lives: &Lives) -> Arc<Mutex<Orders>> {
    let asked = Asked::default();
    let orders = Arc::new(Mutex::new(Orders {
        orders: TableView::new("checkout", ORDERS),
        sagas: TableView::new("checkout", SAGAS),
        facts: TableView::new("checkout", FACTS),
        folded: BTreeMap::new(),
        prices: Prices::new(&asked),
        dues: Dues::default(),
        asked,
        made_by: BTreeMap::new(),
        began: BTreeMap::new(),
        told: Vec::new(),
    }));
    sagas::declare(sim);
    sim.inside(LATE);
    sim.inside(READ_SIDE);
    let (follow, lives) = (orders.clone(), lives.clone());
    sim.always("one key, one effect", move |commit, findings| {
        let orders = &mut *lock(&follow);
        orders.prices.follow(commit, findings.now());
        let sagas = orders.sagas.follow(commit);
        for change in &sagas {
            if let Some(saga) = change.after() {
                sagas::judge_course(&saga.id, &saga.into(), findings);
            }
            orders.judge_time(change, (deadline, lives.count()), findings);
        }
        let told_by_facts = orders.fold(commit);
        for change in orders.orders.follow(commit) {
            let Some(order) = change.after() else {
                findings.broken_as(
                    "an order goes its way",
                    "gone",
                    &[change.key],
                    "an order that was there stays there",
                    "it is there no more",
                );
                continue;
            };
            let due = order.more.payable(order.total);
            orders.dues.follow(&order.id, due, findings);
            if let Some(before) = change.before()
                && before.status.toward(order.status).is_err()
            {
                findings.broken_as(
                    "an order goes its way",
                    "forbidden transition",
                    &[&order.id],
                    format!("what may follow {:?}", before.status),
                    format!("{:?}", order.status),
                );
            }
            if change.before().is_none() {
                orders.judge_price(order, &commit.scope.op, findings);
                orders.judge_once(order, &commit.scope.op, findings);
            }
        }
        for saga_id in told_by_facts {
            orders.judge_read_side(&saga_id, findings);
        }
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
        let open = |order: &&OrderRow| !order.status.next().is_empty();
        for order in orders.orders.values().filter(open) {
            findings.broken(
                "order left open",
                &[&order.id],
                "an order that has ended",
                format!("{:?}", order.status),
            );
        }
    });
    let kept = orders.clone();
    sim.finally(DURABLE, SAGAS_END, move |_, findings| {
        let orders = lock(&kept);
        for id in &orders.told {
            if let Some(found) = orders.contradiction(id) {
                findings.broken("told otherwise", &[id], "Completed, as told", found);
            }
        }
    });
    orders
}

/// The orders that an operation has made and that were not cancelled.
pub fn alive(orders: &Mutex<Orders>, op: &str) -> Vec<String> {
    let orders = lock(orders);
    let made = orders.made_by.get(op).into_iter().flatten();
    let alive = made.filter(|id| {
        let order = orders.orders.get(id);
        order.is_some_and(|order| order.status != Status::Cancelled)
    });
    alive.cloned().collect()
}

/// Where clients note what they ask for.
pub fn asked(orders: &Mutex<Orders>) -> Asked {
    lock(orders).asked.clone()
}

/// A client is told that an order is complete: it must be so already, and stay so.
pub fn told(orders: &Mutex<Orders>, client: &Client, order_id: &str) {
    let mut orders = lock(orders);
    let contradiction = orders.contradiction(order_id);
    orders.told.push(order_id.to_owned());
    drop(orders);
    if let Some(found) = contradiction {
        client.broken(
            DURABLE,
            "told too early",
            &[order_id],
            "Completed, as told",
            found,
        );
    }
}

impl Orders {
    fn contradiction(&self, order_id: &str) -> Option<String> {
        let found = self.orders.get(order_id).map(|order| order.status);
        (found != Some(Status::Completed))
            .then(|| found.map_or("no such order".to_owned(), |status| format!("{status:?}")))
    }

    /// The price is the catalog's, of a version that was valid between the request and the order.
    fn judge_price(&self, order: &OrderRow, op: &str, findings: &mut Findings) {
        let version = self.prices.version(&order.sku, order.price_version);
        let price = version.map(|version| version.price);
        let due = (order.unit_price * order.quantity).checked_sub(order.discount);
        if price != Some(order.unit_price) || due != Some(order.total) {
            findings.broken_as(
                PRICE,
                "another price",
                &[&order.id],
                format!(
                    "{price:?} (version {}) × {} − {}",
                    order.price_version, order.quantity, order.discount
                ),
                format!("{} at {} each", order.total, order.unit_price),
            );
        }
        let version = (order.sku.as_str(), order.price_version);
        self.prices
            .judge_time((PRICE, "an old price"), &order.id, version, op, findings);
    }

    fn judge_once(&mut self, order: &OrderRow, op: &str, findings: &mut Findings) {
        let made = self.made_by.entry(op.to_owned()).or_default();
        if made.contains(&order.id) {
            return;
        }
        made.push(order.id.clone());
        let live = |id: &&String| {
            let order = self.orders.get(id);
            order.is_some_and(|order| order.status != Status::Cancelled)
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

    /// A saga that is late turns back: within one life of its process, it goes on from no step that was intended after
    /// its deadline.
    fn judge_time(
        &mut self,
        change: &Change<SagaRecord<CheckoutData>>,
        (deadline, life): (Duration, u64),
        findings: &mut Findings,
    ) {
        let Some(saga) = change.after() else { return };
        let now = findings.now();
        let (began, first_life, intended) = *self
            .began
            .entry(saga.id.clone())
            .or_insert((now, life, now));
        let moved = change
            .before()
            .is_some_and(|before| before.steps.len() < saga.steps.len());
        if !moved {
            return;
        }
        let onward = saga.refusal.is_none();
        let late = intended.since(began) > deadline + GRACE;
        let before_pivot = change.before().is_some_and(|before| {
            before.step("order-confirm").is_none() && before.status == SagaStatus::Running
        });
        if onward && late && before_pivot && first_life == life {
            findings.broken_as(
                LATE,
                "goes on",
                &[&saga.id],
                format!("it turns back {deadline:?} after {began}"),
                format!("a step intended at {intended}, and the saga went on"),
            );
        }
        self.began.insert(saga.id.clone(), (began, first_life, now));
    }

    /// Takes over what a commit adds to the event store; the sagas concerned.
    fn fold(&mut self, commit: &squall::check::Commit<'_>) -> Vec<String> {
        let mut sagas = Vec::new();
        for change in self.facts.follow(commit) {
            let id = change.key.split('/').next().unwrap_or_default().to_owned();
            if let (None, Some(row)) = (change.before(), change.after()) {
                let saga = self.folded.entry(id.clone()).or_default();
                facts::apply(saga, row.fact.clone());
            }
            sagas.push(id);
        }
        sagas.dedup();
        sagas
    }

    /// What is projected is what the events say.
    fn judge_read_side(&self, saga_id: &str, findings: &mut Findings) {
        let Some(Some(folded)) = self.folded.get(saga_id) else {
            return;
        };
        let order = OrderRow::of(folded);
        let agrees =
            self.sagas.get(saga_id) == Some(folded) && self.orders.get(&order.id) == Some(&order);
        if !agrees {
            findings.broken_as(
                READ_SIDE,
                "differs",
                &[saga_id, &order.id],
                format!("{:?}, as the events say", order.status),
                format!("{:?}", self.orders.get(&order.id).map(|order| order.status)),
            );
        }
    }
}

/// Judges orders against stock, balances and coupons: whoever has ended completed has bought, whoever was cancelled
/// has nothing, and nothing is held or spent for nobody.
pub fn watch_books(
    sim: &Sim,
    orders: &Arc<Mutex<Orders>>,
    stock: &Arc<Mutex<Stock>>,
    books: &Arc<Mutex<Books>>,
) {
    let (orders_too, spent) = (orders.clone(), books.clone());
    sim.always(PRICE, move |commit, findings| {
        if commit.node != "user" {
            return;
        }
        let (orders, books) = (lock(&orders_too), lock(&spent));
        for row in commit
            .rows
            .iter()
            .filter(|row| row.table == "balance_reservations")
        {
            let Some(reservation) = books.balances.get(&row.key) else {
                continue;
            };
            let order = orders.orders.get(&reservation.order_id);
            if let Some(order) = order
                && reservation.amount != orders.dues.of(&order.id)
                && reservation.state != ReservationState::Released
            {
                findings.broken(
                    "another amount",
                    &[&order.id],
                    format!("{} won, as ordered", orders.dues.of(&order.id)),
                    format!("{} won reserved", reservation.amount),
                );
            }
        }
    });
    let (orders, stock, books) = (orders.clone(), stock.clone(), books.clone());
    sim.finally(
        "completed or fully undone",
        SAGAS_END,
        move |_, findings| {
            let (orders, stock, books) = (lock(&orders), lock(&stock), lock(&books));
            let mut sagas: Vec<&str> = orders.orders.values().map(|o| o.saga_id.as_str()).collect();
            let held = stock.reservations.iter().map(|(saga, _)| saga);
            let held = held.chain(books.balances.iter().map(|(saga, _)| saga));
            sagas.extend(held.chain(books.used.iter().map(|(saga, _)| saga)));
            sagas.sort_unstable();
            sagas.dedup();
            for saga_id in sagas {
                let order = orders
                    .orders
                    .values()
                    .find(|order| order.saga_id == saga_id);
                let status = order.map(|order| order.status);
                if status.is_some_and(|status| !status.next().is_empty()) {
                    continue;
                }
                let id = order.map_or(saga_id, |order| order.id.as_str());
                let due = order.filter(|order| order.status == Status::Completed);
                let units = stock.reservations.get(saga_id);
                let units = units.filter(|r| r.state != ReservationState::Released);
                let money = books.balances.get(saga_id);
                let money = money.filter(|r| r.state != ReservationState::Released);
                let coupon = books.used.get(saga_id);
                let coupon = coupon.filter(|r| r.state != ReservationState::Released);
                let bought = ReservationState::Confirmed;
                let found = [
                    ("stock", units.map(|r| (r.quantity.to_string(), r.state))),
                    ("balance", money.map(|r| (r.amount.to_string(), r.state))),
                    ("coupon", coupon.map(|r| (r.coupon.clone(), r.state))),
                ];
                let expected = [
                    due.map(|order| (order.quantity.to_string(), bought)),
                    due.map(|order| (orders.dues.of(&order.id).to_string(), bought)),
                    due.and_then(|order| order.coupon.clone())
                        .map(|c| (c, bought)),
                ];
                for ((what, found), expected) in found.into_iter().zip(expected) {
                    if found != expected {
                        let tag = match expected.is_some() {
                            true => "not paid",
                            false => "not undone",
                        };
                        findings.broken(
                            tag,
                            &[id, what],
                            format!("{expected:?} for {status:?}"),
                            format!("{found:?}"),
                        );
                    }
                }
            }
        },
    );
}

/// How many facts a run has recorded, and how many checkouts ended how.
pub fn counts(truth: &squall::check::Truth) -> Vec<(&'static str, u64)> {
    let mut counts = sagas::saga_counts(truth, "checkout");
    counts.push(("facts", truth.rows("checkout", FACTS.name).count() as u64));
    counts.push((
        "coupons issued",
        truth.rows("coupon", "coupons").count() as u64,
    ));
    counts
}
