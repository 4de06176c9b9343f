//! What a run has covered, as a set of features: hashes of small things that happened together.
//!
//! A feature is one of: what happened on a node while a kind of fault went on or had just struck; what followed what on
//! a node; what followed what in a saga; how often the same thing happened in a saga. "What happened" is an event's
//! class: message kind, saga step and fate of a burst, the status words of committed rows, the message of a log line,
//! the step of which a timer ran out.
//! Ids, times and amounts are no part of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use squall_core::{
    event::{ConnectionEvent, FaultEvent},
    seed::{hash, mix},
    site::Kind,
    time::VirtualTime,
};

use super::{Row, Scope, What, message::Message};
use crate::storm::When;

/// A fault that is over at once counts as going on for this long.
const AFTERMATH: Duration = Duration::from_secs(1);
/// How many status words of a row count: a saga has one for each step.
const WORDS_MAX: usize = 8;
/// Repetitions in a saga are told apart up to this.
const TIMES_MAX: u64 = 4;

/// Something that a run has covered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Its hash: the same in every run that covers it.
    pub id: u64,
    /// Where a fault has to be aimed to strike at its first occurrence in this very run; `None` once the storm is over.
    pub when: Option<When>,
}

/// Hears every event of a run and notes what is new.
#[derive(Debug)]
pub struct Coverage {
    /// The kind of each planned fault, and whether it goes on until it is ended.
    kinds: Vec<(u64, bool)>,
    /// Faults that go on, with the instant from which they no longer count.
    active: BTreeMap<usize, Option<VirtualTime>>,
    began: Option<VirtualTime>,
    over: bool,
    /// Bursts, commits and log messages of a node so far, since the storm began.
    sites: BTreeMap<u64, u32>,
    last_on_node: BTreeMap<u64, u64>,
    last_in_saga: BTreeMap<u64, u64>,
    times_in_saga: BTreeMap<(u64, u64), u64>,
    /// The status words of each row.
    rows: BTreeMap<u64, u64>,
    seen: BTreeSet<u64>,
    features: Vec<Feature>,
}

impl Coverage {
    /// Nothing is covered yet. `faults` are the kinds of those planned, in the plan's order, each with whether it goes
    /// on until it is ended.
    pub fn new<'a>(faults: impl IntoIterator<Item = (&'a str, bool)>) -> Self {
        let faults = faults.into_iter();
        Coverage {
            kinds: faults
                .map(|(kind, lasts)| (hash(kind.as_bytes()), lasts))
                .collect(),
            active: BTreeMap::new(),
            began: None,
            over: false,
            sites: BTreeMap::new(),
            last_on_node: BTreeMap::new(),
            last_in_saga: BTreeMap::new(),
            times_in_saga: BTreeMap::new(),
            rows: BTreeMap::new(),
            seen: BTreeSet::new(),
            features: Vec::new(),
        }
    }

    /// The storm begins; what happened before cannot be aimed at and is no feature.
    pub fn begin(&mut self, now: VirtualTime) {
        self.began = Some(now);
    }

    /// The storm is over: nothing more can be struck.
    pub fn end(&mut self) {
        self.over = true;
    }

    /// Takes note of an event.
    pub fn observe(&mut self, at: VirtualTime, node: &str, scope: &Scope, what: &What<'_>) {
        if let What::Fault { event, index, .. } = what {
            if *index < self.kinds.len() {
                self.fault(at, *event, *index);
            }
            return;
        }
        let Some(class) = self.class(node, scope, what) else {
            return;
        };
        let Some(began) = self.began else { return };
        let on = hash(node.as_bytes());
        let at_ms = || u64::try_from(at.since(began).as_millis()).unwrap_or(u64::MAX);
        let when =
            (!self.over).then(|| self.site(node, what).unwrap_or_else(|| When::AtMs(at_ms())));
        let mut found = self.amid_faults(at, class);
        if let Some(before) = self.last_on_node.insert(on, class) {
            found.push(of(&[2, before, class]));
        }
        if !scope.saga_id.is_empty() {
            let saga = hash(scope.saga_id.as_bytes());
            if let Some(before) = self.last_in_saga.insert(saga, class) {
                found.push(of(&[3, before, class]));
            }
            let times = self.times_in_saga.entry((saga, class)).or_default();
            *times += 1;
            if (2..=TIMES_MAX).contains(times) {
                found.push(of(&[4, *times, class]));
            }
        }
        self.cover(found, when);
    }

    /// A timer of a node has run out. What comes before and after it says little: many run out again and again.
    pub(crate) fn timer_runs_out(&mut self, at: VirtualTime, node: &str, label: &str) {
        if self.began.is_none() {
            return;
        }
        let class = of(&[18, hash(node.as_bytes()), step(label)]);
        let when = (!self.over).then(|| self.nth(node, Kind::Timer));
        let found = self.amid_faults(at, class);
        self.cover(found, when);
    }

    /// A service reads the clock of its node. It says as little as a timer does.
    pub(crate) fn clock_is_read(&mut self, at: VirtualTime, node: &str, label: &str) {
        if self.began.is_none() {
            return;
        }
        let class = of(&[19, hash(node.as_bytes()), step(label)]);
        let when = (!self.over).then(|| self.nth(node, Kind::Clock));
        let found = self.amid_faults(at, class);
        self.cover(found, when);
    }

    /// That something of this class happens while faults go on, or none.
    fn amid_faults(&mut self, at: VirtualTime, class: u64) -> Vec<u64> {
        let mut found = Vec::with_capacity(6);
        self.active
            .retain(|_, until| until.is_none_or(|until| at < until));
        if self.active.is_empty() {
            found.push(of(&[1, 0, class]));
        }
        for index in self.active.keys() {
            let kind = self.kinds.get(*index).map_or(0, |(kind, _)| *kind);
            found.push(of(&[1, kind, class]));
        }
        found
    }

    fn cover(&mut self, found: Vec<u64>, when: Option<When>) {
        for id in found {
            if self.seen.insert(id) {
                let when = when.clone();
                self.features.push(Feature { id, when });
            }
        }
    }

    /// Something happened that should sometimes happen, somewhere in the run.
    pub(crate) fn sometimes(&mut self, name: &str) {
        let id = of(&[5, hash(name.as_bytes())]);
        if self.seen.insert(id) {
            self.features.push(Feature { id, when: None });
        }
    }

    /// All that was covered, in the order in which it first was.
    pub fn finish(self) -> Vec<Feature> {
        self.features
    }

    fn fault(&mut self, at: VirtualTime, event: FaultEvent, index: usize) {
        let lasts = self.kinds.get(index).is_some_and(|(_, lasts)| *lasts);
        let until = (!lasts || event == FaultEvent::Ends).then(|| at + AFTERMATH);
        self.active.insert(index, until);
    }

    /// What sort of thing happened; `None` for what says nothing.
    fn class(&mut self, node: &str, scope: &Scope, what: &What<'_>) -> Option<u64> {
        let on = hash(node.as_bytes());
        Some(match what {
            What::Burst {
                to,
                bytes,
                label,
                fate,
                ..
            } => {
                let message = match Message::parse(bytes)? {
                    Message::Request { method, target, .. } => {
                        of(&[hash(method.as_bytes()), path(&target)])
                    }
                    Message::Answer { status, .. } => hash(status.as_bytes()),
                };
                let (to, fate) = (hash(to.as_bytes()), hash(fate.as_str().as_bytes()));
                of(&[11, on, to, message, step(label), fate])
            }
            What::Commit { rows, .. } => {
                rows.iter().fold(of(&[12, on, step(&scope.op)]), |c, row| {
                    // Rows come in no particular order of importance.
                    c.wrapping_add(self.row(on, row))
                })
            }
            What::Log { message, .. } => of(&[13, on, hash(message.as_bytes())]),
            What::Client { phase, .. } => of(&[14, hash(phase.as_str().as_bytes())]),
            What::Node { event, .. } => of(&[15, on, hash(event.as_str().as_bytes())]),
            What::Disk { event } => of(&[16, on, hash(event.words().as_bytes())]),
            What::Connection { peer, event, .. } if *event != ConnectionEvent::Connect => of(&[
                17,
                on,
                hash(peer.as_bytes()),
                hash(event.as_str().as_bytes()),
            ]),
            _ => return None,
        })
    }

    /// What became of a row: its table, and its status words before and after.
    fn row(&mut self, on: u64, row: &Row) -> u64 {
        let table = hash(row.table.as_bytes());
        let key = of(&[on, table, hash(row.key.as_bytes())]);
        let after = match &row.value {
            Some(value) => status_words(value),
            None => 1,
        };
        let before = self.rows.insert(key, after).unwrap_or(0);
        of(&[table, before, after])
    }

    /// The site of an event, where it has one that a fault can be aimed at.
    fn site(&mut self, node: &str, what: &What<'_>) -> Option<When> {
        let kind = match what {
            What::Burst { to, .. } => Kind::Send(to.to_string()),
            What::Commit { .. } => Kind::Commit,
            What::Log { level, message, .. } => Kind::said(*level, message),
            _ => return None,
        };
        Some(self.nth(node, kind))
    }

    /// The next site of this kind on the node.
    fn nth(&mut self, node: &str, kind: Kind) -> When {
        let on = hash(node.as_bytes());
        let key = match &kind {
            Kind::Send(to) => of(&[21, on, hash(to.as_bytes())]),
            Kind::Event(said) => of(&[22, on, hash(said.as_bytes())]),
            Kind::Timer => of(&[24, on]),
            Kind::Clock => of(&[25, on]),
            _ => of(&[23, on]),
        };
        let nth = self.sites.entry(key).or_default();
        *nth += 1;
        When::nth(node, kind, (*nth).into())
    }
}

fn of(parts: &[u64]) -> u64 {
    parts
        .iter()
        .fold(0x5371, |state, part| mix(state ^ mix(*part)))
}

/// The step that a label speaks of: `payment-capture` of `ann-1/payment-capture`. A client's own operations are alike.
fn step(label: &str) -> u64 {
    label
        .rsplit_once('/')
        .map_or(0, |(_, step)| hash(step.as_bytes()))
}

/// A request's path without ids and query.
fn path(target: &str) -> u64 {
    let path = target.split('?').next().unwrap_or_default();
    let is_name = |part: &&str| !part.bytes().any(|b| b.is_ascii_digit());
    path.split('/').fold(7, |state, part| {
        let name = Some(part).filter(is_name).unwrap_or("*");
        of(&[state, hash(name.as_bytes())])
    })
}

/// The values of the members called `status` or `state` of a row, in their order.
fn status_words(value: &[u8]) -> u64 {
    let mut rest = value;
    let mut state = 2;
    for _ in 0..WORDS_MAX {
        let Some(at) = memchr::memmem::find(rest, b"\"stat") else {
            break;
        };
        rest = &rest[at + 5..];
        let named = [&b"us\":\""[..], b"e\":\""];
        let Some(word) = named.iter().find_map(|end| rest.strip_prefix(*end)) else {
            continue;
        };
        let end = memchr::memchr(b'"', word).unwrap_or(word.len());
        state = of(&[state, hash(&word[..end])]);
        rest = &word[end..];
    }
    state
}
