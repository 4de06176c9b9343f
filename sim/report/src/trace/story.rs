//! One saga as a story: in causal order, without clock times, fit for a snapshot under review.
//!
//! ```text
//!   alice              alice-1-place invoked: 1 × SKU-1
//!   alice → order      POST /orders [alice-1-place]
//!   order              commits orders/ORD-1 Pending
//!   order → inventory  POST /reservations [reserve]
//! ⚡ inventory          crashes
//! ```
//!
//! The order is that of causes: each node's own sequence, and each message's departure before its arrival. Whatever is
//! free to come at several places comes as late as it can; branches that do not depend on each other are told by node
//! name. So the story changes when something else happens, and not when the
//! same things take another time. (Two answers that race to one node are another matter: which came first is part
//! of the story.)
//!
//! Left out are acknowledgements, connections, arrivals in time, notices that changed nothing, events of other sagas,
//! what the teller of the story wants left out ([`Untold`]), and what differs between any two runs: random ids are
//! numbered by their first appearance, times are dropped.

mod order;

use std::{borrow::Cow, collections::BTreeMap, fmt::Write};

use order::{Item, causal};
use squall_core::{
    event::{DiskEvent, Fate, Level, Life},
    fault::Action,
};

use super::{
    Event, Links, Scope, Trace, What,
    brief::brief,
    members::{Members, Part},
    message::Message,
    names::Names,
    rows::{Change, Field, Rows},
    text::HEALED,
};

/// What a system keeps for its own bookkeeping: a story is better without it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Untold<'a> {
    /// Tables.
    pub tables: &'a [&'a str],
    /// Fields of rows, by any part of their path.
    pub fields: &'a [&'a str],
    /// Messages of log lines.
    pub logs: &'a [&'a str],
}

/// The story of the saga (or the trace) called `id`; empty if the trace knows nothing of it.
pub fn render(trace: &Trace, id: &str) -> String {
    retell(trace, &[id], &Untold::default())
}

/// The [story](render) of one or several, without what is better left out.
pub fn retell(trace: &Trace, ids: &[&str], untold: &Untold<'_>) -> String {
    let events = &trace.events;
    let links = Links::of(events);
    let mut members = Members::of(events, &links, ids);
    members.forget_idle_exchanges(events, &links);
    let mut teller = Teller {
        events,
        links: &links,
        untold,
        changes: changes(events, &members),
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
    /// The rows of a long commit, else a single line.
    what: Vec<String>,
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
        let fits = "a String takes whatever is written";
        let what: Vec<String> = what.iter().map(|w| w.replace('\n', "\\n")).collect();
        write!(text, "{mark} {who:<who_chars$}  {}", what[0]).expect(fits);
        let margin = who_chars + 4 + COMMITS.len();
        for continued in &what[1..] {
            write!(text, "\n{:margin$}{continued}", "").expect(fits);
        }
        writeln!(text, "{times}").expect(fits);
    }
    text
}

const COMMITS: &str = "commits ";
/// A longer commit gets a line for each of its rows.
const COMMIT_CHARS_MAX: usize = 110;

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
            What::Connection { peer, event, .. } if event.is_end() => {
                item.cause = latest_turn.get(&**peer).copied();
            }
            What::Node { .. } => {
                latest_turn.insert(&event.node, items.len());
            }
            What::Fault { action, .. } => {
                item.lanes.extend(action.nodes());
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
fn changes<'t>(events: &'t [Event], members: &Members<'_>) -> BTreeMap<usize, Vec<Change<'t>>> {
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
                Part::MentioningRows => members.mentioned_in(row, before),
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
    untold: &'t Untold<'t>,
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
        if let What::Commit { .. } = &event.what {
            return Some(Line {
                mark: ' ',
                who: node.to_owned(),
                what: self.commit(place)?,
            });
        }
        let (mark, who, what) = match &event.what {
            What::Connection { .. } | What::Commit { .. } => return None,
            What::Arrival { from, .. } => (' ', node.into(), self.late(place, from)?),
            What::Burst {
                to, bytes, fate, ..
            } => {
                let what = self.message(place, to, bytes, *fate)?;
                let mark = if *fate == Fate::Sent { ' ' } else { '⚡' };
                (mark, format!("{node} → {to}").into(), what)
            }
            What::Log {
                level,
                message,
                fields,
            } => {
                if level.is_detail() || self.untold.logs.contains(&&**message) {
                    return None;
                }
                (' ', node.into(), log(scope, *level, message, fields))
            }
            What::Client { op, phase, detail } => {
                let what = format!("{op} {phase}: {detail}");
                (' ', node.into(), what.trim_end_matches(": ").to_owned())
            }
            // How many sectors it takes is chance; the node's own line follows.
            What::Disk {
                event: DiskEvent::PowerLost { .. },
            } => return None,
            What::Disk { event } => ('⚡', node.into(), format!("disk: {event}")),
            What::Node { event, detail } => {
                let mark = if event.is_for_the_worse() { '⚡' } else { ' ' };
                let what = match *event {
                    Life::Boots if detail.is_empty() => "boots again".to_owned(),
                    Life::Boots => format!("boots again, {detail}"),
                    Life::Panics => format!("panics: {detail}"),
                    event => event.to_string(),
                };
                (mark, node.into(), what)
            }
            What::Fault { event, action, .. } => {
                if self.shows_itself(place, action) {
                    return None;
                }
                ('⚡', Cow::Borrowed("storm"), format!("{event}: {action}"))
            }
            What::Healed => ('⚡', Cow::Borrowed("storm"), HEALED.to_owned()),
            What::Violation { invariant, detail } => {
                ('✗', Cow::Borrowed(&**invariant), detail.to_string())
            }
        };
        Some(Line {
            mark,
            who: self.names.replace(&who),
            what: vec![self.names.replace(&what)],
        })
    }

    /// The head of an HTTP message with its operation, how often it was sent, and what became of it.
    fn message(&mut self, place: usize, to: &'t str, bytes: &[u8], fate: Fate) -> Option<String> {
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
            None if fate == Fate::Sent => return None,
            None => format!("{} bytes{}", bytes.len(), label(op)),
        };
        let never_arrives = self.links.arrived[place].is_none() && !fate.is_dropped();
        match (fate, never_arrives) {
            (Fate::Sent, false) => {}
            (Fate::Sent, true) => what.push_str(" (never arrives)"),
            (fate, false) => what.push_str(&format!(" ({fate})")),
            (fate, true) => what.push_str(&format!(" ({fate}, never arrives)")),
        }
        Some(what)
    }

    /// The arrival of a message that something held up on its way.
    fn late(&self, place: usize, from: &str) -> Option<String> {
        let sent = self.links.sent[place]?;
        match &self.events[sent].what {
            What::Burst { bytes, fate, .. } if fate.is_late() => {
                let message = Message::parse(bytes)?;
                let step = label(&self.links.scopes[sent].op);
                Some(format!("gets {message}{step} from {from}, late"))
            }
            _ => None,
        }
    }

    /// Whether a fault is told by what becomes of its node at the same instant: "order crashes; back 2 s later".
    fn shows_itself(&self, place: usize, action: &Action) -> bool {
        let now = self.events[place].at;
        let mut after = self.events[place..]
            .iter()
            .take_while(|event| event.at == now);
        after.any(|event| match &event.what {
            What::Node { event: turn, .. } => {
                action.shows_as().contains(turn) && action.nodes() == [event.node.as_str()]
            }
            _ => false,
        })
    }

    fn commit(&mut self, place: usize) -> Option<Vec<String>> {
        let (untold, names) = (self.untold, &mut self.names);
        let keep = |field: &Field| {
            is_lasting(field)
                && !field
                    .path
                    .split('.')
                    .any(|part| untold.fields.contains(&part))
        };
        let mut rows: Vec<String> = self
            .changes
            .get(&place)?
            .iter()
            .filter(|change| !untold.tables.contains(&change.table))
            .filter_map(|change| brief(change, keep, |text| names.replace(text)))
            .collect();
        let line = rows.join("; ");
        if line.chars().count() <= COMMIT_CHARS_MAX {
            rows = vec![line];
        }
        rows[0].insert_str(0, COMMITS);
        (rows[0] != COMMITS).then_some(rows)
    }
}

/// The last part of an operation: the saga's step.
fn label(op: &str) -> String {
    match op.rsplit('/').next() {
        None | Some("") => String::new(),
        Some(step) => format!(" [{step}]"),
    }
}

fn log(scope: &Scope, level: Level, message: &str, fields: &str) -> String {
    let level = match level {
        Level::Info => String::new(),
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
