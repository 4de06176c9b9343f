//! What a run costs: an order, a storm, the harness around them, a second thread.
//!
//! After the table come two figures that a table of times cannot show: how much of a calm run is the harness itself,
//! and how many commits an order takes in all services together.

use std::time::{Duration, Instant};

use divan::{Bencher, counter::ItemsCount};
use squall::{
    Sim,
    campaign::{Campaign, Seeds},
    run::{Options, Outcome, Spec, Verdict, run, run_with},
    scenario::{Scenario, Setup},
    seed::Seed,
    storm::Profile,
};
use squall_scenarios::{
    catalogue,
    person::{Person, keyed},
    topology,
    workloads::shop::{self, Hand, Shelf},
};
use squall_services::{orchestration::orders, planted_bug::Bugs, shared::payment};

/// As in the `squall` program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SCENARIOS: [&str; 3] = ["order-saga", "challenge-reward", "order-choreography"];

/// Seeds of the storms that are measured: enough to have their share of every fault.
const STORMS: u64 = 64;

/// Seeds and repetitions that the harness's share is measured on.
const CALM_RUNS: u64 = 40;
const REPETITIONS: usize = 9;

fn main() {
    divan::main();
    if std::env::args().any(|arg| arg == "--list" || arg == "--test") {
        return;
    }
    println!();
    println!(
        "one order, in all services together: {} commits",
        commits_of_an_order()
    );
    for name in SCENARIOS {
        let share = 100.0 * harness_overhead(name);
        println!("recorder, observer and checks, {name}: {share:.1} % of a calm run without them");
    }
}

/// Shelves are filled and one order is placed.
struct Orders(u64);

impl Scenario for Orders {
    fn name(&self) -> &str {
        "clean-orders"
    }

    fn about(&self) -> &str {
        "orders, one after the other, and nothing goes wrong"
    }

    fn profile(&self) -> Profile {
        Profile::new(&shop::NODES, &shop::LINKS)
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        let config = orders::Config::default();
        topology::open(
            sim,
            shop::counter(Bugs::default(), config, Default::default()),
        );
        shop::open_till(sim, Bugs::default(), payment::CALLS_MAX);
        let lamp = Shelf {
            sku: "lamp",
            stock: 9,
            price: 12_000,
        };
        sim.prepare(move |client| async move { Hand::new(&client).fill(lamp).await });
        let orders = self.0;
        sim.client("ann", move |client| async move {
            let ann = Person::new(&client, "order");
            for n in 1..=orders {
                let body = serde_json::json!({ "user": "ann", "sku": "lamp", "quantity": 1, "card": "visa" });
                let placed = ann.insist(&keyed(&format!("ann-{n}"), "POST", "/orders", body)).await;
                assert_eq!(placed.map(|reply| reply.status), Some(201));
            }
        });
    }
}

fn calm(scenario: &dyn Scenario, seed: u64, watch: bool) -> Outcome {
    let spec = Spec::of(scenario, Seed(seed)).calm();
    let outcome = run_with(
        scenario,
        &spec,
        Options {
            watch,
            ..Options::default()
        },
    );
    assert_eq!(outcome.verdict, Verdict::Survived);
    outcome
}

#[divan::bench(args = [0, 1, 5])]
fn a_clean_run_with_orders(bencher: Bencher, orders: u64) {
    bencher.bench_local(|| calm(&Orders(orders), 1, true));
}

#[divan::bench(args = SCENARIOS, sample_count = 9, sample_size = 1)]
fn storms(bencher: Bencher, name: &str) {
    let catalogue = catalogue();
    let scenario = catalogue.get(name).expect("it is in the catalogue");
    bencher.counter(ItemsCount::new(STORMS)).bench_local(|| {
        for seed in 0..STORMS {
            divan::black_box(run(scenario, &Spec::of(scenario, Seed(seed)), false));
        }
    });
}

#[divan::bench(args = [1, 2], sample_count = 9, sample_size = 1)]
fn storms_on_threads(bencher: Bencher, jobs: usize) {
    let catalogue = catalogue();
    let scenario = catalogue.get(SCENARIOS[0]).expect("it is in the catalogue");
    let campaign = Campaign {
        jobs,
        ..Campaign::over(scenario, Seeds::up_to(4 * STORMS))
    };
    bencher
        .counter(ItemsCount::new(4 * STORMS))
        .bench_local(|| campaign.run(&mut |_| ()));
}

#[divan::bench(args = [false, true])]
fn a_calm_run_watched(bencher: Bencher, watch: bool) {
    let catalogue = catalogue();
    let scenario = catalogue.get(SCENARIOS[0]).expect("it is in the catalogue");
    bencher.bench_local(|| calm(scenario, 1, watch));
}

/// What watching adds to calm runs. The quickest of several turns each: what other programs take only slows down.
fn harness_overhead(name: &str) -> f64 {
    let catalogue = catalogue();
    let scenario = catalogue.get(name).expect("it is in the catalogue");
    let (mut bare, mut watched) = (Duration::ZERO, Duration::ZERO);
    for seed in 0..CALM_RUNS {
        let mut quickest = [Duration::MAX; 2];
        for _ in 0..REPETITIONS {
            for (watch, quickest) in [false, true].into_iter().zip(&mut quickest) {
                let began = Instant::now();
                divan::black_box(calm(scenario, seed, watch));
                *quickest = (*quickest).min(began.elapsed());
            }
        }
        bare += quickest[0];
        watched += quickest[1];
    }
    watched.as_secs_f64() / bare.as_secs_f64() - 1.0
}

fn commits_of_an_order() -> u64 {
    let commits = |orders| calm(&Orders(orders), 1, true).counts["commits"];
    commits(2) - commits(1)
}
