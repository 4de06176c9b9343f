//! What a storm does to links and connections.

use squall_core::host::NodeIx;

use super::{
    Effect, Fabric, Latency, LatencyChange, Net,
    connection::{CLIENT, Connection, SERVER},
    fabric::Link,
};

/// The state of links, for storms.
impl Net {
    /// Drops everything from `from` to `to`, silently.
    pub fn cut(&self, from: NodeIx, to: NodeIx) {
        self.obstruct(
            |connection| connection.is_between(from, to),
            |fabric| fabric.link_mut(from, to).cut = true,
        );
    }

    /// Ends a [cut](Net::cut): retransmissions get through again, each at its next instant.
    pub fn heal(&self, from: NodeIx, to: NodeIx) {
        self.clear(
            |connection| connection.is_between(from, to),
            |fabric| fabric.link_mut(from, to).cut = false,
        );
    }

    /// Whether something from `from` to `to` would be dropped by a [cut](Net::cut).
    pub fn is_cut(&self, from: NodeIx, to: NodeIx) -> bool {
        self.lock().fabric.link(from, to).cut
    }

    /// While this holds, routers answer for `node`: connects fail with `EHOSTUNREACH` after a round trip, and what
    /// is sent on established connections, in either direction, is held back as by a cut.
    pub fn unreachable(&self, node: NodeIx, unreachable: bool) {
        let set = |fabric: &mut Fabric| fabric.node_mut(node).unreachable = unreachable;
        if unreachable {
            self.obstruct(|connection| connection.is_on(node), set);
        } else {
            self.clear(|connection| connection.is_on(node), set);
        }
    }

    fn obstruct(&self, concerned: impl Fn(&Connection) -> bool, set: impl FnOnce(&mut Fabric)) {
        self.change(concerned, set, |connection, fabric, _, now| {
            for end in [CLIENT, SERVER] {
                if connection.obstacle(end, fabric).is_some() {
                    connection.hold_back(end, fabric, now);
                }
            }
        });
    }

    fn clear(&self, concerned: impl Fn(&Connection) -> bool, set: impl FnOnce(&mut Fabric)) {
        self.change(concerned, set, |connection, fabric, _, now| {
            connection.resume(fabric, now);
        });
    }

    /// The ordinary latency of a link.
    pub fn set_link(&self, from: NodeIx, to: NodeIx, latency: Latency) {
        self.lock().fabric.link_mut(from, to).latency = latency;
    }

    /// Makes a link slower for what is sent from now on; `None` is the ordinary latency.
    pub fn set_latency(&self, from: NodeIx, to: NodeIx, change: Option<LatencyChange>) {
        self.lock().fabric.link_mut(from, to).change = change;
    }

    /// Limits what a link carries; `None` is no limit. What waits for the limit that was waits no longer.
    pub fn set_bandwidth(&self, from: NodeIx, to: NodeIx, bytes_per_s: Option<u64>) {
        if self.lock().fabric.link(from, to).bandwidth != bytes_per_s {
            self.plan_anew(from, to, |link| link.bandwidth = bytes_per_s);
        }
    }

    /// Loses packets with this probability, less than 1. TCP sends them again: what a process sees is a delay. Once
    /// nothing is lost any more, the next retransmission gets through.
    pub fn set_loss(&self, from: NodeIx, to: NodeIx, probability: f64) {
        let probability = probability.clamp(0.0, 0.99);
        if self.lock().fabric.link(from, to).loss != probability {
            self.plan_anew(from, to, |link| link.loss = probability);
        }
    }

    fn plan_anew(&self, from: NodeIx, to: NodeIx, set: impl FnOnce(&mut Link)) {
        let change = |fabric: &mut Fabric| {
            let link = fabric.link_mut(from, to);
            set(link);
            link.clear();
        };
        self.change(
            |connection| connection.is_between(from, to),
            change,
            |connection, fabric, _, now| {
                for end in [CLIENT, SERVER] {
                    if connection.ends[end].node == from {
                        connection.plan_anew(end, fabric, now);
                    }
                }
            },
        );
    }

    /// Connects to `node` are refused although it listens.
    pub fn refuse(&self, node: NodeIx, refuse: bool) {
        self.lock().fabric.node_mut(node).refuse = refuse;
    }

    /// Connects to `node` are ignored.
    pub fn hang_connects(&self, node: NodeIx, hang: bool) {
        self.lock().fabric.node_mut(node).hang_connects = hang;
    }

    /// Resets every connection between two nodes; both ends see `ECONNRESET`. How many there were.
    pub fn reset_connections(&self, a: NodeIx, b: NodeIx) -> usize {
        self.change(
            |connection| connection.is_between(a, b) && connection.is_up(),
            |_| (),
            |connection, fabric, aftermath, _| {
                let [client, server] = [CLIENT, SERVER].map(|end| connection.ends[end].node);
                fabric.link_mut(client, server).touch(Effect::Reset);
                connection.reset_both(fabric, aftermath);
            },
        )
    }

    /// Existing connections between two nodes go silently dead, for good. How many there were.
    pub fn half_open(&self, a: NodeIx, b: NodeIx) -> usize {
        self.change(
            |connection| connection.is_between(a, b) && connection.is_up(),
            |_| (),
            |connection, fabric, _, now| {
                connection.sever(fabric, now);
            },
        )
    }
}
