//! Failure files: written, replayed, shrunk, compared, refused.

use std::{fs, path::Path};

use squall_explore::failure::FailureFile;

use super::*;

/// A directory of one test's own.
fn scratch(test: &str) -> PathBuf {
    let directory = failures().join(test);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// The file of the bank's failure, written by `run`.
fn written(test: &str) -> (PathBuf, FailureFile) {
    let directory = scratch(test);
    let run = "run bank --plant forgets --seeds 12 --out";
    let said = squall(&format!("{run} {}", directory.display()));
    assert_eq!(said.exit, Exit::Failed, "{}", said.err);
    let path = directory.join("bank-forgets-no-money-is-lost-little.json");
    let file = FailureFile::read(&path).expect("it was written");
    (path, file)
}

fn replay(path: &Path, flags: &str) -> Said {
    squall(&format!("replay {} {flags}", path.display()))
}

/// The same file as another program would have written it.
fn by_another_build(mut file: FailureFile, path: &Path) -> FailureFile {
    file.build.program = Some("0123456789abcdef".to_owned());
    file.build.commit = Some("47eee7462a1b00000000".to_owned());
    file.build.dirty = false;
    fs::write(path, file.to_json()).unwrap();
    file
}

#[test]
fn a_failure_file_replays_the_same_run() {
    let (path, file) = written("same-run");
    assert_eq!(file.scenario, "bank");
    assert_eq!(file.plant.as_deref(), Some("forgets"));
    assert_eq!(file.seed, Seed(10));
    let said = replay(&path, "");
    assert_eq!(said.exit, Exit::Failed, "{}", said.err);
    assert_has(
        &said.out,
        &[
            &format!(
                "bank (hardened + forgets), seed 10, from {}\nVIOLATED",
                path.display()
            ),
            "\nit happens without any fault\n",
            "It fails again as recorded: the same run, event for event.\n",
            &format!("hash {}\n", file.hash),
        ],
    );
    assert!(!said.out.contains("boots"), "{}", said.out);
    assert_eq!(said.out, replay(&path, "").out);
    assert_has(
        &replay(&path, "--trace").out,
        &["\ntrace\n", "boots: for the 20th time"],
    );
}

#[test]
fn a_failure_that_is_gone_is_good_news_from_another_build_and_a_defect_from_this_one() {
    let (path, file) = written("gone");
    let mut cured = FailureFile {
        plant: None,
        ..file
    };
    fs::write(&path, cured.to_json()).unwrap();
    let same = replay(&path, "");
    assert_eq!(same.exit, Exit::Failed);
    assert_has(
        &same.out,
        &["does not happen.", "NOT DETERMINISTIC: this very build"],
    );

    cured = by_another_build(cured, &path);
    let other = replay(&path, "");
    assert_eq!(other.exit, Exit::Survived, "{}", other.err);
    assert_has(
        &other.out,
        &[
            "The recorded failure \"no money is lost (little)\" does not happen any more with this build.",
            &format!(
                "recorded by  {}, commit 47eee7462a1b, program 0123456789abcdef",
                cured.build.version
            ),
            "this build   ",
        ],
    );
    assert!(!other.out.contains("replay: "), "{}", other.out);
}

#[test]
fn another_run_of_the_same_failure_shows_where_the_traces_part() {
    let (path, file) = written("parted");
    let mut other = by_another_build(file, &path);
    other.hash = "0000000000000001".to_owned();
    let (event, marks) = (20, other.trace.marks.clone());
    let mark = event * 4..(event + 1) * 4;
    let another = if marks[mark.clone()] == *"0000" {
        "ffff"
    } else {
        "0000"
    };
    other.trace.marks.replace_range(mark, another);
    fs::write(&path, other.to_json()).unwrap();
    let said = replay(&path, "");
    assert_eq!(said.exit, Exit::Failed);
    let recorded = other
        .trace
        .line(event)
        .expect("it is among the last")
        .trim_start();
    assert_has(
        &said.out,
        &[
            "It fails in the same way as recorded, but in another run.",
            "the traces part at event 20 of 22\n",
            &format!("recorded  {recorded}\n"),
            "now       ",
        ],
    );

    other.trace.events += 1;
    other.trace.marks = marks + "ffff";
    fs::write(&path, other.to_json()).unwrap();
    let said = replay(&path, "");
    assert_has(
        &said.out,
        &["part at event 22 of 23", "now       (the trace ends)\n"],
    );
}

#[test]
fn something_else_that_breaks_is_told_as_that() {
    let (path, file) = written("otherwise");
    let other = FailureFile {
        tag: "lot".to_owned(),
        hash: "0000000000000001".to_owned(),
        ..file
    };
    fs::write(&path, other.to_json()).unwrap();
    let said = replay(&path, "");
    assert_eq!(said.exit, Exit::Failed);
    let told = "Instead of \"no money is lost (lot)\", as recorded, it fails with \"no money is lost (little)\".";
    assert_has(&said.out, &[told]);
}

#[test]
fn shrink_writes_the_smaller_failure_where_it_is_told_to() {
    let (path, mut file) = written("shrink");
    let restart = r#"{"when":{"at-ms":5},"action":{"do":"restart","node":"vault"}}"#;
    file.plan.faults = vec![serde_json::from_str(restart).unwrap()];
    fs::write(&path, file.to_json()).unwrap();
    let smaller = scratch("shrink").join("smaller");
    let line = format!(
        "shrink {} --jobs 1 --out {}",
        path.display(),
        smaller.display()
    );
    let said = squall(&line);
    assert_eq!(said.exit, Exit::Survived, "{}", said.err);
    let written = smaller.join(path.file_name().unwrap());
    assert_has(
        &said.out,
        &[
            "it happens without any fault",
            &format!("written to {}\n", written.display()),
        ],
    );
    let last = format!(
        "replay: cargo run --release -p squall -- replay {} --trace",
        written.display()
    );
    assert_eq!(said.out.lines().last(), Some(last.as_str()));
    assert_eq!(FailureFile::read(&written).unwrap().plan.faults, []);
    assert_eq!(FailureFile::read(&path).unwrap().plan.faults.len(), 1);

    let beside = squall(&format!("shrink {}", path.display()));
    assert_eq!(beside.exit, Exit::Survived, "{}", beside.err);
    assert_eq!(FailureFile::read(&path).unwrap().plan.faults, []);

    fs::write(
        &path,
        FailureFile {
            plant: None,
            ..file
        }
        .to_json(),
    )
    .unwrap();
    let gone = squall(&format!("shrink {}", path.display()));
    assert_eq!(gone.exit, Exit::Failed);
    assert_has(&gone.out, &["NOT DETERMINISTIC"]);
}

#[test]
fn failures_that_come_and_go_are_told_as_a_defect() {
    let calls = AtomicU64::new(0);
    let fickle = |scenario: &dyn Scenario, spec: &Spec, options| {
        let first = calls.fetch_add(1, Relaxed) == 0;
        let plant = spec.plant.clone().filter(|_| first);
        fake::run(
            scenario,
            &Spec {
                plant,
                ..spec.clone()
            },
            options,
        )
    };
    let line = "run bank --plant forgets --seeds 10..11 --jobs 1";
    let said = squall_with(&catalogue(), &fickle, line);
    assert_eq!(said.exit, Exit::Failed);
    assert_has(
        &said.out,
        &[
            "VIOLATED bank (hardened + forgets), 1 of 1 storms",
            "NOT DETERMINISTIC: the failure \"no money is lost (little)\" did not happen again",
        ],
    );
}

#[test]
fn without_shrinking_failures_are_written_down_as_they_were_found_if_a_place_is_named() {
    let out = scratch("as-found");
    let said = squall(&format!(
        "run bank --plant forgets --seeds 12 --no-shrink --out {}",
        out.display()
    ));
    assert_has(&said.out, &["the storm as it was found\n"]);
    let written: Vec<_> = fs::read_dir(&out).unwrap().flatten().collect();
    let [file] = &written[..] else {
        panic!("one file, not {written:?}");
    };
    let again = squall(&format!("replay {}", file.path().display()));
    assert_has(&again.out, &["VIOLATED"]);
}

#[test]
fn without_shrinking_failures_are_shown_as_they_were_found() {
    let said = squall("run bank --plant forgets --seeds 12 --no-shrink");
    assert_has(
        &said.out,
        &[
            "the storm\n",
            "at 0.01 s: vault is restarted  0.010000  effective",
        ],
    );
    let last =
        "replay: cargo run --release -p squall -- replay bank --seed 10 --plant forgets --trace";
    assert_eq!(said.out.lines().last(), Some(last));
}

#[test]
fn a_directory_that_cannot_be_written_costs_only_the_file() {
    let (path, _) = written("unwritable");
    let said = squall(&format!(
        "run bank --plant forgets --seeds 12 --out {}",
        path.display()
    ));
    assert_eq!(said.exit, Exit::Failed);
    assert_has(&said.out, &["the failure could not be written to a file: "]);
    let last =
        "replay: cargo run --release -p squall -- replay bank --seed 10 --plant forgets --trace";
    assert_eq!(said.out.lines().last(), Some(last));
    let shrink = squall(&format!("shrink {0} --out {0}", path.display()));
    assert_eq!(shrink.exit, Exit::Failed);
    assert_has(&shrink.err, &["cannot write into"]);
    assert_has(&shrink.out, &["the smallest storm"]);
}

#[test]
fn files_that_cannot_be_used_are_refused_with_the_reason() {
    let (path, file) = written("refused");
    let json = file.to_json();
    let with = |key: &str, value: Value| {
        let mut json: Value = serde_json::from_str(&json).unwrap();
        json[key] = value;
        json.to_string()
    };
    let cases: &[(String, &str)] = &[
        (String::new(), "is not a failure file, or it is damaged"),
        (
            json[..json.len() / 2].to_owned(),
            "is not a failure file, or it is damaged",
        ),
        ("[]".to_owned(), "it has no \"version\""),
        (
            "{\"version\":1,\"faults\":[]}".to_owned(),
            "it is a plan: say SCENARIO",
        ),
        (
            with("version", 2.into()),
            "version 2; this build reads version 1",
        ),
        (with("seeed", 1.into()), "unknown field `seeed`"),
        (with("hash", "xyz".into()), "\"hash\" is not 16"),
        (
            with("hash", "+123456789abcdef".into()),
            "\"hash\" is not 16",
        ),
        (
            with(
                "trace",
                serde_json::json!({"events": 3, "marks": "00112", "last": []}),
            ),
            "\"trace.marks\" is not four",
        ),
        (
            with(
                "trace",
                serde_json::json!({"events": 1, "marks": "€0", "last": []}),
            ),
            "\"trace.marks\" is not four",
        ),
        (
            with("scenario", "bnak".into()),
            "no scenario 'bnak' (did you mean 'bank'?)",
        ),
        (with("shape", "round".into()), "bank has no shape 'round'"),
        (
            with("plant", "forget".into()),
            "bank has no bug 'forget' (did you mean 'forgets'?)",
        ),
        (
            with(
                "plan",
                serde_json::json!({"version": 1, "without": ["vault"], "faults": []}),
            ),
            "bank: the plan can't be \"without\" \"vault\": it is a service",
        ),
        (
            with(
                "plan",
                serde_json::json!({"version": 1, "without": ["", "x"], "faults": []}),
            ),
            "it names nothing",
        ),
        (
            with(
                "plan",
                serde_json::json!({"version": 1, "without": ["x", "x"], "faults": []}),
            ),
            "it stands there twice",
        ),
    ];
    for (text, reason) in cases {
        fs::write(&path, text).unwrap();
        for command in ["replay", "shrink"] {
            let said = squall(&format!("{command} {}", path.display()));
            assert_eq!(said.exit, Exit::Usage, "{reason}\n{}", said.out);
            assert_eq!(said.out, "");
            assert_has(&said.err, &["error: ", reason]);
        }
    }
    fs::write(&path, &json).unwrap();
    for flags in ["--seed 1", "--shape hardened", "--plant forgets"] {
        let said = replay(&path, flags);
        assert_eq!(said.exit, Exit::Usage);
        assert_has(&said.err, &["a failure file has its own seed"]);
    }
    assert_eq!(
        replay(&path, "").exit,
        Exit::Failed,
        "the file itself is good"
    );
}

#[test]
fn a_name_that_a_plan_leaves_out_in_vain_is_told() {
    let path = scratch("in-vain").join("plan.json");
    let plan = serde_json::json!({"version": 1, "without": ["teller", "tellr"], "faults": []});
    fs::write(&path, plan.to_string()).unwrap();
    let notice = "the plan is without \"tellr\", but no client and no operation goes by that name";
    for line in ["run bank --seeds 9", "replay bank --seed 1"] {
        let said = squall(&format!("{line} --plan {}", path.display()));
        assert_eq!(said.exit, Exit::Survived, "{}", said.err);
        assert_has(&said.out, &[notice]);
        assert!(!said.out.contains("without \"teller\""), "{}", said.out);
    }
    let said = squall(&format!(
        "run bank --seeds 9 --format json --plan {}",
        path.display()
    ));
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let in_vain = &report["campaigns"][0]["without_in_vain"];
    assert_eq!(*in_vain, serde_json::json!(["tellr"]));
}
