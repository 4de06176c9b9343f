use squall_fixtures::{self as fake, BANK};

use super::*;

fn check(seeds: Seeds, options: &Options, directory: Option<&Path>) -> Result<Totals, String> {
    check_by(&fake::run, seeds, options, directory)
}

fn check_by(
    runner: Runner<'_>,
    seeds: Seeds,
    options: &Options,
    directory: Option<&Path>,
) -> Result<Totals, String> {
    checked(
        runner,
        &variant(&BANK, seeds, options)?,
        directory,
        ReplayBy::Program,
    )
}

fn finds_by(runner: Runner<'_>, bug: &str, max_seeds: u64) -> Result<Found, String> {
    let options = Options {
        plant: Some(bug.to_owned()),
        ..Options::default()
    };
    let campaign = variant(&BANK, Seeds::up_to(max_seeds), &options)?;
    found_in(runner, campaign, ReplayBy::Program)
}

fn forgetful() -> Options {
    Options {
        plant: Some("forgets".to_owned()),
        ..Options::default()
    }
}

#[test]
fn a_system_that_survives_gives_its_totals() {
    let totals = check(Seeds::up_to(50), &Options::default(), None);
    assert_eq!(totals.unwrap().tally.count("completed"), 150);
}

#[test]
fn a_violation_is_told_with_its_storm_and_ends_with_the_replay_commands() {
    let told = check(Seeds::up_to(12), &forgetful(), None).unwrap_err();
    for part in [
        "VIOLATED bank (hardened + forgets), 1 of 12 storms, first with seed 10",
        "no money is lost (little) at 12.003450",
        "concerns  account 10",
        "expected  100",
        "found     93",
        "the smallest storm\n  it happens without any fault\n  0 faults,",
    ] {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
    let commands: Vec<&str> = told.lines().rev().take(2).collect();
    assert_eq!(
        commands[0],
        "replay: cargo run --release -p squall -- replay bank --seed 10 --plant forgets --trace"
    );
    assert!(
        commands[1].starts_with("replay: SQUALL_SEED=10 cargo test -p squall"),
        "{told}"
    );
}

#[test]
fn a_violation_is_written_down_and_replayed_from_its_file() {
    let name = format!("squall-testing-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let told = check(Seeds::up_to(12), &forgetful(), Some(&directory)).unwrap_err();
    let path = directory.join("bank-forgets-no-money-is-lost-little.json");
    let file = squall_explore::failure::FailureFile::read(&path).expect("it was written");
    assert_eq!(file.seed, Seed(10));
    let last = format!(
        "replay: cargo run --release -p squall -- replay {} --trace",
        path.display()
    );
    assert_eq!(told.lines().last(), Some(last.as_str()));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_planted_bug_is_found_with_its_first_seed() {
    let found = finds_by(&fake::run, "forgets", 2_000).unwrap();
    assert_eq!(found.seed, Seed(10));
    assert_eq!(found.signature.tag, "little");
    assert_eq!(found.violation, Some(fake::violation("little", 10)));
}

#[test]
fn a_bug_that_no_seed_finds_is_a_failure() {
    let told = finds_by(&fake::run, "invisible", 100).unwrap_err();
    assert!(
        told.contains("100 storms over bank did not find the bug invisible"),
        "{told}"
    );
}

#[test]
fn a_failure_of_the_harness_is_not_the_bug() {
    let told = finds_by(&|_, _, _| panic!("out of order"), "forgets", 100).unwrap_err();
    assert!(told.starts_with("HARNESS FAILED"), "{told}");
    assert!(told.contains("out of order"), "{told}");
}

#[test]
fn shapes_and_bugs_that_do_not_exist_are_refused() {
    let told = finds_by(&fake::run, "forget", 100).unwrap_err();
    assert_eq!(
        told,
        "bank has no bug 'forget' (did you mean 'forgets'?); there are: forgets, invisible"
    );
    let options = Options {
        shape: Some("round".to_owned()),
        ..Options::default()
    };
    let told = check(Seeds::up_to(1), &options, None).unwrap_err();
    assert_eq!(
        told,
        "bank has no shape 'round'; there are: hardened, documented"
    );
}

#[test]
fn the_environment_chooses_the_seeds() {
    assert_eq!(env::parse(None, None, 20), Ok(Seeds::up_to(20)));
    assert_eq!(env::parse(Some("42"), None, 20), Ok(Seeds::one(Seed(42))));
    assert_eq!(env::parse(None, Some("300"), 20), Ok(Seeds::up_to(300)));
    assert_eq!(
        env::parse(None, Some("7..9"), 20).map(|seeds| seeds.to_string()),
        Ok("7..9".to_owned())
    );
}

#[test]
fn an_environment_that_names_no_seeds_is_refused() {
    let refused = |one, many| env::parse(one, many, 20).unwrap_err();
    assert!(refused(Some("1..3"), None).starts_with("SQUALL_SEED: '1..3' is not a seed"));
    assert!(refused(None, Some("many")).starts_with("SQUALL_SEEDS: 'many' is not a count"));
    assert!(refused(Some(""), None).starts_with("SQUALL_SEED: '' is not a seed"));
    assert!(refused(Some("1"), Some("2")).contains("both set"));
}
