//! Reachability goals that are races.

use std::sync::{Arc, Mutex};

use squall::{Sim, check::Commit};
use squall_services::{
    orchestration::orders::{
        model::Status,
        store::{ORDERS, OrderRow},
    },
    shared::payment::{Payment, Status as PaymentStatus},
};

use super::{money::Money, orders::Orders};
use crate::lock;

/// Goals of money.
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

/// Goals of rewards.
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
