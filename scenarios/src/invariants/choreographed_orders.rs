//! Choreographed orders: completed is everything and cancelled is nothing, only users order, and at the catalog's price.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{
    Sim,
    check::{Commit, Findings, Truth},
};
use squall_services::{
    choreography::{
        DELIVERY_COMPLETED, DELIVERY_STARTED, ORDER_CREATED,
        delivery::{
            model::State,
            store::{SHIPMENTS, Shipment},
        },
        orders::store::{ORDERS, Order, Status},
        stock::{FENCES, OUT_OF_STOCK, STOCK},
    },
    kit::{bulkhead::Permits, reservation::ReservationState},
    shared::user::store::{USERS, User},
};

use crate::{
    invariants::{
        dues::Dues,
        leases,
        money::{self, Balance, Money},
        prices::Prices,
        purchases::{Holdings, Messages, Told},
    },
    lock,
    person::Asked,
    table_view::TableView,
};

/// What is said may wait in an outbox for six minutes; a minute for its effects.
const SETTLED: Duration = Duration::from_secs(7 * 60);

const WHOLE: &str = "an order is everything or nothing";
const ONCE: &str = "every consumer's effect happens once per event";
const PRICE: &str = "price charged = unit price × quantity";
const USERS_ONLY: &str = "only users order";
const REFUND: &str = "no lost refund";

/// The services as committed.
struct Orders {
    orders: TableView<Order>,
    users: TableView<User>,
    prices: Prices,
    /// What is to be paid for each order.
    dues: Dues,
    stock: Holdings,
    fences: TableView<u64>,
    shipments: TableView<Shipment>,
    messages: Messages,
    /// The orders that each client operation has made.
    made_by: BTreeMap<String, Vec<String>>,
}

/// Watches the nodes of the scenario; what buyers are told is to be told to the answer, and when they first `asked` is
/// noted there.
pub fn watch(sim: &Sim, permits: &Permits, asked: &Asked) -> Arc<Told> {
    let money = money::watch(sim, permits, SETTLED);
    let orders = Arc::new(Mutex::new(Orders {
        orders: TableView::new("order", ORDERS),
        users: TableView::new("user", USERS),
        prices: Prices::new(asked),
        dues: Dues::default(),
        stock: Holdings::new("inventory", &STOCK),
        fences: TableView::new("inventory", FENCES),
        shipments: TableView::new("delivery", SHIPMENTS),
        messages: Messages::default(),
        made_by: BTreeMap::new(),
    }));

    let follow = orders.clone();
    sim.always("stock adds up", move |commit, findings| {
        lock(&follow).follow(commit, findings);
    });

    let ended = orders.clone();
    sim.finally("every order ends", SETTLED, move |_, findings| {
        for order in lock(&ended).orders.values() {
            if order.status == Status::Pending {
                let ends = "Completed or Cancelled";
                findings.broken("left pending", &[&order.id], ends, "Pending");
            }
        }
    });

    let whole = orders.clone();
    sim.finally(WHOLE, SETTLED, move |_, findings| {
        lock(&whole).judge_whole(findings);
    });

    let paid = orders.clone();
    sim.finally(REFUND, SETTLED, move |_, findings| {
        lock(&paid).judge_money(&lock(&money), findings);
    });

    let once = orders.clone();
    sim.finally(ONCE, SETTLED, move |_, findings| {
        lock(&once).judge_messages(findings);
    });

    let made = orders.clone();
    let alive = move |op: &str| lock(&made).alive(op);
    let found = move |id: &str| {
        let orders = lock(&orders);
        orders.orders.get(id).map(|order| order.status)
    };
    Told::watch(sim, found, alive)
}

impl Orders {
    fn follow(&mut self, commit: &Commit<'_>, findings: &mut Findings) {
        self.users.keep(commit);
        self.prices.follow(commit, findings.now());
        self.shipments.keep(commit);
        self.stock.follow(commit, findings);
        for change in self.fences.follow(commit) {
            let token = |at: Option<&u64>| at.copied().unwrap_or(0);
            let tokens = (token(change.before()), token(change.after()));
            leases::judge_fence(change.key, tokens, findings);
        }
        for change in self.orders.follow(commit) {
            if let Some(order) = change.after() {
                let due = order.more.payable(order.amount);
                self.dues.follow(&order.id, due, findings);
            }
            match (change.before(), change.after()) {
                (None, Some(order)) => {
                    let made = self.made_by.entry(commit.scope.op.clone()).or_default();
                    made.push(order.id.clone());
                    self.judge_new(order, &commit.scope.op, findings);
                }
                (Some(before), Some(after)) => judge_step(before, after, findings),
                _ => {}
            }
        }
        self.messages.follow(commit, ONCE, findings);
    }

    /// The orders that an operation has made and that were not cancelled: one at most.
    fn alive(&self, op: &str) -> Vec<String> {
        let made = self.made_by.get(op).into_iter().flatten();
        let alive = made.filter(|id| {
            let order = self.orders.get(id);
            order.is_some_and(|order| order.status != Status::Cancelled)
        });
        alive.cloned().collect()
    }

    /// Somebody known ordered, at a price that the catalog had between the request and the order.
    fn judge_new(&self, order: &Order, op: &str, findings: &mut Findings) {
        let (id, product) = (order.id.as_str(), &order.product);
        if self.users.get(&order.user_id).is_none() {
            let found = format!("an order of {}", order.user_id);
            findings.broken_as(USERS_ONLY, "ordered by nobody", &[id], "a user", found);
        }
        let version = (product.product_id.as_str(), product.price_version);
        let offered = self.prices.version(version.0, version.1);
        let price = offered.map(|version| version.price);
        let due = price.map(|price| price * order.quantity);
        if due != Some(order.amount) || price != Some(product.unit_price) {
            findings.broken_as(
                PRICE,
                "another price",
                &[id],
                format!("{due:?} won, at {price:?} a unit"),
                format!("{} won, at {} a unit", order.amount, product.unit_price),
            );
        }
        self.prices
            .judge_time((PRICE, "an old price"), id, version, op, findings);
    }

    fn judge_whole(&self, findings: &mut Findings) {
        let open = |state| {
            matches!(
                state,
                ReservationState::Reserved | ReservationState::Confirmed
            )
        };
        for (id, hold) in self.stock.holds.iter() {
            if open(hold.state) && self.orders.get(id).is_none() {
                findings.broken("held for nothing", &[id], "an order", "none");
            }
        }
        for order in self.orders.values() {
            let bought = match order.status {
                Status::Pending => continue,
                Status::Completed => true,
                Status::Cancelled => false,
            };
            let id = order.id.as_str();
            let hold = self.stock.holds.get(id);
            let stock = match bought {
                true => hold.is_some_and(|hold| {
                    hold.state == ReservationState::Confirmed && hold.quantity == order.quantity
                }),
                false => hold.is_none_or(|hold| !open(hold.state)),
            };
            if !stock {
                let tag = match bought {
                    true => "completed, stock not taken",
                    false => "cancelled, stock not back",
                };
                let expected = format!("{} units for {:?}", order.quantity, order.status);
                findings.broken(tag, &[id], expected, format!("{hold:?}"));
            }
            let shipment = self.shipments.get(id).map(|shipment| shipment.state);
            let delivered = match bought {
                true => shipment == Some(State::Completed),
                false => shipment.is_none_or(|state| state == State::Failed),
            };
            if !delivered {
                let tag = match bought {
                    true => "completed, not delivered",
                    false => "cancelled, delivered",
                };
                let expected = format!("{:?}", order.status);
                findings.broken(tag, &[id], expected, format!("{shipment:?}"));
            }
        }
    }

    /// What is left at the gateway of an order is what was promised if it is completed, and nothing if it is not.
    fn judge_money(&self, money: &Money, findings: &mut Findings) {
        let balances = money.balances();
        for order in self.orders.values() {
            let balance = balances.get(order.id.as_str());
            let Balance { taken, held } = balance.copied().unwrap_or_default();
            let due = match order.status {
                Status::Completed => self.dues.of(&order.id) as i64,
                _ => 0,
            };
            if (taken, held) != (due, 0) {
                let tag = match taken > due || held > 0 {
                    true => "money kept",
                    false => "not paid",
                };
                let expected = format!("{due} taken for {:?}", order.status);
                let found = format!("{taken} taken, {held} held");
                findings.broken(tag, &[&order.id], expected, found);
            }
        }
        for reference in balances.keys() {
            if self.orders.get(reference).is_none() {
                findings.broken("paid for nothing", &[reference], "an order", "none");
            }
        }
    }

    fn judge_messages(&self, findings: &mut Findings) {
        for id in self.orders.values().map(|order| order.id.as_str()) {
            let shipment = self.shipments.get(id).map(|shipment| shipment.state);
            let ways = [
                (ORDER_CREATED, true),
                (DELIVERY_STARTED, shipment.is_some()),
                (DELIVERY_COMPLETED, shipment == Some(State::Completed)),
            ];
            for (kind, due) in ways {
                let text = format!("{id}: {kind}");
                let sent = self.messages.that_say(&text);
                let due = usize::from(due);
                if sent != due {
                    let tag = match sent < due {
                        true => "never told",
                        false => "told too often",
                    };
                    let expected = format!("{due} messages of {kind}");
                    findings.broken(tag, &[id], expected, sent.to_string());
                }
            }
        }
    }
}

/// What has ended stays so, and what was ordered at which price never changes.
fn judge_step(before: &Order, after: &Order, findings: &mut Findings) {
    if before.status != Status::Pending && before.status != after.status {
        let (expected, found) = (before.status, after.status);
        findings.broken_as(
            WHOLE,
            "ended twice",
            &[&after.id],
            format!("{expected:?} for good"),
            format!("{found:?}"),
        );
    }
    if (&before.product, before.amount) != (&after.product, after.amount) {
        findings.broken_as(
            PRICE,
            "snapshot changed",
            &[&after.id],
            format!("{:?}", before.product),
            format!("{:?}", after.product),
        );
    }
}

/// How many orders ended how.
pub fn counts(truth: &Truth) -> Vec<(&'static str, u64)> {
    let orders: Vec<Order> = truth
        .rows("order", ORDERS.name)
        .filter_map(|(_, row)| ORDERS.decode(row).ok())
        .collect();
    let count =
        |wanted: &dyn Fn(&Order) -> bool| orders.iter().filter(|o| wanted(o)).count() as u64;
    let no_stock = |order: &Order| {
        let reason = order.reason.as_deref();
        reason.is_some_and(|reason| reason.starts_with(OUT_OF_STOCK))
    };
    vec![
        ("completed", count(&|o| o.status == Status::Completed)),
        ("compensated", count(&|o| o.status == Status::Cancelled)),
        ("out of stock", count(&no_stock)),
    ]
}
