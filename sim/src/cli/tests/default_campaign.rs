//! No command: everything that must survive, and the canary.

use super::*;

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
