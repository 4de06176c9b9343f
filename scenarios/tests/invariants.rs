//! Each invariant of damage can speak: of some bug that is planted, it is what finds the harm.

use std::collections::BTreeSet;

use squall::{
    check::Class,
    run::{Spec, run},
    scenario::Scenario,
    seed::Seed,
};
use squall_scenarios::catalogue;

/// Storms in which a bug has to do its harm.
const SEEDS: u64 = 2_000;

/// Calm runs and storms in which every invariant of a scenario is judged: some exist in some worlds only.
const WORLDS: u64 = 60;

/// A test for each scenario: these invariants are broken by these bugs, in a storm that is tried first.
macro_rules! damage {
    ($($test:ident: $scenario:literal { $($invariant:literal <= $bug:literal at $seed:literal;)* })*) => {
        $(
            #[test]
            fn $test() {
                $(is_broken_by($scenario, $invariant, $bug, Seed($seed));)*
            }
        )*

        const FINDS: &[&str] = &[$($($invariant),*),*];
    };
}

damage! {
    harm_in_order_saga_is_seen: "order-saga" {
        "a user's orders keep session order" <= "cancel-after-completed" at 9;
        "acknowledged is durable" <= "commit-without-sync" at 1;
        "an order costs what was promised" <= "old-reader-takes-default" at 13;
        "an order goes its way" <= "cancel-after-completed" at 1;
        "an order that was made is there ever after" <= "commit-without-sync" at 1;
        "calls to the gateway are bounded" <= "no-bulkhead" at 5;
        "every order ends" <= "conflict-taken-for-done" at 0;
        "ledger and payment records agree" <= "permit-leaked" at 5;
        "no double charge, no double refund" <= "no-key" at 8;
        "no leaked semantic lock" <= "compensation-not-retried" at 3;
        "no lost refund" <= "conflict-taken-for-done" at 0;
        "no oversell" <= "conflict-taken-for-done" at 0;
        "one intent, one effect" <= "intent-by-key-only" at 0;
        "what was refused for good never happens" <= "key-expires-too-soon" at 1;
        "whoever asks again is answered, promptly and alike" <= "conflict-taken-for-done" at 0;
    }
    harm_in_order_replicas_is_seen: "order-replicas" {
        "a lease is released by its owner only" <= "release-not-owner" at 2;
        "a lock is promised to one owner at a time" <= "release-not-owner" at 2;
        "in the calm nothing is refused but for business reasons" <= "breaker-lets-all-through" at 9;
        "no leaked lease lock" <= "watchdog-without-limit" at 179;
        "no leaked reservation" <= "release-before-commit" at 2;
        "one key, one effect" <= "key-ignores-body" at 0;
        "stock adds up" <= "release-before-commit" at 2;
    }
    harm_in_order_cluster_is_seen: "order-cluster" {
        "a dead letter is sent on its way once" <= "letter-redriven-twice" at 63;
        "a refusal is true when it is said" <= "replica-says-not-there" at 307;
        "whoever works under a lease holds it then" <= "renewal-stops-at-first-error" at 525;
    }
    harm_in_challenge_reward_is_seen: "challenge-reward" {
        "completion ⇔ exactly one live reward order" <= "no-journal" at 4;
        "copies agree with the catalog in the end" <= "events-without-resync" at 52;
        "inconsistency windows stay within the mode's bound" <= "cache-never-expires" at 0;
        "never a reward for an unsold product" <= "reward-for-unsold-product" at 3;
    }
    harm_in_stock_room_is_seen: "stock-room" {
        "operations on a product are linearizable" <= "check-then-act-stock" at 0;
        "who asks in the calm is answered" <= "commit-without-sync" at 3;
    }
    harm_in_item_purchase_is_seen: "item-purchase" {
        "a purchase is everything or nothing" <= "outbox-poison-blocks" at 1;
        "balances, slots and stock add up" <= "restore-remembered-balance" at 2;
        "every consumer's effect happens once per event" <= "no-inbox" at 0;
        "every purchase ends" <= "no-purchase-timeout" at 1;
    }
    harm_in_order_choreography_is_seen: "order-choreography" {
        "a dead letter comes no sooner than its schedule" <= "redelivered-at-once" at 2;
        "an order is everything or nothing" <= "no-inbox" at 6;
        "only users order" <= "fallback-default-user" at 130;
        "price charged = unit price × quantity" <= "client-price-trusted" at 0;
    }
    harm_in_checkout_is_seen: "checkout" {
        "a refusal is final" <= "accepted-told-as-refused" at 25;
        "balances add up" <= "restore-remembered-balance" at 3;
        "completed or fully undone" <= "timeout-means-no" at 3;
        "coupons are issued and used at most once" <= "coupon-over-issued" at 16;
        "price charged = unit price × quantity − discount" <= "client-price-trusted" at 0;
        "subscribers hear of what is committed" <= "subscriber-inside-transaction" at 0;
    }
    harm_in_product_sync_is_seen: "product-sync" {
        "copies are never older than before" <= "events-without-version" at 5;
    }
}

fn is_broken_by(scenario: &str, invariant: &str, bug: &str, first: Seed) {
    let catalogue = catalogue();
    let scenario = catalogue.get(scenario).expect("it is in the catalogue");
    let speaks = |seed: &Seed| {
        let spec = Spec {
            plant: Some(bug.to_owned()),
            ..Spec::of(scenario, *seed)
        };
        let violations = run(scenario, &spec, false).violations;
        violations
            .iter()
            .any(|v| v.invariant == invariant && v.class == Class::Damage)
    };
    let seeds = [first].into_iter().chain((0..SEEDS).map(Seed));
    assert!(
        { seeds }.any(|seed| speaks(&seed)),
        "{bug} of {} does no damage that \"{invariant}\" sees in {SEEDS} storms",
        scenario.name()
    );
}

/// What is judged in some world of a scenario, by name.
fn judged(scenario: &dyn Scenario) -> BTreeSet<&'static str> {
    let worlds =
        (0..WORLDS).map(|seed| run(scenario, &Spec::of(scenario, Seed(seed)).calm(), false));
    worlds
        .flat_map(|outcome| outcome.invariants)
        .filter(|(_, class)| *class == Class::Damage)
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn no_invariant_of_damage_is_without_a_bug_that_it_finds() {
    let catalogue = catalogue();
    let all: BTreeSet<&str> = catalogue
        .scenarios
        .iter()
        .flat_map(|scenario| judged(scenario.as_ref()))
        .collect();
    let without: Vec<&&str> = all.iter().filter(|name| !FINDS.contains(name)).collect();
    assert!(
        without.is_empty(),
        "nothing shows that these can speak: {without:?}"
    );
}
