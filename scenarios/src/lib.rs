//! The reference services in seeded storms: topologies, workloads, invariants, the bug bank.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub mod bank;
pub mod challenge_reward;
pub mod checkout;
pub mod customer;
pub mod execution_modes;
pub mod flows;
pub mod invariants;
pub mod item_purchase;
pub mod late;
#[cfg(test)]
mod little;
pub mod mirror;
pub mod operator;
pub mod order_choreography;
pub mod order_cluster;
pub mod order_replicas;
pub mod order_saga;
pub mod order_workflow;
pub mod outbox_modes;
pub mod platform;
pub mod receipts;
pub mod shop;
pub mod sometimes;
pub mod stock_room;
pub mod sync_windows;
pub mod tale;
pub mod topology;
pub mod trade;

use squall::scenario::Catalogue;

/// Every scenario of the `squall` program.
pub fn catalogue() -> Catalogue {
    Catalogue {
        scenarios: vec![
            Box::new(order_saga::OrderSaga),
            Box::new(order_replicas::OrderReplicas),
            Box::new(order_cluster::OrderCluster),
            Box::new(order_workflow::OrderWorkflow),
            Box::new(challenge_reward::ChallengeReward),
            Box::new(stock_room::StockRoom),
            Box::new(item_purchase::ItemPurchase),
            Box::new(order_choreography::OrderChoreography),
            Box::new(checkout::Checkout),
            Box::new(sync_windows::scenario::ProductSync::default()),
        ],
        canary: Some(("order-saga", "no-journal")),
    }
}

/// Checks and services of one run share a thread; a panic in one must not hide behind a poisoned lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
