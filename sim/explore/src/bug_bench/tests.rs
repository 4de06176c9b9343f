use squall_fixtures as fake;

use super::*;

fn task(bug: &str, campaign: u64, cut_off: u64) -> Task {
    Task {
        scenario: "bank".to_owned(),
        bug: bug.to_owned(),
        strategy: "swarm".to_owned(),
        campaign,
        cut_off,
        damage: false,
    }
}

fn measured(task: &Task) -> Measured {
    let going = Arc::default();
    measure(&fake::run, &fake::BANK, Strategy::Swarm, task, None, &going).expect("nobody stops it")
}

#[test]
fn a_measurement_ends_with_the_first_failure_or_at_its_cut_off() {
    let found = measured(&task("forgets", 0, 500));
    assert_eq!(found.runs, 11);
    assert_eq!(found.found.map(|found| found.seed), Some(Seed(10)));
    let given_up = measured(&task("invisible", 0, 120));
    assert_eq!((given_up.runs, given_up.found), (120, None));
}

#[test]
fn campaigns_have_seeds_of_their_own() {
    let seeds: Vec<u64> = (0..3)
        .filter_map(|campaign| measured(&task("forgets", campaign, 500)).found)
        .map(|found| found.seed.0)
        .collect();
    assert_eq!(seeds, [10, 1_000_000, 2_000_000]);
}

#[test]
fn a_measurement_of_damage_passes_over_runs_in_which_nobody_is_harmed() {
    let harmless_at_10 = |scenario: &dyn Scenario, spec: &run::Spec, options: Options| {
        let mut outcome = fake::run(scenario, spec, options);
        if spec.seed == Seed(10) {
            outcome.violations[0].class = Class::Inside;
        }
        outcome
    };
    let found = |damage| {
        let task = Task {
            damage,
            ..task("forgets", 0, 500)
        };
        let going = Arc::default();
        let strategy = Strategy::Swarm;
        let one = measure(&harmless_at_10, &fake::BANK, strategy, &task, None, &going);
        one.and_then(|one| one.found).map(|f| (f.seed.0, f.class))
    };
    assert_eq!(found(false), Some((10, Class::Inside)));
    assert_eq!(found(true), Some((15, Class::Damage)));
}

#[test]
fn what_was_stopped_is_not_measured() {
    let stopped = Arc::new(AtomicBool::new(true));
    let task = task("invisible", 0, 2_000);
    let none = measure(
        &fake::run,
        &fake::BANK,
        Strategy::Swarm,
        &task,
        None,
        &stopped,
    );
    assert_eq!(none, None);
}

#[test]
fn what_was_not_found_is_worse_than_anything_that_was() {
    let one = |campaign, runs, found: bool| Measured {
        version: MEASURED_VERSION,
        build: Build::present(),
        task: task("forgets", campaign, 2_000),
        runs,
        cpu_us: runs * 1_000,
        found: found.then(|| Found {
            seed: Seed(1),
            invariant: if campaign == 0 { "b" } else { "a" }.to_owned(),
            tag: "t".to_owned(),
            class: if campaign == 0 {
                Class::Inside
            } else {
                Class::Damage
            },
            faults: 1 + campaign,
            small: (campaign < 2).then(|| Small {
                sentence: format!("storm {campaign}"),
                faults: 1 + campaign,
                requests: 1,
                runs: 30,
                elapsed_ms: 5,
            }),
        }),
    };
    let all = [
        one(0, 40, true),
        one(1, 10, true),
        one(2, 30, true),
        one(3, 2_000, false),
        one(4, 20, true),
    ];
    let power = summarise(&all).remove(0);
    assert_eq!((power.campaigns, power.found), (5, 4));
    assert_eq!((power.runs.median, power.runs.worst), (Some(30), None));
    assert_eq!(power.cpu.median, Some(Duration::from_millis(30)));
    assert_eq!(power.spent, Duration::from_millis(2_100));
    assert_eq!(
        (power.faults.median, power.faults.worst),
        (Some(3), Some(5))
    );
    assert_eq!((power.small.median, power.small.worst), (Some(2), Some(2)));
    assert_eq!(power.invariant.as_deref(), Some("a"));
    assert_eq!(power.damage, 3);
    assert_eq!(power.storm.as_deref(), Some("storm 0"));
    let mostly_not = [one(0, 2_000, false), one(1, 5, true), one(2, 2_000, false)];
    assert_eq!(summarise(&mostly_not)[0].runs.median, None);
}
