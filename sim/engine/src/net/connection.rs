//! A connection: two ends, two pipes, and the events that move packets along them.
//!
//! Events are not pushed by a task of their own. [`Connection::advance`] catches up with the present, event by event in
//! order of time. Code that looks at a connection calls it first, and so does code that is about to change the world (a
//! link, a node) calls it for every connection that may notice. So the state between two such instants never depends on
//! who looked. [`Connection::settle`] then sees to it that each waiting task runs when there is something new for it.

use std::sync::Arc;

use squall_core::{
    event::{ConnectionEvent, message::Said},
    host::NodeIx,
    time::VirtualTime,
};

use super::{Aftermath, Effect, Fabric, aftermath::Note, end::End, pipe::Pipe};

/// The end that opened the connection.
pub const CLIENT: usize = 0;
/// The end that accepted it.
pub const SERVER: usize = 1;

/// What is due on a connection. `usize` is a pipe, by its sending end.
#[derive(Clone, Copy)]
enum Event {
    Arrival(usize),
    Ack(usize),
    Retry(usize),
    GiveUp(usize),
    Keepalive(usize),
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
    pub opened: bool,
    /// Cut for good: nothing passes any more, and neither end is told.
    pub severed: bool,
    /// The label of the last request.
    pub label: Arc<str>,
    /// What its bursts say, where a program is at one of its ends.
    pub said: Option<Said>,
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
            said: None,
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

    /// Whether it can no longer be observed by any process.
    pub fn is_over(&self) -> bool {
        self.ends.iter().all(|end| !end.held)
    }

    /// How many bursts and handshakes are under way to a process that lives. Its peer may be dead: what that has sent
    /// arrives all the same.
    pub fn undelivered(&self) -> usize {
        let towards = |from: usize| {
            let receiver = &self.ends[1 - from];
            if receiver.alive && (receiver.held || receiver.phantom) {
                self.pipes[from].undelivered(self.severed)
            } else {
                0
            }
        };
        towards(CLIENT) + towards(SERVER)
    }

    /// What stops packets sent by `end`.
    pub fn obstacle(&self, end: usize, fabric: &Fabric) -> Option<Effect> {
        if self.severed {
            return Some(Effect::HalfOpen);
        }
        fabric.obstacle(self.ends[end].node, self.ends[1 - end].node)
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

    /// The host is to be told that a burst has arrived at `end`.
    pub fn tell_arrival(
        &self,
        end: usize,
        bytes: usize,
        fabric: &Fabric,
        aftermath: &mut Aftermath,
    ) {
        aftermath.notes.push(Note::Arrival {
            node: self.ends[end].node,
            from: fabric.node(self.ends[1 - end].node).name.clone(),
            connection: self.ordinal,
            bytes,
        });
    }

    /// The host is to be told that something happened to the connection, as `end` knows it.
    pub fn tell(
        &self,
        end: usize,
        event: ConnectionEvent,
        fabric: &Fabric,
        aftermath: &mut Aftermath,
    ) {
        aftermath.notes.push(Note::Connection {
            node: self.ends[end].node,
            peer: fabric.node(self.ends[1 - end].node).name.clone(),
            connection: self.ordinal,
            event,
        });
    }

    pub fn is_frozen(&self, fabric: &Fabric) -> bool {
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

    /// When a task at `end` may next have something to notice.
    pub fn deadline(&self, end: usize) -> Option<VirtualTime> {
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
