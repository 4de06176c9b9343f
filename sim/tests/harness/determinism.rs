//! A run is a function of its seed: whatever ran before it, beside it, or in which process.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use squall::{
    campaign::{Campaign, Seeds},
    run::{Options, Spec, Verdict, run, run_with},
    seed::{Seed, hash},
};

use crate::bank::Bank;

/// The seeds that are compared: each with the storm that it draws.
const SEEDS: std::ops::Range<u64> = 0..40;
/// Makes the test below print its runs and do nothing else.
const PRINT: &str = "SQUALL_TEST_PRINTS_RUNS";

/// A run in one line: its hash, and a hash of every byte of its trace.
fn line(seed: u64) -> String {
    let outcome = run(&Bank, &Spec::of(&Bank, Seed(seed)), true);
    let trace = outcome.trace.expect("a full run");
    assert!(trace.events.len() > 100, "this run is no proof of anything");
    let bytes = serde_json::to_vec(&trace).expect("a trace is JSON");
    format!("run {seed} {:x} {:x}", outcome.hash, hash(&bytes))
}

fn lines() -> Vec<String> {
    SEEDS.map(line).collect()
}

#[test]
fn a_run_is_the_same_after_others_and_beside_others() {
    let alone = lines();
    for seed in 1_000..1_100 {
        run(&Bank, &Spec::of(&Bank, Seed(seed)), false);
    }
    assert_eq!(alone, lines(), "after a hundred others");

    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        #[allow(clippy::disallowed_methods)]
        threads.spawn(|| {
            for seed in 2_000.. {
                if over.load(Relaxed) {
                    break;
                }
                run(&Bank, &Spec::of(&Bank, Seed(seed)), seed % 2 == 0);
            }
        });
        let beside = lines();
        over.store(true, Relaxed);
        assert_eq!(alone, beside, "beside a busy thread");
    });
}

#[test]
fn a_run_is_the_same_in_a_fresh_process() {
    if std::env::var_os(PRINT).is_some() {
        for line in lines() {
            println!("{line}");
        }
        return;
    }
    let this = std::env::current_exe().expect("a test knows its program");
    let output = Command::new(this)
        .args([
            "--exact",
            "determinism::a_run_is_the_same_in_a_fresh_process",
        ])
        .args(["--nocapture", "--test-threads=1"])
        .env(PRINT, "1")
        .output()
        .expect("this program can be run");
    let printed = String::from_utf8(output.stdout).expect("the lines are text");
    let there: Vec<&str> = printed
        .lines()
        .filter_map(|line| line.find("run ").map(|at| &line[at..]))
        .filter(|line| line.split(' ').count() == 4)
        .collect();
    assert_eq!(there, lines());
}

#[test]
fn keeping_the_trace_does_not_change_the_hash_and_not_watching_does_not_change_the_run() {
    for seed in SEEDS {
        let spec = Spec::of(&Bank, Seed(seed));
        let kept = run(&Bank, &spec, true);
        let hashed = run(&Bank, &spec, false);
        assert_eq!((kept.hash, kept.ended), (hashed.hash, hashed.ended));
        assert_eq!(kept.counts, hashed.counts);
        assert_eq!(kept.faults, hashed.faults);
        assert!(hashed.trace.is_none());

        let calm = spec.calm();
        let watched = run(&Bank, &calm, false);
        let unwatched = Options {
            watch: false,
            ..Options::default()
        };
        let unwatched = run_with(&Bank, &calm, unwatched);
        assert_eq!(unwatched.verdict, Verdict::Survived);
        assert_eq!(watched.counts["calls ok"], unwatched.counts["calls ok"]);
        assert_eq!(watched.counts["commits"], unwatched.counts["commits"]);
    }
}

#[test]
fn seeds_differ() {
    let mut lines = lines();
    lines.iter_mut().for_each(|line| {
        line.drain(..line.rfind(' ').expect("four words"));
    });
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len() as u64, SEEDS.end - SEEDS.start);
}

#[test]
fn what_a_campaign_finds_does_not_depend_on_the_number_of_workers() {
    let with = |jobs| {
        let mut campaign = Campaign::over(&Bank, Seeds::up_to(120))
            .with_planted("ack-before-commit")
            .expect("it can be planted");
        campaign.jobs = jobs;
        let mut order = Vec::new();
        let totals = campaign.run(&mut |progress| order.push((progress.runs, progress.failed)));
        (totals, order)
    };
    let (alone, order) = with(1);
    assert!(alone.tally.failed() > 0, "nothing to compare");
    for jobs in [2, 5] {
        assert_eq!(with(jobs), (alone.clone(), order.clone()), "{jobs} workers");
    }
}
