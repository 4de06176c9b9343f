//! A connection: two ends, two pipes, and the events that move packets along them.
//!
//! Events are not pushed by a task of their own. [`Connection::advance`] catches up with the present, event by event
//! in order of time; whoever looks at a connection calls it first, and whoever is about to change the world (a link, a
//! node) calls it for every connection that may notice. So the state between two such instants never depends on who
//! looked. [`Connection::settle`] then sees to it that each waiting task runs when there is something new for it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Aftermath, Effect, Fabric,
    linux::{self, error},
    pipe::{Ack, Content, Flight, Lost, Packet, Pipe, Stall},
    timer::Waiter,
};
use crate::{host::NodeIx, time::VirtualTime};

/// The end that opened the connection.
pub const CLIENT: usize = 0;
/// The end that accepted it.
pub const SERVER: usize = 1;

/// The kind of a packet, as part of the key of its latency.
#[derive(Clone, Copy)]
pub enum Kind {
    Data,
    Ack,
    Open,
    Fin,
    Reset,
}

/// What keeps an idle connection under watch.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    pub idle: Duration,
    pub interval: Duration,
    pub probes: u32,
    /// Probes without an answer.
    failed: u32,
    due: VirtualTime,
}

/// One end of a connection, as its node's kernel and process know it.
#[derive(Debug)]
pub struct End {
    pub node: NodeIx,
    /// The process holds a handle, or the connection waits for it to accept.
    pub held: bool,
    /// The kernel knows the connection; otherwise it answers with a reset.
    pub alive: bool,
    /// Nobody reads here: answers are thrown away (the second connection of a duplicated burst).
    pub phantom: bool,
    /// The peer's FIN has arrived.
    pub end_of_file: bool,
    /// Reported once, by a read or a write.
    pub error: Option<i32>,
    pub reader: Waiter,
    pub writer: Waiter,
    pub user_timeout: Option<Duration>,
    keepalive: Option<Keepalive>,
    last_heard: VirtualTime,
}

impl End {
    fn new(node: NodeIx) -> Self {
        End {
            node,
            held: true,
            alive: true,
            phantom: false,
            end_of_file: false,
            error: None,
            reader: Waiter::default(),
            writer: Waiter::default(),
            user_timeout: None,
            keepalive: None,
            last_heard: VirtualTime::ZERO,
        }
    }

    /// The process lets go of the connection.
    pub fn release(&mut self, aftermath: &mut Aftermath) {
        self.held = false;
        self.reader.forget(aftermath);
        self.writer.forget(aftermath);
    }

    /// The kernel has lost the connection.
    fn fail(&mut self, code: i32, aftermath: &mut Aftermath) {
        self.alive = false;
        self.error = Some(code);
        self.keepalive = None;
        self.reader.wake(aftermath);
        self.writer.wake(aftermath);
    }
}

/// What is due on a connection. `usize` is a pipe, by its sending end.
#[derive(Clone, Copy)]
enum Event {
    Arrival(usize),
    Ack(usize),
    Retry(usize),
    GiveUp(usize),
    Keepalive(usize),
}

/// What a read finds.
pub enum Read {
    /// Bytes were copied, or the end of the stream is reached.
    Ready,
    Failed(i32),
    Empty,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    pub id: u64,
    /// Ordinal among those from one node to a port of another.
    pub ordinal: u64,
    pub port: u16,
    /// The listening socket in whose queues it is, until it is accepted.
    pub listening: Option<u64>,
    /// The handshake is complete at the server's end too.
    opened: bool,
    /// Cut for good: nothing passes any more, and neither end is told.
    pub severed: bool,
    /// The label of the last request.
    pub label: Arc<str>,
    pub ends: [End; 2],
    pub pipes: [Pipe; 2],
}

impl Connection {
    /// A connection as the client knows it when the SYN-ACK has arrived.
    pub fn new(id: u64, ordinal: u64, port: u16, listening: u64, nodes: [NodeIx; 2]) -> Self {
        let loopback = nodes[0] == nodes[1];
        Connection {
            id,
            ordinal,
            port,
            listening: Some(listening),
            opened: false,
            severed: false,
            label: format!("c{ordinal}").into(),
            ends: nodes.map(End::new),
            pipes: [Pipe::new(loopback), Pipe::new(loopback)],
        }
    }

    /// Whether one of its ends is on `node`.
    pub fn is_on(&self, node: NodeIx) -> bool {
        self.ends.iter().any(|end| end.node == node)
    }

    /// Whether it runs between these two, in either direction.
    pub fn is_between(&self, a: NodeIx, b: NodeIx) -> bool {
        let nodes = [self.ends[CLIENT].node, self.ends[SERVER].node];
        nodes == [a, b] || nodes == [b, a]
    }

    /// Whether a kernel knows it and a process uses it.
    pub fn is_up(&self) -> bool {
        !self.severed && self.ends.iter().any(|end| end.held && end.alive)
    }

    /// Whether nobody can notice it any more.
    pub fn is_over(&self) -> bool {
        self.ends.iter().all(|end| !end.held)
    }

    /// How many bursts and handshakes are under way between processes that live.
    pub fn undelivered(&self) -> usize {
        let attended = |end: &End| end.held || end.phantom;
        if self.severed || !self.ends.iter().all(attended) {
            return 0;
        }
        self.pipes.iter().map(Pipe::undelivered).sum()
    }

    /// What stops packets sent by `end`.
    pub fn obstacle(&self, end: usize, fabric: &Fabric) -> Option<Effect> {
        if self.severed {
            return Some(Effect::HalfOpen);
        }
        fabric.obstacle(self.ends[end].node, self.ends[1 - end].node)
    }

    /// 64 bits for a packet sent by `end`, which depend on nothing else that happens.
    fn bits(&self, end: usize, kind: Kind, burst: u64, part: u64, fabric: &Fabric) -> u64 {
        let link = fabric.link(self.ends[end].node, self.ends[1 - end].node);
        let way = u64::from(self.port) << 8 | (end as u64) << 4 | kind as u64;
        fabric
            .seed
            .keyed(&[link.key, way, self.ordinal, burst, part])
    }

    fn travel(&self, end: usize, kind: Kind, burst: u64, fabric: &Fabric) -> Duration {
        fabric
            .link(self.ends[end].node, self.ends[1 - end].node)
            .travel(self.bits(end, kind, burst, 0, fabric))
    }

    /// Hands a burst to the kernel of `end`. How long it travels, unless it has to wait.
    pub fn send(
        &mut self,
        end: usize,
        bytes: Bytes,
        extra: Duration,
        fabric: &mut Fabric,
        now: VirtualTime,
    ) -> Option<Duration> {
        let burst = self.pipes[end].bursts;
        self.pipes[end].bursts += 1;
        self.open_late(end, fabric);
        self.pipes[end].push(Packet {
            content: Content::Data(bytes),
            burst,
            part: 0,
            extra,
        });
        self.transmit(end, fabric, now);
        let sent = self.pipes[end]
            .flight
            .back()
            .filter(|f| f.packet.burst == burst);
        let latency = sent.map(|flight| flight.arrives.since(now));
        if latency.is_none()
            && let Some(obstacle) = self.obstacle(end, fabric)
        {
            self.touch(end, obstacle, fabric);
        }
        latency
    }

    fn touch(&self, end: usize, effect: Effect, fabric: &mut Fabric) {
        fabric
            .link_mut(self.ends[end].node, self.ends[1 - end].node)
            .touch(effect);
    }

    /// A client whose handshake was not acknowledged does not know it: its data takes the handshake along.
    fn open_late(&mut self, end: usize, fabric: &Fabric) {
        let head = self.pipes[end].queue.front();
        if matches!(
            head,
            Some(Packet {
                content: Content::Open,
                ..
            })
        ) && self.obstacle(end, fabric).is_none()
        {
            self.pipes[end].stall = None;
        }
    }

    /// Lets leave what the windows allow.
    pub fn transmit(&mut self, end: usize, fabric: &mut Fabric, at: VirtualTime) {
        let (from, to) = (self.ends[end].node, self.ends[1 - end].node);
        while self.pipes[end].stall.is_none() && !self.pipes[end].queue.is_empty() {
            if self.obstacle(end, fabric).is_some() {
                self.stall(end, Lost::Packet, at, fabric);
                return;
            }
            let limited = fabric.link(from, to).bandwidth.is_some();
            let limit = if limited { linux::MSS } else { usize::MAX };
            let Some(packet) = self.pipes[end].take(limit) else {
                return;
            };
            let kind = match packet.content {
                Content::Data(_) => Kind::Data,
                Content::Open => Kind::Open,
                Content::Fin => Kind::Fin,
                Content::Reset => Kind::Reset,
            };
            let bits = self.bits(end, kind, packet.burst, packet.part, fabric);
            let timeout = fabric.first_timeout(from, to);
            let link = fabric.link_mut(from, to);
            let mut departs = at;
            let mut attempt = bits;
            while link.loses(attempt) {
                departs =
                    linux::next_retransmission(at, timeout, departs + Duration::from_nanos(1));
                attempt = crate::seed::mix(attempt);
                link.touch(Effect::Loss);
            }
            let left = link.through(packet.len(), departs);
            if matches!(kind, Kind::Data) {
                if left > departs {
                    link.touch(Effect::Bandwidth);
                }
                if link.change.is_some() {
                    link.touch(Effect::Latency);
                }
            }
            let arrives = left + link.travel(bits) + packet.extra;
            self.launch(end, packet, departs, arrives);
        }
    }

    fn launch(&mut self, end: usize, packet: Packet, departs: VirtualTime, arrives: VirtualTime) {
        let pipe = &mut self.pipes[end];
        let arrives = arrives.max(pipe.last_arrival);
        pipe.last_arrival = arrives;
        pipe.flight.push_back(Flight {
            packet,
            departs,
            arrives,
        });
    }

    /// From now on `end` retransmits, until something gets through.
    fn stall(&mut self, end: usize, lost: Lost, since: VirtualTime, fabric: &Fabric) {
        if self.pipes[end].stall.is_some() {
            return;
        }
        let head = self.pipes[end].queue.front().map(|packet| &packet.content);
        let timeout = match head {
            Some(Content::Open) => linux::SYN_ACK_RETRY,
            _ => fabric.first_timeout(self.ends[end].node, self.ends[1 - end].node),
        };
        self.pipes[end].stall = Some(Stall {
            lost,
            since,
            timeout,
            retry: None,
            give_up: linux::give_up(since, timeout, self.ends[end].user_timeout),
        });
    }

    /// An obstacle may be gone: plans the next retransmission.
    pub fn resume(&mut self, fabric: &Fabric, now: VirtualTime) {
        for end in [CLIENT, SERVER] {
            let receiver = self.ends[1 - end].node;
            if self.obstacle(end, fabric).is_some() || !fabric.node(receiver).kernel {
                continue;
            }
            if let Some(stall) = &mut self.pipes[end].stall {
                stall.retry = Some(linux::next_retransmission(stall.since, stall.timeout, now));
            }
        }
    }

    /// The link from `end` has been cut: what has not left yet is held back.
    pub fn hold_back(&mut self, end: usize, fabric: &mut Fabric, now: VirtualTime) {
        let waiting = self.pipes[end].flight.iter().position(|f| f.departs > now);
        if let Some(first) = waiting {
            self.pipes[end].take_back(first);
            self.stall(end, Lost::Packet, now, fabric);
            if let Some(obstacle) = self.obstacle(end, fabric) {
                self.touch(end, obstacle, fabric);
            }
        }
        if let Some(stall) = &mut self.pipes[end].stall {
            stall.retry = None;
        }
    }

    /// Cuts the connection for good, both ways.
    pub fn sever(&mut self, fabric: &mut Fabric, now: VirtualTime) {
        self.severed = true;
        self.hold_back(CLIENT, fabric, now);
        self.hold_back(SERVER, fabric, now);
    }

    /// Catches up with everything that is due.
    pub fn advance(&mut self, fabric: &mut Fabric, aftermath: &mut Aftermath, now: VirtualTime) {
        if self.is_frozen(fabric) {
            return;
        }
        while let Some((at, event)) = self.next_event()
            && at <= now
        {
            match event {
                Event::Arrival(end) => self.arrive(end, fabric, aftermath, at),
                Event::Ack(end) => {
                    if let Some(ack) = self.pipes[end].acks.pop_front() {
                        self.acknowledged(end, ack, fabric, aftermath, at);
                    }
                }
                Event::Retry(end) => self.retry(end, fabric, at),
                Event::GiveUp(end) => self.time_out(end, fabric, aftermath),
                Event::Keepalive(end) => self.probe(end, fabric, aftermath, at),
            }
        }
    }

    fn is_frozen(&self, fabric: &Fabric) -> bool {
        self.ends.iter().any(|end| fabric.node(end.node).frozen)
    }

    fn next_event(&self) -> Option<(VirtualTime, Event)> {
        let mut next: Option<(VirtualTime, Event)> = None;
        let mut consider = |at: Option<VirtualTime>, event: Event| {
            if let Some(at) = at
                && next.is_none_or(|(first, _)| at < first)
            {
                next = Some((at, event));
            }
        };
        for end in [CLIENT, SERVER] {
            let pipe = &self.pipes[end];
            consider(pipe.flight.front().map(|f| f.arrives), Event::Arrival(end));
            consider(pipe.acks.front().map(|a| a.at), Event::Ack(end));
            if let Some(stall) = &pipe.stall {
                consider(stall.retry, Event::Retry(end));
                consider(Some(stall.give_up), Event::GiveUp(end));
            }
            consider(
                self.ends[end].keepalive.map(|k| k.due),
                Event::Keepalive(end),
            );
        }
        next
    }

    /// The packet at the head of the wire reaches the other end's kernel.
    fn arrive(
        &mut self,
        end: usize,
        fabric: &mut Fabric,
        aftermath: &mut Aftermath,
        at: VirtualTime,
    ) {
        let to = 1 - end;
        if !fabric.node(self.ends[to].node).kernel {
            self.lose(end, fabric, at);
            return;
        }
        let Some(flight) = self.pipes[end].flight.pop_front() else {
            return;
        };
        self.ends[to].last_heard = at;
        match flight.packet.content {
            Content::Open => self.opened(flight, fabric, aftermath, at),
            Content::Data(_) if !self.ends[to].alive => self.refuse(end, flight, fabric, at),
            Content::Data(bytes) if self.ends[to].phantom => {
                self.acknowledge(end, bytes.len(), bytes.len(), flight.departs, fabric, at);
                self.finish(to, fabric, at);
            }
            Content::Data(_) if !self.ends[to].held => {
                self.ends[to].alive = false;
                self.pipes[to].discard();
                self.refuse(end, flight, fabric, at);
            }
            Content::Data(bytes) => {
                aftermath.arrival(self, to, bytes.len(), fabric);
                self.acknowledge(end, bytes.len(), 0, flight.departs, fabric, at);
                self.pipes[end].inbox.push_back(bytes);
                self.ends[to].reader.wake(aftermath);
                self.carried_along(to, fabric, aftermath, at);
            }
            Content::Fin => {
                self.ends[to].end_of_file |= self.ends[to].alive;
                self.ends[to].reader.wake(aftermath);
            }
            Content::Reset => self.reset_arrived(to, fabric, aftermath),
        }
    }

    /// Data that arrives at `end` acknowledges what its peer has received.
    fn carried_along(
        &mut self,
        end: usize,
        fabric: &mut Fabric,
        aftermath: &mut Aftermath,
        at: VirtualTime,
    ) {
        let missed = self.pipes[end].owed.take();
        if missed.is_some() || self.pipes[end].misses_ack() {
            let ack = missed.unwrap_or(Ack {
                at,
                arrived: 0,
                read: 0,
            });
            self.acknowledged(end, ack, fabric, aftermath, at);
        }
    }

    /// The packets of `end` that are on the wire reach nobody.
    fn lose(&mut self, end: usize, fabric: &Fabric, at: VirtualTime) {
        let since = self.pipes[end].flight.front().map_or(at, |f| f.departs);
        self.pipes[end].take_back(0);
        if !self.pipes[end].queue.is_empty() {
            self.stall(end, Lost::Packet, since, fabric);
        }
    }

    /// The client's part of the handshake has reached the listening socket.
    fn opened(
        &mut self,
        flight: Flight,
        fabric: &mut Fabric,
        aftermath: &mut Aftermath,
        at: VirtualTime,
    ) {
        let node = fabric.node_mut(self.ends[SERVER].node);
        let socket = node.listening.get_mut(&self.port);
        match socket.filter(|socket| Some(socket.id) == self.listening) {
            Some(socket) if socket.is_full() => {
                self.pipes[CLIENT].flight.push_front(flight);
                self.lose(CLIENT, fabric, at);
            }
            Some(socket) => {
                socket.pending.retain(|id| *id != self.id);
                socket.ready.push_back(self.id);
                self.opened = true;
                socket.waiter.wake(aftermath);
            }
            None => {
                self.ends[SERVER].alive = false;
                self.ends[SERVER].release(aftermath);
                self.refuse(CLIENT, flight, fabric, at);
            }
        }
    }

    /// The kernel at the other end knows no such connection and says so, if the answer gets through.
    fn refuse(&mut self, end: usize, flight: Flight, fabric: &mut Fabric, at: VirtualTime) {
        if self.obstacle(1 - end, fabric).is_some() {
            self.pipes[end].flight.push_front(flight);
            self.lose(end, fabric, at);
        } else {
            self.emit_reset(1 - end, fabric, at);
        }
    }

    /// Sends a reset from `end`. It is sent once: where it does not pass it is lost.
    fn emit_reset(&mut self, end: usize, fabric: &mut Fabric, at: VirtualTime) {
        if self.obstacle(end, fabric).is_none() {
            let burst = self.pipes[end].bursts;
            let arrives = at + self.travel(end, Kind::Reset, burst, fabric);
            self.launch(end, Packet::control(Content::Reset, burst), at, arrives);
        }
    }

    fn reset_arrived(&mut self, end: usize, fabric: &Fabric, aftermath: &mut Aftermath) {
        if !self.ends[end].alive {
            return;
        }
        let code = if self.ends[end].end_of_file {
            linux::BROKEN_PIPE
        } else {
            linux::CONNECTION_RESET
        };
        self.pipes[end].discard();
        if self.ends[end].held {
            aftermath.connection(self, end, "reset", fabric);
        }
        self.ends[end].fail(code, aftermath);
    }

    /// A fault resets both ends at once.
    pub fn reset_both(&mut self, fabric: &Fabric, aftermath: &mut Aftermath) {
        for end in [CLIENT, SERVER] {
            self.pipes[end].flight.clear();
            self.reset_arrived(end, fabric, aftermath);
        }
    }

    /// A fault resets the connection at a burst of `end`: at once there, a latency later at the peer.
    pub fn reset_from(
        &mut self,
        end: usize,
        fabric: &mut Fabric,
        aftermath: &mut Aftermath,
        now: VirtualTime,
    ) {
        self.reset_arrived(end, fabric, aftermath);
        self.ends[end].error = None;
        self.emit_reset(end, fabric, now);
    }

    /// `bytes` of `end` have arrived, of which `read` are out of the window already: the news goes back.
    fn acknowledge(
        &mut self,
        end: usize,
        bytes: usize,
        read: usize,
        departed: VirtualTime,
        fabric: &Fabric,
        at: VirtualTime,
    ) {
        let back = 1 - end;
        let ack = Ack {
            at,
            arrived: bytes,
            read,
        };
        if self.obstacle(back, fabric).is_some() {
            self.pipes[end].owe(ack);
            self.stall(end, Lost::Ack, departed, fabric);
        } else {
            let travel = self.travel(back, Kind::Ack, self.pipes[end].bursts, fabric);
            self.pipes[end].acknowledge(Ack {
                at: at + travel,
                ..ack
            });
        }
    }

    fn acknowledged(
        &mut self,
        end: usize,
        ack: Ack,
        fabric: &mut Fabric,
        aftermath: &mut Aftermath,
        at: VirtualTime,
    ) {
        let pipe = &mut self.pipes[end];
        pipe.acknowledged(ack.arrived, ack.read);
        if pipe.misses_ack() {
            pipe.stall = None;
        }
        self.ends[end].last_heard = at;
        self.transmit(end, fabric, at);
        if self.pipes[end].is_writable() {
            self.ends[end].writer.wake(aftermath);
        }
    }

    /// A retransmission leaves.
    fn retry(&mut self, end: usize, fabric: &mut Fabric, at: VirtualTime) {
        let Some(stall) = &mut self.pipes[end].stall else {
            return;
        };
        stall.retry = None;
        let lost = stall.lost;
        let receiver = &self.ends[1 - end];
        if self.obstacle(end, fabric).is_some() || !fabric.node(receiver.node).kernel {
            return;
        }
        if lost == Lost::Packet {
            self.pipes[end].stall = None;
            self.pipes[end].collapse();
            self.transmit(end, fabric, at);
            return;
        }
        if self.obstacle(1 - end, fabric).is_some() {
            return;
        }
        let there = at + self.travel(end, Kind::Data, self.pipes[end].bursts, fabric);
        if self.ends[1 - end].alive {
            let back = self.travel(1 - end, Kind::Ack, self.pipes[end].bursts, fabric);
            self.pipes[end].acknowledge(Ack {
                at: there + back,
                arrived: 0,
                read: 0,
            });
        } else {
            self.emit_reset(1 - end, fabric, there);
        }
    }

    fn time_out(&mut self, end: usize, fabric: &Fabric, aftermath: &mut Aftermath) {
        self.pipes[end].discard();
        if self.ends[end].held {
            aftermath.connection(self, end, "timed out", fabric);
        }
        self.ends[end].fail(linux::TIMED_OUT, aftermath);
    }

    /// Watches the connection while it is idle.
    pub fn watch(
        &mut self,
        end: usize,
        idle: Duration,
        interval: Duration,
        probes: u32,
        now: VirtualTime,
    ) {
        self.ends[end].last_heard = now;
        self.ends[end].keepalive = Some(Keepalive {
            idle,
            interval,
            probes,
            failed: 0,
            due: now + idle,
        });
    }

    fn probe(
        &mut self,
        end: usize,
        fabric: &mut Fabric,
        aftermath: &mut Aftermath,
        at: VirtualTime,
    ) {
        let Some(mut watch) = self.ends[end].keepalive else {
            return;
        };
        let heard = self.ends[end].last_heard + watch.idle;
        let peer = &self.ends[1 - end];
        let answered = self.obstacle(end, fabric).is_none()
            && self.obstacle(1 - end, fabric).is_none()
            && fabric.node(peer.node).kernel;
        if heard > at {
            watch.failed = 0;
            watch.due = heard;
        } else if answered && !peer.alive {
            self.emit_reset(1 - end, fabric, at + self.travel(end, Kind::Ack, 0, fabric));
            watch.due = at + watch.idle;
        } else if answered {
            watch.failed = 0;
            watch.due = at + watch.idle;
        } else if watch.failed == watch.probes {
            self.time_out(end, fabric, aftermath);
            return;
        } else {
            watch.failed += 1;
            watch.due = at + watch.interval;
        }
        self.ends[end].keepalive = Some(watch);
    }

    /// Copies what has arrived, and makes room in the window.
    pub fn read(
        &mut self,
        end: usize,
        into: &mut tokio::io::ReadBuf<'_>,
        fabric: &Fabric,
        now: VirtualTime,
    ) -> Read {
        let from = 1 - end;
        let before = into.filled().len();
        while into.remaining() > 0
            && let Some(bytes) = self.pipes[from].inbox.front_mut()
        {
            let part = bytes.split_to(bytes.len().min(into.remaining()));
            into.put_slice(&part);
            if bytes.is_empty() {
                self.pipes[from].inbox.pop_front();
            }
        }
        let read = into.filled().len() - before;
        if read > 0 {
            self.make_room(from, read, fabric, now);
            return Read::Ready;
        }
        if into.remaining() == 0 {
            return Read::Ready;
        }
        let peer_has_ended = self.ends[end].end_of_file;
        match self.ends[end].error {
            Some(code) if !peer_has_ended => {
                self.ends[end].error = None;
                Read::Failed(code)
            }
            _ if peer_has_ended || !self.ends[end].alive => Read::Ready,
            _ => Read::Empty,
        }
    }

    /// The process at the other end of `end` has read `bytes`. A sender that the window does not hold up is told
    /// nothing, since it could not notice.
    fn make_room(&mut self, end: usize, bytes: usize, fabric: &Fabric, now: VirtualTime) {
        if self.pipes[end].queue.is_empty() {
            self.pipes[end].acknowledged(0, bytes);
        } else if self.ends[1 - end].alive {
            self.acknowledge(end, 0, bytes, now, fabric, now);
        }
    }

    /// Why nothing can be written at `end`.
    pub fn write_error(&mut self, end: usize) -> Option<std::io::Error> {
        if let Some(code) = self.ends[end].error.take() {
            return Some(error(code));
        }
        let closed = !self.ends[end].alive || self.pipes[end].finished;
        closed.then(|| error(linux::BROKEN_PIPE))
    }

    /// Queues a FIN after everything else; once.
    pub fn finish(&mut self, end: usize, fabric: &mut Fabric, now: VirtualTime) {
        let pipe = &mut self.pipes[end];
        if !std::mem::replace(&mut pipe.finished, true) {
            let burst = pipe.bursts;
            pipe.push(Packet::control(Content::Fin, burst));
            self.transmit(end, fabric, now);
        }
    }

    /// The process has closed `end`, or died: a FIN after everything written, or a reset where input is unread, and
    /// then what has not been sent is lost.
    pub fn close(
        &mut self,
        end: usize,
        fabric: &mut Fabric,
        aftermath: &mut Aftermath,
        now: VirtualTime,
    ) {
        self.ends[end].release(aftermath);
        if !self.ends[end].alive {
            return;
        }
        if self.pipes[1 - end].inbox.is_empty() {
            self.flush(end, fabric, now);
            self.finish(end, fabric, now);
        } else {
            self.abort(end, fabric, aftermath, now);
        }
    }

    /// The process has closed `end` with a reset (`SO_LINGER` of zero): what has not been sent is lost.
    pub fn abort(
        &mut self,
        end: usize,
        fabric: &mut Fabric,
        aftermath: &mut Aftermath,
        now: VirtualTime,
    ) {
        self.ends[end].release(aftermath);
        if std::mem::replace(&mut self.ends[end].alive, false) {
            self.flush(end, fabric, now);
            self.pipes[end].discard();
            self.emit_reset(end, fabric, now);
        }
    }

    /// The listening socket that should have accepted this has been closed: a reset, or nothing where the handshake is
    /// not complete.
    pub fn deny(&mut self, fabric: &mut Fabric, aftermath: &mut Aftermath, now: VirtualTime) {
        if self.opened {
            self.abort(SERVER, fabric, aftermath, now);
        } else {
            self.vanish(SERVER, aftermath);
        }
    }

    /// What a dead process has written without a flush leaves all the same.
    fn flush(&mut self, end: usize, fabric: &mut Fabric, now: VirtualTime) {
        let bytes = self.pipes[end].draft.split().freeze();
        if !bytes.is_empty() {
            self.send(end, bytes, Duration::ZERO, fabric, now);
        }
    }

    /// The kernel of `end` is gone.
    pub fn vanish(&mut self, end: usize, aftermath: &mut Aftermath) {
        self.ends[end].release(aftermath);
        self.ends[end].alive = false;
        self.ends[end].keepalive = None;
        self.pipes[end].discard();
        self.pipes[1 - end].inbox.clear();
    }

    /// When a task at `end` may next have something to notice.
    fn deadline(&self, end: usize) -> Option<VirtualTime> {
        let (out, back) = (&self.pipes[end], &self.pipes[1 - end]);
        let (own, peer) = (&self.ends[end], &self.ends[1 - end]);
        let flight = |pipe: &Pipe| pipe.flight.front().map(|f| f.arrives);
        let ack = |pipe: &Pipe| pipe.acks.front().map(|a| a.at);
        let blocked = own.writer.is_waiting() || !out.queue.is_empty();
        let peer_waits_to_send = !back.queue.is_empty();
        [
            flight(back),
            ack(back).filter(|_| peer_waits_to_send),
            back.stall
                .and_then(|stall| stall.retry)
                .filter(|_| peer_waits_to_send),
            flight(out).filter(|_| blocked || !peer.held),
            ack(out).filter(|_| blocked),
            out.stall
                .map(|stall| stall.retry.unwrap_or(stall.give_up).min(stall.give_up)),
            own.keepalive.map(|watch| watch.due),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Arms the timers of those who wait.
    pub fn settle(&mut self, fabric: &mut Fabric, now: VirtualTime) {
        if self.is_frozen(fabric) {
            return;
        }
        for end in [CLIENT, SERVER] {
            if !self.ends[end].reader.is_waiting() && !self.ends[end].writer.is_waiting() {
                continue;
            }
            if let Some(deadline) = self.deadline(end) {
                self.ends[end].reader.arm(now, deadline);
                self.ends[end].writer.arm(now, deadline);
            }
        }
        if let Some(listening) = self.listening
            && let Some((at, _)) = self.next_event()
            && let Some(socket) = fabric
                .node_mut(self.ends[SERVER].node)
                .listening
                .get_mut(&self.port)
            && socket.id == listening
        {
            socket.waiter.arm(now, at);
        }
    }
}
