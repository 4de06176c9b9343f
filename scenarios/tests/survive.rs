//! The hardened services survive, and what they survive are storms.

use squall::{campaign::Totals, scenario::Scenario, testing};
use squall_scenarios::{
    invariants::recoveries,
    scenarios::{
        challenge_reward::ChallengeReward, checkout::Checkout, item_purchase::ItemPurchase,
        order_cluster::OrderCluster, order_replicas::OrderReplicas, order_saga::OrderSaga,
        order_workflow::OrderWorkflow, product_sync::ProductSync, stock_room::StockRoom,
    },
};

/// Seeds of each campaign, unless the environment asks for others.
const SEEDS: u64 = 100;
/// Averages over fewer storms than this say nothing.
const MANY: u64 = 100;
/// Storms among which some make a saga change hands: one in fifty does.
const TAKEOVERS: u64 = 200;

#[test]
fn order_saga_survives() {
    let _ = survives(&OrderSaga);
}

#[test]
fn order_replicas_survives() {
    let _ = survives(&OrderReplicas);
}

#[test]
fn order_cluster_survives_and_its_sagas_change_hands() {
    let totals = survives_in(&OrderCluster, TAKEOVERS);
    if totals.tally.runs >= TAKEOVERS {
        for change in [recoveries::TAKING_OVER.goal, recoveries::FENCING_OFF.goal] {
            let storms = totals.tally.sometimes.get(change).copied();
            assert!(storms.unwrap_or(0) > 0, "never: {change}");
        }
    }
}

#[test]
fn order_workflow_survives_and_its_workflows_are_replayed() {
    let totals = survives(&OrderWorkflow);
    if totals.tally.runs >= MANY {
        let replayed = totals.tally.sometimes.get("a workflow was replayed");
        assert!(replayed.copied().unwrap_or(0) > 0);
    }
}

#[test]
fn challenge_reward_survives() {
    let _ = survives(&ChallengeReward);
}

#[test]
fn stock_room_survives() {
    let totals = survives(&StockRoom);
    assert_eq!(totals.tally.count("histories too wide to judge"), 0);
    assert_eq!(
        totals.tally.count("histories judged"),
        2 * totals.tally.runs
    );
}

#[test]
fn checkout_survives() {
    survives(&Checkout);
}

#[test]
fn product_sync_survives_and_shows_what_changed() {
    let scenario = ProductSync::default();
    let totals = testing::check(&scenario, 200);
    let count = |name| totals.tally.count(name);
    if totals.tally.runs >= MANY {
        assert!(count("windows") > 4 * totals.tally.runs);
        assert_eq!(count("never shown"), 0);
        assert!(count("reads refused") > 0 && 2 * count("reads refused") < count("reads"));
        most_kinds_of_fault_bite(&scenario, &totals);
    }
}

#[test]
fn item_purchase_survives() {
    survives(&ItemPurchase);
}

fn survives(scenario: &dyn Scenario) -> Totals {
    survives_in(scenario, SEEDS)
}

fn survives_in(scenario: &dyn Scenario, storms: u64) -> Totals {
    let totals = testing::check(scenario, storms);
    if totals.tally.runs >= MANY {
        much_is_done_and_much_undone(&totals);
        most_kinds_of_fault_bite(scenario, &totals);
    }
    totals
}

/// Storms so harsh that nothing completes would prove as little as storms so mild that nothing is undone.
fn much_is_done_and_much_undone(totals: &Totals) {
    let tally = &totals.tally;
    let (completed, compensated) = (tally.count("completed"), tally.count("compensated"));
    assert!(completed >= tally.runs, "{completed} sagas completed");
    assert!(
        compensated >= tally.runs / 5,
        "{compensated} sagas compensated"
    );
}

/// At most a quarter of the kinds of fault that the profile has never touched anything.
fn most_kinds_of_fault_bite(scenario: &dyn Scenario, totals: &Totals) {
    let profile = scenario.profile();
    let general = profile.kinds().into_iter().map(|kind| kind.name());
    let kinds: Vec<&str> = general
        .filter(|name| *name != "custom")
        .chain(profile.custom.iter().map(|fault| fault.name))
        .collect();
    let bites = |kind: &str| {
        let count = totals.tally.faults.get(kind);
        count.is_some_and(|count| count.fired > 0 && count.effective > 0)
    };
    let idle: Vec<&str> = kinds.iter().copied().filter(|kind| !bites(kind)).collect();
    assert!(
        4 * idle.len() <= kinds.len(),
        "of {} kinds of fault these touched nothing: {}",
        kinds.len(),
        idle.join(", ")
    );
}
