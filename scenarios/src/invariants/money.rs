//! Money: the gateway's ledger is the ground truth.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::Sim;
use squall_services::{
    kit::bulkhead::{Counts, Permits},
    shared::{
        payment::{Beyond, PAYMENTS, Payment, Status},
        payment_provider::{Entry, LEDGER},
    },
};

use crate::{lock, table_view::TableView};

/// Ledger and payment records as committed.
pub struct Money {
    /// The gateway's entries.
    pub ledger: TableView<Entry>,
    /// The payment service's records.
    pub payments: TableView<Payment>,
}

/// What is left of an order's money at the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Captures minus refunds.
    pub taken: i64,
    /// Held and not taken.
    pub held: i64,
}

impl Money {
    /// What the gateway has of each reference (order). A hold counts until it is voided: none lapses within a run.
    pub fn balances(&self) -> BTreeMap<&str, Balance> {
        let mut balances: BTreeMap<&str, Balance> = BTreeMap::new();
        for entry in self.ledger.values() {
            let balance = balances.entry(&entry.reference).or_default();
            balance.taken += entry.net();
            balance.held += entry.hold(entry.at);
        }
        balances
    }
}

/// Looks at the permits to call the gateway.
const RETURNED: &str = "permits all returned";

/// Looks at the line in front of the gateway.
const BOUNDED: &str = "queues are bounded";

/// Watches that no more than so many `calls` to the gateway are under way at once, and that only so many wait as there
/// are places.
pub fn watch_calls(sim: &Sim, permits: &Permits, calls: usize, beyond: Beyond) {
    sim.inside(BOUNDED);
    let permits = permits.clone();
    sim.finally(
        "calls to the gateway are bounded",
        Duration::ZERO,
        move |_, findings| {
            let Counts { at_it, in_line } = permits.most();
            if at_it > calls {
                let expected = format!("at most {calls} calls at once");
                findings.broken(
                    "too many at once",
                    &["payment"],
                    expected,
                    at_it.to_string(),
                );
            }
            if let Beyond::LinesUp(places) = beyond
                && in_line > places
            {
                findings.broken_as(
                    BOUNDED,
                    "queue",
                    &["payment"],
                    format!("at most {places} in line"),
                    in_line.to_string(),
                );
            }
        },
    );
}

/// Watches the nodes `"pg"` and `"payment"`. `settled` is the bound of what the payment service must have settled.
pub fn watch(sim: &Sim, permits: &Permits, settled: Duration) -> Arc<Mutex<Money>> {
    let money = Arc::new(Mutex::new(Money {
        ledger: TableView::new("pg", LEDGER),
        payments: TableView::new("payment", PAYMENTS),
    }));
    let follow = money.clone();
    sim.always(
        "no double charge, no double refund",
        move |commit, findings| {
            let mut money = lock(&follow);
            money.payments.keep(commit);
            for change in money.ledger.follow(commit) {
                let Some(entry) = change.after() else {
                    continue;
                };
                let reference = entry.reference.as_str();
                let of_order = |e: &&Entry| e.reference == reference;
                let captures: u32 = money
                    .ledger
                    .values()
                    .filter(of_order)
                    .map(|e| e.captures)
                    .sum();
                if captures > 1 {
                    findings.broken(
                        "captured twice",
                        &[reference],
                        "one capture",
                        format!("{captures} captures"),
                    );
                }
                if entry.refunded > entry.captured || entry.refunds > 1 {
                    findings.broken(
                        "refunded twice",
                        &[reference],
                        format!("at most {} paid back, once", entry.captured),
                        format!("{} in {} refunds", entry.refunded, entry.refunds),
                    );
                }
                let holds = money
                    .ledger
                    .values()
                    .filter(of_order)
                    .filter(|e| e.hold(e.at) > 0)
                    .count();
                if holds > 1 {
                    findings.broken(
                        "held twice",
                        &[reference],
                        "one hold",
                        format!("{holds} holds"),
                    );
                }
            }
        },
    );

    sim.inside(RETURNED);
    let (lent, permits) = (permits.available(), permits.clone());
    sim.finally(RETURNED, settled, move |_, findings| {
        let free = permits.available();
        if free != lent {
            findings.broken(
                "leaked",
                &["payment"],
                format!("{lent} permits"),
                free.to_string(),
            );
        }
    });
    let agree = money.clone();
    sim.finally(
        "ledger and payment records agree",
        settled,
        move |_, findings| {
            let money = lock(&agree);
            let mut recorded: BTreeMap<&str, i64> = BTreeMap::new();
            for payment in money.payments.values() {
                let taken = match payment.status {
                    Status::Captured | Status::Charged => payment.amount,
                    Status::Authorizing
                    | Status::Capturing
                    | Status::Voiding
                    | Status::Charging
                    | Status::Refunding => {
                        findings.broken(
                            "unsettled",
                            &[&payment.saga_id],
                            "a settled payment",
                            format!("{:?}", payment.status),
                        );
                        continue;
                    }
                    _ => 0,
                };
                if !payment.is_tombstone() {
                    *recorded.entry(&payment.order_id).or_default() += taken;
                }
            }
            let balances = money.balances();
            let both: BTreeSet<&str> = balances.keys().chain(recorded.keys()).copied().collect();
            for reference in both {
                let balance = balances.get(reference).copied().unwrap_or_default();
                let says = recorded.get(reference).copied().unwrap_or(0);
                if says != balance.taken {
                    findings.broken(
                        "amount",
                        &[reference],
                        format!("{} taken, as the ledger says", balance.taken),
                        format!("{says} taken, in the payment records"),
                    );
                }
            }
        },
    );
    money
}
