//! The registry is complete, whatever is in it.

use serde_json::Value;

use super::{reference::profile, words::Moment, *};
use crate::seed::Seed;

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/guide/faults.md");
const CONTRIBUTING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../CONTRIBUTING.md");
/// Set to write the reference anew.
const WRITE: &str = "SQUALL_WRITE_REFERENCE";

pub(super) fn drawn(kind: FaultKind) -> Vec<Fault> {
    let (profile, mut rng) = (profile(), Seed(7).stream(kind.name()));
    let ways = 0..(kind.definition().variants)(&profile);
    let draw = |variant| {
        let mut from = Draw {
            variant,
            ..Draw::new(&profile, &mut rng)
        };
        from.fault(kind)
    };
    ways.map(draw).collect()
}

#[test]
fn every_kind_can_be_drawn_written_read_checked_told_and_looked_up() {
    let (profile, reference) = (profile(), reference());
    for &kind in FaultKind::ALL {
        let as_json = serde_json::to_value(kind).expect("a kind is written");
        assert_eq!(as_json, kind.name());
        let faults = drawn(kind);
        assert!(!faults.is_empty(), "{kind} can't be drawn");
        for fault in faults {
            let action = &fault.action;
            assert_eq!(action.kind(), kind);
            assert_eq!(action.check(), Ok(()), "{action}");
            assert_eq!(action.check_in(&profile), Ok(()), "{action}");

            let json = serde_json::to_value(action).expect("an action is written");
            assert_eq!(json["do"], kind.name());
            let read: Action = serde_json::from_value(json.clone()).expect("it is read");
            assert_eq!(read, *action);
            let mut more = json;
            more["colour"] = Value::from("grey");
            let refused = serde_json::from_value::<Action>(more).map_err(|e| e.to_string());
            let refused = refused.expect_err("no kind has a colour");
            assert!(refused.contains("unknown field `colour`"), "{refused}");

            let clause = action.clause(&Moment {
                when: &fault.when,
                message: "a message",
            });
            assert!(!clause.what.is_empty() && !action.to_string().is_empty());
            for name in action.nodes() {
                assert!(clause.what.contains(name), "{}", clause.what);
            }
        }
        assert!(reference.contains(&format!("\n## `{kind}`\n")), "{kind}");
    }
}

#[test]
fn what_a_kind_says_of_its_drawing_it_can_do() {
    let profile = profile();
    for &kind in FaultKind::ALL {
        let drawing = (kind.definition().drawing)();
        for Fault { mut action, .. } in drawn(kind) {
            let can_last = action.outage_ms().is_some();
            assert!(can_last || drawing.outage.is_none(), "{kind} as an outage");
            if drawing.at_timers || drawing.at_clock_reads {
                assert_eq!(action.nodes().len(), 1, "{kind} has a node to aim at");
            }
            if drawing.at_held.is_some() {
                let mut rng = Seed(1).stream("held");
                action.strike_holder("lighthouse", &mut Draw::new(&profile, &mut rng));
                assert_eq!(action.nodes(), ["lighthouse"], "{kind} strikes a holder");
            }
        }
        if drawing.joins.is_some() {
            let joins = |seed| {
                let mut faults = Vec::new();
                (kind.definition().join)(&profile, &mut faults, Seed(seed));
                faults.iter().any(|fault| fault.action.kind() == kind)
            };
            assert!((0..99).any(joins), "{kind} joins no storm");
        }
    }
    let mut places: Vec<u8> = FaultKind::ALL
        .iter()
        .filter_map(|kind| (kind.definition().drawing)().outage)
        .collect();
    places.sort_unstable();
    assert!(places.into_iter().eq(0..8), "each outage has its own place");
}

#[test]
fn the_committed_reference_is_that_of_the_registry() {
    let reference = reference();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(REFERENCE, &reference).expect("the guide can be written");
    }
    let committed = std::fs::read_to_string(REFERENCE).unwrap_or_default();
    assert!(
        committed == reference,
        "sim/src/guide/faults.md is not what the kinds of fault say; write it anew with \
         {WRITE}=1 cargo test -p squall --lib the_committed_reference"
    );
}

#[test]
fn the_fault_that_contributors_are_shown_is_one_that_is_compiled() {
    let shown = std::fs::read_to_string(CONTRIBUTING)
        .expect("there is a CONTRIBUTING.md beside the workspace's Cargo.toml");
    let mut blocks = shown
        .split("```rust\n")
        .skip(1)
        .filter_map(|b| b.split("```").next());
    assert_eq!(
        blocks.next(),
        Some(include_str!("hang_connects.rs")),
        "CONTRIBUTING.md does not show sim/core/src/fault/hang_connects.rs word for word: copy it there"
    );
    let line = blocks
        .next()
        .expect("a block with the line of the registry");
    assert!(include_str!("../fault.rs").contains(line), "{line}");
}
