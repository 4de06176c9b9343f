//! What a run costs, from an empty world to a storm, and what watching it costs.

#[path = "../examples/deposits.rs"]
#[allow(dead_code)]
mod deposits;

use deposits::Deposits;
use divan::{Bencher, counter::ItemsCount};
use squall::{
    Sim,
    run::{Options, Spec, run_with},
    scenario::{Scenario, Setup},
    seed::Seed,
    storm::Profile,
};

fn main() {
    divan::main();
}

/// Nobody is there and nothing happens.
struct Empty;

impl Scenario for Empty {
    fn name(&self) -> &str {
        "empty"
    }

    fn about(&self) -> &str {
        "a world without nodes"
    }

    fn profile(&self) -> Profile {
        Profile::new(&[], &[])
    }

    fn build(&self, _: &Sim, _: &Setup) {}
}

const CAMPAIGN: Options = Options::traced(false);
const REPLAY: Options = Options::traced(true);
const UNWATCHED: Options = Options {
    watch: false,
    ..CAMPAIGN
};

/// Runs one seed after the other.
fn runs(bencher: Bencher, scenario: &dyn Scenario, calm: bool, options: Options) {
    let mut seed = 0;
    bencher.counter(ItemsCount::new(1u64)).bench_local(|| {
        seed += 1;
        let spec = Spec::of(scenario, Seed(seed));
        run_with(scenario, &if calm { spec.calm() } else { spec }, options)
    });
}

#[divan::bench]
fn an_empty_world(bencher: Bencher) {
    runs(bencher, &Empty, true, CAMPAIGN);
}

#[divan::bench]
fn five_deposits(bencher: Bencher) {
    runs(bencher, &Deposits, true, CAMPAIGN);
}

#[divan::bench]
fn five_deposits_unwatched(bencher: Bencher) {
    runs(bencher, &Deposits, true, UNWATCHED);
}

#[divan::bench]
fn five_deposits_with_their_trace(bencher: Bencher) {
    runs(bencher, &Deposits, true, REPLAY);
}

#[divan::bench]
fn five_deposits_in_a_storm(bencher: Bencher) {
    runs(bencher, &Deposits, false, CAMPAIGN);
}
