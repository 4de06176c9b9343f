//! What a violation concerns: the events that name its entities, and the sagas behind them.

use std::collections::BTreeSet;

use memchr::memmem;
use serde::Serialize;

use squall_core::event::{Event, What};
use squall_engine::check::Violation;

use super::Source;
use crate::trace::rows::Rows;

/// A violation and what leads to it.
#[derive(Debug, Serialize)]
pub struct Broken<'t> {
    pub invariant: &'t str,
    pub tag: &'t str,
    /// Its own event, if the trace has it.
    pub event: Option<usize>,
    pub entities: &'t [String],
    /// The events that name one of the entities.
    pub concerns: Vec<usize>,
    /// The sagas that an id among the entities is mentioned by.
    pub sagas: Vec<&'t str>,
}

/// All violations, in their order.
pub fn violations<'t>(source: &Source<'t>, violations: Vec<&'t Violation>) -> Vec<Broken<'t>> {
    violations
        .into_iter()
        .map(|broken| concern(source, broken))
        .collect()
}

fn concern<'t>(source: &Source<'t>, broken: &'t Violation) -> Broken<'t> {
    let mut rows = Rows::default();
    let mut concerns = Vec::new();
    let mut sagas = BTreeSet::new();
    let mut own = None;
    for (place, event) in source.events.iter().enumerate() {
        if let What::Violation { invariant, .. } = &event.what {
            if event.at == broken.at && **invariant == *broken.invariant && own.is_none() {
                own = Some(place);
            }
            continue;
        }
        let named: Vec<&String> = broken
            .entities
            .iter()
            .filter(|entity| names(source, event, place, entity, &rows))
            .collect();
        rows.follow(event);
        if named.is_empty() {
            continue;
        }
        concerns.push(place);
        let saga = source.links.scopes[place].saga_id.as_str();
        if !saga.is_empty() && named.iter().any(|entity| is_id(entity)) {
            sagas.insert(saga);
        }
    }
    Broken {
        invariant: &broken.invariant,
        tag: &broken.tag,
        event: own,
        entities: &broken.entities,
        concerns,
        sagas: sagas.into_iter().collect(),
    }
}

/// Whether an event names an entity. A node is named by its own turns of life only: its name is in everything.
fn names(source: &Source<'_>, event: &Event, place: usize, entity: &str, rows: &Rows<'_>) -> bool {
    if source.lane(entity).is_some() {
        return event.node == entity && matches!(event.what, What::Node { .. } | What::Disk { .. });
    }
    let within = |bytes: &[u8]| mentions(bytes, entity.as_bytes());
    let scope = &source.links.scopes[place];
    if scope.saga_id == entity || scope.trace_id == entity {
        return true;
    }
    match &event.what {
        What::Burst { bytes, .. } => within(bytes),
        What::Arrival { .. } => {
            source.links.sent[place].is_some_and(|sent| match &source.events[sent].what {
                What::Burst { bytes, .. } => within(bytes),
                _ => false,
            })
        }
        What::Commit {
            file,
            rows: changed,
        } => changed.iter().any(|row| {
            within(row.key.as_bytes())
                || row.value.as_deref().is_some_and(within)
                || rows.before(&event.node, file, row).is_some_and(within)
                || entity.split_once('/') == Some((&*row.table, &*row.key))
        }),
        What::Log {
            message, fields, ..
        } => within(message.as_bytes()) || within(fields.as_bytes()),
        What::Client { op, detail, .. } => **op == *entity || within(detail.as_bytes()),
        _ => false,
    }
}

/// Whether the word is somewhere in the text, not as a part of a longer one.
fn mentions(text: &[u8], word: &[u8]) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    !word.is_empty()
        && memmem::find_iter(text, word).any(|at| {
            let before = at.checked_sub(1).and_then(|before| text.get(before));
            !is_part(before) && !is_part(text.get(at + word.len()))
        })
}

fn is_id(entity: &str) -> bool {
    crate::trace::names::ids(entity).next().is_some()
}
