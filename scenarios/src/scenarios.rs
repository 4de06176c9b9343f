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

macro_rules! all {
    ($($module:ident: $scenario:expr,)*) => {
        /// The scenarios of the `squall` program, each with the bugs that can be planted into it.
        fn all() -> Vec<(Box<dyn Scenario>, &'static [Planted])> {
            vec![$((Box::new($scenario), $module::BUGS)),*]
        }
    };
}

// One line a scenario, in the order of `list`.
all! {
    order_saga: order_saga::OrderSaga,
    order_replicas: order_replicas::OrderReplicas,
    order_cluster: order_cluster::OrderCluster,
    order_workflow: order_workflow::OrderWorkflow,
    challenge_reward: challenge_reward::ChallengeReward,
    stock_room: stock_room::StockRoom,
    item_purchase: item_purchase::ItemPurchase,
    order_choreography: order_choreography::OrderChoreography,
    checkout: checkout::Checkout,
    product_sync: product_sync::ProductSync::default(),
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
