//! One saga as a story: in causal order, without clock times, fit for a snapshot under review.
//!
//! ```text
//!   alice              alice-1-place invoked: 1 × SKU-1
//!   alice → order      POST /orders [alice-1-place]
//!   order              commits +orders/ORD-1 status: Pending
//!   order → inventory  POST /reservations [reserve]
//! ⚡ inventory          crashes
//! ```
//!
//! The order is that of causes: each node's own sequence, and each message's departure before its arrival. Branches that
//! do not depend on each other are told by node name. So the story changes when something else happens, and not when the
//! same things take another time. (Two answers that race to one node are another matter: which came first is part
//! of the story.)
//!
//! Left out are acknowledgements, connections, arrivals, events of other sagas, and what differs between any two runs:
//! random ids are numbered by their first appearance, times are dropped.

mod order;

use std::{borrow::Cow, collections::BTreeMap, fmt::Write};

use order::{Item, causal};

use super::{
    Event, Links, Scope, Trace, What,
    http::Message,
    links::is_dropped,
    members::{Members, Part, ends_connection, mentions},
    names::Names,
    rows::{Change, Field, Rows, Turn},
    text::is_turn_for_the_worse,
};

/// The story of the saga (or the trace) called `id`; empty if the trace knows nothing of it.
pub fn render(trace: &Trace, id: &str) -> String {
    let events = &trace.events;
    let links = Links::of(events);
    let members = Members::of(events, &links, id);
    let mut teller = Teller {
        events,
        links: &links,
        changes: changes(events, &members, id),
        requests: BTreeMap::new(),
        names: Names::default(),
    };
    let (places, items) = items(events, &links, &members);
    let mut lines: Vec<(Line, u32)> = Vec::new();
    for item in causal(&items) {
        let Some(line) = teller.tell(places[item]) else {
            continue;
        };
        match lines.last_mut() {
            Some((last, times)) if *last == line => *times += 1,
            _ => lines.push((line, 1)),
        }
    }
    lay_out(&lines)
}

#[derive(PartialEq, Eq)]
struct Line {
    mark: char,
    who: String,
    what: String,
}

fn lay_out(lines: &[(Line, u32)]) -> String {
    let who_chars = lines
        .iter()
        .map(|(line, _)| line.who.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (Line { mark, who, what }, times) in lines {
        let times = match times {
            1 => String::new(),
            times => format!(" (×{times})"),
        };
        let what = what.replace('\n', "\\n");
        let line = format!("{mark} {who:<who_chars$}  {what}{times}");
        writeln!(text, "{}", line.trim_end()).expect("a String takes whatever is written");
    }
    text
}

/// The member events, by their places in the trace, and what their order depends on.
fn items<'t>(
    events: &'t [Event],
    links: &Links,
    members: &Members<'t>,
) -> (Vec<usize>, Vec<Item<'t>>) {
    let mut places = Vec::new();
    let mut items = Vec::new();
    let mut item_of = BTreeMap::<usize, usize>::new();
    let mut latest_turn = BTreeMap::<&str, usize>::new();
    for (place, event) in events.iter().enumerate() {
        if members.parts[place] == Part::None {
            continue;
        }
        let mut item = Item {
            lanes: vec![event.node.as_str()],
            cause: None,
        };
        match &event.what {
            What::Arrival { .. } => {
                item.cause = links.sent[place].and_then(|sent| item_of.get(&sent).copied());
            }
            // That the other end is gone is learnt after it went.
            What::Connection { peer, event, .. } if ends_connection(event) => {
                item.cause = latest_turn.get(&**peer).copied();
            }
            What::Node { .. } => {
                latest_turn.insert(&event.node, items.len());
            }
            What::Fault { detail, .. } => {
                item.lanes.extend(members.lanes_named(detail));
                item.lanes.retain(|lane| members.lanes.contains(lane));
                item.lanes.sort_unstable();
                item.lanes.dedup();
            }
            What::Violation { .. } if !members.lanes.contains(event.node.as_str()) => {
                item.lanes = members.lanes.iter().copied().collect();
            }
            _ => {}
        }
        item_of.insert(place, items.len());
        places.push(place);
        items.push(item);
    }
    (places, items)
}

/// What each commit of the saga changed, against the rows as they were at that commit.
fn changes<'t>(
    events: &'t [Event],
    members: &Members<'_>,
    id: &str,
) -> BTreeMap<usize, Vec<Change<'t>>> {
    let mut rows = Rows::default();
    let mut changes = BTreeMap::<usize, Vec<Change<'t>>>::new();
    for (place, event) in events.iter().enumerate() {
        let What::Commit {
            file,
            rows: changed,
        } = &event.what
        else {
            continue;
        };
        for row in changed.iter() {
            let before = rows.before(&event.node, file, row);
            let change = rows.apply(&event.node, file, row);
            let told = match members.parts[place] {
                Part::None => false,
                Part::Whole => true,
                Part::MentioningRows => mentions(id, row, before),
            };
            if told {
                changes.entry(place).or_default().push(change);
            }
        }
    }
    changes
}

struct Teller<'t> {
    events: &'t [Event],
    links: &'t Links,
    changes: BTreeMap<usize, Vec<Change<'t>>>,
    /// How often each request was sent: by sender, receiver, operation and first line.
    requests: BTreeMap<(&'t str, &'t str, &'t str, String), u32>,
    names: Names,
}

impl<'t> Teller<'t> {
    fn tell(&mut self, place: usize) -> Option<Line> {
        let event = &self.events[place];
        let scope = &self.links.scopes[place];
        let node = event.node.as_str();
        let (mark, who, what) = match &event.what {
            What::Arrival { .. } | What::Connection { .. } => return None,
            What::Burst {
                to, bytes, fate, ..
            } => {
                let what = self.message(place, to, bytes, fate)?;
                let mark = if *fate == "sent" { ' ' } else { '⚡' };
                (mark, format!("{node} → {to}").into(), what)
            }
            What::Commit { .. } => (' ', node.into(), self.commit(place)?),
            What::Log {
                level,
                message,
                fields,
            } => {
                if matches!(*level, "DEBUG" | "TRACE") {
                    return None;
                }
                (' ', node.into(), log(scope, level, message, fields))
            }
            What::Client { op, phase, detail } => {
                let what = format!("{op} {phase}: {detail}");
                (' ', node.into(), what.trim_end_matches(": ").to_owned())
            }
            What::Disk { event } => ('⚡', node.into(), format!("disk: {event}")),
            What::Node { event, detail } => {
                let mark = if is_turn_for_the_worse(event) {
                    '⚡'
                } else {
                    ' '
                };
                let what = match *event {
                    "boots" => "boots again".to_owned(),
                    "panics" => format!("panics: {detail}"),
                    event => event.to_owned(),
                };
                (mark, node.into(), what)
            }
            What::Fault { event, detail, .. } => {
                ('⚡', Cow::Borrowed("storm"), format!("{event}: {detail}"))
            }
            What::Violation { invariant, detail } => {
                ('✗', Cow::Borrowed(&**invariant), detail.to_string())
            }
        };
        Some(Line {
            mark,
            who: self.names.replace(&who),
            what: self.names.replace(&what),
        })
    }

    /// The head of an HTTP message with its operation, how often it was sent, and what became of it.
    fn message(&mut self, place: usize, to: &'t str, bytes: &[u8], fate: &str) -> Option<String> {
        let op = self.links.scopes[place].op.as_str();
        let mut what = match Message::parse(bytes) {
            Some(message @ Message::Request { .. }) => {
                let node = self.events[place].node.as_str();
                let line = message.to_string();
                let key = (node, to, op, line.clone());
                let times = self.requests.entry(key).or_default();
                *times += 1;
                let again = match times {
                    1 => String::new(),
                    times => format!(" #{times}"),
                };
                format!("{line}{}{again}", label(op))
            }
            Some(answer) => format!("{answer}{}", label(op)),
            None if fate == "sent" => return None,
            None => format!("{} bytes{}", bytes.len(), label(op)),
        };
        if fate != "sent" {
            what.push_str(&format!(" ({fate})"));
        } else if self.links.arrived[place].is_none() && !is_dropped(fate) {
            what.push_str(" (never arrives)");
        }
        Some(what)
    }

    fn commit(&mut self, place: usize) -> Option<String> {
        let rows: Vec<String> = self
            .changes
            .get(&place)?
            .iter()
            .filter(|change| change.turn != Turn::Changed || change.fields.iter().any(is_lasting))
            .map(|change| change.brief(is_lasting, |value| self.names.replace(value)))
            .collect();
        (!rows.is_empty()).then(|| format!("commits {}", rows.join("; ")))
    }
}

/// The last part of an operation: the saga's step.
fn label(op: &str) -> String {
    match op.rsplit('/').next() {
        None | Some("") => String::new(),
        Some(step) => format!(" [{step}]"),
    }
}

fn log(scope: &Scope, level: &str, message: &str, fields: &str) -> String {
    let level = match level {
        "INFO" => String::new(),
        level => format!("{level} "),
    };
    let mut what = format!("· {level}{message}");
    let mut keep = true;
    for word in fields.split(' ').filter(|word| !word.is_empty()) {
        // A value of several words goes with its name.
        if let Some((name, value)) = word.split_once('=') {
            keep = !is_fleeting_name(name) && !is_fleeting_text(value);
        }
        if keep {
            what.push(' ');
            what.push_str(word);
        }
    }
    if scope.op.contains('/') {
        what.push_str(&label(&scope.op));
    }
    what
}

/// Whether a field means the same in every run: no instant, no duration, no request's id.
fn is_lasting(field: &Field) -> bool {
    !is_fleeting_name(field.name())
        && [&field.before, &field.after]
            .into_iter()
            .flatten()
            .all(|value| match value {
                serde_json::Value::Number(number) => {
                    number.as_f64().is_none_or(|n| n.abs() < EPOCH_MS_LEAST)
                }
                serde_json::Value::String(text) => !is_fleeting_text(text),
                _ => true,
            })
}

/// Greater numbers are milliseconds since the Unix epoch (this is 1973), or finer.
const EPOCH_MS_LEAST: f64 = 1e11;

fn is_fleeting_name(name: &str) -> bool {
    ["_at", "_ms", "_until", "_time"]
        .iter()
        .any(|unit| name.ends_with(unit))
        || matches!(name, "at" | "trace_id" | "request_id" | "boot_id")
}

/// An RFC 3339 timestamp, or a number that is none of ours.
fn is_fleeting_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_timestamp = bytes.len() >= 19
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && (bytes[4], bytes[7], bytes[10]) == (b'-', b'-', b'T');
    is_timestamp || text.parse::<f64>().is_ok_and(|n| n.abs() >= EPOCH_MS_LEAST)
}

#[cfg(test)]
mod tests;
