//! Whoever is told after the commit changes neither the order's result nor its time. Run with `--nocapture` for the table.

mod tables;

use std::time::Duration;

use squall::seed::Seed;
use squall_scenarios::experiments::isolation::{
    Sale,
    Subscribers::{self, *},
    Told, sales, table,
};

/// What a disk may take longer because outbox rows are written beside the order's.
const TOLERANCE: Duration = Duration::from_millis(60);

/// The two runs differ in the subscribers only; says in which sales they differ.
fn differences(seed: u64, told: Told, other: Subscribers) -> Vec<(Sale, Sale)> {
    let prompt = sales(Seed(seed), Prompt, told);
    let troubled = sales(Seed(seed), other, told);
    assert_eq!(prompt.len(), 9);
    assert_eq!(prompt.len(), troubled.len());
    let pairs = prompt.into_iter().zip(troubled);
    pairs
        .filter(|(a, b)| {
            (&a.op, &a.result) != (&b.op, &b.result) || a.took.abs_diff(b.took) > TOLERANCE
        })
        .collect()
}

#[test]
fn orders_do_not_depend_on_subscribers_that_are_told_after_the_commit() {
    for seed in 0..5 {
        for other in [OneSlow, OneDown] {
            let differences = differences(seed, Told::AfterCommit, other);
            assert!(
                differences.is_empty(),
                "seed {seed}, {other:?}: {differences:#?}"
            );
        }
    }
}

#[test]
fn orders_depend_on_subscribers_that_are_told_inside_the_transaction() {
    for other in [OneSlow, OneDown] {
        let differences = differences(0, Told::Inside, other);
        assert!(!differences.is_empty(), "{other:?}");
    }
}

#[test]
fn what_subscribers_cost_an_order_is_measured() {
    let table = table(Seed(1));
    tables::review(
        "checkout-subscribers",
        "What subscribers cost an order: told while it waits, and after its commit.",
        &table,
    );
}
