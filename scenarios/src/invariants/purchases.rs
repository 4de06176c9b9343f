//! Item purchases: bought is everything or nothing, balances and slots and stock add up, and everybody is told once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{
    Client, Sim,
    check::{Commit, Findings, Truth},
};
use squall_services::{
    kit::{
        Table,
        reservation::ReservationState,
        resource_pool::{Hold, Pool, Pools},
    },
    purchase::{
        ORDER_CANCELLED, ORDER_COMPLETED,
        bag::BAGS,
        items::ITEMS,
        orders::store::{ORDERS, Order, Status},
        payments::{Outcome, PAYMENTS, Payment},
    },
    shared::{
        notification::store::{MESSAGES, Message},
        user::store::{RESERVATIONS, Reservation, USERS, User},
    },
};

use super::{
    dues::{Dues, PROMISED},
    orders::DURABLE,
};
use crate::{invariants::receipts::Receipts, lock, table_view::TableView};

/// A purchase is cancelled after 30 s, counted anew when its service restarts.
const ENDS: Duration = Duration::from_secs(2 * 60);

/// What is said of its end may wait in an outbox for six minutes; a minute for its effects.
const SETTLED: Duration = Duration::from_secs(7 * 60);

const ADDS_UP: &str = "balances, slots and stock add up";
const WHOLE: &str = "a purchase is everything or nothing";
const ONCE: &str = "every consumer's effect happens once per event";

/// Pools and what is held of them, on one node.
pub struct Holdings {
    node: &'static str,
    /// The pools, by id.
    pub pools: TableView<Pool>,
    /// What is held, by owner.
    pub holds: TableView<Hold>,
}

/// What was sent to whom, as committed.
pub struct Messages {
    rows: TableView<Message>,
    told_of: BTreeSet<String>,
}

impl Default for Messages {
    fn default() -> Self {
        Messages {
            rows: TableView::new("notification", MESSAGES),
            told_of: BTreeSet::new(),
        }
    }
}

impl Messages {
    /// An event is told of `once`.
    pub fn follow(&mut self, commit: &Commit<'_>, once: &'static str, findings: &mut Findings) {
        for change in self.rows.follow(commit) {
            if let Some(message) = change.after()
                && !self.told_of.insert(message.event_id.clone())
            {
                findings.broken_as(
                    once,
                    "sent twice",
                    &[&message.user_id, &message.event_id],
                    "one message for the event",
                    "another one",
                );
            }
        }
    }

    /// How many say this.
    pub fn that_say(&self, text: &str) -> usize {
        self.rows.values().filter(|m| m.text == text).count()
    }
}

/// The services as committed.
pub struct Purchases {
    orders: TableView<Order>,
    /// What is to be paid for each.
    dues: Dues,
    users: TableView<User>,
    reservations: TableView<Reservation>,
    bags: Holdings,
    items: Holdings,
    payments: TableView<Payment>,
    messages: Messages,
    /// The orders that each client operation has made.
    made_by: BTreeMap<String, Vec<String>>,
}

type Found = Box<dyn Fn(&str) -> Option<Status> + Send + Sync>;

/// What buyers were told: an order that was accepted is there, and what has ended stays so.
pub struct Told {
    found: Found,
    accepted: Mutex<BTreeMap<String, Option<Status>>>,
    receipts: Arc<Receipts>,
}

impl Told {
    /// Holds the shop to what is told. `found` says how an order is, if there is one; `alive` which orders an operation has
    /// made that were not cancelled.
    pub fn watch(
        sim: &Sim,
        found: impl Fn(&str) -> Option<Status> + Send + Sync + 'static,
        alive: impl Fn(&str) -> Vec<String> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let told = Arc::new(Told {
            found: Box::new(found),
            accepted: Mutex::default(),
            receipts: Receipts::watch(sim, SETTLED, true, move |request| {
                (request.path == "/orders").then(|| alive(&request.op))
            }),
        });
        let kept = told.clone();
        sim.finally(DURABLE, SETTLED, move |_, findings| {
            for (id, ended) in lock(&kept.accepted).iter() {
                if let Some(found) = kept.contradiction(id, *ended) {
                    let expected = format!("{ended:?}, as told");
                    findings.broken("told otherwise", &[id], expected, found);
                }
            }
        });
        told
    }

    /// What came of each operation.
    pub fn receipts(&self) -> &Receipts {
        &self.receipts
    }

    /// The orders that buyers were told of.
    pub fn orders(&self) -> Vec<String> {
        lock(&self.accepted).keys().cloned().collect()
    }

    /// A buyer is told of an order: it must be so already, and stay so.
    pub fn told(&self, client: &Client, id: &str, status: Status) {
        let ended = (status != Status::Pending).then_some(status);
        if let Some(found) = self.contradiction(id, ended) {
            client.broken(
                DURABLE,
                "told too early",
                &[id],
                format!("{status:?}"),
                found,
            );
        }
        let mut accepted = lock(&self.accepted);
        let known = accepted.entry(id.to_owned()).or_default();
        *known = known.or(ended);
    }

    fn contradiction(&self, id: &str, ended: Option<Status>) -> Option<String> {
        match ((self.found)(id), ended) {
            (None, _) => Some("no such order".to_owned()),
            (Some(found), Some(ended)) if found != ended => Some(format!("{found:?}")),
            _ => None,
        }
    }
}

/// Watches the nodes of the scenario.
pub fn watch(sim: &Sim) -> Arc<Told> {
    let purchases = Arc::new(Mutex::new(Purchases {
        orders: TableView::new("order", ORDERS),
        dues: Dues::default(),
        users: TableView::new("user", USERS),
        reservations: TableView::new("user", RESERVATIONS),
        bags: Holdings::new("bag", &BAGS),
        items: Holdings::new("item", &ITEMS),
        payments: TableView::new("payment", PAYMENTS),
        messages: Messages::default(),
        made_by: BTreeMap::new(),
    }));

    let follow = purchases.clone();
    sim.always(ADDS_UP, move |commit, findings| {
        lock(&follow).follow(commit, findings);
    });

    let ended = purchases.clone();
    sim.finally("every purchase ends", ENDS, move |_, findings| {
        let purchases = lock(&ended);
        for order in purchases.orders.values() {
            if order.status == Status::Pending {
                findings.broken(
                    "left pending",
                    &[&order.id],
                    "Completed or Cancelled",
                    "Pending",
                );
            }
        }
    });

    let whole = purchases.clone();
    sim.finally(WHOLE, SETTLED, move |_, findings| {
        lock(&whole).judge_whole(findings);
    });

    let once = purchases.clone();
    sim.finally(ONCE, SETTLED, move |_, findings| {
        lock(&once).judge_messages(findings);
    });

    let made = purchases.clone();
    let alive = move |op: &str| lock(&made).alive(op);
    let found = move |id: &str| {
        let purchases = lock(&purchases);
        purchases.orders.get(id).map(|order| order.status)
    };
    Told::watch(sim, found, alive)
}

impl Purchases {
    fn follow(&mut self, commit: &Commit<'_>, findings: &mut Findings) {
        for change in self.orders.follow(commit) {
            if let Some(order) = change.after() {
                let due = order.more.payable(order.amount);
                self.dues.follow(&order.id, due, findings);
            }
            if change.before().is_none() {
                let made = self.made_by.entry(commit.scope.op.clone()).or_default();
                made.push(change.key.to_owned());
            }
            if let (Some(before), Some(after)) = (change.before(), change.after())
                && before.status != Status::Pending
                && before.status != after.status
            {
                findings.broken_as(
                    WHOLE,
                    "ended twice",
                    &[change.key],
                    format!("{:?} for good", before.status),
                    format!("{:?}", after.status),
                );
            }
        }
        let users = self.users.follow(commit);
        let reserved = self.reservations.follow(commit);
        if !users.is_empty() || !reserved.is_empty() {
            self.judge_balances(findings);
        }
        self.bags.follow(commit, findings);
        self.items.follow(commit, findings);
        self.payments.keep(commit);
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

    fn judge_balances(&self, findings: &mut Findings) {
        for user in self.users.values() {
            let balance = user.balance;
            let all = balance.available + balance.reserved + balance.spent;
            if all != balance.credited {
                findings.broken(
                    "money",
                    &[&user.id],
                    format!("{} won that were put in", balance.credited),
                    format!(
                        "{} + {} + {} = {all}",
                        balance.available, balance.reserved, balance.spent
                    ),
                );
            }
            for (tag, counted, state) in [
                ("reserved", balance.reserved, ReservationState::Reserved),
                ("spent", balance.spent, ReservationState::Confirmed),
            ] {
                let of = |r: &&Reservation| r.user == user.id && r.state == state;
                let noted: u64 = self
                    .reservations
                    .values()
                    .filter(of)
                    .map(|r| r.amount)
                    .sum();
                if counted != noted {
                    let expected = format!("{noted} won {tag}, as the reservations say");
                    findings.broken(tag, &[&user.id], expected, counted.to_string());
                }
            }
        }
    }

    fn judge_whole(&self, findings: &mut Findings) {
        for order in self.orders.values().filter(|o| o.status != Status::Pending) {
            let id = order.id.as_str();
            let bought = order.status == Status::Completed;
            let reservation = self.reservations.get(id);
            let due = self.dues.of(id);
            let money = reservation.map(|r| (r.state, r.amount == due));
            if let Some(payment) = self.payments.get(id).filter(|_| bought)
                && payment.amount != due
            {
                findings.broken_as(
                    PROMISED,
                    "paid otherwise",
                    &[id],
                    format!("{due} won, as promised when it was made"),
                    format!("{} won paid", payment.amount),
                );
            }
            let held = |hold: Option<&Hold>| hold.map(|h| (h.state, h.quantity == order.quantity));
            let holds = [
                ("balance", money),
                ("slots", held(self.bags.holds.get(id))),
                ("stock", held(self.items.holds.get(id))),
            ];
            for (what, found) in holds {
                let right = match bought {
                    true => found == Some((ReservationState::Confirmed, true)),
                    false => found.is_none_or(|(s, _)| s == ReservationState::Released),
                };
                if !right {
                    let tag = match (bought, what) {
                        (true, "balance") => "completed, balance not spent",
                        (true, "slots") => "completed, slots not taken",
                        (true, _) => "completed, stock not taken",
                        (false, "balance") => "cancelled, balance not back",
                        (false, "slots") => "cancelled, slots not back",
                        (false, _) => "cancelled, stock not back",
                    };
                    let expected = if bought {
                        "Confirmed"
                    } else {
                        "Released or none"
                    };
                    findings.broken(tag, &[id], expected, format!("{found:?}"));
                }
            }
            let paid = self.payments.get(id).map(|payment| payment.state);
            if bought != (paid == Some(Outcome::Processed)) {
                let tag = match bought {
                    true => "completed, not paid",
                    false => "cancelled, payment kept",
                };
                findings.broken(
                    tag,
                    &[id],
                    format!("{:?}", order.status),
                    format!("{paid:?}"),
                );
            }
        }
        self.judge_for_nothing(findings);
    }

    /// Nothing is held for an order that does not exist.
    fn judge_for_nothing(&self, findings: &mut Findings) {
        let open = |state| {
            matches!(
                state,
                ReservationState::Reserved | ReservationState::Confirmed
            )
        };
        let money = self.reservations.iter().map(|(id, r)| (id, r.state));
        let slots = self.bags.holds.iter().map(|(id, h)| (id, h.state));
        let stock = self.items.holds.iter().map(|(id, h)| (id, h.state));
        for (id, state) in money.chain(slots).chain(stock) {
            if open(state) && self.orders.get(id).is_none() {
                findings.broken("held for nothing", &[id], "an order", "none");
            }
        }
    }

    fn judge_messages(&self, findings: &mut Findings) {
        let ended = self
            .orders
            .values()
            .filter(|order| order.status != Status::Pending);
        for order in ended {
            let ways = [
                (ORDER_COMPLETED, Status::Completed),
                (ORDER_CANCELLED, Status::Cancelled),
            ];
            for (kind, status) in ways {
                let text = format!("{}: {kind}", order.id);
                let sent = self.messages.that_say(&text);
                let due = usize::from(order.status == status);
                if sent != due {
                    let tag = match sent < due {
                        true => "never told",
                        false => "told too often",
                    };
                    let expected = format!("{due} messages that it is {status:?}");
                    findings.broken(tag, &[&order.id], expected, sent.to_string());
                }
            }
        }
    }
}

impl Holdings {
    /// Those of this node.
    pub fn new(node: &'static str, holding: &'static Pools) -> Self {
        Holdings {
            node,
            pools: TableView::new(node, Table::new(holding.pools.name)),
            holds: TableView::new(node, Table::new(holding.holds.name)),
        }
    }

    /// Takes a commit over; every pool must add up, and agree with what is held of it.
    pub fn follow(&mut self, commit: &Commit<'_>, findings: &mut Findings) {
        let pools = self.pools.follow(commit);
        let holds = self.holds.follow(commit);
        if pools.is_empty() && holds.is_empty() {
            return;
        }
        for (id, pool) in self.pools.iter() {
            let all = pool.free + pool.reserved + pool.used;
            let of = |state| {
                let of = move |h: &&Hold| h.pool == id && h.state == state;
                self.holds
                    .values()
                    .filter(of)
                    .map(|h| h.quantity)
                    .sum::<u64>()
            };
            let noted = (
                of(ReservationState::Reserved),
                of(ReservationState::Confirmed),
            );
            if all != pool.all || (pool.reserved, pool.used) != noted {
                findings.broken(
                    "pool",
                    &[self.node, id],
                    format!("{} in all, {noted:?} reserved and used", pool.all),
                    format!("{pool:?}"),
                );
            }
        }
    }
}

/// How many purchases ended how.
pub fn counts(truth: &Truth) -> Vec<(&'static str, u64)> {
    let orders: Vec<Order> = truth
        .rows("order", ORDERS.name)
        .filter_map(|(_, row)| ORDERS.decode(row).ok())
        .collect();
    let count = |status| orders.iter().filter(|o| o.status == status).count() as u64;
    vec![
        ("completed", count(Status::Completed)),
        ("compensated", count(Status::Cancelled)),
    ]
}
