//! Events on their way: what an outbox has accepted is told in the order of its key, or given up in its time.
//!
//! What consumers make of an event is judged where it shows, in their own tables. What outboxes and inboxes note for
//! themselves is judged too, as a look inside: a sound one might keep other books.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{
    Sim,
    check::{Commit, Findings},
};
use squall_services::{
    infrastructure::bus::store::{EVENTS, Entry},
    kit::{
        bus::{DEAD_EVENTS, DeadEvent},
        inbox::{Handled, INBOX},
        outbox::{DEAD_LETTERS, OUTBOX, PUBLISHED, Policy, Row, State, Target, lane},
    },
};

use super::schedule;
use crate::{
    lock,
    table_view::{Change, TableView},
};

/// A claim is given back after five minutes; a minute for the rest.
pub const SENT: Duration = Duration::from_secs(6 * 60);

/// What was sent is delivered again after ten seconds, or from the dead letters by an operator.
const HANDLED: Duration = Duration::from_secs(7 * 60);

const SENT_NAME: &str = "inside the outbox: every committed row is sent or dead-lettered";
const LEAVES_NAME: &str = "inside the outbox: rows of a key leave in their order";
const STREAM_NAME: &str = "inside the outbox: what is marked published is on the stream";
const HANDLED_NAME: &str = "inside the inbox: every event is noted or dead-lettered";
const ORDER_NAME: &str = "inside the outbox: events of a key are told in their order";

/// Who has to handle which kinds: the node, which is also the group's name.
pub type Interests = &'static [(&'static str, &'static [&'static str])];

/// The tables of one service.
struct NodeTables {
    node: &'static str,
    outbox: TableView<Row>,
    published: TableView<Row>,
    dead: TableView<Row>,
    inbox: TableView<Handled>,
    dead_events: TableView<DeadEvent>,
}

struct Post {
    nodes: Vec<NodeTables>,
    tries_max: u32,
    stream: TableView<Entry>,
    on_stream: BTreeSet<String>,
}

/// Watches the outboxes of these nodes, which are as patient as `policy` says, and the bus. `inboxes` says whether the
/// shape has them.
pub fn watch(
    sim: &Sim,
    nodes: &[&'static str],
    policy: &Policy,
    interests: Interests,
    inboxes: bool,
) {
    schedule::watch_outboxes(sim, nodes, policy);
    for name in [
        SENT_NAME,
        LEAVES_NAME,
        STREAM_NAME,
        HANDLED_NAME,
        ORDER_NAME,
    ] {
        sim.inside(name);
    }
    let tables = |&node: &&'static str| NodeTables {
        node,
        outbox: TableView::new(node, OUTBOX),
        published: TableView::new(node, PUBLISHED),
        dead: TableView::new(node, DEAD_LETTERS),
        inbox: TableView::new(node, INBOX),
        dead_events: TableView::new(node, DEAD_EVENTS),
    };
    let post = Arc::new(Mutex::new(Post {
        nodes: nodes.iter().map(tables).collect(),
        tries_max: policy.attempts_max,
        stream: TableView::new("bus", EVENTS),
        on_stream: BTreeSet::new(),
    }));

    let follow = post.clone();
    sim.always(SENT_NAME, move |commit, findings| {
        lock(&follow).follow(commit, findings);
    });

    let sent = post.clone();
    sim.finally(SENT_NAME, SENT, move |_, findings| {
        for tables in &lock(&sent).nodes {
            for (key, row) in tables.outbox.iter() {
                let tag = match row.state {
                    State::Processing { .. } => "left processing",
                    _ => "left pending",
                };
                let found = format!("{:?} after {} tries", row.state, row.attempts);
                findings.broken(
                    tag,
                    &[tables.node, key, &row.event.kind],
                    "published, or a dead letter",
                    found,
                );
            }
        }
    });

    sim.finally(HANDLED_NAME, HANDLED, move |_, findings| {
        if inboxes {
            lock(&post).judge_handled(interests, findings);
        }
    });
}

impl Post {
    fn follow(&mut self, commit: &Commit<'_>, findings: &mut Findings) {
        for change in self.stream.follow(commit) {
            if let Some(entry) = change.after() {
                self.judge_order(&entry.event.id, findings);
                self.on_stream.insert(entry.event.id.clone());
            }
        }
        let Some(tables) = self
            .nodes
            .iter_mut()
            .find(|tables| tables.node == commit.node)
        else {
            return;
        };
        let (inbox, dead_events) = (&mut tables.inbox, &mut tables.dead_events);
        inbox.follow(commit);
        dead_events.follow(commit);
        let rows = tables.outbox.follow(commit);
        let published = tables.published.follow(commit);
        let dead = tables.dead.follow(commit);
        for change in &rows {
            judge_step(tables.node, change, self.tries_max, findings);
            let moved = |to: &[Change<Row>]| {
                to.iter()
                    .any(|row| row.key == change.key && row.after().is_some())
            };
            if change.after().is_none() && !moved(&published) && !moved(&dead) {
                findings.broken(
                    "dropped",
                    &[tables.node, change.key],
                    "published, or a dead letter",
                    "no trace of it",
                );
            }
        }
        for change in published {
            let Some(row) = change.after() else { continue };
            let older = tables.outbox.iter().find(|(key, older)| {
                *key < change.key && lane(older) == lane(row) && older.redriven == 0
            });
            if let Some((key, older)) = older {
                findings.broken_as(
                    LEAVES_NAME,
                    "overtaken",
                    &[tables.node, &row.event.key, key, change.key],
                    format!("{} is sent first", older.event.kind),
                    format!("{} was", row.event.kind),
                );
            }
            let streamed = matches!(row.target, Target::Stream(_));
            if streamed && !self.on_stream.contains(&row.event.id) {
                findings.broken_as(
                    STREAM_NAME,
                    "not on the stream",
                    &[tables.node, change.key, &row.event.id],
                    "what the bus has accepted is in its log",
                    "it is not",
                );
            }
        }
    }

    /// An event goes onto the stream: those of its key that were committed before it are there, or were given up.
    fn judge_order(&self, id: &str, findings: &mut Findings) {
        let waits = |tables: &&NodeTables| tables.outbox.values().any(|row| row.event.id == id);
        let Some(tables) = self.nodes.iter().find(waits) else {
            return;
        };
        let mut rows = tables.outbox.iter();
        let told = rows.find(|(_, row)| row.event.id == id);
        let (place, row) = told.expect("the tables were chosen for it");
        let older = tables.outbox.iter().find(|(key, older)| {
            *key < place
                && lane(older) == lane(row)
                && older.redriven == 0
                && !self.on_stream.contains(&older.event.id)
        });
        if let Some((_, older)) = older {
            findings.broken_as(
                ORDER_NAME,
                "overtaken",
                &[tables.node, &row.event.key],
                format!("{} is told first", older.event.kind),
                format!("{} was", row.event.kind),
            );
        }
    }

    /// Every event on the stream has left a note with each group that it concerns, or a dead letter.
    fn judge_handled(&self, interests: Interests, findings: &mut Findings) {
        let nodes: BTreeMap<&str, &NodeTables> = self.nodes.iter().map(|d| (d.node, d)).collect();
        for entry in self.stream.values() {
            let event = &entry.event;
            for (node, kinds) in interests {
                let Some(tables) = nodes.get(node).filter(|_| kinds.contains(&&*event.kind)) else {
                    continue;
                };
                let handled = tables.inbox.get(&format!("{node}/{}", event.id)).is_some();
                let dead = tables.dead_events.get(&format!("{node}:{}", event.id));
                if !handled && dead.is_none() {
                    findings.broken(
                        "never handled",
                        &[node, &event.id, &event.kind],
                        "handled, or a dead letter",
                        "neither",
                    );
                }
            }
        }
    }
}

/// One poller at a time has a row, and it is tried at most `most` times.
fn judge_step(node: &str, change: &Change<Row>, most: u32, findings: &mut Findings) {
    let Some(after) = change.after() else { return };
    let holder = |row: &Row| match &row.state {
        State::Processing { by, boot_id } => Some((by.clone(), *boot_id)),
        _ => None,
    };
    let before = change.before().and_then(holder);
    if let (Some(before), Some(now)) = (before, holder(after))
        && before != now
    {
        findings.broken(
            "claimed twice",
            &[node, change.key],
            format!("{} has it until it gives it back", before.0),
            format!("{} took it", now.0),
        );
    }
    if after.attempts >= most {
        findings.broken(
            "tried without end",
            &[node, change.key],
            format!("a dead letter after {most} tries"),
            format!("{} tries", after.attempts),
        );
    }
}
