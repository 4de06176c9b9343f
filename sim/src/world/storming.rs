//! Carrying a storm out: deaths and boots, faults that begin and end, and whether they touched anything.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{Node, NodeState, RUNNING, Todo, World, lock, task::Guarded};
use crate::{
    check::Violation,
    host::BurstFault,
    net::{Effect, LatencyChange},
    storm::{Action, Due},
    time::VirtualTime,
    trace::{Scope, What},
};

/// How a node dies.
#[derive(Clone, Debug)]
pub(crate) struct Death {
    power: bool,
    /// Until it boots again; `None` leaves that to another entry of the agenda.
    down: Duration,
    event: &'static str,
    detail: String,
}

/// What a burst fault asks of the network; `None` for every other action.
pub(super) fn burst_fault(action: &Action) -> Option<BurstFault> {
    match action {
        Action::LoseBurst {} => Some(BurstFault::Lose),
        Action::ResetBurst {} => Some(BurstFault::Reset),
        Action::DelayBurst { by_ms } => Some(BurstFault::Delay(ms(*by_ms))),
        Action::DuplicateBurst { after_ms } => Some(BurstFault::Duplicate(ms(*after_ms))),
        _ => None,
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    pub(super) fn announce(&self, due: &Due, event: &'static str) {
        let detail = due.action.to_string().into();
        self.record(
            "storm",
            What::Fault {
                event,
                index: due.index,
                detail,
            },
        );
    }

    /// The first boot, and every later one.
    pub fn boot(self: &Arc<Self>, node: &Arc<NodeState>) {
        if node.up.load(Relaxed) {
            return;
        }
        if node.stale.swap(false, Relaxed) {
            self.reconcile(node);
        }
        let life = node.life.fetch_add(1, Relaxed) + 1;
        *lock(&node.ids) = self
            .seed
            .stream(&format!("ids of {} in life {life}", node.name));
        self.net.boot(node.ix);
        node.disk.boot();
        node.up.store(true, Relaxed);
        node.in_commit.store(false, Relaxed);
        self.record(
            &node.name,
            What::Node {
                event: "boots",
                detail: "".into(),
            },
        );
        self.runtime.restart(node.id);
        if let (Some(boot), Some(handle)) = (node.boot.clone(), self.runtime.get_node(node.id)) {
            let own = Node::of(self, node);
            let process = own.clone();
            handle.spawn(Guarded::new(
                own,
                Box::pin(async move {
                    let reason = boot(process.clone()).await;
                    process.fail(&reason);
                }),
            ));
        }
    }

    /// The process of a node ends by itself; its supervisor starts it again with backoff.
    pub(super) fn process_ends(
        self: &Arc<Self>,
        node: &Arc<NodeState>,
        event: &'static str,
        reason: &str,
    ) {
        let failures = node.failures.fetch_add(1, Relaxed).min(6);
        let down = ms(100 << failures);
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
        self.runtime.kill(node.id);
    }

    /// The run is over: what the faults that still go on have touched counts.
    pub fn unfinished_faults(self: &Arc<Self>) {
        for todo in self.agenda.drain() {
            if let Todo::End {
                index,
                action,
                before,
            } = todo
                && self.bitten(&action) > before
            {
                lock(&self.injector).bites(index);
            }
        }
    }

    /// A panic in a service kills its process, and is a violation, whatever the recovery makes of it.
    pub(super) fn panicked(self: &Arc<Self>, node: &Arc<NodeState>, message: &str) {
        if node.boot.is_none() {
            lock(&self.ledger).harness = Some(format!("client {}: {message}", node.name));
            self.activity.notify_one();
            return;
        }
        lock(&self.ledger).broken(Violation {
            invariant: "no service panics".to_owned(),
            tag: "panic".to_owned(),
            at: self.now(),
            entities: vec![node.name.to_string()],
            expected: "errors that are handled".to_owned(),
            found: message.lines().next().unwrap_or_default().to_owned(),
        });
        self.report_violations();
        self.process_ends(node, "panics", message);
    }

    /// Kills a node: at once, or, when one of its own tasks is being polled, by freezing it now and burying it when
    /// the poll returns. False if it was dead already.
    fn kill(self: &Arc<Self>, node: &Arc<NodeState>, death: Death) -> bool {
        if !node.is_up() {
            return false;
        }
        let in_own_poll =
            RUNNING.with_borrow(|running| running.as_ref().is_some_and(|r| r.ix == node.ix));
        self.net.freeze(node.ix);
        node.disk.freeze();
        *lock(&node.doomed) = Some(death);
        if in_own_poll {
            self.agenda.at(self.now(), Todo::Bury(node.ix));
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
        if death.power {
            self.net.power_loss(node.ix);
            node.disk.power_loss();
        } else {
            self.net.crash(node.ix);
            node.disk.crash();
        }
        if death.power || node.in_commit.load(Relaxed) {
            node.stale.store(true, Relaxed);
        }
        node.slow_ms.store(0, Relaxed);
        self.record(
            &node.name,
            What::Node {
                event: death.event,
                detail: death.detail.into(),
            },
        );
        self.runtime.kill(node.id);
        self.agenda.at(
            self.now() + death.down,
            Todo::Boot(node.ix, node.life.load(Relaxed)),
        );
        self.activity.notify_one();
    }

    /// Reads a dead node's rows as its next boot will find them, and squares them with the feed: a transaction that
    /// was under way may turn out durable; one that was acknowledged must be there.
    pub fn reconcile(self: &Arc<Self>, node: &Arc<NodeState>) {
        let Some(reader) = node.reader else { return };
        let mut found = Vec::new();
        for file in node.disk.files() {
            // A file that can't be read is the service's to refuse; one under creation has no rows yet.
            if let Ok(fork) = node.disk.fork(&file)
                && let Ok(mut rows) = reader(Box::new(fork))
            {
                found.append(&mut rows);
            }
        }
        let rows = lock(&self.ledger).truth.difference(&node.name, &found);
        if rows.is_empty() {
            return;
        }
        if !node.in_commit.load(Relaxed) {
            let row = &rows[0];
            let text = |value: Option<&[u8]>| {
                value.map_or_else(
                    || "no such row".to_owned(),
                    |v| String::from_utf8_lossy(v).into_owned(),
                )
            };
            let mut ledger = lock(&self.ledger);
            let expected = text(ledger.truth.row(&node.name, &row.table, &row.key));
            ledger.broken(Violation {
                invariant: "acknowledged is durable".to_owned(),
                tag: "commit lost".to_owned(),
                at: self.now(),
                entities: vec![node.name.to_string(), format!("{}/{}", row.table, row.key)],
                expected,
                found: text(row.value.as_deref()),
            });
        }
        self.record(
            &node.name,
            What::Commit {
                file: "found after the outage".into(),
                rows: (&rows[..]).into(),
            },
        );
        lock(&self.ledger).commit(self.now(), &node.name, "", rows, &Scope::NONE, false);
        self.report_violations();
    }

    /// Does what the agenda says is due, then waits for more, for ever.
    pub async fn carry_out(self: &Arc<Self>) {
        loop {
            while let Some(todo) = self.agenda.take_due(self.now()) {
                self.perform(todo);
            }
            let pause = self.agenda.next_time().map(|at| at.since(self.now()));
            match pause {
                Some(pause) => {
                    let _ = tokio::time::timeout(pause, self.agenda.changed()).await;
                }
                None => self.agenda.changed().await,
            }
        }
    }

    fn perform(self: &Arc<Self>, todo: Todo) {
        match todo {
            Todo::Fire(index) => {
                let due = lock(&self.injector).fire(index, self.now());
                if let Some(due) = due {
                    self.begin(due);
                }
            }
            Todo::End {
                index,
                action,
                before,
            } => self.end(Due { index, action }, before),
            Todo::Boot(ix, life) => {
                let node = self.node(ix);
                if node.life.load(Relaxed) == life {
                    self.boot(&node);
                }
            }
            Todo::Bury(ix) => self.bury(&self.node(ix)),
            Todo::Again {
                index,
                node,
                times,
                down_ms,
            } => {
                self.crash_again(index, &node, times, down_ms);
            }
            Todo::Flip {
                index,
                from,
                to,
                left,
                each_ms,
            } => self.flip(index, from, to, left, each_ms),
        }
    }

    /// A fault begins. Called from the agenda, or from within a poll of the node at whose site it was aimed.
    pub fn begin(self: &Arc<Self>, due: Due) {
        self.announce(&due, "begins");
        let before = self.bitten(&due.action);
        let index = due.index;
        let find = |name: &String| self.find(name);
        let mut lasts = None;
        match &due.action {
            Action::Crash { node, down_ms } => {
                self.strike(index, node, false, ms(*down_ms), "crashes")
            }
            Action::PowerLoss { node, down_ms } => {
                self.strike(index, node, true, ms(*down_ms), "loses power")
            }
            Action::Restart { node } => self.strike(index, node, false, ms(50), "is restarted"),
            Action::CrashLoop {
                node,
                times,
                down_ms,
            } => self.crash_again(index, node, *times, *down_ms),
            Action::Pause { node, for_ms } => {
                if let Some(node) = find(node).filter(|n| n.is_up()) {
                    self.record(
                        &node.name,
                        What::Node {
                            event: "pauses",
                            detail: "".into(),
                        },
                    );
                    self.runtime.pause(node.id);
                    lock(&self.injector).bites(index);
                    lasts = Some(*for_ms);
                }
            }
            Action::SlowNode {
                node,
                wait_ms,
                for_ms,
            } => {
                if let Some(node) = find(node) {
                    node.slow_ms.store(*wait_ms, Relaxed);
                }
                lasts = Some(*for_ms);
            }
            Action::Cut { for_ms, .. } | Action::Isolate { for_ms, .. } => {
                self.each_link(&due.action, |a, b| self.net.cut(a, b));
                lasts = Some(*for_ms);
            }
            Action::Flap {
                from,
                to,
                times,
                each_ms,
            } => {
                self.flip(index, from.clone(), to.clone(), times * 2, *each_ms);
                lasts = Some(u64::from(*times) * 2 * each_ms);
            }
            Action::Latency {
                extra_ms, for_ms, ..
            } => {
                let change = LatencyChange {
                    factor: 1.0,
                    extra: ms(*extra_ms),
                };
                self.each_link(&due.action, |a, b| self.net.set_latency(a, b, Some(change)));
                lasts = Some(*for_ms);
            }
            Action::Loss {
                percent, for_ms, ..
            } => {
                self.each_link(&due.action, |a, b| {
                    self.net.set_loss(a, b, f64::from(*percent) / 100.0)
                });
                lasts = Some(*for_ms);
            }
            Action::Trickle {
                bytes_per_s,
                for_ms,
                ..
            } => {
                self.each_link(&due.action, |a, b| {
                    self.net.set_bandwidth(a, b, Some(*bytes_per_s))
                });
                lasts = Some(*for_ms);
            }
            Action::Refuse { node, for_ms } => {
                if let Some(node) = find(node) {
                    self.net.refuse(node.ix, true);
                }
                lasts = Some(*for_ms);
            }
            Action::HangConnects { node, for_ms } => {
                if let Some(node) = find(node) {
                    self.net.hang_connects(node.ix, true);
                }
                lasts = Some(*for_ms);
            }
            Action::ResetConnections { .. } => self.each_link(&due.action, |a, b| {
                self.net.reset_connections(a, b);
            }),
            Action::HalfOpen { .. } => {
                self.each_link(&due.action, |a, b| {
                    self.net.half_open(a, b);
                });
                lasts = Some(60_000);
            }
            Action::SlowDisk {
                node,
                extra_ms,
                for_ms,
            } => {
                if let Some(node) = find(node) {
                    node.disk.set_slow(1, ms(*extra_ms));
                }
                lasts = Some(*for_ms);
            }
            // These two bite later, if at all: whether they did is looked up when the run ends.
            Action::SyncError { node } => {
                if let Some(node) = find(node) {
                    node.disk.fail_syncs(1);
                }
                lasts = Some(60_000);
            }
            Action::WriteError { node } => {
                if let Some(node) = find(node) {
                    node.disk.fail_writes(1);
                }
                lasts = Some(60_000);
            }
            Action::DiskFull { node, for_ms } => {
                if let Some(node) = find(node) {
                    node.disk.set_full(true);
                }
                lasts = Some(*for_ms);
            }
            Action::SectorError { node, choice } => {
                if let Some(node) = find(node) {
                    node.disk.latent_sector_error(*choice);
                }
                lasts = Some(60_000);
            }
            Action::ClockJump { node, by_ms } => {
                if let Some(node) = find(node) {
                    node.clock.jump(*by_ms);
                }
                lasts = Some(10_000);
            }
            Action::ClockDrift { node, ppm, for_ms } => {
                if let Some(node) = find(node) {
                    node.clock.set_drift(self.now(), *ppm);
                }
                lasts = Some(*for_ms);
            }
            Action::Custom {
                name,
                amount,
                for_ms,
                ..
            } => {
                if let Some((handle, _)) = &mut *lock(&self.custom) {
                    handle(name, *amount, true);
                }
                lasts = Some(*for_ms);
            }
            Action::LoseBurst {}
            | Action::ResetBurst {}
            | Action::DelayBurst { .. }
            | Action::DuplicateBurst { .. } => {}
        }
        match lasts {
            Some(lasts) => {
                let todo = Todo::End {
                    index,
                    action: due.action,
                    before,
                };
                self.agenda.at(self.now() + ms(lasts), todo);
            }
            None if self.bitten(&due.action) > before => lock(&self.injector).bites(index),
            None => {}
        }
    }

    /// A fault is over.
    fn end(self: &Arc<Self>, due: Due, before: u64) {
        if self.bitten(&due.action) > before {
            lock(&self.injector).bites(due.index);
        }
        self.announce(&due, "ends");
        let find = |name: &String| self.find(name);
        match &due.action {
            Action::Pause { node, .. } => {
                if let Some(node) = find(node) {
                    self.record(
                        &node.name,
                        What::Node {
                            event: "resumes",
                            detail: "".into(),
                        },
                    );
                    self.runtime.resume(node.id);
                }
            }
            Action::SlowNode { node, .. } => {
                if let Some(node) = find(node) {
                    node.slow_ms.store(0, Relaxed);
                }
            }
            Action::Cut { .. } | Action::Isolate { .. } => {
                self.each_link(&due.action, |a, b| self.net.heal(a, b))
            }
            Action::Latency { .. } => {
                self.each_link(&due.action, |a, b| self.net.set_latency(a, b, None));
            }
            Action::Loss { .. } => self.each_link(&due.action, |a, b| self.net.set_loss(a, b, 0.0)),
            Action::Trickle { .. } => {
                self.each_link(&due.action, |a, b| self.net.set_bandwidth(a, b, None))
            }
            Action::Refuse { node, .. } => {
                if let Some(node) = find(node) {
                    self.net.refuse(node.ix, false);
                }
            }
            Action::HangConnects { node, .. } => {
                if let Some(node) = find(node) {
                    self.net.hang_connects(node.ix, false);
                }
            }
            Action::SlowDisk { node, .. } => {
                if let Some(node) = find(node) {
                    node.disk.set_slow(1, Duration::ZERO);
                }
            }
            Action::SyncError { node } | Action::WriteError { node } => {
                if let Some(node) = find(node) {
                    node.disk.fail_syncs(0);
                    node.disk.fail_writes(0);
                }
            }
            Action::DiskFull { node, .. } => {
                if let Some(node) = find(node) {
                    node.disk.set_full(false);
                }
            }
            Action::SectorError { node, .. } => {
                if let Some(node) = find(node) {
                    node.disk.repair_sectors();
                }
            }
            Action::ClockDrift { node, .. } => {
                if let Some(node) = find(node) {
                    node.clock.set_drift(self.now(), 0);
                }
            }
            Action::Custom { name, amount, .. } => {
                if let Some((handle, _)) = &mut *lock(&self.custom) {
                    handle(name, *amount, false);
                }
            }
            _ => {}
        }
    }

    /// Ends the storm: nothing more is set off, what goes on ends now, and every node comes back.
    pub fn heal(self: &Arc<Self>) {
        lock(&self.injector).disarm();
        for todo in self.agenda.drain() {
            match todo {
                Todo::End {
                    index,
                    action,
                    before,
                } => self.end(Due { index, action }, before),
                Todo::Flip { from, to, .. } => self.flip(0, from, to, 0, 0),
                Todo::Boot(..) | Todo::Bury(_) => self.perform(todo),
                Todo::Fire(_) | Todo::Again { .. } => {}
            }
        }
        for node in self.nodes() {
            self.boot(&node);
        }
        self.record(
            "storm",
            What::Fault {
                event: "ends",
                index: 0,
                detail: "all is healed".into(),
            },
        );
        self.healed.send_replace(true);
    }

    fn strike(
        self: &Arc<Self>,
        index: usize,
        node: &str,
        power: bool,
        down: Duration,
        event: &'static str,
    ) {
        let Some(node) = self.find(node) else { return };
        if self.kill(
            &node,
            Death {
                power,
                down,
                event,
                detail: String::new(),
            },
        ) {
            lock(&self.injector).bites(index);
        }
    }

    fn crash_again(self: &Arc<Self>, index: usize, node: &str, times: u32, down_ms: u64) {
        self.strike(index, node, false, ms(down_ms), "crashes");
        if times > 1 {
            let todo = Todo::Again {
                index,
                node: node.to_owned(),
                times: times - 1,
                down_ms,
            };
            self.agenda.at(self.now() + ms(down_ms * 2), todo);
        }
    }

    fn flip(self: &Arc<Self>, index: usize, from: String, to: String, left: u32, each_ms: u64) {
        let (Some(a), Some(b)) = (self.find(&from), self.find(&to)) else {
            return;
        };
        for (a, b) in [(a.ix, b.ix), (b.ix, a.ix)] {
            if left > 0 && left % 2 == 0 {
                self.net.cut(a, b)
            } else {
                self.net.heal(a, b)
            }
        }
        if left > 0 {
            self.agenda.at(
                self.now() + ms(each_ms),
                Todo::Flip {
                    index,
                    from,
                    to,
                    left: left - 1,
                    each_ms,
                },
            );
        }
    }

    /// The directed links that an action concerns.
    fn each_link(
        &self,
        action: &Action,
        mut act: impl FnMut(crate::host::NodeIx, crate::host::NodeIx),
    ) {
        for (a, b) in self.links(action) {
            act(a, b);
        }
    }

    fn links(&self, action: &Action) -> Vec<(crate::host::NodeIx, crate::host::NodeIx)> {
        let (from, to, both) = match action {
            Action::Isolate { node, .. } => {
                let Some(node) = self.find(node) else {
                    return Vec::new();
                };
                let others = self
                    .nodes()
                    .into_iter()
                    .map(|n| n.ix)
                    .filter(|ix| *ix != node.ix);
                return others
                    .flat_map(|other| [(node.ix, other), (other, node.ix)])
                    .collect();
            }
            Action::Cut { from, to, both, .. } => (from, to, *both),
            Action::Latency { from, to, .. }
            | Action::Loss { from, to, .. }
            | Action::Trickle { from, to, .. } => (from, to, false),
            Action::ResetConnections { from, to } | Action::HalfOpen { from, to } => {
                (from, to, false)
            }
            Action::Flap { from, to, .. } => (from, to, true),
            _ => return Vec::new(),
        };
        match (self.find(from), self.find(to)) {
            (Some(a), Some(b)) if both => vec![(a.ix, b.ix), (b.ix, a.ix)],
            (Some(a), Some(b)) => vec![(a.ix, b.ix)],
            _ => Vec::new(),
        }
    }

    /// How often faults like this one have touched something so far.
    fn bitten(&self, action: &Action) -> u64 {
        use Action::*;
        let disk = |node: &String| self.find(node).map(|n| n.disk.counters());
        let node_touched = |node: &String, effect| {
            self.find(node)
                .map_or(0, |n| self.net.touched_node(n.ix, effect))
        };
        match action {
            Cut { .. } | Isolate { .. } | Flap { .. } => self.touched(action, Effect::Cut),
            Latency { .. } => self.touched(action, Effect::Latency),
            Loss { .. } => self.touched(action, Effect::Loss),
            Trickle { .. } => self.touched(action, Effect::Bandwidth),
            ResetConnections { .. } => self.touched(action, Effect::Reset),
            HalfOpen { .. } => self.touched(action, Effect::HalfOpen),
            Refuse { node, .. } => node_touched(node, Effect::Refused),
            HangConnects { node, .. } => node_touched(node, Effect::Hung),
            SlowNode { node, .. } => self.find(node).map_or(0, |n| n.slowed.load(Relaxed)),
            SlowDisk { node, .. } => disk(node).map_or(0, |c| c.slow_ms),
            SyncError { node } => disk(node).map_or(0, |c| c.failed_syncs),
            WriteError { node } => disk(node).map_or(0, |c| c.failed_writes),
            DiskFull { node, .. } => disk(node).map_or(0, |c| c.refused_full),
            SectorError { node, .. } => disk(node).map_or(0, |c| c.unreadable),
            ClockJump { node, .. } | ClockDrift { node, .. } => {
                self.find(node).map_or(0, |n| n.clock_reads.load(Relaxed))
            }
            Custom { name, .. } => lock(&self.custom)
                .as_ref()
                .map_or(0, |(_, count)| count(name)),
            _ => 0,
        }
    }

    fn touched(&self, action: &Action, effect: Effect) -> u64 {
        let links = self.links(action).into_iter();
        links.map(|(a, b)| self.net.touched(a, b, effect)).sum()
    }

    /// The instant by which all that the storm has begun, or will begin at a known time, is over.
    pub fn storm_ends(&self) -> VirtualTime {
        self.agenda.last_time().unwrap_or_default()
    }
}
