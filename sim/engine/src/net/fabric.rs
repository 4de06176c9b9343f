//! Nodes and the links between them: who is up, who may pass, how long it takes.
//!
//! Owns no connections; those ask here at each packet.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use squall_core::{
    host::NodeIx,
    seed::{Seed, hash, unit},
    time::VirtualTime,
};

use super::{
    latency::{Latency, LatencyChange},
    linux,
    timer::Waiter,
};

/// What a fault of the network does to traffic; the key of [`Net::touched`](super::Net::touched).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// A burst or a SYN met a cut link.
    Cut,
    /// A burst or a SYN was slower (or faster) than usual.
    Latency,
    /// A burst waited for bandwidth.
    Bandwidth,
    /// A packet was lost and sent again.
    Loss,
    /// A connection was refused by [`Net::refuse`](super::Net::refuse).
    Refused,
    /// A SYN was ignored by [`Net::hang_connects`](super::Net::hang_connects).
    Hung,
    /// A burst or a SYN met [`Net::unreachable`](super::Net::unreachable).
    Unreachable,
    /// A connection was reset by [`Net::reset_connections`](super::Net::reset_connections).
    Reset,
    /// A burst vanished in a connection cut by [`Net::half_open`](super::Net::half_open) or a lost burst.
    HalfOpen,
}

/// How many effects there are.
const EFFECTS: usize = 9;

/// One direction between two nodes.
#[derive(Debug)]
pub struct Link {
    /// Fixed hash of the two names: the link's part in every keyed value.
    pub key: u64,
    pub latency: Latency,
    pub change: Option<LatencyChange>,
    pub cut: bool,
    pub bandwidth: Option<u64>,
    pub loss: f64,
    /// Until then the limited link is busy with earlier bursts.
    busy_until: VirtualTime,
    touched: [u64; EFFECTS],
    /// Connections opened so far, by port.
    opened: BTreeMap<u16, u64>,
}

impl Link {
    /// The ordinal of the next connection to `port`.
    fn next_ordinal(&mut self, port: u16) -> u64 {
        let opened = self.opened.entry(port).or_default();
        *opened += 1;
        *opened - 1
    }

    /// Counts a burst, a SYN or a connection that a fault has touched.
    pub fn touch(&mut self, effect: Effect) {
        self.touched[effect as usize] += 1;
    }

    /// How often `effect` has touched something.
    pub fn touched(&self, effect: Effect) -> u64 {
        self.touched[effect as usize]
    }

    /// How long a packet of which `bits` is the key travels.
    pub fn travel(&self, bits: u64) -> Duration {
        let latency = self.latency.sample(bits);
        self.change.map_or(latency, |change| change.apply(latency))
    }

    /// Whether loss takes the packet of which `bits` is the key.
    pub fn loses(&self, bits: u64) -> bool {
        self.loss > 0.0 && unit(bits.rotate_left(32)) < self.loss
    }

    /// Forgets what waits for its bandwidth: all of that is planned anew.
    pub fn clear(&mut self) {
        self.busy_until = VirtualTime::ZERO;
    }

    /// How long it takes from `at` on until the limited link has carried earlier bursts.
    pub fn busy(&self, at: VirtualTime) -> Duration {
        self.busy_until.since(at)
    }

    /// When `bytes` that are ready at `at` have left through the bandwidth limit.
    pub fn through(&mut self, bytes: usize, at: VirtualTime) -> VirtualTime {
        let Some(limit) = self.bandwidth else {
            return at;
        };
        self.busy_until =
            self.busy_until.max(at) + Duration::from_secs_f64(bytes as f64 / limit.max(1) as f64);
        self.busy_until
    }
}

/// A listening socket of a node.
#[derive(Debug)]
pub struct Listening {
    /// Distinguishes this socket from earlier ones on the same port.
    pub id: u64,
    pub backlog: usize,
    /// Connections whose handshake has not reached us yet.
    pub pending: Vec<u64>,
    /// The accept queue.
    pub ready: VecDeque<u64>,
    pub waiter: Waiter,
}

impl Listening {
    /// `sk_acceptq_is_full`: one more than the backlog fits.
    pub fn is_full(&self) -> bool {
        self.ready.len() > self.backlog
    }
}

/// A machine.
#[derive(Debug)]
pub struct Node {
    pub name: Arc<str>,
    /// The first of this name: connections are counted by name, so that no two have the same ordinal, and with it the
    /// same latencies.
    first: NodeIx,
    /// Counts processes: handles of an earlier one are inert.
    pub life: u32,
    /// A process may use the network.
    pub process: bool,
    /// The kernel answers.
    pub kernel: bool,
    /// Dying: nothing leaves or arrives until it is known how.
    pub frozen: bool,
    pub refuse: bool,
    pub hang_connects: bool,
    pub unreachable: bool,
    pub listening: BTreeMap<u16, Listening>,
}

/// All nodes and links.
#[derive(Debug)]
pub struct Fabric {
    pub seed: Seed,
    pub nodes: Vec<Option<Node>>,
    /// By sender, then by receiver.
    links: Vec<Vec<Option<Link>>>,
    /// When something last got through that had been lost before.
    pub retransmitted: VirtualTime,
}

impl Fabric {
    pub fn new(seed: Seed) -> Self {
        Fabric {
            seed,
            nodes: Vec::new(),
            links: Vec::new(),
            retransmitted: VirtualTime::ZERO,
        }
    }

    /// A new machine, up and running, linked to all others.
    pub fn add(&mut self, ix: NodeIx, name: Arc<str>) {
        let count = self.nodes.len().max(usize::from(ix.0) + 1);
        self.nodes.resize_with(count, || None);
        self.links.resize_with(count, Vec::new);
        for row in &mut self.links {
            row.resize_with(count, || None);
        }
        if self.nodes[usize::from(ix.0)].is_some() {
            return;
        }
        self.nodes[usize::from(ix.0)] = Some(Node {
            name,
            first: ix,
            life: 0,
            process: true,
            kernel: true,
            frozen: false,
            refuse: false,
            hang_connects: false,
            unreachable: false,
            listening: BTreeMap::new(),
        });
        for other in 0..count {
            if self.nodes[other].is_some() {
                self.connect(usize::from(ix.0), other);
                self.connect(other, usize::from(ix.0));
            }
        }
    }

    /// The machine of this index takes the name of an old one, and its place in the network.
    pub fn succeed(&mut self, old: NodeIx, ix: NodeIx) {
        self.node_mut(ix).first = self.node(old).first;
        let others = (0..self.nodes.len() as u16).map(NodeIx);
        for other in others.filter(|other| *other != old && *other != ix) {
            if self.knows(other) {
                self.link_mut(ix, other).latency = self.link(old, other).latency;
                self.link_mut(other, ix).latency = self.link(other, old).latency;
            }
        }
    }

    /// The ordinal of the next connection from one name to another.
    pub fn next_ordinal(&mut self, from: NodeIx, to: NodeIx, port: u16) -> u64 {
        let (from, to) = (self.node(from).first, self.node(to).first);
        self.link_mut(from, to).next_ordinal(port)
    }

    fn connect(&mut self, from: usize, to: usize) {
        let name = |ix: usize| self.nodes[ix].as_ref().map_or("", |node| &*node.name);
        let link = Link {
            key: hash(format!("{}→{}", name(from), name(to)).as_bytes()),
            latency: if from == to {
                Latency::LOOPBACK
            } else {
                Latency::DATA_CENTRE
            },
            change: None,
            cut: false,
            bandwidth: None,
            loss: 0.0,
            busy_until: VirtualTime::ZERO,
            touched: [0; EFFECTS],
            opened: BTreeMap::new(),
        };
        self.links[from][to] = Some(link);
    }

    /// Whether the node is known.
    pub fn knows(&self, ix: NodeIx) -> bool {
        self.nodes
            .get(usize::from(ix.0))
            .is_some_and(Option::is_some)
    }

    /// A node.
    ///
    /// # Panics
    /// If it was never added.
    pub fn node(&self, ix: NodeIx) -> &Node {
        self.nodes[usize::from(ix.0)]
            .as_ref()
            .expect("the node has been added to the network")
    }

    /// A node, to change it.
    pub fn node_mut(&mut self, ix: NodeIx) -> &mut Node {
        self.nodes[usize::from(ix.0)]
            .as_mut()
            .expect("the node has been added to the network")
    }

    /// A link, in the direction of its packets.
    pub fn link(&self, from: NodeIx, to: NodeIx) -> &Link {
        self.links[usize::from(from.0)][usize::from(to.0)]
            .as_ref()
            .expect("both nodes have been added to the network")
    }

    /// A link, to change it.
    pub fn link_mut(&mut self, from: NodeIx, to: NodeIx) -> &mut Link {
        self.links[usize::from(from.0)][usize::from(to.0)]
            .as_mut()
            .expect("both nodes have been added to the network")
    }

    /// What stops packets from `from` to `to`, if anything does.
    pub fn obstacle(&self, from: NodeIx, to: NodeIx) -> Option<Effect> {
        if self.link(from, to).cut {
            Some(Effect::Cut)
        } else if from != to && (self.node(from).unreachable || self.node(to).unreachable) {
            Some(Effect::Unreachable)
        } else {
            None
        }
    }

    /// Whether the process that had `life` may still use the network.
    pub fn lives(&self, ix: NodeIx, life: u32) -> bool {
        let node = self.node(ix);
        node.process && node.life == life && !node.frozen
    }

    /// The first retransmission timeout between two nodes: Linux's minimum and an ordinary round trip.
    pub fn first_timeout(&self, a: NodeIx, b: NodeIx) -> Duration {
        linux::RTO_MIN + self.link(a, b).latency.typical + self.link(b, a).latency.typical
    }
}
