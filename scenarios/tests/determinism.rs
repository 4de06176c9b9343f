//! A run of the reference services is a function of its seed: every byte of its trace is the same whatever ran before
//! it, beside it, or in which process.
//!
//! `SQUALL_DETERMINISM_SEEDS=200 cargo test --release -p squall-scenarios --test determinism -- --nocapture` compares
//! two hundred seeds of each scenario, storms and all, and prints what it compared.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use squall::{
    run::{Options, Spec, Verdict, run, run_with},
    scenario::Scenario,
    seed::Seed,
};
use squall_scenarios::scenarios::{
    challenge_reward::ChallengeReward, checkout::Checkout, item_purchase::ItemPurchase,
    order_choreography::OrderChoreography, order_cluster::OrderCluster,
    order_replicas::OrderReplicas, order_saga::OrderSaga, order_workflow::OrderWorkflow,
    product_sync::ProductSync, stock_room::StockRoom,
};

/// How many seeds are compared.
const SEEDS: &str = "SQUALL_DETERMINISM_SEEDS";
const SEEDS_DEFAULT: u64 = 6;
/// Makes a test write its runs to this file and do nothing else.
const WRITE_TO: &str = "SQUALL_DETERMINISM_WRITE_TO";

#[test]
fn order_saga_runs_are_the_same_bytes_everywhere() {
    is_the_same_everywhere(&OrderSaga, "order_saga_runs_are_the_same_bytes_everywhere");
}

#[test]
fn order_replicas_runs_are_the_same_bytes_everywhere() {
    is_the_same_everywhere(
        &OrderReplicas,
        "order_replicas_runs_are_the_same_bytes_everywhere",
    );
}

#[test]
fn order_cluster_runs_are_the_same_bytes_everywhere() {
    is_the_same_everywhere(
        &OrderCluster,
        "order_cluster_runs_are_the_same_bytes_everywhere",
    );
}

#[test]
fn order_workflow_runs_are_the_same_bytes_everywhere() {
    is_the_same_everywhere(
        &OrderWorkflow,
        "order_workflow_runs_are_the_same_bytes_everywhere",
    );
}

#[test]
fn challenge_reward_runs_are_the_same_bytes_everywhere() {
    is_the_same_everywhere(
        &ChallengeReward,
        "challenge_reward_runs_are_the_same_bytes_everywhere",
    );
}

#[test]
fn checkout_runs_are_the_same_bytes_everywhere() {
    is_the_same_everywhere(&Checkout, "checkout_runs_are_the_same_bytes_everywhere");
}

#[test]
fn product_sync_runs_are_the_same_bytes_everywhere() {
    is_the_same_everywhere(
        &ProductSync::default(),
        "product_sync_runs_are_the_same_bytes_everywhere",
    );
}

#[test]
fn item_purchase_runs_are_the_same_bytes_everywhere() {
    is_the_same_everywhere(
        &ItemPurchase,
        "item_purchase_runs_are_the_same_bytes_everywhere",
    );
}

#[test]
fn order_choreography_runs_are_the_same_bytes_everywhere() {
    is_the_same_everywhere(
        &OrderChoreography,
        "order_choreography_runs_are_the_same_bytes_everywhere",
    );
}

#[test]
fn stock_room_runs_are_the_same_bytes_everywhere() {
    is_the_same_everywhere(&StockRoom, "stock_room_runs_are_the_same_bytes_everywhere");
}

/// What `benches/storms.rs` compares: both are quiet, and so over, as soon as their clients have what they asked for.
#[test]
fn a_calm_run_goes_the_same_way_whether_it_is_watched_or_not() {
    for scenario in [&OrderSaga as &dyn Scenario, &ChallengeReward] {
        let spec = Spec::of(scenario, Seed(1)).calm();
        let unwatched = Options {
            watch: false,
            ..Options::default()
        };
        let [watched, unwatched] =
            [Options::default(), unwatched].map(|options| run_with(scenario, &spec, options));
        assert_eq!(unwatched.verdict, Verdict::Survived);
        assert_eq!(watched.counts["commits"], unwatched.counts["commits"]);
    }
}

/// `test` is the name of the test that calls this.
fn is_the_same_everywhere(scenario: &dyn Scenario, test: &str) {
    if let Some(file) = env::var_os(WRITE_TO) {
        fs::write(&file, runs(scenario).join("\n")).expect("the file can be written");
        return;
    }
    let alone = elsewhere(scenario, test);
    compare(&alone, &runs(scenario), "in another process");
    for seed in 1_000_000..1_000_100 {
        run(scenario, &Spec::of(scenario, Seed(seed)), false);
    }
    compare(&alone, &runs(scenario), "after a hundred others");
    compare(
        &alone,
        &beside_a_busy_thread(scenario),
        "beside a busy thread",
    );
    println!(
        "{}: {} seeds, {} bytes of traces: identical alone, in another process, after a hundred others, beside a busy \
         thread",
        scenario.name(),
        alone.len(),
        alone.iter().map(String::len).sum::<usize>(),
    );
}

/// Everything about the run of each seed, each in one line.
fn runs(scenario: &dyn Scenario) -> Vec<String> {
    let seeds = env::var(SEEDS).map_or(SEEDS_DEFAULT, |text| {
        text.parse().expect("SQUALL_DETERMINISM_SEEDS is a number")
    });
    assert!(seeds > 0, "{SEEDS}=0 compares nothing");
    (0..seeds)
        .map(|seed| {
            let outcome = run(scenario, &Spec::of(scenario, Seed(seed)), true);
            assert!(!outcome.faults.is_empty(), "seed {seed} has no storm");
            let trace = outcome.trace.as_ref().expect("the trace was asked for");
            assert!(trace.events.len() > 100, "seed {seed} proves nothing");
            let trace = serde_json::to_string(trace).expect("a trace is JSON");
            format!(
                "{seed} {:?} {:?} {trace}",
                (outcome.verdict, outcome.violations, outcome.hash),
                (outcome.faults, outcome.counts, outcome.ended)
            )
        })
        .collect()
}

/// The runs as a process of their own sees them, which does nothing else.
fn elsewhere(scenario: &dyn Scenario, test: &str) -> Vec<String> {
    let file = scratch(scenario.name());
    let this = env::current_exe().expect("a test knows its program");
    let output = Command::new(this)
        .args(["--exact", test, "--test-threads=1"])
        .env(WRITE_TO, &file)
        .output()
        .expect("this program can be run");
    assert!(output.status.success(), "{output:?}");
    let runs = fs::read_to_string(&file).expect("the other process has written its runs");
    fs::remove_file(&file).expect("the file was there");
    runs.lines().map(str::to_owned).collect()
}

fn beside_a_busy_thread(scenario: &dyn Scenario) -> Vec<String> {
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for seed in 2_000_000.. {
                if over.load(Relaxed) {
                    break;
                }
                run(scenario, &Spec::of(scenario, Seed(seed)), seed % 2 == 0);
            }
        });
        let runs = runs(scenario);
        over.store(true, Relaxed);
        runs
    })
}

/// Says where two runs part, instead of printing both.
fn compare(alone: &[String], other: &[String], place: &str) {
    assert_eq!(alone.len(), other.len(), "{place}");
    for (seed, (alone, other)) in alone.iter().zip(other).enumerate() {
        let parts = alone.bytes().zip(other.bytes()).position(|(a, b)| a != b);
        let at = match parts {
            Some(at) => at,
            None if alone.len() == other.len() => continue,
            None => alone.len().min(other.len()),
        };
        let around = |text: &str| {
            let bytes = &text.as_bytes()[at.saturating_sub(300)..text.len().min(at + 300)];
            String::from_utf8_lossy(bytes).into_owned()
        };
        panic!(
            "seed {seed} goes otherwise {place}, from byte {at}:\n  {}\n  {}",
            around(alone),
            around(other)
        );
    }
}

fn scratch(name: &str) -> PathBuf {
    let file = format!("determinism-{name}-{}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(file)
}
