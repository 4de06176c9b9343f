//! A run rendered: [an HTML page](page) for people, [a trace file](perfetto) for the usual viewers, and
//! [the report of a campaign](campaign).
//!
//! This room works out *what* is to be seen: lanes, marks, spans, outages, fault bands, and what a violation concerns.
//! The page's script decides how it looks. It judges nothing and runs nothing; the same run gives the same bytes.

mod bands;
pub mod campaign;
mod concern;
mod embed;
mod locks;
mod marks;
pub mod page;
pub mod perfetto;
mod spans;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::trace::{
    Links,
    members::{Members, Part},
};
use bands::{Band, Outage};
use concern::Broken;
use marks::Mark;
use spans::Span;
use squall_core::{
    event::{Event, What, message::Message},
    time::VirtualTime,
};
use squall_engine::{
    run::{Outcome, Spec},
    trace::Trace,
};

/// The run that is shown.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The scenario's name.
    pub scenario: &'a str,
    /// What was run.
    pub spec: &'a Spec,
    /// What it gave. Without its trace there is a head and no timeline.
    pub outcome: &'a Outcome,
    /// The smallest storm that still does it, in one sentence, if it was looked for.
    pub sentence: Option<&'a str>,
    /// The command that gives this run again.
    pub replay: &'a str,
}

/// All that is to be seen of a run. Events are named by their place in the trace, lanes by theirs in `lanes`, instants
/// in nanoseconds.
#[derive(Debug, Serialize)]
struct Drawing<'t> {
    ended: VirtualTime,
    lanes: Vec<Lane<'t>>,
    sagas: Vec<Saga<'t>>,
    events: Vec<Mark<'t>>,
    spans: Vec<Span>,
    outages: Vec<Outage>,
    faults: Vec<Band>,
    violations: Vec<Broken<'t>>,
}

/// A node.
#[derive(Debug, Serialize)]
struct Lane<'t> {
    name: &'t str,
    /// It only asks: it is asked nothing and stores nothing.
    client: bool,
}

/// A saga and the events that belong to it.
#[derive(Debug, Serialize)]
struct Saga<'t> {
    id: &'t str,
    /// The client's operation that it began with.
    op: &'t str,
    events: Vec<usize>,
}

/// What every part of a page is made from.
struct Source<'t> {
    events: &'t [Event],
    links: &'t Links,
    ended: VirtualTime,
    lanes: BTreeMap<&'t str, usize>,
    clients: BTreeSet<&'t str>,
}

impl<'t> Source<'t> {
    fn new(trace: &'t Trace, links: &'t Links, ended: VirtualTime) -> Self {
        let events = &trace.events;
        let last = events.last().map_or(ended, |event| event.at.max(ended));
        let mut source = Source {
            events,
            links,
            ended: last,
            lanes: BTreeMap::new(),
            clients: BTreeSet::new(),
        };
        let mut servers = BTreeSet::new();
        for (index, event) in events.iter().enumerate() {
            if !event.what.is_of_a_node() {
                continue;
            }
            let next = source.lanes.len();
            source.lanes.entry(&event.node).or_insert(next);
            let serves = match &event.what {
                What::Commit { .. } => true,
                What::Arrival { .. } => links.sent[index].is_some_and(|sent| source.asks(sent)),
                _ => false,
            };
            if serves {
                servers.insert(event.node.as_str());
            }
        }
        source.clients = source.lanes.keys().copied().collect();
        source.clients.retain(|node| !servers.contains(node));
        source
    }

    fn lane(&self, node: &str) -> Option<usize> {
        self.lanes.get(node).copied()
    }

    /// Whether the burst at this place begins a request.
    fn asks(&self, place: usize) -> bool {
        matches!(self.message(place), Some(Message::Request { .. }))
    }

    fn message(&self, place: usize) -> Option<Message<'t>> {
        match &self.events[place].what {
            What::Burst { bytes, .. } => Message::parse(bytes),
            _ => None,
        }
    }

    /// The lanes in the order of their nodes' first events.
    fn in_order(&self) -> Vec<Lane<'t>> {
        let mut names: Vec<(usize, &str)> =
            self.lanes.iter().map(|(n, place)| (*place, *n)).collect();
        names.sort_unstable();
        let lane = |(_, name)| Lane {
            name,
            client: self.clients.contains(name),
        };
        names.into_iter().map(lane).collect()
    }

    /// The sagas in the order of their first events.
    fn sagas(&self) -> Vec<Saga<'t>> {
        let mut seen = BTreeSet::new();
        let mut sagas = Vec::new();
        for scope in &self.links.scopes {
            if scope.saga_id.is_empty() || !seen.insert(scope.saga_id.as_str()) {
                continue;
            }
            let members = Members::of(self.events, self.links, &[&scope.saga_id]);
            let parts = members.parts.iter().enumerate();
            let events = parts.filter(|(_, part)| **part != Part::None);
            sagas.push(Saga {
                id: &scope.saga_id,
                op: scope.op.split('/').next().unwrap_or_default(),
                events: events.map(|(place, _)| place).collect(),
            });
        }
        sagas
    }
}

impl<'t> Drawing<'t> {
    fn of(source: &Source<'t>, outcome: &'t Outcome) -> Self {
        Drawing {
            ended: source.ended,
            lanes: source.in_order(),
            sagas: source.sagas(),
            events: marks::of(source),
            spans: spans::of(source),
            outages: bands::outages(source),
            faults: bands::faults(source, &outcome.all_faults()),
            violations: concern::violations(source, outcome.by_severity()),
        }
    }
}
