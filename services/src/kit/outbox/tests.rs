//! Which rows may be taken.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Row, State, Target, memory::heads};
use crate::kit::{Context, bus::Event};

fn row(topic: &str, key: &str, state: State) -> Row {
    Row {
        target: Target::Stream(topic.to_owned()),
        event: Event {
            version: 1,
            id: format!("EVT-{topic}-{key}"),
            kind: "told".to_owned(),
            key: key.to_owned(),
            at_ms: 0,
            context: Context::default(),
            body: Value::Null,
        },
        state,
        attempts: 0,
        reason: None,
        redriven: 0,
        created_ms: 0,
        changed_ms: 0,
    }
}

fn taken(rows: &[(&str, Row)]) -> Vec<String> {
    let rows: BTreeMap<String, Row> = rows
        .iter()
        .map(|(key, row)| (key.to_string(), row.clone()))
        .collect();
    let heads = heads(&rows, 2, |_, row| row.state == State::Pending);
    heads.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn rows_of_one_key_go_one_after_another_and_other_keys_go_beside_them() {
    let held = State::Processing {
        by: "a#1".to_owned(),
        boot_id: 1,
    };
    let rows = [
        ("1", row("t", "x", held)),
        ("2", row("t", "x", State::Pending)),
        ("3", row("t", "y", State::Pending)),
        ("4", row("t", "y", State::Pending)),
        ("5", row("u", "x", State::Pending)),
    ];
    assert_eq!(taken(&rows), ["3", "5"], "x waits in t, but not in u");
}

#[test]
fn a_pass_takes_no_more_rows_than_its_limit() {
    let rows = ["a", "b", "c"].map(|key| (key, row("t", key, State::Pending)));
    assert_eq!(taken(&rows), ["a", "b"]);
}
