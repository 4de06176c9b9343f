//! The designs as they were written down do not survive, and not for one reason only.

use std::collections::BTreeSet;

use squall::{
    campaign::{Campaign, Seeds},
    scenario::Scenario,
};
use squall_scenarios::{
    catalogue,
    scenarios::{
        challenge_reward::ChallengeReward, checkout::Checkout, item_purchase::ItemPurchase,
        order_cluster::OrderCluster, order_replicas::OrderReplicas, order_saga::OrderSaga,
        order_workflow::OrderWorkflow, product_sync::ProductSync,
    },
};

const SEEDS: u64 = 100;

#[test]
fn the_documented_order_saga_fails_in_several_ways() {
    fails_in_several_ways(&OrderSaga);
}

#[test]
fn the_documented_order_saga_with_leases_and_replicas_fails_in_several_ways() {
    fails_in_several_ways(&OrderReplicas);
}

#[test]
fn the_documented_order_saga_in_replicas_of_its_own_fails_in_several_ways() {
    fails_in_several_ways(&OrderCluster);
}

#[test]
fn durable_execution_alone_fails_in_several_ways() {
    fails_in_several_ways(&OrderWorkflow);
}

#[test]
fn the_documented_challenge_reward_fails_in_several_ways() {
    fails_in_several_ways(&ChallengeReward);
}

#[test]
fn the_documented_checkout_fails_in_several_ways() {
    fails_in_several_ways(&Checkout);
}

#[test]
fn the_documented_product_sync_fails_in_several_ways() {
    fails_in_several_ways(&ProductSync::default());
}

#[test]
fn the_documented_item_purchase_fails_in_several_ways() {
    fails_in_several_ways(&ItemPurchase);
}

#[test]
fn every_scenario_is_hardened_unless_the_documented_shape_is_asked_for() {
    for scenario in catalogue().scenarios {
        let shapes = scenario.shapes();
        let shapes: Vec<_> = shapes.iter().map(|s| (s.name, s.must_survive)).collect();
        assert_eq!(
            shapes,
            [("hardened", true), ("documented", false)],
            "{}",
            scenario.name()
        );
    }
}

fn fails_in_several_ways(scenario: &dyn Scenario) {
    let campaign = Campaign::over(scenario, Seeds::up_to(SEEDS))
        .in_shape("documented")
        .expect("every scenario has it");
    let totals = campaign.run(&mut |_| ());
    let verdicts = totals.tally.verdicts;
    assert_eq!(verdicts.harness_failed, 0, "{:#?}", totals.failures);
    assert_eq!(totals.tally.mismatched, 0, "{:#?}", totals.mismatches);
    let panics = totals.failures.iter();
    let panics: Vec<_> = panics
        .filter(|failed| failed.signature.invariant == "no service panics")
        .collect();
    assert!(
        panics.is_empty(),
        "a gap is no reason to panic: {panics:#?}"
    );
    assert!(
        verdicts.survived > 0,
        "the storms are too harsh to tell anything"
    );
    let ways: BTreeSet<_> = totals
        .failures
        .iter()
        .map(|failure| {
            let (what, shape) = (&failure.signature, "documented");
            assert_eq!(
                (what.scenario.as_str(), what.shape.as_str()),
                (scenario.name(), shape)
            );
            (&what.invariant, &what.tag)
        })
        .collect();
    assert!(ways.len() >= 2, "it failed in these ways only: {ways:?}");
}
