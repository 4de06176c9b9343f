//! Every store at one virtual instant.

use std::{collections::BTreeMap, fmt::Write};

use squall_core::{
    event::{Event, Life, What},
    time::VirtualTime,
};
use squall_engine::{check::Truth, trace::Trace};

use super::{Paint, Style};
use crate::trace::changes;

/// All rows of all nodes at an instant, to the microsecond that traces show, and what the last commit before it changed.
pub fn at(trace: &Trace, at: VirtualTime, ended: VirtualTime, style: Style) -> String {
    let until = VirtualTime((at.0 / 1_000).saturating_mul(1_000).saturating_add(999));
    let count = trace.events.partition_point(|event| event.at <= until);
    let events = &trace.events[..count];
    let mut truth = Truth::default();
    let mut last = None;
    for (index, event) in events.iter().enumerate() {
        if let What::Commit { rows, .. } = &event.what {
            truth.apply(&event.node, rows.to_vec());
            last = Some(index);
        }
    }
    let over = match at > ended {
        true => format!(" (the run ended at {ended})"),
        false => String::new(),
    };
    let heading = format!("the stores at {at}{over}");
    let mut text = style.paint(Paint::Heading, &heading) + "\n";
    let down = down(events);
    for node in truth.nodes() {
        let state = match down.get(node) {
            Some(true) => "  (down)",
            _ => "",
        };
        let _ = writeln!(text, "{node}{state}");
        for table in truth.tables(node) {
            let rows: Vec<(&str, &[u8])> = truth.rows(node, table).collect();
            if rows.is_empty() {
                continue;
            }
            let width = rows.iter().map(|(key, _)| key.chars().count()).max();
            let width = width.unwrap_or(0);
            let _ = writeln!(text, "  {table}");
            for (key, value) in rows {
                let _ = writeln!(text, "    {key:<width$}  {}", shown(value));
            }
        }
    }
    match last {
        None => text.push_str("nothing was committed before\n"),
        Some(index) => text.push_str(&commit(events, index, style)),
    }
    text
}

/// Whether each node's latest turn left it dead.
fn down(events: &[Event]) -> BTreeMap<&str, bool> {
    let mut down = BTreeMap::new();
    for event in events {
        if let What::Node { event: turn, .. } = &event.what
            && turn.changes_process()
        {
            down.insert(event.node.as_str(), *turn != Life::Boots);
        }
    }
    down
}

fn commit(events: &[Event], index: usize, style: Style) -> String {
    let event = &events[index];
    let whose = match event.scope.op.as_str() {
        "" => String::new(),
        op => format!(" [{op}]"),
    };
    let found = match &event.what {
        What::Commit { file, .. } if file == squall_core::event::FOUND_AFTER_OUTAGE => {
            format!(" ({file})")
        }
        _ => String::new(),
    };
    let heading = format!(
        "the last commit before: {} at {}{whose}{found}",
        event.node, event.at
    );
    let mut text = style.paint(Paint::Heading, &heading) + "\n";
    for change in changes(events, index) {
        let _ = writeln!(text, "  {change}");
    }
    text
}

/// A row's value on one line: JSON as it is, other text quoted, bytes by their number.
fn shown(value: &[u8]) -> String {
    match (
        serde_json::from_slice::<serde_json::Value>(value),
        std::str::from_utf8(value),
    ) {
        (Ok(json), _) => json.to_string(),
        (Err(_), Ok(text)) => format!("{text:?}"),
        (Err(_), Err(_)) => format!("{} bytes", value.len()),
    }
}
