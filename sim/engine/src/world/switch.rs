//! Faults that are a state of the world: on while they last.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use squall_core::event::What;

use super::{NodeState, World, lock, storming::ms, unreadable::Rows};
use crate::{net::LatencyChange, storm::Action};

impl World {
    /// Does something to the node of this name, and to an old process of it; nothing if there is none.
    pub(super) fn at(&self, node: &str, act: impl Fn(&NodeState)) {
        self.find_all(node).iter().for_each(|node| act(node));
    }

    /// Switches a lasting fault on or off. On twice is on.
    pub(super) fn switch(&self, action: &Action, on: bool) {
        match action {
            Action::SlowNode { node, wait_ms, .. } => {
                let wait_ms = if on { *wait_ms } else { 0 };
                self.at(node, |n| n.slow_ms.store(wait_ms, Relaxed));
            }
            Action::Cut { .. } | Action::Isolate { .. } => self.each_link(action, |a, b| {
                if on {
                    self.net.cut(a, b)
                } else {
                    self.net.heal(a, b)
                }
            }),
            Action::Latency { extra_ms, .. } => {
                let change = on.then_some(LatencyChange {
                    factor: 1.0,
                    extra: ms(*extra_ms),
                });
                self.each_link(action, |a, b| self.net.set_latency(a, b, change));
            }
            Action::Loss { percent, .. } => {
                let share = if on { f64::from(*percent) / 100.0 } else { 0.0 };
                self.each_link(action, |a, b| self.net.set_loss(a, b, share));
            }
            Action::Trickle { bytes_per_s, .. } => {
                let limit = on.then_some(*bytes_per_s);
                self.each_link(action, |a, b| self.net.set_bandwidth(a, b, limit));
            }
            Action::Refuse { node, .. } => self.at(node, |n| self.net.refuse(n.ix, on)),
            Action::HangConnects { node, .. } => {
                self.at(node, |n| self.net.hang_connects(n.ix, on));
            }
            Action::SlowDisk { node, extra_ms, .. } => {
                let extra = if on { ms(*extra_ms) } else { Duration::ZERO };
                self.at(node, |n| n.disk.set_slow(1, extra));
            }
            Action::DiskFull { node, .. } => self.at(node, |n| n.disk.set_full(on)),
            Action::UnreadableRow {
                node,
                table,
                key,
                choice,
                ..
            } => {
                let rows = Rows::of(table.as_deref(), key.as_deref(), *choice);
                self.at(node, |n| n.unreadable.switch(rows.clone(), on));
            }
            Action::ClockDrift { node, ppm, .. } => {
                let ppm = if on { *ppm } else { 0 };
                self.at(node, |n| n.clock.set_drift(self.now(), ppm));
            }
            _ => {}
        }
    }

    /// The end of one fault must not end another that concerns the same node or link: switches on whatever lasts.
    pub(super) fn switch_on_again(&self) {
        for action in self.agenda.lasting() {
            self.switch(&action, true);
        }
        for (from, to) in self.agenda.flapped_down() {
            for (a, b) in self.pairs(&from, &to) {
                self.net.cut(a, b);
                self.net.cut(b, a);
            }
        }
    }

    /// The faults that go on, or lie in wait, and do the same to the same node as this one.
    pub(super) fn like(&self, action: &Action) -> Vec<Action> {
        let mut lasting = self.agenda.lasting();
        lasting.retain(|other| {
            other.counted_as() == action.counted_as() && other.nodes() == action.nodes()
        });
        lasting
    }

    /// Stops a node's tasks. False if it is down.
    pub(super) fn pause(self: &Arc<Self>, node: &str) -> bool {
        let Some(node) = self.find(node).filter(|n| n.is_up()) else {
            return false;
        };
        self.turn_of(&node, "pauses");
        node.paused.store(true, Relaxed);
        self.runtime.pause(node.id);
        if let Some(gate) = &self.gate {
            gate.pause(&node);
        }
        true
    }

    /// Ends a pause, unless the node died meanwhile or another pause goes on.
    pub(super) fn resume(self: &Arc<Self>, node: &str) {
        let of_this =
            |action: &Action| matches!(action, Action::Pause { node: of, .. } if of == node);
        if self.agenda.lasting().iter().any(of_this) {
            return;
        }
        // Its successor may have booted meanwhile.
        let paused = self.find_all(node).into_iter();
        for node in paused.filter(|n| n.paused.swap(false, Relaxed)) {
            self.turn_of(&node, "resumes");
            self.runtime.resume(node.id);
        }
    }

    fn turn_of(&self, node: &NodeState, event: &'static str) {
        let detail = "".into();
        self.record(&node.name, What::Node { event, detail });
    }

    /// Switches one of the scenario's own faults on or off.
    pub(super) fn custom(&self, name: &str, amount: u64, begins: bool) {
        if let Some((handle, _)) = &mut *lock(&self.custom) {
            handle(name, amount, begins);
        }
    }

    fn each_link(
        &self,
        action: &Action,
        mut act: impl FnMut(squall_core::host::NodeIx, squall_core::host::NodeIx),
    ) {
        for (a, b) in self.links(action) {
            act(a, b);
        }
    }
}
