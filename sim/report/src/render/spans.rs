//! What takes time: a client's calls, a service's questions to others, its work on what it was asked.

use std::collections::BTreeMap;

use serde::Serialize;

use squall_core::{
    event::{Phase, What, message::Message},
    time::VirtualTime,
};

use super::Source;

/// A stretch of time on a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    pub lane: usize,
    /// `call` (a client's), `ask` (a service asks another), `work` (it serves a request).
    pub kind: &'static str,
    pub from: VirtualTime,
    pub to: VirtualTime,
    /// `ok`, `failed`, `unknown`: it never learned.
    pub outcome: Phase,
    pub label: String,
    /// The event that begins it ...
    pub first: usize,
    /// ... and the one that ends it, if it ended well.
    pub last: Option<usize>,
    pub saga: String,
    /// Spans of one lane and row do not overlap.
    pub row: usize,
}

/// All spans, by their beginning.
pub fn of(source: &Source<'_>) -> Vec<Span> {
    let mut spans = calls(source);
    exchanges(source, &mut spans);
    spans.sort_by(|a, b| (a.from, b.to, a.first).cmp(&(b.from, a.to, b.first)));
    arrange(&mut spans);
    spans
}

/// Gives each span the first row of its lane that is free.
fn arrange(spans: &mut [Span]) {
    let mut rows = BTreeMap::<usize, Vec<VirtualTime>>::new();
    for span in spans {
        let rows = rows.entry(span.lane).or_default();
        let free = rows.iter().position(|busy_until| *busy_until <= span.from);
        span.row = free.unwrap_or(rows.len());
        match rows.get_mut(span.row) {
            Some(until) => *until = span.to,
            None => rows.push(span.to),
        }
    }
}

/// From "invoked" to the outcome.
fn calls(source: &Source<'_>) -> Vec<Span> {
    let mut open = BTreeMap::<(&str, &str), usize>::new();
    let mut spans = Vec::<Span>::new();
    for (place, event) in source.events.iter().enumerate() {
        let What::Client { op, phase, .. } = &event.what else {
            continue;
        };
        let call = (event.node.as_str(), &**op);
        if *phase == Phase::Invoked {
            open.insert(call, spans.len());
            spans.push(Span {
                lane: source.lanes[event.node.as_str()],
                kind: "call",
                from: event.at,
                to: source.ended,
                outcome: Phase::Unknown,
                label: op.to_string(),
                first: place,
                last: None,
                saga: String::new(),
                row: 0,
            });
        } else if let Some(begun) = open.remove(&call) {
            spans[begun].to = event.at;
            spans[begun].outcome = *phase;
            spans[begun].last = Some(place);
        }
    }
    spans
}

/// A question and its answer: `ask` on the lane of who asks, `work` on that of who answers.
fn exchanges(source: &Source<'_>, spans: &mut Vec<Span>) {
    let calling: Vec<usize> = spans.iter().map(|span| span.lane).collect();
    let mut answers = vec![None; source.events.len()];
    for (place, request) in source.links.request.iter().enumerate() {
        if let Some(request) = request {
            answers[*request].get_or_insert(place);
        }
    }
    for (place, event) in source.events.iter().enumerate() {
        let What::Burst { to, .. } = &event.what else {
            continue;
        };
        if !source.asks(place) {
            continue;
        }
        let scope = &source.links.scopes[place];
        let label = match scope.op.split_once('/') {
            Some((_, step)) => step.to_owned(),
            None => source
                .message(place)
                .map(|m| m.to_string())
                .unwrap_or_default(),
        };
        let span = |kind, lane, first: usize, last: Option<usize>, outcome| Span {
            lane,
            kind,
            from: source.events[first].at,
            to: last.map_or_else(|| given_up(source, place, first), |l| source.events[l].at),
            outcome,
            label: label.clone(),
            first,
            last,
            saga: scope.saga_id.clone(),
            row: 0,
        };
        let answer = answers[place];
        let asker = source.lanes[event.node.as_str()];
        if !calling.contains(&asker) {
            let heard = answer.and_then(|answer| source.links.arrived[answer]);
            let outcome = heard
                .and(answer)
                .map_or(Phase::Unknown, |answer| outcome(source, answer));
            spans.push(span("ask", asker, place, heard, outcome));
        }
        if let (Some(arrived), Some(server)) = (source.links.arrived[place], source.lane(to)) {
            let outcome = answer.map_or(Phase::Unknown, |answer| outcome(source, answer));
            spans.push(span("work", server, arrived, answer, outcome));
        }
    }
}

fn outcome(source: &Source<'_>, answer: usize) -> Phase {
    match source.message(answer) {
        Some(Message::Answer { status, .. }) if status.starts_with(['4', '5']) => Phase::Failed,
        _ => Phase::Ok,
    }
}

/// When an exchange without an answer is over for the node of the event at `since`: either end ends the connection, or
/// the node dies.
fn given_up(source: &Source<'_>, request: usize, since: usize) -> VirtualTime {
    let What::Burst { connection, to, .. } = &source.events[request].what else {
        return source.ended;
    };
    let ends = [source.events[request].node.as_str(), to];
    let node = source.events[since].node.as_str();
    let over = source.events[since + 1..]
        .iter()
        .find(|event| match &event.what {
            What::Connection {
                connection: of,
                peer,
                event: turn,
            } => {
                let between = [event.node.as_str(), peer];
                let same = between == ends || between == [ends[1], ends[0]];
                of == connection && same && turn.is_end()
            }
            What::Node { event: turn, .. } => event.node == node && turn.changes_process(),
            _ => false,
        });
    over.map_or(source.ended, |event| event.at)
}
