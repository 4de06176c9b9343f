//! Carrying a storm out: what is due on the agenda, faults that begin and end, and the healing.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use squall_core::{event::What, host::BurstFault, time::VirtualTime};

use super::{Todo, World, lock, node::Death};
use crate::storm::{Action, Due};

/// A fault that bites later, if at all (the next write fails), is given up after this long.
const LIES_IN_WAIT_MS: u64 = 60_000;
/// A clock that jumped has touched somebody if it is read within this time.
const CLOCK_IS_READ_WITHIN_MS: u64 = 10_000;
/// The storm waits for a message that is later than this, and a while more: who hears it last may have to act.
const LATE_MS: u64 = 20_000;
/// A restart in good order takes this long.
const RESTART: Duration = Duration::from_millis(50);

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

/// How long a fault goes on; `None` for those that are over at once.
fn lasts_ms(action: &Action) -> Option<u64> {
    use Action::*;
    match action {
        Pause { for_ms, .. }
        | Overlap { for_ms, .. }
        | SlowNode { for_ms, .. }
        | Cut { for_ms, .. }
        | Isolate { for_ms, .. }
        | Latency { for_ms, .. }
        | Loss { for_ms, .. }
        | Trickle { for_ms, .. }
        | Refuse { for_ms, .. }
        | HangConnects { for_ms, .. }
        | SlowDisk { for_ms, .. }
        | DiskFull { for_ms, .. }
        | ClockDrift { for_ms, .. }
        | UnreadableRow { for_ms, .. }
        | Custom { for_ms, .. } => Some(*for_ms),
        Flap { times, each_ms, .. } => Some(u64::from(*times) * 2 * each_ms),
        HalfOpen { .. } | SyncError { .. } | WriteError { .. } | SectorError { .. } => {
            Some(LIES_IN_WAIT_MS)
        }
        ClockJump { .. } => Some(CLOCK_IS_READ_WITHIN_MS),
        Crash { .. }
        | PowerLoss { .. }
        | CrashLoop { .. }
        | Restart { .. }
        | Upgrade { .. }
        | ResetConnections { .. }
        | LoseBurst {}
        | ResetBurst {}
        | DelayBurst { .. }
        | DuplicateBurst { .. } => None,
    }
}

/// Whether a fault goes on until it is ended.
pub(crate) fn lasts(action: &Action) -> bool {
    lasts_ms(action).is_some()
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    pub(super) fn announce(&self, due: &Due, event: &'static str) {
        let detail = due.action.to_string().into();
        self.record(
            "storm",
            What::Fault {
                event,
                index: Some(due.index),
                detail,
            },
        );
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

    /// A burst comes late by this much, or again.
    pub(super) fn await_burst(&self, fault: &BurstFault) {
        if let BurstFault::Delay(late) | BurstFault::Duplicate(late) = *fault
            && late > ms(LATE_MS)
        {
            let after = late + ms(LATE_MS);
            self.agenda.at(self.now() + after, Todo::Arrives);
        }
    }

    pub(super) fn perform(self: &Arc<Self>, todo: Todo) {
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
            Todo::Arrives => self.disturb(),
            Todo::Again {
                index,
                node,
                times,
                down_ms,
            } => {
                self.crash_again(index, &node, times, down_ms);
            }
            Todo::Flip {
                from,
                to,
                left,
                each_ms,
            } => self.flip(from, to, left, each_ms),
        }
    }

    /// A fault begins. Called from the agenda, or from within a poll of the node at whose site it was aimed.
    pub fn begin(self: &Arc<Self>, due: Due) {
        self.announce(&due, "begins");
        self.disturb();
        let before = self.bitten(&due.action);
        let index = due.index;
        match &due.action {
            Action::Crash { node, down_ms } => {
                self.strike(index, node, false, ms(*down_ms), "crashes")
            }
            Action::PowerLoss { node, down_ms } => {
                self.strike(index, node, true, ms(*down_ms), "loses power")
            }
            Action::Restart { node } => self.strike(index, node, false, RESTART, "is restarted"),
            Action::Upgrade { node } => self.upgrade(index, node),
            Action::CrashLoop {
                node,
                times,
                down_ms,
            } => self.crash_again(index, node, *times, *down_ms),
            Action::Pause { node, .. } => {
                if !self.pause(node) {
                    return self.announce(&due, "ends");
                }
                lock(&self.injector).bites(index);
            }
            Action::Overlap { node, .. } => {
                if !self.overlap(index, node) {
                    return self.announce(&due, "ends");
                }
            }
            Action::Flap {
                from,
                to,
                times,
                each_ms,
            } => self.flip(from.clone(), to.clone(), times * 2, *each_ms),
            Action::ResetConnections { .. } => {
                for (a, b) in self.links(&due.action) {
                    self.net.reset_connections(a, b);
                }
            }
            Action::HalfOpen { .. } => {
                for (a, b) in self.links(&due.action) {
                    self.net.half_open(a, b);
                }
            }
            Action::SyncError { node } => self.at(node, |n| {
                n.disk.fail_syncs(n.disk.failing_syncs() + 1);
            }),
            Action::WriteError { node } => self.at(node, |n| {
                n.disk.fail_writes(n.disk.failing_writes() + 1);
            }),
            Action::SectorError { node, choice } => self.at(node, |n| {
                n.disk.latent_sector_error(*choice);
            }),
            Action::ClockJump { node, by_ms } => {
                if let Some(node) = self.find(node) {
                    node.clock.jump(*by_ms);
                }
            }
            Action::Custom { name, amount, .. } => self.custom(name, *amount, true),
            Action::LoseBurst {}
            | Action::ResetBurst {}
            | Action::DelayBurst { .. }
            | Action::DuplicateBurst { .. } => {}
            lasting => self.switch(lasting, true),
        }
        match lasts_ms(&due.action) {
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
        self.disturb();
        let others = self.like(&due.action);
        match &due.action {
            Action::Pause { node, .. } => self.resume(node),
            Action::Overlap { .. } => self.end_overlap(due.index),
            Action::SyncError { node } => self.at(node, |n| {
                n.disk
                    .fail_syncs(n.disk.failing_syncs().min(others.len() as u32));
            }),
            Action::WriteError { node } => self.at(node, |n| {
                n.disk
                    .fail_writes(n.disk.failing_writes().min(others.len() as u32));
            }),
            Action::SectorError { node, .. } if others.is_empty() => {
                self.at(node, |n| n.disk.repair_sectors());
            }
            Action::SectorError { .. } => {}
            Action::Custom { name, amount, .. } => {
                self.custom(name, *amount, false);
                for other in &others {
                    if let Action::Custom { name, amount, .. } = other {
                        self.custom(name, *amount, true);
                    }
                }
            }
            lasting => {
                self.switch(lasting, false);
                self.switch_on_again();
            }
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
                Todo::Flip { from, to, .. } => self.flip(from, to, 0, 0),
                Todo::Boot(..) | Todo::Bury(_) => self.perform(todo),
                Todo::Fire(_) | Todo::Again { .. } | Todo::Arrives => {}
            }
        }
        for node in self.nodes() {
            self.boot(&node);
        }
        self.record(
            "storm",
            What::Fault {
                event: "ends",
                index: None,
                detail: "all is healed".into(),
            },
        );
        self.disturb();
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
        // Clients are the storm's witnesses: it kills none of them.
        let Some(node) = self.find(node).filter(|node| !node.is_client) else {
            return;
        };
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

    /// Restarts a process as its other build, and installs that for the next boot of one that is down. It has touched
    /// something once the process boots as what it was not.
    fn upgrade(self: &Arc<Self>, index: usize, node: &str) {
        let Some(node) = self.find(node).filter(|node| node.builds) else {
            return;
        };
        let event = match node.install_other(index) {
            0 => "is rolled back",
            _ => "is upgraded",
        };
        self.kill(
            &node,
            Death {
                power: false,
                down: RESTART,
                event,
                detail: String::new(),
            },
        );
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

    fn flip(self: &Arc<Self>, from: String, to: String, left: u32, each_ms: u64) {
        let pairs = self.pairs(&from, &to);
        if pairs.is_empty() {
            return;
        }
        for (a, b) in pairs.into_iter().flat_map(|(a, b)| [(a, b), (b, a)]) {
            if left > 0 && left.is_multiple_of(2) {
                self.net.cut(a, b)
            } else {
                self.net.heal(a, b)
            }
        }
        self.switch_on_again();
        if left > 0 {
            self.agenda.at(
                self.now() + ms(each_ms),
                Todo::Flip {
                    from,
                    to,
                    left: left - 1,
                    each_ms,
                },
            );
        }
    }

    /// The instant by which all that the storm has begun, or will begin at a known time, is over.
    pub fn storm_ends(&self) -> VirtualTime {
        self.agenda.last_time(self.now()).unwrap_or_default()
    }
}
