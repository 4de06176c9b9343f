//! Which events belong to one saga.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;

use super::{Event, Links, Scope, What, http::Message, names, rows::Rows};

/// The events of one saga (or of one trace id), and those that concern its nodes while it runs.
#[derive(Debug)]
pub struct Members<'t> {
    /// The nodes that take part.
    pub lanes: BTreeSet<&'t str>,
    /// For each event of the trace, how it belongs.
    pub parts: Vec<Part>,
}

/// How an event belongs to a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Not at all.
    None,
    /// It happened on the saga's behalf, or to one of its nodes while it ran.
    Whole,
    /// A commit of nobody's or of several sagas' work: only the rows that mention this one.
    MentioningRows,
}

/// Tells a saga's own scopes from others.
struct Whose<'t> {
    id: &'t str,
    /// Trace ids that serve this saga and no other.
    traces: BTreeSet<&'t str>,
}

impl<'t> Whose<'t> {
    /// `id` is a saga's, or else a trace's.
    fn new(id: &'t str, scopes: &'t [Scope]) -> Self {
        let mut sagas = BTreeMap::<&str, BTreeSet<&str>>::new();
        for scope in scopes.iter().filter(|s| !s.trace_id.is_empty()) {
            let served = sagas.entry(&scope.trace_id).or_default();
            if !scope.saga_id.is_empty() {
                served.insert(&scope.saga_id);
            }
        }
        let traces = sagas
            .into_iter()
            .filter(|(trace, sagas)| *trace == id || (sagas.len() == 1 && sagas.contains(id)))
            .map(|(trace, _)| trace)
            .collect();
        Whose { id, traces }
    }

    fn is(&self, scope: &Scope) -> bool {
        scope.saga_id == self.id
            || scope.trace_id == self.id
            || (scope.saga_id.is_empty() && self.traces.contains(scope.trace_id.as_str()))
    }

    fn mentioned(&self, bytes: &[u8]) -> bool {
        memmem::find(bytes, self.id.as_bytes()).is_some()
    }

    /// Work on nobody's behalf (a sweeper's, an outbox poller's) may touch this saga nevertheless.
    fn touched(&self, scope: &Scope, event: &Event) -> bool {
        scope.saga_id.is_empty()
            && match &event.what {
                What::Log { fields, .. } => self.mentioned(fields.as_bytes()),
                What::Burst { bytes, .. } => {
                    matches!(Message::parse(bytes), Some(Message::Request { .. }))
                        && memmem::find(bytes, b"\r\n\r\n")
                            .is_some_and(|body| self.mentioned(&bytes[body..]))
                }
                _ => false,
            }
    }
}

impl<'t> Members<'t> {
    /// The members of the saga or trace called `id`.
    pub fn of(events: &'t [Event], links: &'t Links, id: &'t str) -> Self {
        let whose = Whose::new(id, &links.scopes);
        let mut members = Members {
            lanes: BTreeSet::new(),
            parts: vec![Part::None; events.len()],
        };
        if id.is_empty() {
            return members;
        }
        // A client's call is told apart by its operation where nothing else is known of it.
        let mut operations = BTreeSet::new();
        let mut rows = Rows::default();
        for (index, event) in events.iter().enumerate() {
            let scope = &links.scopes[index];
            let linked = links.sent[index].or(links.request[index]);
            let part = match &event.what {
                What::Commit {
                    file,
                    rows: changed,
                } => {
                    let mut mentions = false;
                    for row in changed.iter() {
                        mentions |= mentioned_in(&whose, row, rows.before(&event.node, file, row));
                        rows.apply(&event.node, file, row);
                    }
                    match () {
                        () if whose.is(scope) => Part::Whole,
                        () if mentions && scope.saga_id.is_empty() => Part::MentioningRows,
                        () => Part::None,
                    }
                }
                _ if whose.is(scope) || whose.touched(scope, event) => Part::Whole,
                _ if linked.is_some_and(|other| members.parts[other] == Part::Whole) => Part::Whole,
                _ => Part::None,
            };
            members.parts[index] = part;
            let is_of_a_node = !matches!(event.what, What::Fault { .. } | What::Violation { .. });
            if part != Part::None && is_of_a_node {
                members.lanes.insert(&event.node);
                if let What::Burst { to, .. } = &event.what {
                    members.lanes.insert(to);
                    operations.insert((event.node.as_str(), scope.op.as_str()));
                }
            }
        }
        for (part, event) in members.parts.iter_mut().zip(events) {
            if let What::Client { op, .. } = &event.what
                && operations.contains(&(event.node.as_str(), &**op))
            {
                *part = Part::Whole;
            }
        }
        members.add_bystanders(events, links, &whose);
        members
    }

    /// What befell the saga's nodes between its first and its last event, and the invariants that it broke.
    fn add_bystanders(&mut self, events: &'t [Event], links: &Links, whose: &Whose<'_>) {
        let mut own = (0..events.len()).filter(|i| self.parts[*i] != Part::None);
        let Some(first) = own.next() else {
            return;
        };
        let last = own.next_back().unwrap_or(first);
        let ids = self.ids(events);
        for (index, event) in events.iter().enumerate() {
            let within = (first..=last).contains(&index);
            let on_lane = self.lanes.contains(event.node.as_str());
            let concerns = match &event.what {
                What::Node { .. } => within && on_lane,
                What::Disk { .. } => within && on_lane && links.scopes[index].saga_id.is_empty(),
                What::Connection { peer, event, .. } => {
                    within && on_lane && self.lanes.contains(&**peer) && ends_connection(event)
                }
                What::Fault { detail, .. } => {
                    within && (on_lane || self.lanes_named(detail).next().is_some())
                }
                What::Violation { detail, .. } => {
                    let mut named = names::ids(detail).map(|(_, id, _)| id).peekable();
                    whose.mentioned(detail.as_bytes())
                        || (within && named.peek().is_none())
                        || named.any(|id| ids.contains(id))
                }
                _ => false,
            };
            if concerns {
                self.parts[index] = Part::Whole;
            }
        }
    }

    /// The lanes that a text names.
    pub fn lanes_named<'m>(&'m self, text: &'m str) -> impl Iterator<Item = &'t str> + 'm {
        self.lanes.iter().copied().filter(|lane| {
            text.split(|c: char| !c.is_alphanumeric() && !"-_.".contains(c))
                .any(|word| word.trim_end_matches('.') == *lane)
        })
    }

    /// Ids of rows that the saga committed.
    fn ids(&self, events: &'t [Event]) -> BTreeSet<&'t str> {
        let mut ids = BTreeSet::new();
        for (event, part) in events.iter().zip(&self.parts) {
            if let What::Commit { rows, .. } = &event.what
                && *part == Part::Whole
            {
                ids.extend(
                    rows.iter()
                        .flat_map(|row| names::ids(&row.key))
                        .map(|(_, id, _)| id),
                );
            }
        }
        ids
    }
}

fn mentioned_in(whose: &Whose<'_>, row: &super::Row, before: Option<&[u8]>) -> bool {
    whose.mentioned(row.key.as_bytes())
        || row.value.as_deref().is_some_and(|v| whose.mentioned(v))
        || before.is_some_and(|v| whose.mentioned(v))
}

/// Whether a row, before or after its commit, mentions the saga or trace called `id`.
pub fn mentions(id: &str, row: &super::Row, before: Option<&[u8]>) -> bool {
    let whose = Whose {
        id,
        traces: BTreeSet::new(),
    };
    mentioned_in(&whose, row, before)
}

/// Whether a connection's event tells a node that the other end is gone.
pub fn ends_connection(event: &str) -> bool {
    matches!(event, "reset" | "closed" | "refused" | "timed out")
}
