//! Every bug of the bank is found by random storms, and what is reported is the damage that it does.

use std::collections::BTreeSet;

use squall::{
    campaign::{Campaign, Seeds},
    check::Violation,
    run::{Spec, Verdict, run},
    scenario::Scenario,
    seed::Seed,
    testing,
};
use squall_scenarios::{
    catalogue, challenge_reward::ChallengeReward, order_saga::OrderSaga, stock_room::StockRoom,
    sync_windows::scenario::ProductSync,
};

static PRODUCT_SYNC: ProductSync = ProductSync { course: None };

/// Storms in which a bug has to show.
const SEEDS: u64 = 2_000;

/// A test for each line: this scenario with this bug planted breaks one of these invariants. Where a seed stands after
/// the bug it is tried before the search from seed 0 begins, so that bugs that take hundreds of storms are quick to
/// test; a seed that draws something else by now costs one storm.
macro_rules! bank {
    ($($test:ident: $scenario:ident + $bug:literal $(at $seed:literal)? => $($damage:literal)|+;)*) => {
        $(
            #[test]
            fn $test() {
                is_found(&$scenario, $bug, None$(.or(Some(Seed($seed))))?, &[$($damage),+]);
            }
        )*

        const BANK: &[(&dyn Scenario, &str)] = &[$((&$scenario, $bug)),*];
    };
}

bank! {
    a_journal_in_memory_is_found: OrderSaga + "no-journal" =>
        "every saga ends" | "no lost refund" | "no leaked reservation" | "no leaked semantic lock";
    a_timeout_taken_for_a_no_is_found: OrderSaga + "timeout-means-no" =>
        "no lost refund" | "ledger and payment records agree" | "no leaked reservation" | "no leaked semantic lock"
        | "no oversell";
    a_reserve_that_is_overtaken_by_its_cancel_is_found: OrderSaga + "late-reserve-after-cancel" at 639 =>
        "no leaked reservation" | "no leaked semantic lock" | "no oversell";
    a_compensation_that_is_tried_once_is_found: OrderSaga + "compensation-not-retried" =>
        "every saga ends" | "no lost refund" | "no leaked reservation" | "no leaked semantic lock";
    a_refund_that_was_never_asked_for_is_found: OrderSaga + "refund-marked-not-asked" at 561 =>
        "no lost refund" | "ledger and payment records agree";
    a_refund_without_a_key_is_found: OrderSaga + "refund-without-key" at 463 =>
        "no double charge, no double refund";
    a_capture_without_a_key_is_found: OrderSaga + "capture-without-key" =>
        "no double charge, no double refund";
    an_answer_before_the_commit_is_found: OrderSaga + "ack-before-commit" =>
        "acknowledged is durable";
    a_commit_without_sync_is_found: OrderSaga + "commit-without-sync" =>
        "acknowledged is durable";
    a_semantic_lock_that_heeds_reserving_only_is_found: OrderSaga + "semantic-lock-reserving-only" =>
        "a semantic lock has one owner";
    a_semantic_lock_that_is_never_swept_is_found: OrderSaga + "semantic-lock-never-swept" at 129 =>
        "no leaked semantic lock";
    stock_that_is_checked_and_then_taken_is_found: OrderSaga + "check-then-act-stock" at 412 =>
        "stock adds up" | "no oversell";
    a_missing_version_check_is_found: OrderSaga + "no-version-check" at 376 =>
        "stock adds up" | "no oversell";
    calls_without_keys_are_found: OrderSaga + "no-key" =>
        "no double charge, no double refund" | "one key, one effect" | "stock adds up" | "no lost refund";
    a_key_stored_after_the_effect_is_found: OrderSaga + "key-stored-after-effect" =>
        "no double charge, no double refund" | "one key, one effect" | "stock adds up" | "no lost refund";
    a_listing_from_an_old_copy_is_found: OrderSaga + "stale-read" =>
        "a user's orders keep session order";
    a_recovery_that_races_the_owner_is_found: OrderSaga + "recovery-races-owner" at 441 =>
        "every saga ends" | "an order goes its way" | "no double charge, no double refund" | "no lost refund"
        | "stock adds up" | "acknowledged is durable" | "a saga takes its steps in order" | "compensation runs in reverse";

    a_reward_whose_journal_is_in_memory_is_found: ChallengeReward + "no-journal" =>
        "completion ⇔ exactly one live reward order" | "every saga ends";
    a_reward_whose_timeout_is_taken_for_a_no_is_found: ChallengeReward + "timeout-means-no" =>
        "completion ⇔ exactly one live reward order" | "one key, one effect" | "no leaked reservation" | "no oversell";
    a_reward_that_is_taken_back_once_is_found: ChallengeReward + "compensation-not-retried" =>
        "completion ⇔ exactly one live reward order" | "every saga ends";
    a_completion_told_before_the_commit_is_found: ChallengeReward + "ack-before-commit" =>
        "acknowledged is durable";
    a_completion_without_sync_is_found: ChallengeReward + "commit-without-sync" =>
        "acknowledged is durable";
    a_reward_that_is_not_for_sale_is_found: ChallengeReward + "reward-for-unsold-product" =>
        "never a reward for an unsold product";
    a_notice_that_overtakes_another_is_found: ChallengeReward + "events-without-version" at 182 =>
        "copies agree with the catalog in the end" | "never a reward for an unsold product";

    a_copy_that_never_expires_is_found: PRODUCT_SYNC + "cache-never-expires" =>
        "inconsistency windows stay within the mode's bound";
    a_gap_that_is_not_resolved_is_found: PRODUCT_SYNC + "events-without-resync" =>
        "inconsistency windows stay within the mode's bound";
    a_notice_without_a_version_is_found: PRODUCT_SYNC + "events-without-version" =>
        "inconsistency windows stay within the mode's bound" | "copies are never older than before";
    a_channel_that_forgets_is_found: PRODUCT_SYNC + "pubsub-only" =>
        "inconsistency windows stay within the mode's bound";

    a_late_reserve_is_noticed_from_outside: StockRoom + "late-reserve-after-cancel" =>
        "operations on a product are linearizable";
    a_commit_without_sync_is_noticed_from_outside: StockRoom + "commit-without-sync" =>
        "operations on a product are linearizable" | "acknowledged is durable";
    a_lock_that_heeds_reserving_only_is_noticed_from_outside: StockRoom + "semantic-lock-reserving-only" =>
        "operations on a product are linearizable";
    stock_that_is_checked_and_then_taken_is_noticed_from_outside: StockRoom + "check-then-act-stock" =>
        "operations on a product are linearizable";
    a_missing_version_check_is_noticed_from_outside: StockRoom + "no-version-check" =>
        "operations on a product are linearizable";
    requests_without_keys_are_noticed_from_outside: StockRoom + "no-key" =>
        "operations on a product are linearizable";
    a_key_stored_after_the_effect_is_noticed_from_outside: StockRoom + "key-stored-after-effect" =>
        "operations on a product are linearizable";
    a_look_at_an_old_copy_is_noticed_from_outside: StockRoom + "stale-read" =>
        "operations on a product are linearizable";
}

#[test]
fn every_bug_that_can_be_planted_is_in_the_bank() {
    let banked: BTreeSet<(&str, &str)> = BANK.iter().map(|(s, bug)| (s.name(), *bug)).collect();
    assert_eq!(banked.len(), BANK.len(), "a line stands there twice");
    for scenario in catalogue().scenarios {
        for bug in scenario.bugs() {
            assert!(
                banked.contains(&(scenario.name(), bug.name)),
                "nothing shows that {} is found in {}",
                bug.name,
                scenario.name()
            );
        }
    }
}

#[test]
fn the_canary_of_the_catalogue_is_found() {
    let catalogue = catalogue();
    let (scenario, bug) = catalogue.canary.expect("silence needs a witness");
    let scenario = catalogue.get(scenario).expect("it is in the catalogue");
    let found = testing::finds(scenario, bug, SEEDS);
    assert!(found.violation.is_some(), "{found:?}");
}

#[test]
fn a_bug_that_a_scenario_lacks_cannot_be_planted() {
    let campaign = Campaign::over(&ChallengeReward, Seeds::up_to(1));
    let refused = campaign.with_planted("refund-without-key").err();
    let told = refused.expect("no money moves in it").to_string();
    assert!(
        told.starts_with(
            "challenge-reward has no bug 'refund-without-key'; there are: no-journal,"
        ),
        "{told}"
    );
}

#[test]
#[should_panic(expected = "order-saga has no bug 'no-jurnal' (did you mean 'no-journal'?)")]
fn a_test_that_misspells_a_bug_fails_at_once() {
    testing::finds(&OrderSaga, "no-jurnal", SEEDS);
}

fn is_found(scenario: &dyn Scenario, bug: &str, likely: Option<Seed>, damage: &[&str]) {
    let (seed, violation) = likely
        .and_then(|seed| broken_by(scenario, bug, seed))
        .unwrap_or_else(|| search(scenario, bug));
    println!("{} + {bug}: seed {seed} found {violation}", scenario.name());
    assert!(
        damage.contains(&violation.invariant.as_str()),
        "{bug} was found by something else than its damage: {violation}"
    );
    let sound = run(scenario, &Spec::of(scenario, seed), false);
    assert_eq!(
        sound.verdict,
        Verdict::Survived,
        "seed {seed} breaks {} without {bug} too",
        scenario.name()
    );
}

/// What this one seed finds, if anything.
fn broken_by(scenario: &dyn Scenario, bug: &str, seed: Seed) -> Option<(Seed, Violation)> {
    let spec = Spec {
        plant: Some(bug.to_owned()),
        ..Spec::of(scenario, seed)
    };
    let found = run(scenario, &spec, false).violations.into_iter().next();
    found.map(|violation| (seed, violation))
}

fn search(scenario: &dyn Scenario, bug: &str) -> (Seed, Violation) {
    let found = testing::finds(scenario, bug, SEEDS);
    let violation = found.violation.clone();
    let violation = violation
        .unwrap_or_else(|| panic!("{bug} only kept a run from coming to its end: {found:?}"));
    (found.seed, violation)
}
