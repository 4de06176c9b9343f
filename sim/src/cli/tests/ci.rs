//! What CI systems read: JUnit XML, annotations, summaries of steps.

use super::*;

#[test]
fn junit_has_a_failing_case_for_each_distinct_failure_with_its_replay_command() {
    let said = squall("run bank --plant forgets --seeds 60 --jobs 2 --format junit");
    assert_eq!(said.exit, Exit::Failed);
    assert_has(
        &said.out,
        &[
            r#"<?xml version="1.0" encoding="UTF-8"?>"#,
            r#"<testsuite name="bank (hardened + forgets)" tests="3" skipped="0" errors="0" failures="3">"#,
            r#"<testcase name="no money is lost (little)" classname="bank (hardened + forgets)">"#,
            r#"<testcase name="stuck (time limit)""#,
            "replay: cargo run --release -p squall -- replay",
        ],
    );
}

#[test]
fn junit_of_what_survived_has_a_passing_case_a_campaign() {
    let said = squall("run --seeds 20 --format junit");
    assert_eq!(said.exit, Exit::Survived, "{}", said.err);
    let passed = said
        .out
        .matches(r#"<testcase name="survives its storms""#)
        .count();
    assert_eq!(passed, 2, "{}", said.out);
    assert!(!said.out.contains("<failure"), "{}", said.out);
}

#[test]
fn in_a_step_each_distinct_failure_is_an_annotation_and_a_row_of_the_summary() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let file = scratch.path().join("summary.md");
    let step = annotate::Step::with_summary(file.clone());
    let line = "run bank --plant forgets --seeds 60 --jobs 2";
    let plain = squall(line);
    let said = squall_in(Some(step), &catalogue(), &[], &fake::run, line);
    assert_eq!(said.out, plain.out, "stdout is what it is elsewhere");
    assert_has(
        &said.err,
        &[
            "::error title=VIOLATED bank%3A no money is lost (little)::it happens without any fault%0Areplay: cargo run",
            "::error title=STUCK bank%3A stuck (time limit)::",
        ],
    );
    let summary = std::fs::read_to_string(file).expect("the summary was written");
    assert!(summary.starts_with("| scenario | broken |"), "{summary}");
    assert_eq!(summary.matches("| bank |").count(), 3, "{summary}");
}
