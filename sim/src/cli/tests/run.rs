//! `run`: tables, JSON, exit codes.

use super::*;

#[test]
fn run_gives_tables_and_each_distinct_failure_with_its_replay_command() {
    let said = squall("run bank --plant forgets --seeds 60 --jobs 2");
    assert_eq!(said.exit, Exit::Failed);
    assert_has(
        &said.out,
        &[
            "bank      hardened + forgets      60           9",
            "VIOLATED bank (hardened + forgets), 5 of 60 storms, first with seed 10",
            "STUCK bank (hardened + forgets), 2 of 60 storms, first with seed 25",
            "a teller waits for ever",
            "determinism: 1 seeds were run twice, with equal hashes",
            "completed      180",
        ],
    );
    let last = said.out.lines().last();
    let replay = format!(
        "replay: {}",
        replay_of("bank-forgets-stuck-time-limit.json")
    );
    assert_eq!(last, Some(replay.as_str()));
    assert!(!said.out.contains("storms in"), "timings go to stderr");
}

#[test]
fn run_of_a_system_that_survives_exits_with_zero_and_counts_its_faults() {
    let said = squall("run --seeds 100");
    assert_eq!(said.exit, Exit::Survived, "{}", said.err);
    assert_has(&said.out, &["restart      200    200        100"]);
    let odd = squall("run bank --seeds 1..2");
    assert_has(
        &odd.out,
        &["WARNING: restart was planned once and never touched anything"],
    );
}

#[test]
fn a_shape_that_need_not_survive_still_exits_with_one() {
    assert_eq!(
        squall("run bank --shape documented --seeds 10").exit,
        Exit::Failed
    );
    assert_eq!(
        squall("run bank --shape documented --seeds 3").exit,
        Exit::Survived
    );
}

#[test]
fn without_names_a_shape_or_bug_chooses_the_scenarios_that_have_it() {
    let said = squall("run --shape in-a-hurry --seeds 10");
    assert_eq!(said.exit, Exit::Survived);
    assert!(
        said.out.contains("shop") && !said.out.contains("bank"),
        "{}",
        said.out
    );
}

#[test]
fn stopping_at_the_first_failure_runs_no_further_scenario() {
    let said = squall("run bank shop --seeds 500 --stop-at-first --shape hardened");
    assert_eq!(said.exit, Exit::Survived);
    let said = squall("run --plant forgets --seeds 500 --stop-at-first");
    assert_has(&said.out, &["1 of 11 storms, first with seed 10"]);
}

#[test]
fn json_is_one_object_that_scripts_can_rely_on() {
    let said = squall("run bank --plant forgets --seeds 60 --format json");
    assert_eq!(said.exit, Exit::Failed);
    let json: Value = serde_json::from_str(&said.out).expect("one JSON document");
    assert_eq!(json["runs"], 60);
    assert!(json["elapsed_s"].is_f64() && json["runs_per_s"].is_f64());
    assert_eq!(json["verdicts"]["violated"], 7);
    assert_eq!(json["verdicts"]["stuck"], 2);
    let restart = &json["faults"]["restart"];
    assert_eq!(
        [
            &restart["planned"],
            &restart["fired"],
            &restart["effective"]
        ],
        [60, 60, 30]
    );
    assert_eq!(json["counts"]["completed"], 180);
    assert_eq!(json["campaigns"][0]["sometimes"]["a seed was odd"], 30);
    let never = &json["sometimes_never_reached"][0];
    assert_eq!(never["sometimes"], "a seed was a thousand");
    assert_eq!(json["determinism"]["runs_twice"], 1);
    let hash = json["determinism"]["hash"].as_str();
    assert!(hash.is_some_and(|hash| hash.len() == 16), "{hash:?}");
    assert_eq!(json["violations"].as_array().map(Vec::len), Some(3));
    let first = &json["violations"][0];
    assert_eq!(first["scenario"], "bank");
    assert_eq!(first["shape"], "hardened");
    assert_eq!(first["plant"], "forgets");
    assert_eq!(first["seed"], 10);
    assert_eq!(first["invariant"], "no money is lost");
    assert_eq!(first["tag"], "little");
    assert_eq!(first["message"], fake::violation("little", 10).to_string());
    assert_eq!(first["count"], 5);
    let file = "bank-forgets-no-money-is-lost-little.json";
    assert_eq!(first["replay"], replay_of(file));
    let shrunk = &first["shrunk"];
    assert_eq!(shrunk["sentence"], "it happens without any fault");
    assert_eq!(shrunk["before"]["faults"], 1);
    assert_eq!(shrunk["after"]["faults"], 0);
    assert_eq!(shrunk["file"], failures().join(file).display().to_string());
    assert_eq!(json["violations"][2]["invariant"], "stuck");

    let calm: Value = serde_json::from_str(&squall("run --seeds 5 --format json").out).unwrap();
    assert_eq!(calm["violations"], Value::Array(Vec::new()));
    assert_eq!(calm["campaigns"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_runner_that_is_not_deterministic_fails_the_run_and_says_which_seed() {
    let calls = AtomicU64::new(0);
    let flaky = |scenario: &dyn Scenario, spec: &Spec, options: Options| Outcome {
        hash: calls.fetch_add(1, Relaxed),
        ..fake::run(scenario, spec, options)
    };
    let said = squall_with(&catalogue(), &flaky, "run bank --seeds 1..200");
    assert_eq!(said.exit, Exit::Failed);
    assert_has(
        &said.out,
        &["NOT DETERMINISTIC bank (hardened): seed 100 gave hash"],
    );
    let last = said.out.lines().last();
    assert_eq!(
        last,
        Some("replay: cargo run --release -p squall -- replay bank --seed 100 --trace")
    );
}
