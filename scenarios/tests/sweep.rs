//! Every kind of fault at every site of the order saga.

use squall::{
    campaign::{Campaign, Seeds, Totals},
    explore::{Sweep, sweep::Matrix},
    seed::Seed,
};
use squall_scenarios::order_saga::OrderSaga;

fn sweep(plant: Option<&str>, seeds: Seeds) -> (Totals, Matrix) {
    let campaign = Campaign {
        plant: plant.map(str::to_owned),
        stop_at_first: true,
        ..Campaign::over(&OrderSaga, seeds)
    };
    let mut explorer = Sweep::new(&OrderSaga, seeds, 0);
    let totals = campaign.explore(&mut explorer, &mut |_| ());
    (totals, explorer.matrix())
}

#[test]
fn the_hardened_order_saga_survives_every_single_fault_at_every_site() {
    let (totals, matrix) = sweep(None, Seeds::one(Seed(0)));
    assert!(totals.is_clean(), "{:#?}", totals.failures);
    for column in &matrix.columns {
        assert_eq!(column.fired, column.planned, "{}", column.name);
        assert!(column.effective > 0, "{}", column.name);
    }
}

/// Each needs one fault, at the right place.
const BUGS: [&str; 5] = [
    "no-journal",
    "ack-before-commit",
    "timeout-means-no",
    "commit-without-sync",
    "compensation-not-retried",
];

#[test]
fn a_sweep_alone_finds_bugs_that_one_fault_shows() {
    for bug in BUGS {
        let (totals, _) = sweep(Some(bug), Seeds::one(Seed(0)));
        let found = totals.failures.first();
        let found = found.unwrap_or_else(|| panic!("{bug} was not found"));
        assert!(found.is_finding(), "{}", found.message());
        let plan = found.plan.as_ref().expect("a sweep plans its storms");
        assert_eq!(plan.faults.len(), 1, "{bug}");
    }
}
