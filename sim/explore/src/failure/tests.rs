//! Names of failure files, and reading back what was recorded.

use super::*;

fn file(scenario: &str, shape: &str, plant: Option<&str>, invariant: &str, tag: &str) -> String {
    let plant = plant.map_or(String::new(), |bug| format!(r#""plant":"{bug}","#));
    let sizes = r#"{"faults":0,"clients":0,"requests":0,"ended":1}"#;
    let json = format!(
        r#"{{"version":1,"sentence":"","scenario":"{scenario}","shape":"{shape}",{plant}"seed":1,
        "plan":{{"version":1,"faults":[]}},"invariant":"{invariant}","tag":"{tag}","verdict":"violated",
        "before":{sizes},"after":{sizes},"effort":{{"runs":1,"runs_ms":1,"cut_short":false}},
        "build":{{"version":"0"}},"hash":"0000000000000000","trace":{{"events":0,"marks":"","last":[]}}}}"#
    );
    FailureFile::parse(&json, "it")
        .expect("it is well-formed")
        .name()
}

#[test]
fn files_are_called_after_what_fails_and_how() {
    assert_eq!(
        file(
            "order-saga",
            "hardened",
            None,
            "no lost refund",
            "money kept"
        ),
        "order-saga-no-lost-refund-money-kept.json"
    );
    assert_eq!(
        file(
            "order-saga",
            "documented",
            Some("no-key"),
            "one key, one effect",
            "two"
        ),
        "order-saga-documented-no-key-one-key-one-effect-two.json"
    );
}

#[test]
fn names_that_lose_something_are_told_apart() {
    let of = |tag: &str| file("a", "hardened", None, "completion ⇔ order", tag);
    let (one, other) = (of("1 > 2"), of("1 < 2"));
    assert_ne!(one, other);
    assert!(
        one.starts_with("a-completion-order-1-2-") && one.is_ascii(),
        "{one}"
    );
    let long = of(&"long ".repeat(200));
    assert!(long.len() < 140, "{long}");
    assert_eq!(of("../../etc").matches(['/', '.']).count(), 1);
}

#[test]
fn a_build_that_cannot_be_told_is_not_this_one() {
    let present = Build::present();
    assert!(present.is_present());
    assert!(present.program.is_some(), "a test can read its own program");
    let unknown = Build {
        program: None,
        ..present
    };
    assert!(!unknown.is_present());
}
