//! The simulated network: TCP and datagrams between nodes, over links that a storm can spoil.
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
//! * [Lost](squall_core::host::BurstFault::Lose): the connection is severed for good at this burst, both ways, and neither
//!   end is told. Readers hang. The sender's kernel gives up after some 925 s (`ETIMEDOUT`), or earlier where a user
//!   timeout or keepalive is set. New connections between the two nodes work.
//! * [Reset](squall_core::host::BurstFault::Reset): `ECONNRESET` at once for the sender, a latency later for the receiver.
//! * [Duplicate](squall_core::host::BurstFault::Duplicate): only the opener of a connection sends duplicates. The second
//!   connection needs no process: it is opened, throws the answer away and is closed when that has arrived.
//!
//! # Latency
//!
//! The latency of a packet is keyed by link, port, connection, burst and direction. It is never drawn in order, so a
//! fault that is taken away leaves the latencies of all other messages alone.

mod aftermath;
mod closing;
mod connect;
mod connection;
mod datagram;
mod duplicate;
mod end;
mod fabric;
mod keepalive;
mod label;
mod latency;
mod life;
mod linux;
mod listener;
mod pipe;
mod receiving;
mod sending;
mod storm;
mod stream;
mod timer;

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::{
    aftermath::{Aftermath, Note},
    connection::Connection,
    datagram::Datagrams,
    fabric::Fabric,
};
pub use self::{
    datagram::{Datagram, DatagramSocket},
    fabric::Effect,
    latency::{Latency, LatencyChange},
    listener::Listener,
    stream::{Readiness, Stream},
};
use squall_core::{
    host::{Host, NodeIx},
    time::VirtualTime,
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
    datagrams: Datagrams,
    next_connection: u64,
    next_socket: u64,
    /// Calls of `connect` that have not returned.
    connecting: usize,
    /// Of these, those that had no answer to their first SYN.
    resending: usize,
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
                datagrams: Datagrams::default(),
                next_connection: 0,
                next_socket: 0,
                connecting: 0,
                resending: 0,
            }),
        })
    }

    /// Adds a machine, up and running. Adding it again changes nothing.
    pub fn add_node(&self, node: NodeIx) {
        let name = self.host.name(node);
        self.lock().fabric.add(node, name);
    }

    /// A machine takes the name of an old one, and its place in the network: new connections reach it. To be told before
    /// either of them opens any more.
    pub fn succeed(&self, old: NodeIx, node: NodeIx) {
        self.lock().fabric.succeed(old, node);
    }

    /// How many bursts have not reached a process that lives, on connections that can still carry them, how many
    /// connections are being opened, and how many datagrams are on their way.
    pub fn in_flight(&self) -> usize {
        let state = self.lock();
        let bursts = state.connections.values().map(Connection::undelivered);
        state.connecting + bursts.sum::<usize>() + state.datagrams.in_flight(self.host.now())
    }

    /// When something last got through that had been lost before: an outage is felt until then, by TCP's backoff for up
    /// to two minutes after its end.
    pub fn retransmitted(&self) -> VirtualTime {
        self.lock().fabric.retransmitted
    }

    /// Whether something that was lost is to be sent again, and would get through.
    pub fn is_retransmitting(&self) -> bool {
        let state = self.lock();
        state.resending > 0
            || state
                .connections
                .values()
                .any(Connection::is_retransmitting)
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
        let result = {
            let state = &mut *self.lock();
            let State {
                fabric, datagrams, ..
            } = state;
            datagrams.advance(fabric, &mut aftermath, now);
            act(state, &mut aftermath, now)
        };
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
    /// `ECONNREFUSED` without a listener, `ETIMEDOUT` after 133 s of silence, `EHOSTUNREACH` for an
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
