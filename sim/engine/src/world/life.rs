//! Lives and deaths of nodes: boots, kills, panics, and what the disk holds after them.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use squall_core::{
    event::{FOUND_AFTER_OUTAGE, Life, Row, Scope, What},
    time::VirtualTime,
};

use super::{
    Known, Node, NodeState, RUNNING, Todo, World, lock,
    node::{Death, InFlight},
    rows::Occasion,
    task::{Guarded, panic_place},
};
use crate::check::{Class, Truth, Violation};

/// A supervisor waits this long before it starts a process again, and twice as long each time ...
const BACKOFF: Duration = Duration::from_millis(100);
/// ... up to 6.4 s ...
const BACKOFF_DOUBLINGS_MAX: u32 = 6;
/// ... until one has lived this long.
const STEADY: Duration = Duration::from_secs(10);

impl World {
    /// The first boot, and every later one.
    pub fn boot(self: &Arc<Self>, node: &Arc<NodeState>) {
        if node.up.load(Relaxed) || node.is_old() {
            return;
        }
        if node.stale.swap(false, Relaxed) {
            self.reconcile(node);
        }
        if let Some(upgrade) = node.boot_installed() {
            lock(&self.injector).bites(upgrade);
        }
        let life = node.life.fetch_add(1, Relaxed) + 1;
        *lock(&node.ids) = self
            .seed
            .stream(&format!("ids of {} in life {life}", node.name));
        self.net.boot(node.ix);
        node.disk.boot();
        node.up.store(true, Relaxed);
        lock(&node.in_flight).take();
        node.booted.store(self.now().0, Relaxed);
        if life > 1 {
            self.disturb();
        }
        self.record(
            &node.name,
            What::Node {
                event: Life::Boots,
                detail: match node.builds {
                    true => format!("build {}", node.build.load(Relaxed) + 1).into(),
                    false => "".into(),
                },
            },
        );
        self.runtime.restart(node.id);
        if let (Some(boot), Some(handle)) =
            (lock(&node.boot).clone(), self.runtime.get_node(node.id))
        {
            let own = Node::of(self, node);
            let process = own.clone();
            handle.spawn(Guarded::new(
                own,
                "main",
                Box::pin(async move {
                    let reason = boot(process.clone()).await;
                    process.fail(&reason);
                }),
            ));
        }
    }

    /// The process of a node ends by itself; its supervisor starts it again with backoff.
    pub(super) fn process_ends(self: &Arc<Self>, node: &Arc<NodeState>, event: Life, reason: &str) {
        let lived = self.now().since(VirtualTime(node.booted.load(Relaxed)));
        if lived >= STEADY {
            node.failures.store(0, Relaxed);
        }
        let failures = node
            .failures
            .fetch_add(1, Relaxed)
            .min(BACKOFF_DOUBLINGS_MAX);
        let down = BACKOFF * (1 << failures);
        self.kill(
            node,
            Death {
                power: false,
                down,
                event,
                detail: reason.to_owned(),
            },
        );
    }

    /// The run is over: nothing of this node may go on.
    pub fn kill_for_good(self: &Arc<Self>, node: &Arc<NodeState>) {
        node.up.store(false, Relaxed);
        node.life.fetch_add(1, Relaxed);
        self.net.freeze(node.ix);
        node.disk.freeze();
        self.net.crash(node.ix);
        node.disk.crash();
        node.program.forget();
        self.runtime.kill(node.id);
        // It may hold this very world.
        lock(&node.boot).take();
    }

    /// A panic in a service kills its process, and is a violation, whatever the recovery makes of it.
    pub(super) fn panicked(self: &Arc<Self>, node: &Arc<NodeState>, message: &str) {
        if node.is_client {
            return self.client_panicked(node, message);
        }
        lock(&self.checker).broken(Violation {
            invariant: "no service panics".to_owned(),
            tag: "panic".to_owned(),
            class: Class::Inside,
            at: self.now(),
            entities: vec![node.name.to_string()],
            expected: "errors that are handled".to_owned(),
            found: message.lines().next().unwrap_or_default().to_owned(),
        });
        self.report_violations();
        self.process_ends(node, Life::Panics, message);
    }

    fn client_panicked(self: &Arc<Self>, node: &NodeState, message: &str) {
        let mut checker = lock(&self.checker);
        if checker.clients_assert {
            checker.broken(Violation {
                invariant: format!("what {} asserts", node.name),
                tag: panic_place().unwrap_or_else(|| "panic".to_owned()),
                class: Class::Damage,
                at: self.now(),
                entities: Vec::new(),
                expected: "no panic".to_owned(),
                found: message.split_whitespace().collect::<Vec<_>>().join(" "),
            });
            drop(checker);
            self.report_violations();
        } else {
            checker.harness = Some(format!("client {}: {message}", node.name));
        }
        self.activity.notify_one();
    }

    /// Kills a node: at once, or, when one of its own tasks is being polled, by freezing it now and burying it when
    /// the poll returns. False if it was dead already.
    pub(super) fn kill(self: &Arc<Self>, node: &Arc<NodeState>, death: Death) -> bool {
        if !node.is_up() {
            return false;
        }
        let in_own_poll =
            RUNNING.with_borrow(|running| running.as_ref().is_some_and(|r| r.ix == node.ix));
        self.net.freeze(node.ix);
        node.disk.freeze();
        *lock(&node.doomed) = Some(death);
        if in_own_poll {
            self.queue.at(self.now(), Todo::Bury(node.ix));
        } else {
            self.bury(node);
        }
        true
    }

    /// Carries out the death of a node that is doomed.
    pub fn bury(self: &Arc<Self>, node: &Arc<NodeState>) {
        let Some(death) = lock(&node.doomed).take() else {
            return;
        };
        node.up.store(false, Relaxed);
        self.forget_pause(node);
        if death.power {
            self.net.power_loss(node.ix);
            node.disk.power_loss();
        } else {
            self.net.crash(node.ix);
            node.disk.crash();
        }
        node.stale.store(true, Relaxed);
        node.paused.store(false, Relaxed);
        node.slow_ms.store(0, Relaxed);
        let (event, detail) = match node.is_old() {
            false => (death.event, death.detail),
            true if death.event == Life::OldEnds => (Life::OldEnds, String::new()),
            // It has ended by itself.
            true => (Life::OldEnds, format!("{} {}", death.event, death.detail)),
        };
        self.record(
            &node.name,
            What::Node {
                event,
                detail: detail.trim_end().to_owned().into(),
            },
        );
        node.program.forget();
        self.runtime.kill(node.id);
        if !node.is_old() {
            self.queue.at(
                self.now() + death.down,
                Todo::Boot(node.ix, node.life.load(Relaxed)),
            );
        }
        self.activity.notify_one();
    }

    /// Reads a dead node's rows as its next boot will find them, and squares them with the feed: the transaction that
    /// was being committed may turn out durable, as a whole; what was acknowledged must be there; and nothing else may.
    pub fn reconcile(self: &Arc<Self>, node: &Arc<NodeState>) {
        let Some(reader) = node.reader else {
            return self.read_rows(node, Occasion::Boot);
        };
        let mut found = Vec::new();
        for file in node.disk.files() {
            // A file that can't be read is the service's to refuse; one under creation has no rows yet.
            if let Ok(fork) = node.disk.fork(&file)
                && let Ok(mut rows) = reader(Box::new(fork))
            {
                found.append(&mut rows);
            }
        }
        let rows = lock(&self.checker).truth.difference(&node.name, &found);
        if rows.is_empty() {
            return;
        }
        let was_so = |past: &Truth| past.difference(&node.name, &found).is_empty();
        let mut known = Known::Found;
        let mut scope = Arc::new(Scope::NONE);
        if lock(&node.may_return).iter().any(was_so) {
            known = Known::Gone;
        } else {
            let before = lock(&self.checker).truth.of_node(&node.name);
            match unexplained(node, &before, &rows) {
                None => {
                    lock(&node.may_return).push(before);
                    if let Some(in_flight) = &*lock(&node.in_flight) {
                        scope = in_flight.scope.clone();
                    }
                }
                Some(broken) => {
                    let at = self.now();
                    lock(&self.checker).broken(Violation { at, ..broken });
                }
            }
        }
        self.record(
            &node.name,
            What::Commit {
                file: FOUND_AFTER_OUTAGE.into(),
                rows: (&rows[..]).into(),
            },
        );
        lock(&self.checker).commit(self.now(), &node.name, "", rows, &scope, known);
        self.report_violations();
    }
}

/// What is wrong with rows that differ like this from those that were acknowledged; nothing, if they are those of the
/// transaction that was being committed, all of them and no others.
fn unexplained(node: &NodeState, acknowledged: &Truth, found: &[Row]) -> Option<Violation> {
    let in_flight = lock(&node.in_flight).clone();
    let (invariant, tag, row, expected) = match in_flight {
        None => {
            let row = &found[0];
            let expected = acknowledged.row(&node.name, &row.table, &row.key);
            (
                "acknowledged is durable",
                "commit lost",
                row.clone(),
                text(expected),
            )
        }
        Some(InFlight { rows, .. }) => {
            let changes = acknowledged.changes(&node.name, &rows);
            let changed = |row: &Row| {
                changes
                    .iter()
                    .find(|c| (&c.table, &c.key) == (&row.table, &row.key))
            };
            let was = |row: &Row| acknowledged.row(&node.name, &row.table, &row.key);
            match found
                .iter()
                .find(|row| changed(row).is_none_or(|change| change.value != row.value))
            {
                // Neither as it was nor as it was to be.
                Some(row) => match changed(row) {
                    Some(change) => {
                        let expected =
                            format!("{}, or {}", text(was(row)), text(change.value.as_deref()));
                        (
                            "a commit is all or nothing",
                            "garbled",
                            row.clone(),
                            expected,
                        )
                    }
                    None => (
                        "acknowledged is durable",
                        "commit lost",
                        row.clone(),
                        text(was(row)),
                    ),
                },
                // As it was to be; then all must be.
                None => {
                    let left = changes.iter().find(|change| !found.contains(change))?;
                    let row = Row {
                        value: was(left).map(<[u8]>::to_vec),
                        ..left.clone()
                    };
                    (
                        "a commit is all or nothing",
                        "half",
                        row,
                        text(left.value.as_deref()),
                    )
                }
            }
        }
    };
    Some(Violation {
        invariant: invariant.to_owned(),
        tag: tag.to_owned(),
        class: Class::Damage,
        at: VirtualTime::ZERO,
        entities: vec![node.name.to_string(), format!("{}/{}", row.table, row.key)],
        expected,
        found: text(row.value.as_deref()),
    })
}

fn text(value: Option<&[u8]>) -> String {
    value.map_or_else(
        || "no such row".to_owned(),
        |v| String::from_utf8_lossy(v).into_owned(),
    )
}
