//! One mark for each event, with all that its details show.

use std::time::Duration;

use serde::Serialize;

use squall_core::{
    event::{Row, What},
    time::VirtualTime,
};

use super::{Source, locks, locks::Lock};
use crate::trace::{
    rows::{Change, Rows, Turn},
    text::{HEALED, Tone, describe},
};
use crate::words::cut;

/// So much of a message or of a row is kept.
const TEXT_CHARS_MAX: usize = 16_384;
/// A label is no longer.
const LABEL_CHARS_MAX: usize = 60;

/// An event. What an event of its kind does not have is left out.
#[derive(Debug, Serialize)]
pub struct Mark<'t> {
    pub at: VirtualTime,
    pub kind: &'static str,
    /// None: it concerns the run as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<usize>,
    /// A line that says it all.
    pub text: String,
    /// A few words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// `warning`, `alarm`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub tone: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub op: &'t str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub saga: &'t str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub trace: &'t str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub request: &'t str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Parcel>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub file: &'t str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Changed<'t>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Lock>,
    /// The fields of a log line, the words of a client.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub fields: &'t str,
}

/// What travels: a burst, its arrival, or the connection itself.
#[derive(Debug, Serialize)]
pub struct Parcel {
    /// The other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<usize>,
    pub connection: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub fate: &'static str,
    /// Nanoseconds under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<u64>,
    /// Where it arrived, or where it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<usize>,
    /// The request that this answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<usize>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bytes: String,
}

/// A row that was committed.
#[derive(Debug, Serialize)]
pub struct Changed<'t> {
    pub table: &'t str,
    pub key: &'t str,
    pub turn: &'static str,
    /// Path, before, after: of a row that was there before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, Option<serde_json::Value>, Option<serde_json::Value>)>,
    /// The row after the commit; before it, if it was deleted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// A mark for each event, in their order.
pub fn of<'t>(source: &Source<'t>) -> Vec<Mark<'t>> {
    let (mut told, mut seen) = (Rows::default(), Rows::default());
    (0..source.events.len())
        .map(|place| {
            let (tone, _, text) = describe(source.events, place, source.links, &mut told, None);
            mark(source, place, tone, text, &mut seen)
        })
        .collect()
}

fn mark<'t>(
    source: &Source<'t>,
    place: usize,
    tone: Tone,
    text: String,
    seen: &mut Rows<'t>,
) -> Mark<'t> {
    let event = &source.events[place];
    let links = source.links;
    let scope = &links.scopes[place];
    let lane = event
        .what
        .is_of_a_node()
        .then(|| source.lanes[event.node.as_str()]);
    let mut mark = Mark {
        at: event.at,
        kind: kind(&event.what),
        lane,
        text,
        label: String::new(),
        tone: match tone {
            Tone::Alarm => "alarm",
            Tone::Warning => "warning",
            Tone::Plain | Tone::Quiet => "",
        },
        op: &scope.op,
        saga: &scope.saga_id,
        trace: &scope.trace_id,
        request: &scope.request_id,
        message: None,
        file: "",
        rows: Vec::new(),
        locks: Vec::new(),
        fields: "",
    };
    match &event.what {
        What::Connection {
            connection,
            peer,
            event,
        } => {
            mark.label = format!("{event} {peer}");
            mark.message = Some(Parcel {
                peer: source.lane(peer),
                connection: *connection,
                fate: event.as_str(),
                latency: None,
                other: None,
                answers: None,
                bytes: String::new(),
            });
        }
        What::Burst {
            to,
            connection,
            bytes,
            latency,
            fate,
            ..
        } => {
            let message = source.message(place);
            mark.label =
                message.map_or_else(|| format!("{} bytes", bytes.len()), |m| m.to_string());
            mark.message = Some(Parcel {
                peer: source.lane(to),
                connection: *connection,
                fate: fate.as_str(),
                latency: Some(nanos(*latency)),
                other: links.arrived[place],
                answers: links.request[place],
                bytes: readable(bytes),
            });
        }
        What::Arrival {
            from, connection, ..
        } => {
            mark.message = Some(Parcel {
                peer: source.lane(from),
                connection: *connection,
                fate: "",
                latency: None,
                other: links.sent[place],
                answers: links.sent[place].and_then(|sent| links.request[sent]),
                bytes: String::new(),
            });
        }
        What::Disk { event } => mark.label = event.to_string(),
        What::Commit { file, rows } => {
            mark.file = file;
            let mut labels = Vec::new();
            for row in rows.iter() {
                let before = seen.before(&event.node, file, row);
                let change = seen.apply(&event.node, file, row);
                mark.locks.extend(locks::of(&change));
                labels.extend(status(&change));
                mark.rows.push(changed(row, before, change));
            }
            mark.label = match (labels.is_empty(), rows.first()) {
                (true, Some(row)) => format!("{}/{}", row.table, row.key),
                _ => labels.join(" · "),
            };
        }
        What::Log {
            message, fields, ..
        } => {
            mark.label = message.to_string();
            mark.fields = fields;
        }
        What::Client { op, phase, detail } => {
            mark.op = op;
            mark.label = format!("{op} {phase}");
            mark.fields = detail;
        }
        What::Node { event, detail } => {
            mark.label = event.to_string();
            mark.fields = detail;
        }
        What::Fault { event, action, .. } => mark.label = format!("{event}: {action}"),
        What::Healed => mark.label = HEALED.to_owned(),
        What::Violation { invariant, .. } => mark.label = invariant.to_string(),
    }
    mark.label = cut(&mark.label, LABEL_CHARS_MAX);
    mark
}

/// What the page calls it. Log lines that begin with "saga " or "step " tell of a saga's progress.
fn kind(what: &What<'_>) -> &'static str {
    match what {
        What::Connection { .. } => "connection",
        What::Burst { .. } => "send",
        What::Arrival { .. } => "arrival",
        What::Disk { .. } => "disk",
        What::Commit { .. } => "commit",
        What::Log { message, .. } if message.starts_with("saga ") => "saga",
        What::Log { message, .. } if message.starts_with("step ") => "saga",
        What::Log { .. } => "log",
        What::Client { .. } => "client",
        What::Node { .. } => "node",
        What::Fault { .. } | What::Healed => "fault",
        What::Violation { .. } => "violation",
    }
}

/// `orders/ORD-1 Pending→Confirmed`: what became of the row, if it has a status.
fn status(change: &Change<'_>) -> Option<String> {
    let status = change
        .fields
        .iter()
        .find(|f| f.path == "status" || f.path == "state")?;
    let text = |value: &serde_json::Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let after = text(status.after.as_ref()?);
    let before = status
        .before
        .as_ref()
        .map(|v| text(v) + "→")
        .unwrap_or_default();
    Some(format!("{}/{} {before}{after}", change.table, change.key))
}

fn changed<'t>(row: &'t Row, before: Option<&[u8]>, change: Change<'t>) -> Changed<'t> {
    let turn = match change.turn {
        Turn::Created => "created",
        Turn::Changed => "changed",
        Turn::Deleted => "deleted",
    };
    let fields = match change.turn {
        Turn::Changed => change.fields,
        Turn::Created | Turn::Deleted => Vec::new(),
    };
    Changed {
        table: &row.table,
        key: &row.key,
        turn,
        fields: fields
            .into_iter()
            .map(|f| (f.path, f.before, f.after))
            .collect(),
        value: row
            .value
            .as_deref()
            .or(before)
            .map(readable)
            .unwrap_or_default(),
    }
}

fn nanos(latency: Duration) -> u64 {
    u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)
}

/// Text as it is, other bytes in hexadecimal, both up to a limit.
fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => cut(text, TEXT_CHARS_MAX),
        Err(_) => {
            let hex: String = bytes
                .iter()
                .take(TEXT_CHARS_MAX / 2)
                .map(|b| format!("{b:02x}"))
                .collect();
            let more = if bytes.len() > TEXT_CHARS_MAX / 2 {
                "…"
            } else {
                ""
            };
            format!("{} bytes: {hex}{more}", bytes.len())
        }
    }
}
