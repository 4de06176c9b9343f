//! Events made by hand, for the tests of what reads them.

use std::{borrow::Cow, time::Duration};

pub use squall_core::event::{
    ConnectionEvent, DiskEvent, Event, Fate, FaultEvent, Level, Life, Phase, Row, Scope, What,
};
use squall_core::{fault::Action, time::VirtualTime};
use squall_engine::trace::{Mode, Recorder, Trace};

/// A run that is told event by event, one millisecond apart.
#[derive(Default)]
pub struct Script {
    pub events: Vec<Event>,
    /// Of the events to come, except bursts and arrivals, which have none.
    pub scope: Scope,
}

/// An HTTP request with the headers that services send.
pub fn request(method: &str, target: &str, trace: &str, op: &str, saga: &str) -> String {
    let saga = match saga {
        "" => String::new(),
        saga => format!(",saga={saga}"),
    };
    format!(
        "{method} {target} HTTP/1.1\r\nhost: x\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\n\
         x-request-id: REQ-0000000A\r\nbaggage: op={op}{saga}\r\n\r\n{{}}"
    )
}

/// An HTTP answer.
pub fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A row of a commit.
pub fn row(table: &'static str, key: &str, value: Option<serde_json::Value>) -> Row {
    Row::new(table, key, value.map(|v| v.to_string().into_bytes()))
}

impl Script {
    pub fn on_behalf(&mut self, trace: &str, op: &str, saga: &str) {
        self.scope = Scope {
            trace_id: trace.to_owned(),
            request_id: String::new(),
            op: op.to_owned(),
            saga_id: saga.to_owned(),
        };
    }

    pub fn tell(&mut self, node: &str, scope: Scope, what: What<'_>) {
        let index = self.events.len() as u64;
        self.events.push(Event {
            index,
            at: VirtualTime(index * 1_000_000),
            node: node.to_owned(),
            scope,
            what: what.into_owned(),
        });
    }

    pub fn burst(&mut self, from: &str, to: &str, connection: u64, bytes: &str, fate: Fate) {
        self.burst_in(Scope::NONE, (from, to, connection), bytes, fate);
    }

    /// A burst that is sent from within a span.
    pub fn burst_in(&mut self, scope: Scope, way: (&str, &str, u64), bytes: &str, fate: Fate) {
        let (from, to, connection) = way;
        let what = What::Burst {
            to: to.into(),
            connection,
            bytes: bytes.as_bytes().into(),
            label: connection.to_string().into(),
            latency: Duration::from_micros(500),
            fate,
        };
        self.tell(from, scope, what);
    }

    pub fn arrival(&mut self, node: &str, from: &str, connection: u64, bytes: usize) {
        let what = What::Arrival {
            from: from.into(),
            connection,
            bytes,
        };
        self.tell(node, Scope::NONE, what);
    }

    /// A burst and its arrival.
    pub fn message(&mut self, from: &str, to: &str, connection: u64, bytes: &str) {
        self.burst(from, to, connection, bytes, Fate::Sent);
        self.arrival(to, from, connection, bytes.len());
    }

    pub fn connection(&mut self, node: &str, peer: &str, connection: u64, event: ConnectionEvent) {
        let what = What::Connection {
            connection,
            peer: peer.into(),
            event,
        };
        self.tell(node, Scope::NONE, what);
    }

    pub fn commit(&mut self, node: &str, rows: &[Row]) {
        let what = What::Commit {
            file: "db".into(),
            rows: rows.into(),
        };
        self.tell(node, self.scope.clone(), what);
    }

    pub fn log(&mut self, node: &str, level: Level, message: &str, fields: &str) {
        let what = What::Log {
            level,
            message: message.into(),
            fields: fields.into(),
        };
        self.tell(node, self.scope.clone(), what);
    }

    pub fn client(&mut self, node: &str, op: &str, phase: Phase, detail: &str) {
        let what = What::Client {
            op: op.into(),
            phase,
            detail: detail.into(),
        };
        self.tell(node, Scope::NONE, what);
    }

    pub fn node(&mut self, node: &str, event: Life, detail: &str) {
        let what = What::Node {
            event,
            detail: detail.into(),
        };
        self.tell(node, Scope::NONE, what);
    }

    pub fn healing(&mut self) {
        self.tell("storm", Scope::NONE, What::Healed);
    }

    pub fn fault(&mut self, node: &str, event: FaultEvent, action: impl Into<Action>) {
        let what = What::Fault {
            event,
            index: 0,
            action: Cow::Owned(action.into()),
        };
        self.tell(node, Scope::NONE, what);
    }

    pub fn violation(&mut self, invariant: &str, detail: &str) {
        let what = What::Violation {
            invariant: invariant.into(),
            detail: detail.into(),
        };
        self.tell("", Scope::NONE, what);
    }

    pub fn disk(&mut self, node: &str, event: DiskEvent) {
        let what = What::Disk { event };
        self.tell(node, Scope::NONE, what);
    }

    /// As a recorder would hand it over.
    pub fn trace(&self) -> Trace {
        let mut recorder = Recorder::new(Mode::Full);
        for event in &self.events {
            recorder.record(event.at, &event.node, &event.scope, event.what.clone());
        }
        recorder.finish()
    }
}
