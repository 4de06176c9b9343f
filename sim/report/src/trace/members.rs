//! Which events belong to a saga, or to several.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;

use super::{Event, Links, Scope, What, message::Message, names, rows::Rows};

/// The events of some sagas (or trace ids), and those that concern their nodes while they run.
#[derive(Debug)]
pub struct Members<'t> {
    /// The nodes that take part.
    pub lanes: BTreeSet<&'t str>,
    /// For each event of the trace, how it belongs.
    pub parts: Vec<Part>,
    whose: Whose<'t>,
}

/// How an event belongs to a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Not at all.
    None,
    /// It happened on the saga's behalf, or to one of its nodes while it ran.
    Whole,
    /// A commit of no saga's or of several sagas' work: only the rows that mention this one.
    MentioningRows,
}

/// A node, and what it does or was asked to do.
type Operation<'t> = (&'t str, &'t str);

/// Tells the sagas' own scopes from others.
#[derive(Debug)]
struct Whose<'t> {
    /// The ids of sagas and of traces, and those of all sagas in these.
    ids: BTreeSet<&'t str>,
    /// Trace ids that serve these sagas and no other.
    traces: BTreeSet<&'t str>,
    /// Trace ids that serve no saga at all.
    free: BTreeSet<&'t str>,
}

impl<'t> Whose<'t> {
    /// Each of `of` is a saga's id, or else a trace's.
    fn new(of: &[&'t str], scopes: &'t [Scope]) -> Self {
        let mut sagas = BTreeMap::<&str, BTreeSet<&str>>::new();
        for scope in scopes.iter().filter(|s| !s.trace_id.is_empty()) {
            let served = sagas.entry(&scope.trace_id).or_default();
            if !scope.saga_id.is_empty() {
                served.insert(&scope.saga_id);
            }
        }
        let free = sagas.iter().filter(|(_, sagas)| sagas.is_empty());
        let free = free.map(|(trace, _)| *trace).collect();
        let of: BTreeSet<&str> = of.iter().copied().collect();
        let in_traces = of.iter().filter_map(|id| sagas.get(id)).flatten();
        let ids = of.iter().chain(in_traces).copied().collect();
        let serves_them = |sagas: &BTreeSet<_>| !sagas.is_empty() && sagas.is_subset(&of);
        let traces = sagas
            .iter()
            .filter(|(trace, sagas)| of.contains(*trace) || serves_them(sagas))
            .map(|(trace, _)| *trace)
            .collect();
        Whose { ids, traces, free }
    }

    fn is(&self, scope: &Scope) -> bool {
        self.ids.contains(scope.saga_id.as_str())
            || (scope.saga_id.is_empty() && self.traces.contains(scope.trace_id.as_str()))
    }

    fn mentioned(&self, bytes: &[u8]) -> bool {
        let mut ids = self.ids.iter();
        ids.any(|id| memmem::find(bytes, id.as_bytes()).is_some())
    }

    /// Whether a row, before or after its commit, mentions one of the ids.
    fn mentioned_in(&self, row: &super::Row, before: Option<&[u8]>) -> bool {
        self.mentioned(row.key.as_bytes())
            || row.value.as_deref().is_some_and(|v| self.mentioned(v))
            || before.is_some_and(|v| self.mentioned(v))
    }

    /// Work on behalf of no saga (a sweeper's, an outbox poller's) may touch this saga nevertheless.
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
    /// The members of the sagas and traces of these ids.
    pub fn of(events: &'t [Event], links: &'t Links, ids: &[&'t str]) -> Self {
        let mut members = Members {
            lanes: BTreeSet::new(),
            parts: vec![Part::None; events.len()],
            whose: Whose::new(ids, &links.scopes),
        };
        if ids.iter().all(|id| id.is_empty()) {
            return members;
        }
        let operations = members.add_own(events, links);
        let about_it = members.traces_about_it(events, links, &operations);
        if !about_it.is_empty() {
            members.whose.traces.extend(about_it);
            members.add_own(events, links);
        }
        members.add_bystanders(events, links);
        members
    }

    /// What happened on the saga's behalf; and the operations of its messages, each with who sent one.
    fn add_own(&mut self, events: &'t [Event], links: &'t Links) -> BTreeSet<Operation<'t>> {
        let Members {
            lanes,
            parts,
            whose,
        } = self;
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
                        mentions |= whose.mentioned_in(row, rows.before(&event.node, file, row));
                        rows.apply(&event.node, file, row);
                    }
                    match () {
                        () if whose.is(scope) => Part::Whole,
                        () if mentions && scope.saga_id.is_empty() => Part::MentioningRows,
                        () => Part::None,
                    }
                }
                _ if whose.is(scope) || whose.touched(scope, event) => Part::Whole,
                _ if linked.is_some_and(|other| parts[other] == Part::Whole) => Part::Whole,
                _ => Part::None,
            };
            parts[index] = part;
            if part != Part::None && event.what.is_of_a_node() {
                lanes.insert(&event.node);
                if let What::Burst { to, .. } = &event.what {
                    lanes.insert(to);
                    operations.insert((event.node.as_str(), scope.op.as_str()));
                }
            }
        }
        for (part, event) in parts.iter_mut().zip(events) {
            if let What::Client { op, .. } = &event.what
                && operations.contains(&(event.node.as_str(), &**op))
            {
                *part = Part::Whole;
            }
        }
        operations
    }

    /// Traces of requests that bear no saga's id and are about this one: the repeat of an operation under a new trace,
    /// and whatever is asked of something that the saga made.
    fn traces_about_it(
        &self,
        events: &'t [Event],
        links: &'t Links,
        operations: &BTreeSet<Operation<'t>>,
    ) -> BTreeSet<&'t str> {
        let ids = self.ids(events);
        let about_it = |(event, scope): &(&'t Event, &'t Scope)| match &event.what {
            What::Burst { bytes, .. } => match Message::parse(bytes) {
                Some(Message::Request { target, .. }) => {
                    (!scope.op.is_empty() && operations.contains(&(&*event.node, &*scope.op)))
                        || names::ids(&target).any(|(_, id, _)| ids.contains(id))
                }
                _ => false,
            },
            _ => false,
        };
        events
            .iter()
            .zip(&links.scopes)
            .filter(|(_, scope)| self.whose.free.contains(scope.trace_id.as_str()))
            .filter(about_it)
            .map(|(_, scope)| scope.trace_id.as_str())
            .collect()
    }

    /// Takes out the requests that were answered "204 No Content" and changed nothing: notices of what was known.
    pub fn forget_idle_exchanges(&mut self, events: &'t [Event], links: &Links) {
        let busy: BTreeSet<Operation<'_>> = events
            .iter()
            .zip(&links.scopes)
            .filter(|(event, _)| match &event.what {
                What::Commit { .. } => true,
                What::Log { level, .. } => !level.is_detail(),
                _ => false,
            })
            .map(|(event, scope)| (event.node.as_str(), scope.op.as_str()))
            .collect();
        let mut idle = BTreeSet::new();
        for (place, event) in events.iter().enumerate() {
            if let What::Burst { bytes, .. } = &event.what
                && let Some(Message::Answer { status, .. }) = Message::parse(bytes)
                && status.starts_with("204")
                && let Some(request) = links.request[place]
                && !busy.contains(&(event.node.as_str(), links.scopes[place].op.as_str()))
            {
                idle.extend([request, place]);
            }
        }
        for (place, part) in self.parts.iter_mut().enumerate() {
            if idle.contains(&place) || links.sent[place].is_some_and(|sent| idle.contains(&sent)) {
                *part = Part::None;
            }
        }
    }

    /// What befell the saga's nodes between its first and its last event, and the invariants that it broke.
    fn add_bystanders(&mut self, events: &'t [Event], links: &Links) {
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
                    within && on_lane && self.lanes.contains(&**peer) && event.is_end()
                }
                // A link is the saga's if both of its ends are.
                What::Fault { action, .. } => {
                    let named = action.nodes();
                    let are_lanes = named.iter().all(|node| self.lanes.contains(node));
                    within && (on_lane || (are_lanes && !named.is_empty()))
                }
                What::Violation { detail, .. } => {
                    let mut named = names::ids(detail).map(|(_, id, _)| id).peekable();
                    self.whose.mentioned(detail.as_bytes())
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

    /// Whether a row, before or after its commit, mentions the saga.
    pub fn mentioned_in(&self, row: &super::Row, before: Option<&[u8]>) -> bool {
        self.whose.mentioned_in(row, before)
    }

    /// Ids of rows that the saga committed.
    fn ids(&self, events: &'t [Event]) -> BTreeSet<&'t str> {
        let mut ids = BTreeSet::new();
        for (event, part) in events.iter().zip(&self.parts) {
            let What::Commit { rows, .. } = &event.what else {
                continue;
            };
            let own = rows.iter().filter(|row| match part {
                Part::None => false,
                Part::Whole => true,
                Part::MentioningRows => self.mentioned_in(row, None),
            });
            ids.extend(
                own.flat_map(|row| names::ids(&row.key))
                    .map(|(_, id, _)| id),
            );
        }
        ids
    }
}
