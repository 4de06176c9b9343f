//! The `squall` program itself: what it prints where, its exit codes, and that the commands that it prints work.

use std::{
    fs, io,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use squall::{
    campaign::{Campaign, Seeds},
    scenario::Bug,
    storm::Plan,
};
use squall_scenarios::{catalogue, scenarios::order_saga::OrderSaga};

const SQUALL: &str = env!("CARGO_BIN_EXE_squall");
/// How the program is called in the commands that it prints.
const CALLED: &str = "cargo run --release -p squall-scenarios --";

/// What one invocation said.
struct Said {
    exit: i32,
    out: String,
    err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program prints text");
        Said {
            exit: output.status.code().expect("it is not killed"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

/// A program that is told of no CI step whose summary it could write.
fn outside_ci(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_remove("GITHUB_ACTIONS");
    command
}

/// The program with the words of `line` as its arguments.
fn squall(line: &str) -> Said {
    let output = outside_ci(SQUALL).args(line.split_whitespace()).output();
    Said::of(output.expect("the program can be run"))
}

/// A command that the program has printed, as a shell understands it.
fn as_printed(command: &str) -> Said {
    let arguments = command
        .strip_prefix(CALLED)
        .unwrap_or_else(|| panic!("not a command to copy: {command}"));
    let output = outside_ci("sh")
        .args(["-c", &format!("exec \"$SQUALL\" {arguments}")])
        .env("SQUALL", SQUALL)
        .output();
    Said::of(output.expect("there is a shell"))
}

/// A file of this text.
fn file(name: &str, text: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(std::process::id().to_string());
    fs::create_dir_all(&directory).expect("there is room for plans");
    let path = directory.join(name);
    fs::write(&path, text).expect("there is room for plans");
    path
}

/// Flags for making failures a little smaller, whatever time that takes.
fn few_runs(directory: &str) -> String {
    let directory = file("beside.json", "{}").with_file_name(directory);
    format!("--max-runs 12 --budget 30min --out {}", directory.display())
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "'{part}' is missing in:\n{text}");
    }
}

#[test]
fn list_names_every_scenario_with_its_shapes_and_bugs() {
    let said = squall("list");
    assert_eq!((said.exit, said.err.as_str()), (0, ""));
    let columns = |line: &str| -> Vec<String> {
        let columns = line.split("  ").map(str::trim);
        let columns = columns.filter(|column| !column.is_empty());
        columns.map(str::to_owned).collect()
    };
    let listed: Vec<Vec<String>> = said.out.lines().skip(1).map(columns).collect();
    let mut expected = Vec::new();
    for scenario in catalogue().scenarios {
        expected.push(vec![
            scenario.name().to_owned(),
            scenario.about().to_owned(),
        ]);
        expected.extend(scenario.shapes().iter().map(|shape| {
            let note = if shape.must_survive {
                ""
            } else {
                " (need not survive)"
            };
            vec![
                "shape".to_owned(),
                shape.name.to_owned(),
                format!("{}{note}", shape.about),
            ]
        }));
        let bugs = scenario.bugs();
        let bug = |bug: &Bug| ["bug", bug.name, bug.about].map(str::to_owned).to_vec();
        expected.extend(bugs.iter().map(bug));
    }
    assert_eq!(listed, expected);
    assert_has(
        &said.out,
        &["order-saga", "challenge-reward", "documented", "no-journal"],
    );
}

#[test]
fn json_is_one_object_with_what_a_script_needs() {
    let said = squall("run order-saga --seeds 5 --format json");
    assert_eq!(said.exit, 0, "{}", said.out);
    let report: Value = serde_json::from_str(&said.out).expect("one JSON value and nothing else");
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("no {key}"));
    assert_eq!(report["runs"], 5);
    let rate = number("runs") / number("elapsed_s");
    assert!((number("runs_per_s") / rate - 1.0).abs() < 1e-6, "{report}");
    assert_eq!(report["violations"], serde_json::json!([]));
    let faults = report["faults"].as_object().expect("faults by kind");
    let planned: u64 = faults
        .values()
        .filter_map(|count| count["planned"].as_u64())
        .sum();
    assert!(planned >= 5, "a fault a storm at least: {report}");
}

#[test]
fn the_number_of_workers_changes_nothing_but_the_time() {
    let with = |jobs: u32| {
        let said = squall(&format!(
            "run --plant no-journal --seeds 30 --jobs {jobs} --format json {}",
            few_runs("workers")
        ));
        let mut report: Value = serde_json::from_str(&said.out).expect("JSON");
        let report = report.as_object_mut().expect("an object");
        assert!(report.remove("elapsed_s").is_some() && report.remove("runs_per_s").is_some());
        (said.exit, report.clone())
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn every_violation_comes_with_a_command_that_shows_it_again() {
    for line in [
        "run order-saga --plant no-key --seeds 60",
        "run order-saga challenge-reward --shape documented --seeds 60",
    ] {
        let said = squall(&format!("{line} --format json --no-shrink"));
        assert_eq!(said.exit, 1, "{}", said.err);
        let report: Value = serde_json::from_str(&said.out).expect("JSON");
        let violations = report["violations"].as_array().expect("a list");
        assert!(!violations.is_empty());
        for violation in violations {
            let text = |key: &str| {
                violation[key]
                    .as_str()
                    .unwrap_or_else(|| panic!("no {key}"))
            };
            let what = format!("  {} ({}) at ", text("invariant"), text("tag"));
            assert_has(text("message"), &[what.trim_start()]);
            let again = as_printed(text("replay"));
            assert_eq!(again.exit, 1, "{}{}", again.out, again.err);
            let title = format!("seed {}\nVIOLATED, ", violation["seed"]);
            assert_has(&again.out, &[text("scenario"), &title, &what, "\ntrace\n"]);
        }
    }
}

#[test]
fn the_text_of_a_campaign_ends_with_a_command_that_shows_the_failure_again() {
    let line = format!(
        "run order-saga --plant no-key --seeds 100 --stop-at-first {}",
        few_runs("text")
    );
    let said = squall(&line);
    assert_eq!(said.exit, 1, "{}", said.err);
    assert_eq!(said.out, squall(&line).out, "stdout holds no timings");
    assert_has(&said.out, &["the smallest storm\n"]);
    let last = said.out.lines().last().expect("it says something");
    let replay = last.strip_prefix("replay: ").expect("how to see it again");
    let again = as_printed(replay);
    assert_eq!(again.exit, 1);
    assert_has(
        &again.out,
        &["It fails again as recorded: the same run, event for event."],
    );
    assert_eq!(
        again.out.lines().last(),
        Some(last),
        "it prints the same command"
    );
}

#[test]
fn a_replay_prints_the_same_bytes_every_time() {
    for arguments in [
        "order-saga --seed 3",
        "challenge-reward --seed 4",
        "order-saga --seed 18446744073709551615",
        "order-saga --seed 5 --plant no-key",
        "challenge-reward --seed 6 --shape documented",
    ] {
        let replay = |flags: &str| squall(&format!("replay {arguments} {flags}"));
        let (short, long) = (replay(""), replay("--trace"));
        assert_has(&short.err, &["of virtual time in"]);
        assert!(!short.out.contains("of virtual time in"), "{}", short.out);
        assert_eq!(short.out, replay("").out);
        assert_eq!(long.out, replay("--trace").out);
        assert_eq!(short.exit, long.exit);
        let hash = short.out.lines().find(|line| line.starts_with("hash "));
        assert_has(&long.out, &[hash.expect("every replay has its hash")]);
        assert!(long.out.lines().count() > short.out.lines().count() + 100);
        assert!(
            !long.out.contains('\x1b'),
            "no colours where no terminal is"
        );
    }
}

#[test]
fn the_stores_at_an_instant_are_shown_with_what_the_last_commit_changed() {
    let at = |time: &str| squall(&format!("replay order-saga --seed 6 --at {time}")).out;
    assert_has(
        &at("0"),
        &["the stores at 0.000000\nnothing was committed before\n"],
    );
    let trace = squall("replay order-saga --seed 6 --trace").out;
    let reserved = trace
        .lines()
        .find(|line| line.contains("+lock Reserved") || line.contains("reserved 0→1"))
        .expect("something is reserved");
    let mut words = reserved.split_whitespace();
    let (time, node) = (words.next().expect("when"), words.next().expect("where"));
    let stores = at(time);
    assert_has(
        &stores,
        &[
            &format!("the stores at {time}\n"),
            "\ninventory\n",
            "\n  products\n",
            "\"reserved\":1",
            &format!("the last commit before: {node} at {time}"),
            "reserved 0→1",
        ],
    );
    let earlier: f64 = time.parse().expect("seconds");
    assert!(!at(&format!("{:.6}", earlier - 0.000_001)).contains("\"reserved\":1"));
    assert_has(
        &at("2000min"),
        &["the stores at 120000.000000 (the run ended at "],
    );
}

#[test]
fn a_plan_file_replays_as_the_storm_that_it_was_written_from() {
    let campaign = Campaign::over(&OrderSaga, Seeds::up_to(2_000));
    let mut campaign = campaign.with_planted("no-journal").expect("a bug");
    campaign.stop_at_first = true;
    let found = campaign.run(&mut |_| ()).failures.remove(0);
    let plan = campaign.spec(found.seed).plan;
    let path = file("the storm's plan.json", &plan.to_json());
    campaign.plan_file = Some(path.clone());
    let read = as_printed(&campaign.replay_command(found.seed));
    campaign.plan_file = None;
    let drawn = as_printed(&campaign.replay_command(found.seed));
    let what = format!("{} ({})", found.signature.invariant, found.signature.tag);
    assert_has(&read.out, &[&what]);
    let (read, drawn) = (said_but_last(&read), said_but_last(&drawn));
    assert_eq!(read, drawn);

    fs::write(&path, Plan::calm().to_json()).expect("it was written before");
    campaign.plan_file = Some(path);
    let calm = as_printed(&campaign.replay_command(found.seed));
    assert_eq!(calm.exit, 0, "{}", calm.out);
    assert_has(&calm.out, &["SURVIVED", "no fault was planned"]);
}

/// Everything but the line with the command, which names the plan's file.
fn said_but_last(said: &Said) -> (i32, &str) {
    let (text, _) = said.out.trim_end().rsplit_once('\n').expect("many lines");
    (said.exit, text)
}

#[test]
fn bad_usage_exits_with_two_says_what_would_be_right_and_prints_no_result() {
    let cases: &[(&str, &[&str])] = &[
        (
            "run odrer-saga",
            &["did you mean 'order-saga'?", "challenge-reward"],
        ),
        (
            "run order-saga challenge-rewards",
            &["did you mean 'challenge-reward'?"],
        ),
        (
            "replay orders --seed 1",
            &["no scenario 'orders'", "order-saga"],
        ),
        ("replay order-saga", &["--seed"]),
        ("replay --seed 1", &["SCENARIO"]),
        (
            "replay order-saga --seed one",
            &["'one' is not a seed", "whole number"],
        ),
        ("replay order-saga --seed -1", &["'-1' is not a seed"]),
        ("replay order-saga --seed 1.5", &["'1.5' is not a seed"]),
        (
            "replay order-saga --seed 18446744073709551616",
            &["is not a seed", "18446744073709551615"],
        ),
        ("run --seeds 9..3", &["'9..3' holds no seed", "200..300"]),
        ("run --seeds 7..7", &["'7..7' holds no seed"]),
        ("run --seeds 0", &["'0' holds no seed"]),
        ("run --seeds many", &["'many' is not a count or range"]),
        ("run --seeds 1..x", &["'1..x' is not a count or range"]),
        ("run --jobs 0", &["--jobs"]),
        ("run --format xml", &["text", "json"]),
        (
            "run order-saga --shape hardend",
            &["did you mean 'hardened'?", "documented"],
        ),
        (
            "run --shape square",
            &["no scenario has the shape 'square'", "`list`"],
        ),
        (
            "run order-saga --plant no-jurnal",
            &["did you mean 'no-journal'?"],
        ),
        (
            "replay challenge-reward --seed 1 --plant refund-without-key",
            &["challenge-reward has no bug 'refund-without-key'"],
        ),
        (
            "run --plant evil",
            &["no scenario has the bug 'evil'", "`list`"],
        ),
        ("run --dance", &["--dance", "--help"]),
        ("storm", &["'storm'", "--help"]),
    ];
    for (line, parts) in cases {
        assert_refused(line, parts);
    }
}

#[test]
fn plans_that_cannot_be_used_are_refused_before_anything_runs() {
    let crash = |node: &str| {
        format!(
            r#"{{"version":1,"faults":[{{"when":{{"at-ms":5}},"action":{{"do":"restart","node":"{node}"}}}}]}}"#
        )
    };
    let good = file("good.json", &crash("order"));
    let said = squall(&format!(
        "replay order-saga --seed 1 --plan {}",
        good.display()
    ));
    assert_eq!(
        said.exit, 0,
        "the others are refused for what is wrong with them: {}",
        said.err
    );

    let cases: &[(&str, &str, &[&str])] = &[
        ("empty.json", "", &["is not a plan"]),
        (
            "cut.json",
            r#"{"version":1,"faults":["#,
            &["is not a plan", "line 1"],
        ),
        ("list.json", "[]", &["it has no \"version\""]),
        (
            "unversioned.json",
            r#"{"faults":[]}"#,
            &["it has no \"version\""],
        ),
        (
            "new.json",
            r#"{"version":99,"faults":[]}"#,
            &["version 99", "reads version 1"],
        ),
        ("typo.json", r#"{"version":1,"fualts":[]}"#, &["fualts"]),
        (
            "unknown-fault.json",
            &crash("order").replace("restart", "explode"),
            &["explode"],
        ),
        (
            "unknown-node.json",
            &crash("odrer"),
            &["order-saga", "fault 0", "no node \"odrer\"", "inventory"],
        ),
    ];
    for (name, text, parts) in cases {
        let path = file(name, text);
        for command in ["replay order-saga --seed 1", "run order-saga --seeds 1"] {
            assert_refused(&format!("{command} --plan {}", path.display()), parts);
        }
    }
    let missing = good.with_file_name("missing.json");
    assert_refused(
        &format!("replay order-saga --seed 1 --plan {}", missing.display()),
        &["cannot read the plan", "missing.json"],
    );
    let directory = good.parent().expect("it is in a directory");
    assert_refused(
        &format!("run order-saga --plan {}", directory.display()),
        &["cannot read the plan"],
    );
}

#[track_caller]
fn assert_refused(line: &str, parts: &[&str]) {
    let said = squall(line);
    assert_eq!(said.exit, 2, "{line}\n{}{}", said.out, said.err);
    assert_eq!(said.out, "", "{line}");
    assert!(said.err.starts_with("error: "), "{line}\n{}", said.err);
    assert_has(&said.err, parts);
}

#[test]
fn help_shows_examples_that_name_what_there_is() {
    let catalogue = catalogue();
    for line in [
        "--help",
        "-h",
        "run --help",
        "replay --help",
        "shrink --help",
        "list --help",
    ] {
        let said = squall(line);
        assert_eq!((said.exit, said.err.as_str()), (0, ""), "{line}");
        assert_has(&said.out, &["Usage:"]);
        if line.starts_with("list") {
            continue;
        }
        assert_has(&said.out, &["Examples:", "Exit codes:"]);
        let examples: Vec<&str> = said
            .out
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix(CALLED))
            .collect();
        assert!(examples.len() >= 2, "{}", said.out);
        for example in examples {
            let words: Vec<&str> = example.split_whitespace().collect();
            let is_name = |word: &&&str| !word.starts_with('-') && !word.ends_with(".json");
            let Some(scenario) = words.get(1).filter(is_name) else {
                continue;
            };
            let scenario = catalogue
                .get(scenario)
                .unwrap_or_else(|| panic!("{example}"));
            let planted = words.iter().skip_while(|word| **word != "--plant").nth(1);
            let exists = |bug: &&str| scenario.bugs().iter().any(|b| b.name == *bug);
            assert!(planted.is_none_or(exists), "{example}");
        }
    }
}

#[test]
fn sync_windows_compares_the_modes_in_every_storm() {
    let directory = file("windows", "").with_extension("html");
    let line = format!(
        "sync-windows --seeds 1 --format json --html {}",
        directory.display()
    );
    let said = squall(&line);
    assert_eq!(said.exit, 0, "{}", said.err);
    let told: Value = serde_json::from_str(&said.out).expect("JSON");
    let rows = told["windows"].as_array().expect("a row a storm and mode");
    assert_eq!(rows.len(), 6 * 5);
    let of = |sync: &str, what: &str| {
        let row = rows
            .iter()
            .find(|row| row["storm"] == "calm" && row["sync"] == sync);
        row.expect("it is measured")[what].as_f64()
    };
    for sync in [
        "live",
        "cache",
        "events, webhook",
        "events, pub/sub",
        "events, stream",
    ] {
        assert_eq!(
            (of(sync, "never"), of(sync, "refused")),
            (Some(0.0), Some(0.0)),
            "{sync}"
        );
    }
    assert!(of("live", "max_ms") < Some(2_000.0));
    assert!(of("events, stream", "max_ms") < Some(5_000.0));
    assert!(
        of("cache", "max_ms") > Some(60_000.0),
        "a copy lives for five minutes"
    );
    assert!(of("cache", "max_ms") < Some(302_000.0));
    let page = fs::read_to_string(directory).expect("the page is there");
    assert_eq!(page.matches("<svg").count(), 6);
    assert_eq!(squall("sync-windows --seeds 0").exit, 2);
    assert_eq!(squall("sync-windows --format pdf").exit, 2);
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    for (line, exit) in [
        ("--help", 0),
        ("list", 0),
        ("run order-saga --seeds 3", 0),
        ("run order-saga --seeds 3 --format json", 0),
        ("replay order-saga --seed 1 --trace", 0),
        (
            "run order-saga --plant no-key --seeds 60 --stop-at-first --no-shrink",
            1,
        ),
    ] {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let child = outside_ci(SQUALL)
            .args(line.split_whitespace())
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be run");
        let said = Said::of(child.wait_with_output().expect("it ends"));
        assert_eq!(said.exit, exit, "{line}\n{}", said.err);
        for word in ["error", "panicked", "pipe"] {
            assert!(!said.err.contains(word), "{line}\n{}", said.err);
        }
    }
}
