//! The simulated network: TCP between nodes, over links that a storm can spoil.
//!
//! Shaped like the real thing. A node has a kernel, which outlives its processes and answers for them; connections have
//! send buffers, windows, FINs and resets; a [cut](Net::cut) link drops packets silently and the sender retransmits on
//! Linux's schedule. What a service can notice matches what was measured on Linux; the tests are named after the
//! measurements. Times and sizes are constants in one place, with Linux's values.
//!
//! Owns: bytes on their way, and who may send any. Does not own: names and addresses (a node is a [`NodeIx`]), the
//! decision to fail (it reports each burst to the [`Host`] and obeys), the death of tasks.
//!
//! # What travels
//!
//! Everything written between two flushes is one *burst*. It leaves at the second flush, or when the writer is about to
//! wait for an answer, when its buffer is full, or when it closes the stream. A burst is labelled with the operation of
//! the HTTP request that it begins, continues or answers, else with the ordinal of its connection.
//!
//! * What has left before a link is cut, a connection is reset or a node dies arrives; what has not does not (a
//!   retransmission that is due later has not left).
//! * [Lost](crate::host::BurstFault::Lose): the connection is severed for good at this burst, both ways, and neither
//!   end is told. Readers hang. The sender's kernel gives up after some 925 s (`ETIMEDOUT`), or earlier where a user
//!   timeout or keepalive is set. New connections between the two nodes work.
//! * [Reset](crate::host::BurstFault::Reset): `ECONNRESET` at once for the sender, a latency later for the receiver.
//! * [Duplicate](crate::host::BurstFault::Duplicate): only the opener of a connection sends duplicates. The second
//!   connection needs no process: it is opened, throws the answer away and is closed when that has arrived.
//!
//! # Latency
//!
//! The latency of a packet is keyed by link, port, connection, burst and direction. It is never drawn in order, so a
//! fault that is taken away leaves the latencies of all other messages alone.

mod connect;
mod connection;
mod fabric;
mod label;
mod latency;
mod linux;
mod listener;
mod pipe;
mod stream;
mod timer;

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use self::{
    connection::{CLIENT, Connection, SERVER},
    fabric::Fabric,
};
pub use self::{
    fabric::Effect,
    latency::{Latency, LatencyChange},
    listener::Listener,
    stream::Stream,
};
use crate::{
    host::{Host, NodeIx},
    time::VirtualTime,
    trace::What,
};

/// All nodes' kernels, links and connections.
pub struct Net {
    host: Arc<dyn Host>,
    state: Mutex<State>,
}

/// Everything behind the lock, which is never held across a call out: neither to the host nor to a waker.
struct State {
    fabric: Fabric,
    /// In the order of their making, which is the order in which a fault meets them.
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    next_socket: u64,
    /// Calls of `connect` that have not returned.
    connecting: usize,
}

/// What is left to do when the lock has been released: tell the host, wake tasks. In order.
#[derive(Default)]
struct Aftermath {
    notes: Vec<Note>,
    wakers: Vec<Waker>,
    /// Wakers to drop: dropping the last handle of a task may drop the task, and with it our streams.
    forgotten: Vec<Waker>,
}

enum Note {
    Arrival {
        node: NodeIx,
        from: Arc<str>,
        connection: u64,
        bytes: usize,
    },
    Connection {
        node: NodeIx,
        peer: Arc<str>,
        connection: u64,
        event: &'static str,
    },
}

impl Aftermath {
    /// A burst has arrived at `end`.
    fn arrival(&mut self, connection: &Connection, end: usize, bytes: usize, fabric: &Fabric) {
        self.notes.push(Note::Arrival {
            node: connection.ends[end].node,
            from: fabric.node(connection.ends[1 - end].node).name.clone(),
            connection: connection.ordinal,
            bytes,
        });
    }

    /// Something happened to the connection, as `end` knows it.
    fn connection(
        &mut self,
        connection: &Connection,
        end: usize,
        event: &'static str,
        fabric: &Fabric,
    ) {
        self.notes.push(Note::Connection {
            node: connection.ends[end].node,
            peer: fabric.node(connection.ends[1 - end].node).name.clone(),
            connection: connection.ordinal,
            event,
        });
    }

    fn run(self, host: &dyn Host) {
        for note in &self.notes {
            match note {
                Note::Arrival {
                    node,
                    from,
                    connection,
                    bytes,
                } => {
                    let what = What::Arrival {
                        from: (&**from).into(),
                        connection: *connection,
                        bytes: *bytes,
                    };
                    host.record(*node, what);
                }
                Note::Connection {
                    node,
                    peer,
                    connection,
                    event,
                } => {
                    let what = What::Connection {
                        connection: *connection,
                        peer: (&**peer).into(),
                        event,
                    };
                    host.record(*node, what);
                }
            }
        }
        for waker in self.wakers {
            waker.wake();
        }
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").finish_non_exhaustive()
    }
}

/// Construction, and what the runner asks.
impl Net {
    /// A network without nodes.
    pub fn new(host: Arc<dyn Host>) -> Arc<Net> {
        let fabric = Fabric::new(host.seed());
        Arc::new(Net {
            host,
            state: Mutex::new(State {
                fabric,
                connections: BTreeMap::new(),
                next_connection: 0,
                next_socket: 0,
                connecting: 0,
            }),
        })
    }

    /// Adds a machine, up and running. Adding it again changes nothing.
    pub fn add_node(&self, node: NodeIx) {
        let name = self.host.name(node);
        self.lock().fabric.add(node, name);
    }

    /// How many bursts have not reached a process that lives, on connections that can still carry them, and how many
    /// connections are being opened.
    pub fn in_flight(&self) -> usize {
        let state = self.lock();
        let bursts = state.connections.values().map(Connection::undelivered);
        state.connecting + bursts.sum::<usize>()
    }

    /// How many connections some process still holds an end of.
    pub fn connections(&self) -> usize {
        self.lock().connections.len()
    }

    /// How often `effect` has touched something on its way from `from` to `to`.
    pub fn touched(&self, from: NodeIx, to: NodeIx, effect: Effect) -> u64 {
        self.lock().fabric.link(from, to).touched(effect)
    }

    /// How often `effect` has touched something that went to `node` or came from it.
    pub fn touched_node(&self, node: NodeIx, effect: Effect) -> u64 {
        let state = self.lock();
        let fabric = &state.fabric;
        let others = (0..fabric.nodes.len() as u16).map(NodeIx);
        others
            .filter(|other| fabric.knows(*other))
            .map(|other| {
                let to = fabric.link(other, node).touched(effect);
                let from = fabric.link(node, other).touched(effect);
                if other == node { to } else { to + from }
            })
            .sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` on the state at this instant, then does what is left to do without the lock.
    fn turn<R>(&self, act: impl FnOnce(&mut State, &mut Aftermath, VirtualTime) -> R) -> R {
        let now = self.host.now();
        let mut aftermath = Aftermath::default();
        let result = act(&mut self.lock(), &mut aftermath, now);
        aftermath.run(&*self.host);
        result
    }

    /// Changes the world for some connections: they catch up first, and adapt afterwards.
    fn change(
        &self,
        concerned: impl Fn(&Connection) -> bool,
        act: impl FnOnce(&mut Fabric),
        mut adapt: impl FnMut(&mut Connection, &mut Fabric, &mut Aftermath, VirtualTime),
    ) -> usize {
        self.turn(|state, aftermath, now| {
            let State {
                fabric,
                connections,
                ..
            } = state;
            for connection in connections.values_mut().filter(|c| concerned(c)) {
                connection.advance(fabric, aftermath, now);
            }
            act(fabric);
            let mut count = 0;
            for connection in connections.values_mut().filter(|c| concerned(c)) {
                adapt(connection, fabric, aftermath, now);
                connection.advance(fabric, aftermath, now);
                connection.settle(fabric, now);
                count += 1;
            }
            connections.retain(|_, connection| !connection.is_over());
            count
        })
    }
}

/// The life of nodes. All of these may be called again, and at any moment of a node's life.
impl Net {
    /// The process of `node` is gone, and its kernel cleans up: a FIN on each connection after all that was written,
    /// or a reset where input was unread.
    pub fn crash(&self, node: NodeIx) {
        let was_up = self.die(node);
        self.change(
            |connection| was_up && connection.is_on(node),
            |_| (),
            |connection, fabric, aftermath, now| {
                for end in [CLIENT, SERVER] {
                    if connection.ends[end].node != node || !connection.ends[end].held {
                        continue;
                    }
                    if end == SERVER && connection.listening.is_some() {
                        connection.deny(fabric, aftermath, now);
                    } else {
                        connection.close(end, fabric, aftermath, now);
                    }
                }
            },
        );
    }

    /// The machine is gone: silence. Its peers retransmit into nothing until it is back and answers with a reset.
    pub fn power_loss(&self, node: NodeIx) {
        self.die(node);
        self.change(
            |connection| connection.is_on(node),
            |fabric| fabric.node_mut(node).kernel = false,
            |connection, _, aftermath, _| {
                for end in [CLIENT, SERVER] {
                    if connection.ends[end].node == node {
                        connection.vanish(end, aftermath);
                    }
                }
            },
        );
    }

    /// The node is dying in the middle of a poll: nothing leaves it or reaches it, until [`crash`](Net::crash) or
    /// [`power_loss`](Net::power_loss) tells how it died.
    pub fn freeze(&self, node: NodeIx) {
        self.change(
            |connection| connection.is_on(node),
            |fabric| {
                let node = fabric.node_mut(node);
                node.frozen = node.process;
            },
            |_, _, _, _| (),
        );
    }

    /// The machine is up and a process may use the network. Connections of an earlier life stay dead.
    pub fn boot(&self, node: NodeIx) {
        self.change(
            |connection| connection.is_on(node),
            |fabric| {
                let node = fabric.node_mut(node);
                node.kernel = true;
                node.process = true;
            },
            |connection, fabric, _, now| connection.resume(fabric, now),
        );
    }

    /// Ends the process of `node` and closes its listening sockets. Whether there was one.
    fn die(&self, node: NodeIx) -> bool {
        self.turn(|state, aftermath, _| {
            let node = state.fabric.node_mut(node);
            node.frozen = false;
            for (_, mut socket) in std::mem::take(&mut node.listening) {
                socket.waiter.forget(aftermath);
            }
            node.life += u32::from(node.process);
            std::mem::take(&mut node.process)
        })
    }
}

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

    /// Limits what a link carries from now on; `None` is no limit.
    pub fn set_bandwidth(&self, from: NodeIx, to: NodeIx, bytes_per_s: Option<u64>) {
        self.lock().fabric.link_mut(from, to).bandwidth = bytes_per_s;
    }

    /// Loses packets with this probability (less than 1). TCP sends them again: what a process sees is a delay.
    pub fn set_loss(&self, from: NodeIx, to: NodeIx, probability: f64) {
        self.lock().fabric.link_mut(from, to).loss = probability.clamp(0.0, 0.99);
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

/// Connections.
impl Net {
    /// Listens on a port of `node`; at most 1,024 connections wait to be accepted (tokio's backlog).
    ///
    /// # Errors
    /// `EADDRINUSE` while the same process listens there already; an error on a node that is down.
    pub fn listen(self: &Arc<Self>, node: NodeIx, port: u16) -> io::Result<Listener> {
        self.listen_with_backlog(node, port, linux::BACKLOG)
    }

    /// [`listen`](Net::listen) with a backlog of one's own.
    ///
    /// # Errors
    /// As [`listen`](Net::listen).
    pub fn listen_with_backlog(
        self: &Arc<Self>,
        node: NodeIx,
        port: u16,
        backlog: usize,
    ) -> io::Result<Listener> {
        Listener::new(self.clone(), node, port, backlog)
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// `ECONNREFUSED` where nobody listens, `ETIMEDOUT` after 133 s of silence, `EHOSTUNREACH` for an
    /// [unreachable](Net::unreachable) node, `ENETUNREACH` for an unknown one. On a node that has died it never ends.
    pub fn connect(
        self: &Arc<Self>,
        from: NodeIx,
        to: NodeIx,
        port: u16,
    ) -> impl Future<Output = io::Result<Stream>> + Send + 'static {
        connect::connect(self.clone(), from, to, port)
    }
}

/// The error of a process that goes on after its node has died.
fn node_is_down() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "this node is down: its process must not go on",
    )
}
