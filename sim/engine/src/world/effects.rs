//! Whether a fault has touched anything: the counters of network, disks and nodes that speak of it.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use squall_core::host::NodeIx;

use super::{NodeState, World, lock, unreadable::Rows};
use crate::{net::Effect, storm::Action};

impl World {
    /// The directed links that an action concerns.
    pub(super) fn links(&self, action: &Action) -> Vec<(NodeIx, NodeIx)> {
        let (from, to, both) = match action {
            Action::Isolate { node, .. } => {
                let mut links = Vec::new();
                for own in self.find_all(node) {
                    let others = self.nodes().into_iter().filter(|n| n.name != own.name);
                    links.extend(others.flat_map(|n| [(own.ix, n.ix), (n.ix, own.ix)]));
                }
                return links;
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
        let mut links = Vec::new();
        for (a, b) in self.pairs(from, to) {
            links.push((a, b));
            links.extend(both.then_some((b, a)));
        }
        links
    }

    /// The nodes of these two names, each of the one with each of the other.
    pub(super) fn pairs(&self, from: &str, to: &str) -> Vec<(NodeIx, NodeIx)> {
        let to = self.find_all(to);
        let with_all = |a: Arc<NodeState>| to.iter().map(move |b| (a.ix, b.ix));
        self.find_all(from).into_iter().flat_map(with_all).collect()
    }

    /// How often faults like this one have touched something so far.
    pub(super) fn bitten(&self, action: &Action) -> u64 {
        use Action::*;
        let sum = |node: &String, count: &dyn Fn(&NodeState) -> u64| {
            let nodes = self.find_all(node);
            nodes.iter().map(|node| count(node)).sum::<u64>()
        };
        let node_touched = |node, effect| sum(node, &|n| self.net.touched_node(n.ix, effect));
        match action {
            Cut { .. } | Isolate { .. } | Flap { .. } => self.touched(action, Effect::Cut),
            Latency { .. } => self.touched(action, Effect::Latency),
            Loss { .. } => self.touched(action, Effect::Loss),
            Trickle { .. } => self.touched(action, Effect::Bandwidth),
            ResetConnections { .. } => self.touched_either_way(action, Effect::Reset),
            HalfOpen { .. } => self.touched_either_way(action, Effect::HalfOpen),
            Refuse { node, .. } => node_touched(node, Effect::Refused),
            HangConnects { node, .. } => node_touched(node, Effect::Hung),
            SlowNode { node, .. } => sum(node, &|n| n.slowed.load(Relaxed)),
            SlowDisk { node, .. } => sum(node, &|n| n.disk.counters().slow_ms),
            SyncError { node } => sum(node, &|n| n.disk.counters().failed_syncs),
            WriteError { node } => sum(node, &|n| n.disk.counters().failed_writes),
            DiskFull { node, .. } => sum(node, &|n| n.disk.counters().refused_full),
            SectorError { node, .. } => sum(node, &|n| n.disk.counters().unreadable),
            UnreadableRow {
                node,
                table,
                key,
                choice,
                ..
            } => {
                let rows = Rows::of(table.as_deref(), key.as_deref(), *choice);
                sum(node, &|n| n.unreadable.met(&rows))
            }
            ClockJump { node, .. } | ClockDrift { node, .. } => {
                sum(node, &|n| n.clock_reads.load(Relaxed))
            }
            Custom { name, .. } => lock(&self.custom)
                .as_ref()
                .map_or(0, |(_, count)| count(name)),
            _ => 0,
        }
    }

    /// For what befalls connections, whoever opened them.
    fn touched_either_way(&self, action: &Action, effect: Effect) -> u64 {
        let links = self.links(action).into_iter();
        links
            .map(|(a, b)| self.net.touched(a, b, effect) + self.net.touched(b, a, effect))
            .sum()
    }

    fn touched(&self, action: &Action, effect: Effect) -> u64 {
        let links = self.links(action).into_iter();
        links.map(|(a, b)| self.net.touched(a, b, effect)).sum()
    }
}
