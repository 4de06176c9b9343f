//! Datagrams: UDP between nodes.
//!
//! They arrive at most once each, in the order in which they were sent but for those in the tail of a link's latencies,
//! which the others overtake. What a link loses, or a cut drops, is gone; a storm loses, delays and duplicates single ones.
//! A datagram to a port that nobody has is answered with a refusal (ICMP), of which only a connected socket hears. On the
//! way from a node to itself nothing is lost, and nothing takes time.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::Waker,
    time::Duration,
};

use bytes::Bytes;

use squall_core::{
    event::{Fate, What},
    host::{BurstFault, NodeIx, Reached, Verdict},
    seed::hash,
    time::VirtualTime,
};

use super::{
    Aftermath, Effect, Net, Note, State,
    fabric::{Fabric, Link},
    linux::{self, error},
    node_is_down,
    timer::Waiter,
};

/// What has arrived.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Where it came from, as its sender's kernel says.
    pub from: SocketAddr,
    /// Its content.
    pub bytes: Bytes,
}

impl Datagram {
    /// What it takes of a receive buffer, with the kernel's own needs.
    fn room(&self) -> usize {
        linux::datagram_room(self.bytes.len())
    }
}

/// Something on its way.
#[derive(Debug)]
struct Flight {
    from: NodeIx,
    to: NodeIx,
    source: SocketAddr,
    target: SocketAddr,
    /// Its ordinal on its way, by which traces know it.
    ordinal: u64,
    /// None: the refusal of what went from the target to the source.
    bytes: Option<Bytes>,
}

/// A socket, as its kernel knows it.
#[derive(Debug)]
struct Bound {
    node: NodeIx,
    local: SocketAddr,
    peer: Option<SocketAddr>,
    /// It lets others have its address (`SO_REUSEADDR`).
    shares: bool,
    inbox: VecDeque<Datagram>,
    /// What of its receive buffer is in use, and how much there is.
    used: usize,
    room: usize,
    /// Something that it sent was refused.
    refused: bool,
    reader: Waiter,
}

/// What has gone from one node to another.
#[derive(Debug, Default)]
struct Way {
    sent: u64,
    last: VirtualTime,
}

/// All sockets for datagrams, and what is on its way between them.
#[derive(Debug, Default)]
pub struct Datagrams {
    sockets: BTreeMap<u64, Bound>,
    /// By the instant of their arrival, and in the order of their leaving.
    flights: BTreeMap<(VirtualTime, u64), Flight>,
    launched: u64,
    ways: BTreeMap<(NodeIx, NodeIx), Way>,
    /// The next port of each node's own choice.
    ports: BTreeMap<NodeIx, u16>,
}

/// Whether what goes to an address concerns a socket that is bound to this one. An IPv6 socket hears of IPv4 too.
fn concerns(local: IpAddr, ip: IpAddr) -> bool {
    match local {
        IpAddr::V6(local) if local.is_unspecified() => true,
        IpAddr::V4(local) if local.is_unspecified() => ip.is_ipv4(),
        local => local == ip,
    }
}

impl Bound {
    fn hears(&self, source: SocketAddr, target: SocketAddr) -> bool {
        self.local.port() == target.port()
            && concerns(self.local.ip(), target.ip())
            && self.peer.is_none_or(|peer| peer == source)
    }
}

impl Datagrams {
    /// How many are still on their way.
    pub fn in_flight(&self, now: VirtualTime) -> usize {
        self.flights.range((now, u64::MAX)..).count()
    }

    /// The process of a node is gone, and its sockets with it.
    pub fn forget(&mut self, node: NodeIx, aftermath: &mut Aftermath) {
        let gone = self.sockets.extract_if(.., |_, socket| socket.node == node);
        gone.for_each(|(_, mut socket)| socket.reader.forget(aftermath));
    }

    /// Whose a datagram is: a socket that is connected to its source, or else the one that was bound last.
    fn receiver(&mut self, flight: &Flight) -> Option<&mut Bound> {
        let (source, target) = (flight.source, flight.target);
        let hears = |socket: &&mut Bound| socket.node == flight.to && socket.hears(source, target);
        let found = self.sockets.values_mut().filter(hears);
        found.max_by_key(|socket| socket.peer.is_some())
    }

    /// Brings what has arrived by now to where it belongs.
    pub fn advance(&mut self, fabric: &mut Fabric, aftermath: &mut Aftermath, now: VirtualTime) {
        while let Some(next) = self.flights.first_entry()
            && next.key().0 <= now
        {
            let ((at, _), flight) = next.remove_entry();
            self.arrive(flight, fabric, aftermath, at, now);
        }
    }

    fn arrive(
        &mut self,
        flight: Flight,
        fabric: &mut Fabric,
        aftermath: &mut Aftermath,
        at: VirtualTime,
        now: VirtualTime,
    ) {
        let node = fabric.node(flight.to);
        if !node.kernel || node.frozen {
            return;
        }
        let from = fabric.node(flight.from).name.clone();
        let Some(bytes) = flight.bytes.clone() else {
            if let Some(socket) = self.receiver(&flight)
                && socket.peer.is_some()
            {
                socket.refused = true;
                socket.reader.wake(aftermath);
            }
            return;
        };
        let len = bytes.len();
        let datagram = Datagram {
            from: flight.source,
            bytes,
        };
        let Some(socket) = self.receiver(&flight) else {
            return self.refuse(&flight, fabric, at, now);
        };
        if socket.used + datagram.room() > socket.room {
            return;
        }
        socket.used += datagram.room();
        socket.inbox.push_back(datagram);
        socket.reader.wake(aftermath);
        aftermath.notes.push(Note::Arrival {
            node: flight.to,
            from,
            connection: flight.ordinal,
            bytes: len,
        });
    }

    /// Nobody has the port: the node's kernel says so.
    fn refuse(&mut self, refused: &Flight, fabric: &mut Fabric, at: VirtualTime, now: VirtualTime) {
        let (from, to) = (refused.to, refused.from);
        let bits = bits(fabric, from, to, refused.ordinal | REFUSES);
        let takes = match from == to {
            true => Some(Duration::ZERO),
            false => carry(fabric, from, to, bits),
        };
        let flight = Flight {
            from,
            to,
            source: refused.target,
            target: refused.source,
            ordinal: refused.ordinal,
            bytes: None,
        };
        if let Some(takes) = takes {
            self.launch(flight, at + takes, now);
        }
    }

    /// Puts something on its way. Whoever may notice what comes of it is woken then.
    fn launch(&mut self, flight: Flight, arrives: VirtualTime, now: VirtualTime) {
        let noticing = match self.receiver(&flight) {
            Some(socket) => Some(socket),
            None => {
                let (source, target) = (flight.source, flight.target);
                let sent = |socket: &&mut Bound| {
                    socket.node == flight.from
                        && socket.peer == Some(target)
                        && socket.local.port() == source.port()
                };
                self.sockets.values_mut().find(sent)
            }
        };
        if let Some(socket) = noticing {
            socket.reader.arm(now, arrives);
        }
        self.flights.insert((arrives, self.launched), flight);
        self.launched += 1;
    }

    /// When something next arrives that a socket may notice.
    fn deadline(&self, socket: &Bound) -> Option<VirtualTime> {
        let mut flights = self.flights.iter();
        let concerned =
            flights.find(|(_, flight)| flight.to == socket.node || flight.from == socket.node);
        concerned.map(|((at, _), _)| *at)
    }

    fn is_free(&self, node: NodeIx, local: SocketAddr, shares: bool) -> bool {
        let mut others = self.sockets.values().filter(|socket| socket.node == node);
        !others.any(|other| {
            let (a, b) = (other.local.ip(), local.ip());
            other.local.port() == local.port()
                && (concerns(a, b) || concerns(b, a))
                && !(shares && other.shares)
        })
    }

    /// A port of the kernel's choice. None: there are no more.
    fn free_port(&mut self, node: NodeIx, ip: IpAddr) -> Option<u16> {
        let [first, count] = linux::EPHEMERAL_PORTS;
        (0..count).find_map(|_| {
            let next = self.ports.entry(node).or_default();
            let port = first + *next % count;
            *next = (*next + 1) % count;
            self.is_free(node, SocketAddr::new(ip, port), false)
                .then_some(port)
        })
    }
}

/// Traces know a datagram by a number that no connection between two nodes will reach.
const DATAGRAM: u64 = 1 << 40;
/// A copy has a number of its own.
const COPY: u64 = 1 << 41;
/// In the key of a refusal's latency.
const REFUSES: u64 = 1 << 63;
/// What waits longer for the bandwidth of a link is dropped.
const QUEUE_MAX: Duration = Duration::from_secs(1);

fn bits(fabric: &Fabric, from: NodeIx, to: NodeIx, ordinal: u64) -> u64 {
    let parts = [fabric.link(from, to).key, hash(b"datagram"), ordinal];
    fabric.seed.keyed(&parts)
}

/// How long a packet travels, if the link lets it through.
fn carry(fabric: &mut Fabric, from: NodeIx, to: NodeIx, bits: u64) -> Option<Duration> {
    let obstacle = fabric.obstacle(from, to);
    let link = fabric.link_mut(from, to);
    if let Some(effect) = obstacle.or(link.loses(bits).then_some(Effect::Loss)) {
        link.touch(effect);
        return None;
    }
    if link.change.is_some() {
        link.touch(Effect::Latency);
    }
    Some(link.travel(bits))
}

/// How long the link's bandwidth keeps a packet. None: it is dropped.
fn queue(link: &mut Link, bytes: usize, now: VirtualTime) -> Option<Duration> {
    if link.bandwidth.is_none() {
        return Some(Duration::ZERO);
    }
    link.touch(Effect::Bandwidth);
    let fits = link.busy(now) <= QUEUE_MAX;
    fits.then(|| link.through(bytes, now).since(now))
}

impl State {
    /// Sends a datagram. Its fate, and how long it travels.
    fn send_datagram(
        &mut self,
        flight: Flight,
        fault: Option<BurstFault>,
        now: VirtualTime,
    ) -> (Fate, Duration) {
        let (from, to) = (flight.from, flight.to);
        if from == to {
            self.datagrams.launch(flight, now, now);
            return (Fate::Sent, Duration::ZERO);
        }
        let bytes = flight.bytes.as_ref().map_or(0, Bytes::len);
        let bits = bits(&self.fabric, from, to, flight.ordinal);
        let fate = match fault {
            Some(BurstFault::Lose | BurstFault::Reset) => return (Fate::Lost, Duration::ZERO),
            Some(BurstFault::Delay(_)) => Fate::Delayed,
            Some(BurstFault::Duplicate(_)) => Fate::Duplicated,
            None => Fate::Sent,
        };
        let Some(travels) = carry(&mut self.fabric, from, to, bits) else {
            return (Fate::Lost, Duration::ZERO);
        };
        let link = self.fabric.link_mut(from, to);
        let Some(waits) = queue(link, bytes, now) else {
            return (Fate::Lost, Duration::ZERO);
        };
        let is_ordinary = !link.latency.is_in_tail(bits);
        let mut arrives = now + waits + travels;
        let way = self.datagrams.ways.entry((from, to)).or_default();
        if let Some(BurstFault::Delay(delay)) = fault {
            arrives = arrives + delay;
        } else if is_ordinary {
            arrives = arrives.max(way.last);
            way.last = arrives;
        }
        if let Some(BurstFault::Duplicate(delay)) = fault {
            let bytes = flight.bytes.clone();
            let ordinal = flight.ordinal | COPY;
            let copy = Flight {
                bytes,
                ordinal,
                ..flight
            };
            self.datagrams.launch(copy, arrives + delay, now);
        }
        self.datagrams.launch(flight, arrives, now);
        (fate, arrives.since(now))
    }
}

/// A socket for datagrams. Dropping it closes it.
pub struct DatagramSocket {
    net: Arc<Net>,
    node: NodeIx,
    id: u64,
}

impl fmt::Debug for DatagramSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramSocket")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Net {
    /// Binds a socket for datagrams to an address of `node`; port 0 stands for one that is free.
    ///
    /// # Errors
    /// `EADDRINUSE` while another socket has it and either of them does not share; an error on a node that is down.
    pub fn bind_datagrams(
        self: &Arc<Self>,
        node: NodeIx,
        mut local: SocketAddr,
        shares: bool,
    ) -> io::Result<DatagramSocket> {
        self.turn(|state, _, _| {
            let machine = state.fabric.node(node);
            if !machine.process || machine.frozen {
                return Err(node_is_down());
            }
            let in_use = || error(linux::ADDRESS_IN_USE);
            if local.port() == 0 {
                let port = state.datagrams.free_port(node, local.ip());
                local.set_port(port.ok_or_else(in_use)?);
            } else if !state.datagrams.is_free(node, local, shares) {
                return Err(in_use());
            }
            let id = state.next_socket;
            state.next_socket += 1;
            let bound = Bound {
                node,
                local,
                peer: None,
                shares,
                inbox: VecDeque::new(),
                used: 0,
                room: linux::DATAGRAM_BUFFER,
                refused: false,
                reader: Waiter::default(),
            };
            state.datagrams.sockets.insert(id, bound);
            Ok(DatagramSocket {
                net: self.clone(),
                node,
                id,
            })
        })
    }
}

impl DatagramSocket {
    fn with<R>(
        &self,
        act: impl FnOnce(&mut Bound, &mut Aftermath, VirtualTime) -> R,
    ) -> io::Result<R> {
        self.net.turn(|state, aftermath, now| {
            let socket = state.datagrams.sockets.get_mut(&self.id);
            Ok(act(socket.ok_or_else(node_is_down)?, aftermath, now))
        })
    }

    /// Its own address.
    ///
    /// # Errors
    /// The node is down; so in all of these.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.with(|socket, _, _| socket.local)
    }

    /// Whom it is connected to.
    ///
    /// # Errors
    /// As [`local`](Self::local).
    pub fn peer(&self) -> io::Result<Option<SocketAddr>> {
        self.with(|socket, _, _| socket.peer)
    }

    /// From now on it hears of one peer alone, or of everybody, at this address of its own.
    ///
    /// # Errors
    /// As [`local`](Self::local).
    pub fn connect(&self, local: IpAddr, peer: Option<SocketAddr>) -> io::Result<()> {
        self.with(|socket, _, _| {
            socket.local.set_ip(local);
            socket.peer = peer;
            socket.refused = false;
        })
    }

    /// How much it keeps of what nobody has read (`SO_RCVBUF`).
    ///
    /// # Errors
    /// As [`local`](Self::local).
    pub fn set_room(&self, bytes: usize) -> io::Result<()> {
        self.with(|socket, _, _| socket.room = bytes)
    }

    /// Sends a datagram to an address of the machine `to`, from one of its own. Whether any machine is there is nothing
    /// that it hears of.
    ///
    /// # Errors
    /// `ECONNREFUSED` if something that was sent before was refused.
    pub fn send(
        &self,
        source: SocketAddr,
        to: NodeIx,
        target: SocketAddr,
        bytes: Bytes,
    ) -> io::Result<()> {
        if let Some(error) = self.take_error()? {
            return Err(error);
        }
        let known = {
            let state = self.net.lock();
            let known = state.fabric.knows(to);
            known.then(|| state.fabric.node(to).name.clone())
        };
        let Some(name) = known else {
            return Ok(());
        };
        let label = format!("udp:{}", target.port());
        let site = Reached::Send {
            to,
            label: &label,
            bytes: &bytes,
        };
        let Verdict { dead, burst } = self.net.host.reached(self.node, site);
        if dead {
            return Err(node_is_down());
        }
        let (ordinal, fate, latency) = self.net.turn(|state, _, now| {
            let way = state.datagrams.ways.entry((self.node, to)).or_default();
            let ordinal = DATAGRAM + way.sent;
            way.sent += 1;
            let flight = Flight {
                from: self.node,
                to,
                source,
                target,
                ordinal,
                bytes: Some(bytes.clone()),
            };
            let (fate, latency) = state.send_datagram(flight, burst, now);
            (ordinal, fate, latency)
        });
        let what = What::Burst {
            to: (&*name).into(),
            connection: ordinal,
            bytes: Cow::Borrowed(&bytes),
            label: label.into(),
            latency,
            fate,
        };
        self.net.host.record(self.node, what);
        Ok(())
    }

    /// What has arrived first. A peek leaves it there.
    ///
    /// # Errors
    /// `WouldBlock` if nothing has; `ECONNREFUSED` if something that was sent was refused.
    pub fn receive(&self, peek: bool) -> io::Result<Datagram> {
        self.with(|socket, _, _| {
            if std::mem::take(&mut socket.refused) {
                return Err(error(linux::CONNECTION_REFUSED));
            }
            let found = match peek {
                true => socket.inbox.front().cloned(),
                false => socket.inbox.pop_front(),
            };
            if let (Some(datagram), false) = (&found, peek) {
                socket.used -= datagram.room();
            }
            found.ok_or_else(|| io::ErrorKind::WouldBlock.into())
        })?
    }

    /// How long the first is of those that have arrived; none if there are none.
    ///
    /// # Errors
    /// As [`local`](Self::local).
    pub fn unread(&self) -> io::Result<Option<usize>> {
        self.with(|socket, _, _| socket.inbox.front().map(|first| first.bytes.len()))
    }

    /// The error that has not been reported yet (`SO_ERROR`); it counts as reported.
    ///
    /// # Errors
    /// As [`local`](Self::local).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.with(|socket, _, _| {
            let refused = std::mem::take(&mut socket.refused);
            refused.then(|| error(linux::CONNECTION_REFUSED))
        })
    }

    /// Whether something has arrived, and whether there is an error; `waker` is woken by news of either.
    pub fn readiness(&self, waker: &Waker) -> (bool, bool) {
        self.net.turn(|state, aftermath, now| {
            let deadline = match state.datagrams.sockets.get(&self.id) {
                None => return (false, false),
                Some(socket) => state.datagrams.deadline(socket),
            };
            let Some(socket) = state.datagrams.sockets.get_mut(&self.id) else {
                return (false, false);
            };
            aftermath.forgotten.extend(socket.reader.park(waker));
            if let Some(at) = deadline {
                socket.reader.arm(now, at);
            }
            (!socket.inbox.is_empty(), socket.refused)
        })
    }
}

impl Drop for DatagramSocket {
    fn drop(&mut self) {
        self.net.turn(|state, aftermath, _| {
            if let Some(mut socket) = state.datagrams.sockets.remove(&self.id) {
                socket.reader.forget(aftermath);
            }
        });
    }
}
