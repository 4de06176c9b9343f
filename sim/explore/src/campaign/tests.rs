use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use proptest::prelude::*;

use squall_fixtures::{self as fake, BANK};

use super::*;

fn seeds(text: &str) -> Seeds {
    text.parse().expect("the test's seeds are well-formed")
}

fn campaign(range: &str, jobs: usize) -> Campaign<'static> {
    Campaign {
        jobs,
        plant: Some("forgets".to_owned()),
        ..Campaign::over(&BANK, seeds(range))
    }
}

/// Keeps workers out of step: the real time a run takes has nothing to do with its seed.
fn jittery(scenario: &dyn Scenario, spec: &Spec, options: Options) -> Outcome {
    static TURN: AtomicU64 = AtomicU64::new(0);
    for _ in 0..squall_core::seed::mix(TURN.fetch_add(1, Relaxed)) % 2_000 {
        std::hint::spin_loop();
    }
    thread::yield_now();
    fake::run(scenario, spec, options)
}

#[test]
fn totals_and_progress_do_not_depend_on_the_number_of_workers() {
    let run = |jobs| {
        let mut seen = Vec::new();
        let totals =
            campaign("0..1500", jobs).run_by(&jittery, &mut |p| seen.push((p.runs, p.failed)));
        (totals, seen)
    };
    let alone = run(1);
    assert_eq!(alone.0.tally.runs, 1_500);
    assert_eq!(alone.1.len(), 1_500);
    for jobs in [2, 7] {
        assert!(alone == run(jobs), "{jobs} workers gave something else");
    }
}

/// Three generations, each of which follows from how the one before went.
#[derive(Default)]
struct Heirs {
    generation: Vec<(Trial, Option<u64>)>,
    generations: usize,
    learned: Vec<(Trial, u64)>,
}

impl Explorer for Heirs {
    fn next(&mut self) -> Vec<Trial> {
        let learned: Option<Vec<u64>> = self.generation.iter().map(|(_, hash)| *hash).collect();
        let learned = learned.expect("a generation is asked for when the last one is known");
        if self.generations == 3 {
            return Vec::new();
        }
        self.generations += 1;
        let parents = if learned.is_empty() { vec![1] } else { learned };
        let heir = |n: u64| Trial {
            seed: Seed((parents[n as usize % parents.len()] ^ n) % 1_000),
            plan: fake::run(&BANK, &Spec::of(&BANK, Seed(n)), Options::default()).plan,
        };
        let generation: Vec<Trial> = (0..400).map(heir).collect();
        self.generation = generation
            .iter()
            .map(|trial| (trial.clone(), None))
            .collect();
        generation
    }

    fn learn(&mut self, trial: &Trial, outcome: &Outcome) {
        let next = self.generation.iter_mut().find(|(_, hash)| hash.is_none());
        let (expected, hash) = next.expect("no trial is learned twice");
        assert_eq!(trial, expected, "trials are learned in their order");
        *hash = Some(outcome.hash);
        self.learned.push((trial.clone(), outcome.hash));
    }
}

#[test]
fn an_explorer_learns_the_same_whatever_the_number_of_workers() {
    let run = |jobs| {
        let mut heirs = Heirs::default();
        let totals = campaign("1", jobs).explore_by(&jittery, &mut heirs, &mut |_| ());
        (totals, heirs.learned)
    };
    let alone = run(1);
    assert_eq!((alone.0.tally.runs, alone.1.len()), (1_200, 1_200));
    assert_eq!(alone.0.tally.watched, 12, "by their place: seeds may recur");
    for jobs in [2, 5] {
        assert!(alone == run(jobs), "{jobs} workers gave something else");
    }
}

#[test]
fn a_failure_remembers_the_storm_that_its_seed_did_not_draw() {
    let mut heirs = Heirs::default();
    let totals = campaign("1", 3).explore_by(&fake::run, &mut heirs, &mut |_| ());
    let failure = &totals.failures[0];
    assert!(failure.plan.is_some());
    let first = heirs
        .learned
        .iter()
        .find(|(trial, _)| trial.seed == failure.seed);
    assert_eq!(
        first.map(|(trial, _)| trial),
        Some(&failure.trial(&campaign("1", 3)))
    );

    let drawn = campaign("0..60", 3).run_by(&fake::run, &mut |_| ());
    assert!(drawn.failures.iter().all(|failure| failure.plan.is_none()));
}

#[test]
fn plain_random_draws_other_storms_which_its_replay_command_names() {
    let plain = Campaign {
        strategy: crate::strategy::Strategy::Random,
        ..campaign("0..200", 2)
    };
    let totals = plain.run_by(&fake::run, &mut |_| ());
    assert_eq!(totals.tally.runs, 200);
    let failure = &totals.failures[0];
    let trial = failure.trial(&plain);
    assert_eq!(failure.plan, None);
    assert_eq!(trial.plan, BANK.profile().draw_plain(failure.seed));
    assert_eq!(plain.spec(failure.seed), plain.spec_of(&trial));
    let command = plain.replay_command(failure.seed);
    assert!(command.ends_with(" --explore random"), "{command}");
}

#[test]
fn everything_is_counted() {
    let totals = campaign("0..60", 3).run_by(&fake::run, &mut |_| ());
    let verdicts = Verdicts {
        survived: 60 - 7 - 2,
        violated: 7,
        stuck: 2,
        harness_failed: 0,
    };
    assert_eq!(totals.tally.verdicts, verdicts);
    assert_eq!(totals.tally.count("completed"), 180);
    assert_eq!(totals.tally.count("compensated"), 30);
    let restarts = FaultCount {
        planned: 60,
        fired: 60,
        effective: 30,
    };
    assert_eq!(totals.tally.faults["restart"], restarts);
    assert_eq!(totals.tally.watched, 1);
    assert_eq!(totals.tally.sometimes["a seed was odd"], 30);
    let never: Vec<&str> = totals.tally.never_reached().collect();
    assert_eq!(never, ["a seed was a thousand"]);
    let twice = Tally::sum([&totals.tally, &totals.tally]);
    assert_eq!(twice.sometimes["a seed was odd"], 60);
    assert_eq!(twice.runs, 120);
    assert_eq!(twice.verdicts.stuck, 4);
    assert_eq!(twice.faults["restart"].effective, 60);
}

#[test]
fn failures_are_grouped_by_signature_with_their_first_seed() {
    let totals = campaign("0..60", 2).run_by(&fake::run, &mut |_| ());
    let groups: Vec<_> = totals
        .failures
        .iter()
        .map(|f| (f.signature.tag.as_str(), f.seed.0, f.count))
        .collect();
    assert_eq!(
        groups,
        [("little", 10, 5), ("lot", 15, 2), ("time limit", 25, 2)]
    );
    assert_eq!(
        totals.failures[0].violation,
        Some(fake::violation("little", 10))
    );
    assert_eq!(
        totals.failures[2].message(),
        "stuck: a teller waits for ever"
    );
}

#[test]
fn stopping_at_the_first_failure_ends_with_its_seed_whatever_the_workers_did() {
    for jobs in [1, 4] {
        let campaign = Campaign {
            stop_at_first: true,
            ..campaign("1..5000", jobs)
        };
        let totals = campaign.run_by(&jittery, &mut |_| ());
        assert_eq!((totals.tally.runs, totals.tally.failed()), (10, 1));
        assert_eq!(totals.failures[0].seed, Seed(10));
    }
}

#[test]
fn a_seed_that_gives_two_different_runs_is_reported() {
    let calls = AtomicU64::new(0);
    let flaky = |scenario: &dyn Scenario, spec: &Spec, options: Options| {
        let mut outcome = fake::run(scenario, spec, options);
        if spec.seed == Seed(200) {
            outcome.hash = calls.fetch_add(1, Relaxed);
        }
        outcome
    };
    let totals = Campaign::over(&BANK, seeds("0..301")).run_by(&flaky, &mut |_| ());
    assert_eq!((totals.tally.watched, totals.tally.mismatched), (4, 1));
    let mismatch = Mismatch {
        seed: Seed(200),
        plan: None,
        hashes: (0, 1),
    };
    assert_eq!(totals.mismatches, [mismatch]);
    assert_eq!(totals.tally.failed(), 0);
    assert!(!totals.is_clean());
}

#[test]
fn a_panic_in_the_harness_costs_one_run_and_is_told_apart() {
    let panics = |scenario: &dyn Scenario, spec: &Spec, options: Options| {
        assert!(spec.seed != Seed(7), "seven");
        fake::run(scenario, spec, options)
    };
    let totals = Campaign::over(&BANK, seeds("50")).run_by(&panics, &mut |_| ());
    assert_eq!(totals.tally.verdicts.harness_failed, 1);
    assert_eq!(totals.tally.verdicts.survived, 49);
    assert_eq!(totals.failures[0].message(), "the harness failed: seven");
    assert!(!totals.failures[0].is_finding());
}

#[test]
fn a_slow_seed_holds_the_others_back_before_too_many_outcomes_wait() {
    let highest = Mutex::new(0);
    let slow_first = |scenario: &dyn Scenario, spec: &Spec, options: Options| {
        if spec.seed == Seed(1) {
            // Until the other worker has gone as far as it may.
            while *highest.lock().unwrap() < WINDOW {
                thread::yield_now();
            }
            for _ in 0..1_000 {
                thread::yield_now();
            }
            assert!(*highest.lock().unwrap() <= WINDOW, "the window is not kept");
        } else {
            let mut highest = highest.lock().unwrap();
            *highest = spec.seed.0.max(*highest);
        }
        fake::run(scenario, spec, options)
    };
    let campaign = Campaign {
        jobs: 2,
        ..Campaign::over(&BANK, seeds("1..2000"))
    };
    let totals = campaign.run_by(&slow_first, &mut |_| ());
    assert_eq!(
        totals.tally.verdicts.survived, 1_999,
        "{:?}",
        totals.failures
    );
}

#[test]
fn a_time_limit_leaves_a_prefix_of_the_seeds_that_is_never_empty() {
    let campaign = Campaign {
        limit: Some(Duration::ZERO),
        ..campaign("10..100000", 3)
    };
    let totals = campaign.run_by(&fake::run, &mut |_| ());
    assert_eq!(totals.tally.runs, 10);
    assert_eq!(totals.failures[0].seed, Seed(10));
}

#[test]
fn a_progress_callback_that_panics_does_not_hang_the_campaign() {
    let campaign = campaign("0..100000", 2);
    let run = || campaign.run_by(&fake::run, &mut |p| assert!(p.runs < 5, "enough"));
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
    assert_eq!(squall_engine::world::panic_text(&*panic), "enough");
}

#[test]
fn a_replay_command_names_all_that_is_not_the_default() {
    let mut campaign = Campaign::over(&BANK, seeds("1"));
    let start = "cargo run --release -p squall-explore -- replay bank --seed 7";
    assert_eq!(campaign.replay_command(Seed(7)), format!("{start} --trace"));
    campaign = campaign
        .in_shape("documented")
        .unwrap()
        .with_planted("forgets")
        .unwrap();
    campaign.plan_file = Some("my storms/it's one.json".into());
    assert_eq!(
        campaign.replay_command(Seed(7)),
        format!(
            r#"{start} --shape documented --plant forgets --trace --plan "my storms/it's one.json""#
        )
    );
}

#[test]
fn seeds_that_are_none_are_refused_with_the_forms_that_are_read() {
    let cases = [
        "",
        "0",
        "-1",
        "x",
        "5..5",
        "9..3",
        "9..=8",
        "1..",
        "..3",
        "1...3",
        "0..0",
        "18446744073709551616",
    ];
    for text in cases {
        let told = text.parse::<Seeds>().expect_err(text).to_string();
        assert!(told.starts_with(&format!("'{text}' ")), "{told}");
        assert!(told.contains("200..300"), "{told}");
    }
}

#[test]
fn the_last_seed_of_all_can_be_named() {
    let last = seeds("18446744073709551615..=18446744073709551615");
    assert_eq!(
        (last.len(), last.nth(0), last.nth(1)),
        (1, Some(Seed(u64::MAX)), None)
    );
    assert_eq!(seeds(&last.to_string()), last);
    assert_eq!(seeds("0..=18446744073709551615").len(), u64::MAX);
}

proptest! {
    #[test]
    fn a_count_stands_for_the_seeds_from_zero(n in 1u64..) {
        prop_assert_eq!(seeds(&n.to_string()), Seeds::up_to(n));
        prop_assert_eq!(Seeds::up_to(n).len(), n);
        prop_assert_eq!(Seeds::up_to(n).nth(n - 1), Some(Seed(n - 1)));
        prop_assert_eq!(Seeds::up_to(n).nth(n), None);
    }

    #[test]
    fn a_range_holds_its_start_and_not_its_end(a: u64, b: u64) {
        prop_assume!(a < b);
        let range = seeds(&format!("{a}..{b}"));
        prop_assert_eq!(range.len(), b - a);
        prop_assert_eq!(range.nth(0), Some(Seed(a)));
        prop_assert_eq!(range.nth(b - a), None);
        prop_assert_eq!(range, seeds(&format!("{a}..={}", b - 1)));
        prop_assert_eq!(range, seeds(&range.to_string()));
        let backwards = format!("{b}..{a}").parse::<Seeds>();
        prop_assert!(backwards.is_err());
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in "[0-9.=-]{0,12}|.{0,8}") {
        if let Ok(range) = text.parse::<Seeds>() {
            prop_assert!(range.nth(0).is_some());
        }
    }
}
