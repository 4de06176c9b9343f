//! A trace as aligned text: one line for each event.
//!
//! ```text
//!     0.004000  order      → inventory POST /reservations (500µs)       [alice-1-place/reserve] SAGA-0000000B
//!     0.005000  inventory  ← order POST /reservations                   [alice-1-place/reserve] SAGA-0000000B
//!     0.006000  inventory  ▪ products/SKU-1 on_hand: 3 → 2              [alice-1-place/reserve] SAGA-0000000B
//!     0.007000  inventory  ⚡ crashes
//! ```

use std::fmt::Write;

use squall_core::event::{Fate, Level};

use super::{
    Event, Links, Scope, Trace, What,
    brief::brief,
    members::{Members, Part},
    message::Message,
    rows::Rows,
};

/// What to show, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Only what happens on these nodes; all nodes if empty.
    pub nodes: Vec<String>,
    /// Only what belongs to this saga (or trace id), and what befell its nodes meanwhile.
    pub saga: Option<String>,
    /// Only this many lines from the end.
    pub last: Option<usize>,
    /// With ANSI colours.
    pub colour: bool,
}

/// What the end of the storm is called.
pub(crate) const HEALED: &str = "ends: all is healed";

/// The column of operations begins after at most this many characters of what happened.
const WHAT_CHARS: usize = 64;

/// How loudly a line speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Quiet,
    Warning,
    Alarm,
}

impl Tone {
    /// The ANSI escape that begins it.
    fn ansi(self) -> &'static str {
        match self {
            Tone::Plain => "",
            Tone::Quiet => "\x1b[2m",
            Tone::Warning => "\x1b[33m",
            Tone::Alarm => "\x1b[1;31m",
        }
    }
}

/// The trace as text. The same trace and options give the same bytes.
pub fn render(trace: &Trace, options: &Options) -> String {
    let events = &trace.events;
    let links = Links::of(events);
    let members = options
        .saga
        .as_deref()
        .map(|saga| Members::of(events, &links, &[saga]));
    let mut shown: Vec<usize> = (0..events.len())
        .filter(|&index| {
            let node = &events[index].node;
            (options.nodes.is_empty() || options.nodes.contains(node))
                && members
                    .as_ref()
                    .is_none_or(|members| members.parts[index] != Part::None)
        })
        .collect();
    if let Some(last) = options.last {
        shown.drain(..shown.len().saturating_sub(last));
    }
    let node_chars = shown
        .iter()
        .map(|&index| events[index].node.chars().count())
        .max()
        .unwrap_or(0);

    let mut text = String::new();
    let mut rows = Rows::default();
    let mut shown = shown.into_iter().peekable();
    for (index, event) in events.iter().enumerate() {
        if shown.peek() != Some(&index) {
            rows.follow(event);
            continue;
        }
        shown.next();
        let only_mentioning = members
            .as_ref()
            .filter(|members| members.parts[index] == Part::MentioningRows);
        let (tone, mark, what) = describe(events, index, &links, &mut rows, only_mentioning);
        let what = what.replace('\n', "\\n");
        let line = format!(
            "{at:>12}  {node:<node_chars$}  {mark} {what:<WHAT_CHARS$}{whose}",
            at = event.at.to_string(),
            node = event.node,
            whose = whose(&links.scopes[index]),
        );
        let line = line.trim_end();
        let colour = if options.colour { tone.ansi() } else { "" };
        let end = if colour.is_empty() { "" } else { "\x1b[0m" };
        writeln!(text, "{colour}{line}{end}").expect("a String takes whatever is written");
    }
    text
}

/// The columns of the operation and the saga.
fn whose(scope: &Scope) -> String {
    let op = match scope.op.as_str() {
        "" => String::new(),
        op => format!("  [{op}]"),
    };
    match scope.saga_id.as_str() {
        "" => op,
        saga => format!("{op} {saga}"),
    }
}

/// What happened at `index`: how loudly, its mark, and a line of text. `rows` knows all that was committed before.
pub(crate) fn describe<'t>(
    events: &'t [Event],
    index: usize,
    links: &Links,
    rows: &mut Rows<'t>,
    only_mentioning: Option<&Members<'_>>,
) -> (Tone, char, String) {
    let event = &events[index];
    match &event.what {
        What::Connection {
            connection,
            peer,
            event,
        } => (Tone::Quiet, '◦', format!("{event} {peer} #{connection}")),
        What::Burst {
            to, latency, fate, ..
        } => {
            let content = content(events, index, links);
            match *fate {
                Fate::Sent => (Tone::Plain, '→', format!("{to} {content} ({latency:?})")),
                fate if fate.is_dropped() => (Tone::Alarm, '✗', format!("{to} {content} ({fate})")),
                fate => (
                    Tone::Warning,
                    '⚡',
                    format!("{to} {content} ({fate}, {latency:?})"),
                ),
            }
        }
        What::Arrival { from, bytes, .. } => {
            let content = match links.sent[index] {
                Some(sent) => content(events, sent, links),
                None => format!("{bytes} bytes"),
            };
            (Tone::Quiet, '←', format!("{from} {content}"))
        }
        What::Disk { event } => (Tone::Warning, '⚡', format!("disk: {event}")),
        What::Commit {
            file,
            rows: changed,
        } => {
            let told: Vec<String> = changed
                .iter()
                .filter_map(|row| {
                    let before = rows.before(&event.node, file, row);
                    let change = rows.apply(&event.node, file, row);
                    only_mentioning
                        .is_none_or(|members| members.mentioned_in(row, before))
                        .then(|| brief(&change, |_| true, str::to_owned))
                        .flatten()
                })
                .collect();
            let told = match told.is_empty() {
                true => "nothing changed".to_owned(),
                false => told.join("; "),
            };
            (Tone::Plain, '▪', told)
        }
        What::Log {
            level,
            message,
            fields,
        } => {
            let (tone, level) = match *level {
                Level::Error => (Tone::Alarm, "ERROR "),
                Level::Warn => (Tone::Warning, "WARN "),
                _ => (Tone::Quiet, ""),
            };
            let said = format!("{level}{message} {fields}");
            (tone, '·', said.trim_end().to_owned())
        }
        What::Client { op, phase, detail } => {
            let told = format!("{op} {phase}: {detail}");
            (Tone::Plain, '▸', told.trim_end_matches(": ").to_owned())
        }
        What::Node { event, detail } => {
            let (tone, mark) = if event.is_for_the_worse() {
                (Tone::Warning, '⚡')
            } else {
                (Tone::Plain, '○')
            };
            let told = format!("{event}: {detail}");
            (tone, mark, told.trim_end_matches(": ").to_owned())
        }
        What::Fault {
            event,
            index,
            action,
        } => (
            Tone::Warning,
            '⚡',
            format!("fault {index} {event}: {action}"),
        ),
        What::Healed => (Tone::Warning, '⚡', format!("storm {HEALED}")),
        What::Violation { invariant, detail } => {
            (Tone::Alarm, '✗', format!("{invariant}: {detail}"))
        }
    }
}

/// The first line of what a burst carries; an answer's with its request.
fn content(events: &[Event], burst: usize, links: &Links) -> String {
    let What::Burst { bytes, .. } = &events[burst].what else {
        return String::new();
    };
    match (Message::parse(bytes), links.request[burst]) {
        (Some(answer), Some(request)) => {
            format!("{} → {answer}", content(events, request, links))
        }
        (Some(message), None) => message.to_string(),
        (None, _) => format!("{} bytes", bytes.len()),
    }
}

#[cfg(test)]
mod tests;
