//! A run in the [Trace Event Format](https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU)
//! (JSON object form), which <https://ui.perfetto.dev> and `chrome://tracing` open.
//!
//! A process for each node, with tracks for its calls and work, its messages, its disk and its life; one for the sagas,
//! a track each; one for the storm. Times are virtual microseconds. Viewers want the slices of one track to nest
//! perfectly, so what overlaps gets tracks of its own; a flow arrow begins and ends within a slice, so each end of a
//! message is a very short one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use squall_core::{event::Fate, time::VirtualTime};
use squall_engine::trace::Trace;

use super::{Drawing, Source, Subject, marks::Mark, spans::Span};
use crate::trace::Links;

/// The length of the slice that ends a message, in nanoseconds: an arrow needs a slice to end at.
const MESSAGE_NS: u64 = 1_000;

/// Tracks of a node, in the order in which they are shown. Work that overlaps goes on from `WORK` upwards.
const LIFE: u64 = 1;
const MESSAGES: u64 = 10;
const RECORDS: u64 = 2;
const WORK: u64 = 10_000;

/// The file of a run. The same run gives the same bytes.
pub fn json(subject: &Subject<'_>) -> String {
    let untraced = Trace::default();
    let outcome = subject.outcome;
    let trace = outcome.trace.as_ref().unwrap_or(&untraced);
    let links = Links::of(&trace.events);
    let source = Source::new(trace, &links, outcome.ended);
    let drawing = Drawing::of(&source, outcome);
    let mut writer = Writer {
        entries: Vec::new(),
        sagas: drawing.lanes.len() as u64 + 1,
        storm: drawing.lanes.len() as u64 + 2,
    };
    writer.nodes(&drawing);
    writer.messages(&drawing);
    writer.records(&drawing);
    writer.sagas(&drawing);
    writer.storm(&drawing);
    let spec = subject.spec;
    let about = json!({
        "scenario": subject.scenario,
        "shape": spec.shape,
        "plant": spec.plant.as_deref().unwrap_or_default(),
        "seed": spec.seed.to_string(),
        "replay": subject.replay,
    });
    let entries = writer.entries;
    let file = json!({"displayTimeUnit": "ns", "otherData": about, "traceEvents": entries});
    format!("{file}\n")
}

/// Entries of the format. Phases are `M` metadata, `X` slices, `i` instants, `s` and `f` the ends of a flow; times are
/// microseconds.
struct Writer {
    entries: Vec<Value>,
    /// The process of the sagas.
    sagas: u64,
    /// That of the storm and of the violations.
    storm: u64,
}

/// The process of a lane; 0 would be the kernel's.
fn process(lane: usize) -> u64 {
    lane as u64 + 1
}

fn micros(at: VirtualTime) -> f64 {
    at.0 as f64 / 1_000.0
}

impl Writer {
    /// Tells the viewer of a process or, as `thread`, of a track: what it is called and where it stands.
    fn name(&mut self, what: &str, pid: u64, tid: u64, name: &str, place: u64) {
        for (about, args) in [
            ("name", json!({ "name": name })),
            ("sort_index", json!({ "sort_index": place })),
        ] {
            let about = format!("{what}_{about}");
            let entry = json!({"ph": "M", "name": about, "pid": pid, "tid": tid, "args": args});
            self.entries.push(entry);
        }
    }

    fn name_process(&mut self, pid: u64, name: &str) {
        self.name("process", pid, 0, name, pid);
    }

    fn name_track(&mut self, pid: u64, tid: u64, name: &str) {
        self.name("thread", pid, tid, name, tid);
    }

    fn slice(
        &mut self,
        (pid, tid): (u64, u64),
        cat: &str,
        name: &str,
        (from, to): (VirtualTime, VirtualTime),
        args: Value,
    ) {
        let (ts, dur) = (micros(from), micros(VirtualTime(to.0 - from.0)));
        self.entries.push(json!({
            "ph": "X", "name": name, "cat": cat, "pid": pid, "tid": tid, "ts": ts, "dur": dur, "args": args
        }));
    }

    /// `scope` is how far it is drawn: over its thread, process, everything.
    fn instant(&mut self, (pid, tid): (u64, u64), mark: &Mark<'_>, scope: &str) {
        let (name, cat, ts) = (&mark.label, mark.kind, micros(mark.at));
        self.entries.push(json!({
            "ph": "i", "name": name, "cat": cat, "pid": pid, "tid": tid, "ts": ts, "s": scope, "args": about(mark)
        }));
    }

    /// Every node with its calls and its work, and when it is down.
    fn nodes(&mut self, drawing: &Drawing<'_>) {
        for (lane, of) in drawing.lanes.iter().enumerate() {
            let pid = process(lane);
            self.name_process(pid, of.name);
            self.name_track(pid, LIFE, "life");
            self.name_track(pid, RECORDS, "commits and logs");
            let rows = drawing
                .spans
                .iter()
                .filter(|span| span.lane == lane)
                .map(|span| span.row + 1)
                .max();
            let title = if of.client { "calls" } else { "work" };
            for row in 0..rows.unwrap_or(0) {
                let name = if row == 0 {
                    title.to_owned()
                } else {
                    format!("{title} {}", row + 1)
                };
                self.name_track(pid, WORK + row as u64, &name);
            }
        }
        for Span {
            lane,
            kind,
            from,
            to,
            outcome,
            label,
            saga,
            row,
            ..
        } in &drawing.spans
        {
            let args = json!({ "outcome": outcome, "saga": saga });
            self.slice(
                (process(*lane), WORK + *row as u64),
                kind,
                label,
                (*from, *to),
                args,
            );
        }
        for outage in &drawing.outages {
            let name = format!("{} ({})", outage.how, outage.why);
            self.slice(
                (process(outage.lane), LIFE),
                "outage",
                &name,
                (outage.from, outage.to),
                json!({}),
            );
        }
    }

    /// Both ends of every message and the arrow between them.
    fn messages(&mut self, drawing: &Drawing<'_>) {
        let mut tracks = BTreeMap::<usize, Tracks>::new();
        for (place, mark) in drawing.events.iter().enumerate() {
            let (Some(lane), Some(parcel)) = (mark.lane, &mark.message) else {
                continue;
            };
            if mark.kind == "connection" {
                continue;
            }
            let pid = process(lane);
            let until = VirtualTime(mark.at.0 + MESSAGE_NS);
            let (row, new) = tracks.entry(lane).or_default().place(mark.at, until);
            let tid = MESSAGES + row as u64;
            if new {
                self.name_track(pid, tid, "messages");
            }
            let sent = mark.kind == "send";
            let name = match (sent, parcel.fate) {
                (true, fate) if fate == Fate::Sent.as_str() => format!("→ {}", mark.label),
                (true, fate) => format!("→ {} ({fate})", mark.label),
                (false, _) => mark.text.clone(),
            };
            self.slice((pid, tid), mark.kind, &name, (mark.at, until), about(mark));
            let Some(other) = parcel.other else { continue };
            let first =
                sent || drawing.events[other].message.as_ref().and_then(|m| m.other) == Some(place);
            if !first {
                continue;
            }
            let (ph, id) = if sent { ("s", place) } else { ("f", other) };
            let mut end = json!({
                "ph": ph, "name": "message", "cat": "message", "pid": pid, "tid": tid, "ts": micros(mark.at), "id": id
            });
            if !sent {
                // It ends in the slice that encloses its end.
                end["bp"] = "e".into();
            }
            self.entries.push(end);
        }
    }

    /// Commits, logs, disks, connections, turns of life.
    fn records(&mut self, drawing: &Drawing<'_>) {
        for mark in &drawing.events {
            let (Some(lane), false) = (mark.lane, matches!(mark.kind, "send" | "arrival")) else {
                continue;
            };
            let (tid, scope) = match mark.kind {
                "node" => (LIFE, "p"),
                _ => (RECORDS, "t"),
            };
            self.instant((process(lane), tid), mark, scope);
        }
    }

    /// A track for each saga: the whole of it, and its steps within.
    fn sagas(&mut self, drawing: &Drawing<'_>) {
        self.name_process(self.sagas, "sagas");
        for (tid, saga) in (1_000..).step_by(1_000).zip(&drawing.sagas) {
            let own = |place: &&usize| drawing.events[**place].saga == saga.id;
            let mut own = saga
                .events
                .iter()
                .filter(own)
                .map(|place| drawing.events[*place].at);
            let Some(first) = own.next() else { continue };
            let whole = (first, own.next_back().unwrap_or(first));
            let name = format!("{} ({})", saga.id, saga.op);
            self.name_track(self.sagas, tid, saga.id);
            self.slice(
                (self.sagas, tid),
                "saga",
                &name,
                whole,
                json!({ "op": saga.op }),
            );
            let mut tracks = Tracks::default();
            let steps = drawing
                .spans
                .iter()
                .filter(|span| span.saga == saga.id && span.kind == "ask");
            for step in steps {
                let (row, new) = tracks.place(step.from, step.to);
                let tid = tid + 1 + row as u64;
                if new {
                    self.name_track(self.sagas, tid, &format!("{} steps", saga.id));
                }
                let args =
                    json!({ "outcome": step.outcome, "node": drawing.lanes[step.lane].name });
                self.slice(
                    (self.sagas, tid),
                    "step",
                    &step.label,
                    (step.from, step.to),
                    args,
                );
            }
        }
    }

    /// Every fault from its beginning to its end, and what was broken.
    fn storm(&mut self, drawing: &Drawing<'_>) {
        self.name_process(self.storm, "storm");
        self.name_track(self.storm, LIFE, "faults and violations");
        let mut tracks = Tracks::default();
        let mut faults: Vec<_> = drawing.faults.iter().collect();
        faults.sort_by_key(|fault| fault.from);
        for fault in faults {
            let (Some(from), Some(to)) = (fault.from, fault.to) else {
                continue;
            };
            let (row, new) = tracks.place(from, to);
            let tid = MESSAGES + row as u64;
            if new {
                self.name_track(self.storm, tid, "faults");
            }
            let args = json!({ "effective": fault.effective, "kind": fault.kind });
            self.slice((self.storm, tid), "fault", &fault.text, (from, to), args);
        }
        for mark in drawing.events.iter().filter(|mark| mark.lane.is_none()) {
            self.instant((self.storm, LIFE), mark, "g");
        }
    }
}

/// Tracks on which nothing overlaps.
#[derive(Default)]
struct Tracks(Vec<VirtualTime>);

impl Tracks {
    /// The first track that is free from then on, and whether it is a new one. Call in the order of `from`.
    fn place(&mut self, from: VirtualTime, to: VirtualTime) -> (usize, bool) {
        match self.0.iter().position(|busy_until| *busy_until <= from) {
            Some(free) => {
                self.0[free] = to;
                (free, false)
            }
            None => {
                self.0.push(to);
                (self.0.len() - 1, true)
            }
        }
    }
}

fn about(mark: &Mark<'_>) -> Value {
    let mut args = serde_json::Map::new();
    for (name, value) in [
        ("what", mark.text.as_str()),
        ("op", mark.op),
        ("saga", mark.saga),
        ("trace id", mark.trace),
        ("fields", mark.fields),
    ] {
        if !value.is_empty() {
            args.insert(name.to_owned(), value.into());
        }
    }
    if let Some(parcel) = &mark.message
        && !parcel.bytes.is_empty()
    {
        args.insert("bytes".to_owned(), parcel.bytes.as_str().into());
    }
    Value::Object(args)
}
