//! Runs leave nothing behind: a campaign of any length needs no more memory than its first few hundred runs.

#[path = "harness/bank.rs"]
#[allow(dead_code)]
mod bank;
#[path = "harness/little.rs"]
#[allow(dead_code)]
mod little;

use squall::{
    run::{Spec, Verdict, run},
    seed::Seed,
};

use bank::Bank;

/// Runs made before the memory is looked at: allocator and lazily made statics fill up.
const WARM_UP: u64 = 500;
/// A leak of a whole world costs some 800 KB a run, one of a single task some hundred bytes.
const GROWTH_MAX_KB: u64 = 6_144;

/// Resident memory of this process.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|kb| kb.parse().ok())
        .expect("a number of kB")
}

#[test]
fn memory_is_flat_over_thousands_of_runs() {
    let runs: u64 =
        std::env::var("SQUALL_MEMORY_RUNS").map_or(2_000, |n| n.parse().expect("a number"));
    let mut warm = 0;
    for seed in 0..runs {
        let outcome = run(&Bank, &Spec::of(&Bank, Seed(seed)), seed % 50 == 0);
        assert_eq!(outcome.verdict, Verdict::Survived, "seed {seed}");
        if seed == WARM_UP {
            warm = resident_kb();
        }
    }
    let grown = resident_kb().saturating_sub(warm);
    println!("{runs} runs: {warm} kB after {WARM_UP}, {grown} kB more at the end");
    assert!(grown < GROWTH_MAX_KB, "{grown} kB more after {runs} runs");
}
