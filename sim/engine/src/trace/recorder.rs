//! The recorder of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use squall_core::{host::NodeIx, time::VirtualTime};

use super::{Coverage, Event, Kind, Rolling, Scope, What};
use crate::isolation::witness;

/// What a [`Recorder`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A hash and counts: what a campaign can afford.
    HashOnly,
    /// Every event: for a replay.
    Full,
}

/// What is known of a run when it is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Of all events: two runs with the same hash are the same run.
    pub hash: u64,
    /// Events by kind.
    pub counts: BTreeMap<Kind, u64>,
    /// In the order in which they happened. Empty unless recorded in [`Mode::Full`].
    pub events: Vec<Event>,
}

impl Trace {
    /// Of a run that a witness was told of.
    pub(crate) fn told(lines: &[u8]) -> Self {
        let lines = lines.split_inclusive(|byte| *byte == b'\n');
        let mut recorder = Recorder::new(Mode::HashOnly);
        let mut events = Vec::new();
        for event in lines.map_while(|line| serde_json::from_slice::<Event>(line).ok()) {
            recorder.record(event.at, &event.node, &event.scope, event.what.clone());
            events.push(event);
        }
        Trace {
            events,
            ..recorder.finish()
        }
    }

    /// For each event, sixteen bits of the hash of all that happened up to it: two runs differ from the first event on
    /// at which these do, save for one in 65,536 that is told one event too late.
    pub fn marks(&self) -> Vec<u16> {
        let mut hash = Rolling::default();
        let mark = |event: &Event| {
            hash.event(event.at, &event.node, &event.scope, &event.what);
            hash.value() as u16
        };
        self.events.iter().map(mark).collect()
    }

    /// Where two runs part: the index of the first event that is not the same in both, if there is one.
    pub fn parts_from(&self, other: &Trace) -> Option<usize> {
        let both = self.events.iter().zip(&other.events);
        let shorter = self.events.len().min(other.events.len());
        let length_differs = self.events.len() != other.events.len();
        both.enumerate()
            .find(|(_, (mine, theirs))| mine != theirs)
            .map(|(index, _)| index)
            .or(length_differs.then_some(shorter))
    }
}

/// Hears of every event of a run.
///
/// ```
/// # mod squall {
/// #     pub use squall_core::time;
/// #     pub mod trace { pub use squall_core::event::*; pub use squall_engine::trace::*; }
/// # }
/// use std::borrow::Cow;
///
/// use squall::{
///     time::VirtualTime,
///     trace::{Life, Mode, Recorder, Scope, What},
/// };
///
/// let run = |mode| {
///     let mut recorder = Recorder::new(mode);
///     let boots = What::Node { event: Life::Boots, detail: Cow::Borrowed("") };
///     recorder.record(VirtualTime::ZERO, "order", &Scope::NONE, boots);
///     recorder.finish()
/// };
/// assert_eq!(run(Mode::HashOnly).hash, run(Mode::Full).hash);
/// assert_eq!(run(Mode::Full).events.len(), 1);
/// ```
#[derive(Debug)]
pub struct Recorder {
    mode: Mode,
    hash: Rolling,
    /// Of what unmodified programs write into files: no event tells of each byte.
    written: Option<Rolling>,
    counts: [u64; Kind::ALL.len()],
    recorded: u64,
    events: Vec<Event>,
    coverage: Option<Coverage>,
}

impl Recorder {
    /// A recorder that has heard nothing.
    pub fn new(mode: Mode) -> Self {
        Recorder {
            mode,
            hash: Rolling::default(),
            written: None,
            counts: [0; Kind::ALL.len()],
            recorded: 0,
            events: Vec::new(),
            coverage: None,
        }
    }

    /// Notes what is covered, too.
    pub fn covering(self, coverage: Coverage) -> Self {
        Recorder {
            coverage: Some(coverage),
            ..self
        }
    }

    /// The storm begins.
    pub(crate) fn storm_begins(&mut self, now: VirtualTime) {
        if let Some(coverage) = &mut self.coverage {
            coverage.begin(now);
        }
    }

    /// The storm is over.
    pub(crate) fn storm_ends(&mut self) {
        if let Some(coverage) = &mut self.coverage {
            coverage.end();
        }
    }

    /// A timer of a node has run out. That is no event, but covers something.
    pub(crate) fn timer_runs_out(&mut self, at: VirtualTime, node: &str, label: &str) {
        if let Some(coverage) = &mut self.coverage {
            coverage.timer_runs_out(at, node, label);
        }
    }

    /// A service reads the clock of its node. That is no event either.
    pub(crate) fn clock_is_read(&mut self, at: VirtualTime, node: &str, label: &str) {
        if let Some(coverage) = &mut self.coverage {
            coverage.clock_is_read(at, node, label);
        }
    }

    /// What was covered, if that was noted; nothing is noted from now on.
    pub(crate) fn take_coverage(&mut self) -> Option<Coverage> {
        self.coverage.take()
    }

    /// Whether events are kept.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Takes note of an event.
    pub fn record(&mut self, at: VirtualTime, node: &str, scope: &Scope, what: What<'_>) {
        self.hash.event(at, node, scope, &what);
        self.counts[what.kind() as usize] += 1;
        if let Some(coverage) = &mut self.coverage {
            coverage.observe(at, node, scope, &what);
        }
        if self.mode == Mode::Full {
            let event = Event {
                index: self.recorded,
                at,
                node: node.to_owned(),
                scope: scope.clone(),
                what: what.into_owned(),
            };
            if let Some(witness) = witness()
                && let Ok(mut line) = serde_json::to_vec(&event)
            {
                line.push(b'\n');
                witness(&line);
            }
            self.events.push(event);
        }
        self.recorded += 1;
    }

    /// Takes note of what an unmodified program has written.
    pub(crate) fn wrote(&mut self, node: NodeIx, inode: u64, offset: u64, bytes: &[u8]) {
        let written = self.written.get_or_insert_default();
        for number in [u64::from(node.0), inode, offset] {
            written.number(number);
        }
        written.bytes(bytes);
    }

    /// The hash so far.
    pub fn hash(&self) -> u64 {
        let mut hash = self.hash;
        if let Some(written) = self.written {
            hash.number(written.value());
        }
        hash.value()
    }

    /// All that it heard.
    pub fn finish(self) -> Trace {
        Trace {
            hash: self.hash(),
            counts: Kind::ALL
                .into_iter()
                .zip(self.counts)
                .filter(|(_, count)| *count > 0)
                .collect(),
            events: self.events,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, time::Duration};

    use proptest::{prelude::*, sample::select};
    use squall_core::{
        event::{ConnectionEvent, DiskEvent, Fate, FaultEvent, Level, Life, Phase},
        fault::{Action, Crash, Isolate},
    };

    use super::{super::Row, *};

    fn text() -> impl Strategy<Value = Cow<'static, str>> {
        "[a-zA-Z0-9→ ]{0,20}".prop_map(Cow::Owned)
    }

    fn what() -> impl Strategy<Value = What<'static>> {
        let action = select(vec![
            Action::from(Crash::new("order", 5)),
            Action::from(Isolate::new("order", 5)),
        ]);
        let rows = proptest::collection::vec(
            (text(), "[a-z]{0,9}", proptest::option::of(any::<Vec<u8>>()))
                .prop_map(|(table, key, value)| Row { table, key, value }),
            0..4,
        );
        prop_oneof![
            (any::<u64>(), text(), select(ConnectionEvent::ALL)).prop_map(
                |(connection, peer, event)| {
                    What::Connection {
                        connection,
                        peer,
                        event,
                    }
                }
            ),
            (
                text(),
                any::<u64>(),
                any::<Vec<u8>>(),
                text(),
                any::<u32>(),
                select(Fate::ALL)
            )
                .prop_map(|(to, connection, bytes, label, latency, fate)| {
                    What::Burst {
                        to,
                        connection,
                        bytes: Cow::Owned(bytes),
                        label,
                        latency: Duration::from_nanos(latency.into()),
                        fate,
                    }
                }),
            (text(), any::<u64>(), any::<usize>()).prop_map(|(from, connection, bytes)| {
                What::Arrival {
                    from,
                    connection,
                    bytes,
                }
            }),
            any::<(u64, u64)>().prop_map(|(lost, torn)| What::Disk {
                event: DiskEvent::PowerLost { lost, torn }
            }),
            (text(), rows).prop_map(|(file, rows)| What::Commit {
                file,
                rows: Cow::Owned(rows)
            }),
            (select(Level::ALL), text(), text()).prop_map(|(level, message, fields)| What::Log {
                level,
                message,
                fields
            }),
            (text(), select(Phase::ALL), text()).prop_map(|(op, phase, detail)| What::Client {
                op,
                phase,
                detail
            }),
            (select(Life::ALL), text()).prop_map(|(event, detail)| What::Node { event, detail }),
            (select(FaultEvent::ALL), any::<usize>(), action).prop_map(|(event, index, action)| {
                What::Fault {
                    event,
                    index,
                    action: Cow::Owned(action),
                }
            }),
            Just(What::Healed),
            (text(), text()).prop_map(|(invariant, detail)| What::Violation { invariant, detail }),
        ]
    }

    type Told = (u64, String, Scope, What<'static>);

    fn event() -> impl Strategy<Value = Told> {
        let scope = ("[0-9a-f]{0,9}", "[A-Z]{0,9}", "[a-z]{0,9}", "[A-Z0-9]{0,9}").prop_map(
            |(trace_id, request_id, op, saga_id)| Scope {
                trace_id,
                request_id,
                op,
                saga_id,
            },
        );
        (any::<u64>(), "[a-z]{1,9}", scope, what())
    }

    fn record(mode: Mode, events: &[Told]) -> Trace {
        let mut recorder = Recorder::new(mode);
        for (at, node, scope, what) in events {
            recorder.record(VirtualTime(*at), node, scope, what.clone());
        }
        recorder.finish()
    }

    proptest! {
        #[test]
        fn the_hash_depends_on_the_events_and_on_nothing_else(
            events in proptest::collection::vec(event(), 1..12),
            other in event(),
            place in any::<proptest::sample::Index>(),
        ) {
            let full = record(Mode::Full, &events);
            let hashed = record(Mode::HashOnly, &events);
            prop_assert_eq!(full.hash, hashed.hash);
            prop_assert_eq!(&full.counts, &hashed.counts);
            prop_assert_eq!(full.counts.values().sum::<u64>(), events.len() as u64);
            prop_assert_eq!(full.events.len(), events.len());
            prop_assert!(hashed.events.is_empty());

            let place = place.index(events.len());
            let mut changed = events.clone();
            changed[place] = other;
            let changed = record(Mode::Full, &changed);
            prop_assert_eq!(full.hash == changed.hash, full.events == changed.events);
            prop_assert_eq!(
                full.parts_from(&changed),
                (full.events != changed.events).then_some(place)
            );

            let fewer = record(Mode::Full, &events[..place]);
            prop_assert_ne!(full.hash, fewer.hash);
            prop_assert_eq!(full.parts_from(&fewer), Some(place));
        }

        #[test]
        fn a_trace_survives_json(events in proptest::collection::vec(event(), 0..6)) {
            let trace = record(Mode::Full, &events);
            let json = serde_json::to_string(&trace).unwrap();
            let back: Trace = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(trace, back);
        }
    }
}
