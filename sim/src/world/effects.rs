//! Whether a fault has touched anything: the counters of network, disks and nodes that speak of it.

use std::sync::atomic::Ordering::Relaxed;

use super::{World, lock};
use crate::{host::NodeIx, net::Effect, storm::Action};

impl World {
    /// The directed links that an action concerns.
    pub(super) fn links(&self, action: &Action) -> Vec<(NodeIx, NodeIx)> {
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
    pub(super) fn bitten(&self, action: &Action) -> u64 {
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
            ResetConnections { .. } => self.touched_either_way(action, Effect::Reset),
            HalfOpen { .. } => self.touched_either_way(action, Effect::HalfOpen),
            Refuse { node, .. } => node_touched(node, Effect::Refused),
            HangConnects { node, .. } => node_touched(node, Effect::Hung),
            SlowNode { node, .. } => self.find(node).map_or(0, |n| n.slowed.load(Relaxed)),
            SlowDisk { node, .. } => disk(node).map_or(0, |c| c.slow_ms),
            SyncError { node } => disk(node).map_or(0, |c| c.failed_syncs),
            WriteError { node } => disk(node).map_or(0, |c| c.failed_writes),
            DiskFull { node, .. } => disk(node).map_or(0, |c| c.refused_full),
            SectorError { node, .. } => disk(node).map_or(0, |c| c.unreadable),
            UnreadableRow { node, .. } => self
                .find(node)
                .map_or(0, |n| n.unreadable.met.load(Relaxed)),
            ClockJump { node, .. } | ClockDrift { node, .. } => {
                self.find(node).map_or(0, |n| n.clock_reads.load(Relaxed))
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
