//! Sweeps of the order saga. Here only payment is swept to its end: the whole saga is for
//! `cargo run --release -- sweep order-saga`.

use squall::{
    campaign::{Campaign, Seeds, Totals},
    explore::{Sweep, sweep::Matrix},
    run::Sim,
    scenario::{Bug, Scenario, Setup},
    seed::Seed,
    storm::Profile,
};
use squall_scenarios::scenarios::order_saga::OrderSaga;

/// The order saga, of which only payment is hurt.
struct PaymentAlone;

impl Scenario for PaymentAlone {
    fn name(&self) -> &str {
        OrderSaga.name()
    }

    fn about(&self) -> &str {
        OrderSaga.about()
    }

    fn bugs(&self) -> Vec<Bug> {
        OrderSaga.bugs()
    }

    fn profile(&self) -> Profile {
        Profile {
            nodes: vec!["payment"],
            links: vec![("order", "payment"), ("payment", "pg")],
            ..OrderSaga.profile()
        }
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        OrderSaga.build(sim, setup);
    }
}

fn sweep(scenario: &dyn Scenario, plant: Option<&str>, seeds: Seeds) -> (Totals, Matrix) {
    let campaign = Campaign {
        plant: plant.map(str::to_owned),
        stop_at_first: true,
        ..Campaign::over(scenario, seeds)
    };
    let mut explorer = Sweep::new(scenario, seeds, 0);
    let totals = campaign.explore(&mut explorer, &mut |_| ());
    (totals, explorer.matrix())
}

#[test]
fn the_hardened_order_saga_survives_every_single_fault_at_every_site_of_payment() {
    let (totals, matrix) = sweep(&PaymentAlone, None, Seeds::one(Seed(0)));
    assert!(totals.is_clean(), "{:#?}", totals.failures);
    for column in &matrix.columns {
        assert_eq!(column.fired, column.planned, "{}", column.name);
        assert!(column.effective > 0, "{}", column.name);
    }
}

/// Each needs one fault, at the right place.
const BUGS: [&str; 4] = [
    "no-journal",
    "timeout-means-no",
    "commit-without-sync",
    "compensation-not-retried",
];

#[test]
fn a_sweep_alone_finds_bugs_that_one_fault_shows() {
    for bug in BUGS {
        let (totals, _) = sweep(&OrderSaga, Some(bug), Seeds::one(Seed(0)));
        let found = totals.failures.first();
        let found = found.unwrap_or_else(|| panic!("{bug} was not found"));
        assert!(found.is_finding(), "{}", found.message());
        let plan = found.plan.as_ref().expect("a sweep plans its storms");
        assert_eq!(plan.faults.len(), 1, "{bug}");
    }
}
