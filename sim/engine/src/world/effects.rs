//! The world as a fault sees it that begins, goes on or ends.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use squall_core::{
    event::{Life, What},
    fault::{Action, Effect, Links, Rows, Target},
    host::NodeIx,
};

use super::{NodeState, Todo, World, lock, node::Death};
use crate::{
    disk::DiskCounters,
    net::{self, LatencyChange},
    storm::Due,
};

/// The world, for one fault.
pub(super) struct Effects<'w> {
    pub world: &'w Arc<World>,
    pub fault: &'w Due,
}

impl World {
    /// What this fault can do.
    pub(super) fn for_fault<'w>(self: &'w Arc<Self>, fault: &'w Due) -> Effects<'w> {
        Effects { world: self, fault }
    }

    /// How often faults like this one have touched something so far.
    pub(super) fn touched_by(self: &Arc<Self>, fault: &Due) -> u64 {
        fault.action.touched(&self.for_fault(fault))
    }

    /// Switches on whatever lasts: the end of one fault must not end another that concerns the same node or link.
    pub(super) fn switch_on_again(self: &Arc<Self>) {
        for fault in self.queue.lasting() {
            fault.action.switch(&self.for_fault(&fault), true);
        }
        for (fault, left) in self.queue.recurring() {
            fault.action.hold(&self.for_fault(&fault), left);
        }
    }

    fn turn_of(&self, node: &NodeState, event: Life) {
        let detail = "".into();
        self.record(&node.name, What::Node { event, detail });
    }

    /// The nodes of these two names, each of the one with each of the other.
    fn pairs(&self, from: &str, to: &str) -> Vec<(NodeIx, NodeIx)> {
        let to = self.find_all(to);
        let with_all = |a: Arc<NodeState>| to.iter().map(move |b| (a.ix, b.ix));
        self.find_all(from).into_iter().flat_map(with_all).collect()
    }

    fn links(&self, links: Links<'_>) -> Vec<(NodeIx, NodeIx)> {
        let both_ways = |(a, b)| [(a, b), (b, a)];
        match links {
            Links::OneWay(from, to) => self.pairs(from, to),
            Links::BothWays(a, b) => self.pairs(a, b).into_iter().flat_map(both_ways).collect(),
            Links::Of(node) => {
                let mut links = Vec::new();
                for own in self.find_all(node) {
                    let others = self.nodes().into_iter().filter(|n| n.name != own.name);
                    links.extend(others.flat_map(|other| both_ways((own.ix, other.ix))));
                }
                links
            }
        }
    }
}

impl Effects<'_> {
    /// Does something to the node of this name, and to an old process of it; nothing if there is none.
    fn at(&self, node: &str, act: impl Fn(&NodeState)) {
        let nodes = self.world.find_all(node);
        nodes.iter().for_each(|node| act(node));
    }

    fn sum(&self, node: &str, count: impl Fn(&NodeState) -> u64) -> u64 {
        let nodes = self.world.find_all(node);
        nodes.iter().map(|node| count(node)).sum()
    }

    fn on_disk(&self, node: &str, count: impl Fn(DiskCounters) -> u64) -> u64 {
        self.sum(node, |n| count(n.disk.counters()))
    }

    fn on_node(&self, node: &str, effect: net::Effect) -> u64 {
        self.sum(node, |n| self.world.net.touched_node(n.ix, effect))
    }

    fn on_links(&self, links: Links<'_>, effect: net::Effect) -> u64 {
        let links = self.world.links(links).into_iter();
        links
            .map(|(a, b)| self.world.net.touched(a, b, effect))
            .sum()
    }

    fn at_links(&self, links: Links<'_>, mut act: impl FnMut(&net::Net, NodeIx, NodeIx)) {
        for (a, b) in self.world.links(links) {
            act(&self.world.net, a, b);
        }
    }

    fn strike(&self, node: &str, power: bool, down_ms: u64, event: Life) {
        // Clients are the storm's witnesses: it kills none of them.
        let node = self.world.find(node).filter(|node| !node.is_client);
        let death = Death {
            power,
            down: Duration::from_millis(down_ms),
            event,
            detail: String::new(),
        };
        if node.is_some_and(|node| self.world.kill(&node, death)) {
            self.touched();
        }
    }
}

impl Target for Effects<'_> {
    fn count(&self, of: Effect<'_>) -> u64 {
        match of {
            Effect::HeldBack(links) => self.on_links(links, net::Effect::Cut),
            Effect::Slowed(links) => self.on_links(links, net::Effect::Latency),
            Effect::PacketLost(links) => self.on_links(links, net::Effect::Loss),
            Effect::Throttled(links) => self.on_links(links, net::Effect::Bandwidth),
            Effect::ConnectionReset(links) => self.on_links(links, net::Effect::Reset),
            Effect::Vanished(links) => self.on_links(links, net::Effect::HalfOpen),
            Effect::ConnectRefused(node) => self.on_node(node, net::Effect::Refused),
            Effect::ConnectIgnored(node) => self.on_node(node, net::Effect::Hung),
            Effect::TurnSlowed(node) => self.sum(node, |n| n.slowed.load(Relaxed)),
            Effect::CommitMsAdded(node) => self.on_disk(node, |disk| disk.slow_ms),
            Effect::SyncLied(node) => self.on_disk(node, |disk| disk.lied_syncs),
            Effect::SyncFailed(node) => self.on_disk(node, |disk| disk.failed_syncs),
            Effect::WriteFailed(node) => self.on_disk(node, |disk| disk.failed_writes),
            Effect::WriteRefused(node) => self.on_disk(node, |disk| disk.refused_full),
            Effect::SectorUnreadable(node) => self.on_disk(node, |disk| disk.unreadable),
            Effect::RowUnreadable(node, rows) => self.sum(node, |n| n.unreadable.met(rows)),
            Effect::ClockRead(node) => self.sum(node, |n| n.clock_reads.load(Relaxed)),
            Effect::NameFailed(node) => self.sum(node, |n| n.program.names_failed.load(Relaxed)),
            Effect::NameSlowed(node) => self.sum(node, |n| n.program.names_slowed.load(Relaxed)),
            Effect::NameStale(node) => self.sum(node, |n| n.program.names_stale.load(Relaxed)),
            Effect::DescriptorRefused(node) => {
                self.sum(node, |n| n.program.descriptors_refused.load(Relaxed))
            }
            Effect::Custom(name, node) => {
                let own = lock(&self.world.own_faults);
                let it = own.iter().find(|own| own.is(name, node));
                it.map_or(0, |own| (own.count)())
            }
        }
    }

    fn touched(&self) {
        lock(&self.world.injector).bites(self.fault.index);
    }

    fn again_after(&self, ms: u64, left: u32) {
        let todo = Todo::Again {
            fault: self.fault.clone(),
            left,
        };
        let at = self.world.now() + Duration::from_millis(ms);
        self.world.queue.at(at, todo);
    }

    fn switch_on_again(&self) {
        self.world.switch_on_again();
    }

    fn alike(&self) -> Vec<Action> {
        let own = &self.fault.action;
        let lasting = self.world.queue.lasting().into_iter();
        let mut lasting: Vec<Action> = lasting.map(|fault| fault.action).collect();
        lasting
            .retain(|other| other.counted_as() == own.counted_as() && other.nodes() == own.nodes());
        lasting
    }

    fn kill(&self, node: &str, down_ms: u64, event: Life) {
        self.strike(node, false, down_ms, event);
    }

    fn lose_power(&self, node: &str, down_ms: u64) {
        self.strike(node, true, down_ms, Life::LosesPower);
    }

    fn terminate(&self, node: &str) {
        let node = self.world.find(node).filter(|node| node.is_up());
        if node.is_some_and(|node| node.program.terminate()) {
            self.touched();
        }
    }

    fn kill_process(&self, node: &str, nth: u64) {
        let node = self.world.find(node).filter(|node| node.is_up());
        if node.is_some_and(|node| node.program.kill_process(nth)) {
            self.touched();
        }
    }

    fn lie_about_syncs(&self, node: &str, on: bool) {
        self.at(node, |n| n.disk.set_lying(on));
    }

    fn fail_names(&self, node: &str, on: bool) {
        self.at(node, |n| n.program.names_fail.store(on, Relaxed));
    }

    fn slow_names(&self, node: &str, extra_ms: u64) {
        self.at(node, |n| n.program.names_slow_ms.store(extra_ms, Relaxed));
    }

    fn stale_names(&self, node: &str, choice: Option<u64>) {
        self.at(node, |n| *lock(&n.program.stale_names) = choice);
    }

    fn refuse_descriptors(&self, node: &str, on: bool) {
        self.at(node, |n| n.program.no_descriptors.store(on, Relaxed));
    }

    /// It has touched something once the process boots as what it was not.
    fn upgrade(&self, node: &str, down_ms: u64) {
        let Some(node) = self.world.find(node).filter(|node| node.builds) else {
            return;
        };
        let event = match node.install_other(self.fault.index) {
            0 => Life::IsRolledBack,
            _ => Life::IsUpgraded,
        };
        let death = Death {
            power: false,
            down: Duration::from_millis(down_ms),
            event,
            detail: String::new(),
        };
        self.world.kill(&node, death);
    }

    fn pause(&self, node: &str) -> bool {
        let Some(node) = self.world.find(node).filter(|n| n.is_up()) else {
            return false;
        };
        self.world.turn_of(&node, Life::Pauses);
        node.paused.store(true, Relaxed);
        self.world.runtime.pause(node.id);
        if let Some(gate) = &self.world.gate {
            gate.pause(&node);
        }
        true
    }

    fn resume(&self, node: &str) {
        // Its successor may have booted meanwhile.
        let paused = self.world.find_all(node).into_iter();
        for node in paused.filter(|n| n.paused.swap(false, Relaxed)) {
            self.world.turn_of(&node, Life::Resumes);
            self.world.runtime.resume(node.id);
        }
    }

    fn overlap(&self, node: &str) -> bool {
        self.world.overlap(self.fault.index, node)
    }

    fn end_overlap(&self) {
        self.world.end_overlap(self.fault.index);
    }

    fn slow_turns(&self, node: &str, wait_ms: u64) {
        self.at(node, |n| n.slow_ms.store(wait_ms, Relaxed));
    }

    fn cut(&self, links: Links<'_>, on: bool) {
        self.at_links(links, |net, a, b| match on {
            true => net.cut(a, b),
            false => net.heal(a, b),
        });
    }

    fn slow_links(&self, links: Links<'_>, extra_ms: u64) {
        let change = (extra_ms > 0).then_some(LatencyChange {
            factor: 1.0,
            extra: Duration::from_millis(extra_ms),
        });
        self.at_links(links, |net, a, b| net.set_latency(a, b, change));
    }

    fn lose_packets(&self, links: Links<'_>, percent: u8) {
        let share = f64::from(percent) / 100.0;
        self.at_links(links, |net, a, b| net.set_loss(a, b, share));
    }

    fn limit_links(&self, links: Links<'_>, bytes_per_s: Option<u64>) {
        self.at_links(links, |net, a, b| net.set_bandwidth(a, b, bytes_per_s));
    }

    fn reset_connections(&self, links: Links<'_>) {
        self.at_links(links, |net, a, b| {
            net.reset_connections(a, b);
        });
    }

    fn half_open(&self, links: Links<'_>) {
        self.at_links(links, |net, a, b| {
            net.half_open(a, b);
        });
    }

    fn refuse(&self, node: &str, on: bool) {
        self.at(node, |n| self.world.net.refuse(n.ix, on));
    }

    fn hang_connects(&self, node: &str, on: bool) {
        self.at(node, |n| self.world.net.hang_connects(n.ix, on));
    }

    fn slow_disk(&self, node: &str, extra_ms: u64) {
        let extra = Duration::from_millis(extra_ms);
        self.at(node, |n| n.disk.set_slow(1, extra));
    }

    fn fill_disk(&self, node: &str, on: bool) {
        self.at(node, |n| n.disk.set_full(on));
    }

    fn fail_sync(&self, node: &str) {
        self.at(node, |n| n.disk.fail_syncs(n.disk.failing_syncs() + 1));
    }

    fn fail_syncs_at_most(&self, node: &str, most: u32) {
        self.at(node, |n| {
            n.disk.fail_syncs(n.disk.failing_syncs().min(most));
        });
    }

    fn fail_write(&self, node: &str) {
        self.at(node, |n| n.disk.fail_writes(n.disk.failing_writes() + 1));
    }

    fn fail_writes_at_most(&self, node: &str, most: u32) {
        self.at(node, |n| {
            n.disk.fail_writes(n.disk.failing_writes().min(most));
        });
    }

    fn spoil_sector(&self, node: &str, choice: u64) {
        self.at(node, |n| {
            n.disk.latent_sector_error(choice);
        });
    }

    fn repair_sectors(&self, node: &str) {
        self.at(node, |n| n.disk.repair_sectors());
    }

    fn make_unreadable(&self, node: &str, rows: &Rows, on: bool) {
        self.at(node, |n| n.unreadable.switch(rows.clone(), on));
    }

    fn jump_clock(&self, node: &str, by_ms: i64) {
        if let Some(node) = self.world.find(node) {
            node.clock.jump(by_ms);
        }
    }

    fn drift_clock(&self, node: &str, ppm: i64) {
        let now = self.world.now();
        self.at(node, |n| n.clock.set_drift(now, ppm));
    }

    fn custom(&self, name: &str, node: &str, amount: u64, begins: bool) {
        let mut own = lock(&self.world.own_faults);
        if let Some(own) = own.iter_mut().find(|own| own.is(name, node)) {
            (own.handle)(amount, begins);
        }
    }
}
