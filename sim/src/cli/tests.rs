//! The command line over fake runs: what it prints where, and its exit codes.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use serde_json::Value;

use super::*;
use crate::{
    campaign::fake::{self, Fake},
    run::{Options, Outcome, Spec},
    scenario::Scenario,
    seed::Seed,
};

#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pipe {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A stream that fails always in the same way.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

fn catalogue() -> Catalogue {
    Catalogue {
        scenarios: vec![
            Box::new(Fake { name: "bank" }),
            Box::new(Fake { name: "shop" }),
        ],
        canary: Some(("bank", "forgets")),
    }
}

struct Said {
    exit: Exit,
    out: String,
    err: String,
}

fn squall_with(catalogue: &Catalogue, runner: Runner<'_>, line: &str) -> Said {
    squall_bringing(catalogue, &[], runner, line)
}

fn squall_bringing(
    catalogue: &Catalogue,
    brought: &[Brought],
    runner: Runner<'_>,
    line: &str,
) -> Said {
    let (out, err) = (Pipe::default(), Pipe::default());
    let exit = Session {
        catalogue,
        brought,
        runner,
        out: Output::new(Box::new(out.clone())),
        err: Output::new(Box::new(err.clone())),
        style: Style::PLAIN,
        bars: false,
        failures: failures(),
    }
    .serve(
        ["squall"]
            .into_iter()
            .chain(line.split_whitespace())
            .map(OsString::from),
    );
    Said {
        exit,
        out: out.text(),
        err: err.text(),
    }
}

/// Where the tests write failures.
fn failures() -> PathBuf {
    std::env::temp_dir().join(format!("squall-cli-tests-{}", std::process::id()))
}

/// The command that replays a failure that was written there.
fn replay_of(file: &str) -> String {
    let path = failures().join(file);
    format!("cargo run --release -- replay {} --trace", path.display())
}

fn squall(line: &str) -> Said {
    squall_with(&catalogue(), &fake::run, line)
}

fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "'{part}' is missing in:\n{text}");
    }
}

#[test]
fn a_command_that_the_program_brings_stands_beside_the_others() {
    let count = clap::Arg::new("count").value_parser(clap::value_parser!(u64));
    let greet = Brought {
        command: clap::Command::new("greet").about("Say hello").arg(count),
        run: Box::new(|args, out| match args.get_one::<u64>("count") {
            Some(0) => Err(BroughtError::Usage("greet somebody".to_owned())),
            Some(13) => Err(BroughtError::Failed("nobody came".to_owned())),
            count => Ok(writeln!(out, "hello {count:?}")?),
        }),
    };
    let greet = [greet];
    let said = |line| squall_bringing(&catalogue(), &greet, &fake::run, line);
    let help = said("--help");
    assert_has(&help.out, &["  greet ", "Say hello", "  run "]);
    let hello = said("greet 3");
    assert_eq!(
        (hello.exit, &*hello.out),
        (Exit::Survived, "hello Some(3)\n")
    );
    assert_eq!(said("greet x").exit, Exit::Usage);
    let (usage, failed) = (said("greet 0"), said("greet 13"));
    assert_eq!(
        (usage.exit, &*usage.err),
        (Exit::Usage, "error: greet somebody\n")
    );
    assert_eq!(
        (failed.exit, &*failed.err),
        (Exit::Failed, "error: nobody came\n")
    );
    assert_eq!(
        said("list").exit,
        Exit::Survived,
        "the others are still there"
    );
}

#[test]
fn without_a_command_everything_survives_and_the_canary_is_caught() {
    let said = squall("");
    assert_eq!(said.exit, Exit::Survived, "{}{}", said.out, said.err);
    assert_has(
        &said.out,
        &[
            "scenario  shape       storms  violations  completed  compensated  verdict",
            "bank      hardened       334           0      1,002          167  survived",
            "shop      in-a-hurry     334",
            "restart    1,002  1,002        501",
            "self-test: forgets is planted into bank",
            "VIOLATED bank (hardened + forgets), 1 of 11 storms, first with seed 10",
            "the trace, events 7 to 21 of 22",
            "boots: for the 20th time, seed 10",
            "the smallest storm\n  it happens without any fault\n  0 faults, 0 clients, 0 requests, 1.000000 s, from 1 fault,",
            &format!(
                "replay: {}\n",
                replay_of("bank-forgets-no-money-is-lost-little.json")
            ),
            "All survived, and the canary was caught.",
        ],
    );
    assert!(
        !said.out.contains("documented"),
        "only shapes that must survive are run"
    );
    assert!(
        !said.out.contains("total"),
        "what else is counted is for `run`"
    );
    assert_has(&said.err, &["1,002 storms in"]);
    assert!(!said.err.contains("time is up"), "{}", said.err);
}

#[test]
fn a_canary_that_is_not_caught_is_a_failure() {
    let deaf = Catalogue {
        canary: Some(("bank", "invisible")),
        ..catalogue()
    };
    let said = squall_with(&deaf, &fake::run, "");
    assert_eq!(said.exit, Exit::Failed);
    assert_has(
        &said.out,
        &["NOT CAUGHT in 2,000 storms", "the silence means nothing"],
    );

    let wrong = Catalogue {
        canary: Some(("bank", "no-such-bug")),
        ..catalogue()
    };
    assert_eq!(squall_with(&wrong, &fake::run, "").exit, Exit::Failed);
}

#[test]
fn a_catalogue_without_a_canary_says_so() {
    let none = Catalogue {
        canary: None,
        ..catalogue()
    };
    let said = squall_with(&none, &fake::run, "");
    assert_eq!(said.exit, Exit::Survived);
    assert_has(&said.out, &["the catalogue has no canary"]);
}

#[test]
fn a_violation_in_the_default_campaign_fails_it() {
    let breaks = |scenario: &dyn Scenario, spec: &Spec, options: Options| {
        let planted = spec.plant.clone().or_else(|| Some("forgets".to_owned()));
        fake::run(
            scenario,
            &Spec {
                plant: planted,
                ..spec.clone()
            },
            options,
        )
    };
    let said = squall_with(&catalogue(), &breaks, "");
    assert_eq!(said.exit, Exit::Failed);
    assert_has(
        &said.out,
        &["VIOLATED, STUCK", "Failures were found: see above."],
    );
}

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
fn replay_prints_the_same_bytes_every_time() {
    let line = "replay bank --seed 10 --plant forgets --trace";
    let said = squall(line);
    assert_eq!(said.exit, Exit::Failed);
    assert_eq!(said.out, squall(line).out);
    assert_has(
        &said.out,
        &[
            "bank (hardened + forgets), seed 10\nVIOLATED, ended at 1.000000\n",
            "no money is lost (little) at 12.003450",
            "at 0.01 s: vault is restarted  0.010000  effective",
            "completed        3",
        ],
    );
    let hash = fake::run(
        &Fake { name: "bank" },
        &Spec::of(&Fake { name: "bank" }, Seed(10)),
        Options::default(),
    )
    .hash;
    assert_has(&said.out, &[&format!("hash {hash:016x}\n")]);
    let replay = format!("replay: cargo run --release -- {line}\n");
    assert!(said.out.ends_with(&replay), "{}", said.out);
    assert_has(&said.err, &["1.0 s of virtual time in"]);
    let whole = said
        .out
        .split_once("\ntrace\n")
        .expect("the trace has a heading")
        .1;
    assert_eq!(
        whole.lines().filter(|line| line.contains("boots")).count(),
        21
    );
    let brief = squall("replay bank --seed 10 --plant forgets").out;
    assert!(!brief.contains("boots"), "{brief}");
}

#[test]
fn replay_of_a_seed_that_survives_exits_with_zero() {
    let said = squall("replay shop --seed 18446744073709551615");
    assert_eq!(said.exit, Exit::Survived, "{}", said.err);
    assert_has(
        &said.out,
        &["SURVIVED, ended at 1.000000", "touched nothing"],
    );
}

#[test]
fn list_shows_scenarios_shapes_and_bugs() {
    let said = squall("list");
    assert_eq!(said.exit, Exit::Survived);
    assert_has(
        &said.out,
        &[
            "bank",
            "two tellers",
            "in-a-hurry",
            "(need not survive)",
            "oversells",
            "forgets",
        ],
    );
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
        Some("replay: cargo run --release -- replay bank --seed 100 --trace")
    );
}

#[test]
fn bad_usage_exits_with_two_says_what_would_be_right_and_prints_no_result() {
    let cases: &[(&str, &[&str])] = &[
        (
            "run bnak",
            &["no scenario 'bnak' (did you mean 'bank'?)", "bank, shop"],
        ),
        (
            "replay casino --seed 1",
            &["no scenario 'casino'; there are: bank, shop"],
        ),
        (
            "run bank shop --shape documented",
            &["shop has no shape 'documented'", "hardened, in-a-hurry"],
        ),
        (
            "run bank --plant forget",
            &["bank has no bug 'forget' (did you mean 'forgets'?)"],
        ),
        (
            "run --plant forget",
            &["no scenario has the bug 'forget' (did you mean 'forgets'?)"],
        ),
        (
            "run --plant oversells --shape documented",
            &["no scenario has the shape 'documented' and the bug 'oversells'"],
        ),
        ("run --seeds 0", &["'0' holds no seed", "200..300"]),
        ("run --seeds -5", &["'-5' is not a count or range"]),
        ("run --seeds 9..3", &["'9..3' holds no seed"]),
        ("run --jobs 0", &["1..=1024"]),
        ("run --format yaml", &["text", "json"]),
        ("run --budget soon", &["'soon' is no time", "10s"]),
        ("run --no-shrink --max-runs 5", &["cannot be used with"]),
        (
            "replay bank --seed 1 --at noon",
            &["'noon' is not an instant", "250ms"],
        ),
        ("replay bank --seed 1 --at -1", &["'-1' is not an instant"]),
        (
            "replay /no/such/failure.json",
            &["cannot read the failure /no/such/failure.json"],
        ),
        ("shrink /no/such/failure.json", &["cannot read the failure"]),
        ("shrink", &["FILE"]),
        ("replay bank --seed x", &["'x' is not a seed", "in decimal"]),
        ("replay bank --seed -1", &["'-1' is not a seed"]),
        ("replay bank", &["--seed"]),
        ("dance", &["unrecognized subcommand 'dance'"]),
        (
            "run bank --plan /no/such/file.json",
            &["cannot read the plan /no/such/file.json"],
        ),
    ];
    for (line, parts) in cases {
        let said = squall(line);
        assert_eq!(said.exit, Exit::Usage, "{line}\n{}", said.err);
        assert_eq!(said.out, "", "{line}");
        assert_has(&said.err, parts);
    }
}

#[test]
fn plans_that_cannot_be_used_exit_with_two() {
    let file = std::env::temp_dir().join(format!("squall-plan-{}.json", std::process::id()));
    let crash = |node: &str| {
        format!(
            r#"{{"version":1,"faults":[{{"when":{{"at-ms":5}},"action":{{"do":"restart","node":"{node}"}}}}]}}"#
        )
    };
    let cases = [
        ("{".to_owned(), "is not a plan"),
        (r#"{"faults":[]}"#.to_owned(), "it has no \"version\""),
        (
            r#"{"version":2,"faults":[]}"#.to_owned(),
            "a plan of version 2; this build reads version 1",
        ),
        (
            r#"{"version":1,"faults":[{"when":"now"}]}"#.to_owned(),
            "is not a plan",
        ),
        (
            crash("cellar"),
            "bank: the plan's fault 0 (at 0.005 s: cellar is restarted) cannot happen here: there is no node \"cellar\"; there are vault, teller",
        ),
    ];
    for (text, part) in cases {
        std::fs::write(&file, text).unwrap();
        let said = squall(&format!("replay bank --seed 1 --plan {}", file.display()));
        assert_eq!(said.exit, Exit::Usage, "{part}");
        assert_has(&said.err, &[part]);
    }
    std::fs::write(&file, crash("vault")).unwrap();
    let said = squall(&format!(
        "run bank --seeds 10..12 --plant forgets --no-shrink --plan {}",
        file.display()
    ));
    assert_eq!(said.exit, Exit::Failed, "{}", said.err);
    assert_has(
        &said.out,
        &[
            "at 0.005 s: vault is restarted",
            &format!("--trace --plan {}\n", file.display()),
        ],
    );
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn help_goes_to_stdout_with_examples_that_name_real_scenarios() {
    for line in ["--help", "run --help", "replay --help"] {
        let said = squall(line);
        assert_eq!((said.exit, said.err.as_str()), (Exit::Survived, ""));
        assert_has(&said.out, &["Examples:", "bank", "Exit codes:"]);
    }
    let shrink = squall("shrink --help").out;
    assert_has(
        &shrink,
        &["Examples:", "failures/FAILURE.json --budget", "Exit codes:"],
    );
    assert_has(
        &squall("replay --help").out,
        &["git bisect run", "exit 125"],
    );
}

#[test]
fn a_reader_that_has_gone_changes_neither_the_exit_code_nor_stderr() {
    let line = |to: io::ErrorKind| {
        let err = Pipe::default();
        let exit = Session {
            catalogue: &catalogue(),
            brought: &[],
            runner: &fake::run,
            out: Output::new(Box::new(Broken(to))),
            err: Output::new(Box::new(err.clone())),
            style: Style::PLAIN,
            bars: false,
            failures: failures(),
        }
        .serve(
            [
                "squall", "run", "bank", "--plant", "forgets", "--seeds", "20",
            ]
            .map(OsString::from),
        );
        (exit, err.text())
    };
    let (exit, err) = line(io::ErrorKind::BrokenPipe);
    assert_eq!(exit, Exit::Failed);
    assert!(!err.contains("error"), "{err}");
    let (exit, err) = line(io::ErrorKind::StorageFull);
    assert_eq!(exit, Exit::Failed);
    assert_has(&err, &["error: cannot write the result"]);
}

#[test]
fn a_sweep_tells_of_each_kind_how_many_sites_survived() {
    let said = squall("sweep bank --seed 1 --pairs 5 --jobs 2");
    assert_eq!(said.exit, Exit::Survived, "{}{}", said.out, said.err);
    assert_has(
        &said.out,
        &[
            "bank (hardened): 3 sites met, 1 of them pruned",
            "crash before             2      2          0  2 of 2 sites survived",
            "sync error               1",
            "WARNING: crash before never touched anything",
            "pairs: 0 of 0",
        ],
    );
    assert!(!said.out.contains("write error"), "it applies nowhere");
    let again = squall("sweep bank --seed 1 --pairs 5 --jobs 1");
    assert_eq!(said.out, again.out);
}

#[test]
fn a_sweep_that_finds_something_writes_it_down_and_ends_with_the_command_that_replays_it() {
    let folder = std::env::temp_dir().join(format!("squall-sweep-{}", std::process::id()));
    let out = folder.display();
    let line = format!("sweep bank --plant forgets --seed 10 --out {out}");
    let said = squall(&line);
    assert_eq!(said.exit, Exit::Failed);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().collect();
    assert_eq!(files.len(), 1);
    let replay = format!("replay {} --trace", files[0].path().display());
    assert_has(&said.out, &["VIOLATED bank (hardened + forgets)", &replay]);
    let json = squall(&format!("{line} --format json"));
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("one object");
    assert_eq!(json["violations"][0]["tag"], "little");
    assert_eq!(json["matrix"]["rows"], serde_json::json!([]));
    std::fs::remove_dir_all(folder).unwrap();

    for line in [
        "sweep",
        "sweep no-such",
        "sweep bank --seed 1 --seeds 3",
        "sweep bank shop",
    ] {
        assert_eq!(squall(line).exit, Exit::Usage, "{line}");
    }
}

/// A path in an empty directory of this test's own.
fn place(test: &str, name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("squall-{}-{test}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

#[test]
fn a_replay_is_written_as_a_page_and_as_a_trace_file_and_prints_what_it_did_before() {
    let (page, trace) = (place("page", "run.html"), place("trace", "run.json"));
    let line = "replay bank --seed 10 --plant forgets";
    let plain = squall(line);
    let said = squall(&format!(
        "{line} --html {} --perfetto {}",
        page.display(),
        trace.display()
    ));
    assert_eq!((said.exit, &said.out), (Exit::Failed, &plain.out));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("no money is lost") && page.contains("for the 20th time"));
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(trace).unwrap()).unwrap();
    assert!(!trace["traceEvents"].as_array().unwrap().is_empty());
}

#[test]
fn a_campaigns_report_links_to_a_page_for_each_failure() {
    let file = place("report", "report.html");
    let said = squall(&format!(
        "run bank --plant forgets --seeds 31 --html {}",
        file.display()
    ));
    assert_eq!(said.exit, Exit::Failed);
    let report = std::fs::read_to_string(&file).unwrap();
    for number in 1..=3 {
        let name = format!("report-{number}.html");
        assert!(report.contains(&format!("href=\"{name}\"")), "{name}");
        assert!(file.with_file_name(&name).is_file(), "{name}");
    }
}

#[test]
fn a_picture_that_cannot_be_written_fails_with_a_sentence_after_the_result() {
    let file = place("unwritable", "no/such/directory/run.html");
    for line in [
        "replay bank --seed 1 --html",
        "replay bank --seed 1 --perfetto",
        "run bank --seeds 2 --html",
    ] {
        let said = squall(&format!("{line} {}", file.display()));
        assert_eq!(said.exit, Exit::Failed, "{line}");
        assert!(said.err.contains("error: cannot write"), "{}", said.err);
        assert!(
            said.err.contains("choose a file in a directory"),
            "{}",
            said.err
        );
        assert!(!said.out.is_empty());
    }
}

#[test]
fn a_corpus_that_cannot_be_used_is_bad_usage() {
    let dir = std::env::temp_dir().join(format!("squall-corpus-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("bank-1.json"), "{}").unwrap();
    let dir = dir.display();
    let damaged = squall(&format!(
        "run bank --explore guided --seeds 5 --corpus {dir}"
    ));
    assert_eq!(damaged.exit, Exit::Usage);
    assert_has(&damaged.err, &["bank-1.json is not a storm of a corpus"]);
    let unguided = squall(&format!("run bank --seeds 5 --corpus {dir}"));
    assert_eq!(unguided.exit, Exit::Usage);
    assert!(
        unguided.err.contains("--explore guided"),
        "{}",
        unguided.err
    );
}

mod files;
mod long;
