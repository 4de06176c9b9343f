//! The scenarios of the catalogue: a topology, a workload and the invariants that have to hold, each with the bugs that
//! can be planted into it.

pub mod challenge_reward;
pub mod checkout;
pub mod item_purchase;
pub mod order_choreography;
pub mod order_cluster;
pub mod order_replicas;
pub mod order_saga;
pub mod order_workflow;
pub mod product_sync;
pub mod stock_room;

use squall::scenario::{Catalogue, Scenario};

use crate::planted_bug::Planted;

/// The scenarios of the `squall` program, each with the bugs that can be planted into it. One line a scenario.
fn all() -> Vec<(Box<dyn Scenario>, &'static [Planted])> {
    vec![
        (Box::new(order_saga::OrderSaga), order_saga::BUGS),
        (
            Box::new(order_replicas::OrderReplicas),
            order_replicas::BUGS,
        ),
        (Box::new(order_cluster::OrderCluster), order_cluster::BUGS),
        (
            Box::new(order_workflow::OrderWorkflow),
            order_workflow::BUGS,
        ),
        (
            Box::new(challenge_reward::ChallengeReward),
            challenge_reward::BUGS,
        ),
        (Box::new(stock_room::StockRoom), stock_room::BUGS),
        (Box::new(item_purchase::ItemPurchase), item_purchase::BUGS),
        (
            Box::new(order_choreography::OrderChoreography),
            order_choreography::BUGS,
        ),
        (Box::new(checkout::Checkout), checkout::BUGS),
        (
            Box::new(product_sync::ProductSync::default()),
            product_sync::BUGS,
        ),
    ]
}

/// Every scenario of the `squall` program.
pub fn catalogue() -> Catalogue {
    Catalogue {
        scenarios: all().into_iter().map(|(scenario, _)| scenario).collect(),
        canary: Some(("order-saga", "no-journal")),
    }
}

/// What can be planted into a scenario of the [catalogue].
pub fn bugs_of(scenario: &dyn Scenario) -> &'static [Planted] {
    let of = all()
        .into_iter()
        .find(|(other, _)| other.name() == scenario.name());
    of.map_or(&[], |(_, bugs)| bugs)
}
