//! Runs leave nothing behind: a campaign of any length needs no more memory than its first few hundred runs.

#[path = "harness/bank.rs"]
#[allow(dead_code)]
mod bank;
#[path = "harness/little.rs"]
#[allow(dead_code)]
mod little;

use std::{io, time::Duration};

use squall::{
    Node, Sim,
    run::{Spec, Verdict, run},
    scenario::{Scenario, Setup},
    seed::Seed,
    storm::{Plan, Profile},
};

use bank::Bank;

/// Runs made before the memory is looked at: allocator and lazily made statics fill up, and one of the longest storms, with
/// its whole trace, has come by.
const WARM_UP: u64 = 1_600;
/// A leak of a whole world costs some 800 KB a run, one of a single task some hundred bytes.
const GROWTH_MAX_KB: u64 = 6_144;

/// A run by priorities (PCT) that ends while its node waits for a timer.
struct Sleeper;

/// What the sleeper's disk holds.
const DISK_BYTES: usize = 1 << 20;

impl Scenario for Sleeper {
    fn name(&self) -> &str {
        "sleeper"
    }

    fn about(&self) -> &str {
        "a node with a full disk waits for longer than the run"
    }

    fn profile(&self) -> Profile {
        Profile::new(&["sleeper"], &[])
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        sim.node("sleeper", sleeps);
        sim.client("ann", |_| tokio::time::sleep(Duration::from_secs(1)));
    }
}

async fn sleeps(node: Node) -> io::Result<()> {
    use redb::StorageBackend;
    node.disk().open("full")?.write(0, &vec![1; DISK_BYTES])?;
    tokio::time::sleep(Duration::from_secs(100_000)).await;
    Ok(())
}

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
        std::env::var("SQUALL_MEMORY_RUNS").map_or(3_000, |n| n.parse().expect("a number"));
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

    let before = resident_kb();
    for seed in 0..100 {
        let plan = Plan {
            pct: Some(3),
            ..Plan::calm()
        };
        let spec = Spec::of(&Sleeper, Seed(seed)).under(plan);
        assert_eq!(run(&Sleeper, &spec, false).verdict, Verdict::Survived);
    }
    let grown = resident_kb().saturating_sub(before);
    assert!(grown < GROWTH_MAX_KB, "{grown} kB more after 100 sleepers");
}
