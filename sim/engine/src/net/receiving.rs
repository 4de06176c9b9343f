//! The receiver's kernel: what a packet finds when it arrives, and what the process reads.

use tokio::io::ReadBuf;

use squall_core::time::VirtualTime;

use super::{
    Aftermath, Fabric,
    connection::{CLIENT, Connection, SERVER},
    pipe::{Ack, Content, Flight, Lost},
    sending::Kind,
};

/// What a read finds.
pub enum Read {
    /// Bytes were copied, or the end of the stream is reached.
    Ready,
    Failed(i32),
    Empty,
}

impl Connection {
    /// The packet at the head of the wire reaches the other end's kernel.
    pub fn arrive(
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
                self.tell_arrival(to, bytes.len(), fabric, aftermath);
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

    /// The client's part of the handshake has reached the listening socket.
    pub fn opened(
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

    /// Data that arrives at `end` acknowledges what its peer has received.
    pub fn carried_along(
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

    /// `bytes` of `end` have arrived, of which `read` are out of the window already: the news goes back.
    pub fn acknowledge(
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

    /// The packets of `end` that are on the wire are lost.
    pub fn lose(&mut self, end: usize, fabric: &Fabric, at: VirtualTime) {
        let since = self.pipes[end].flight.front().map_or(at, |f| f.departs);
        self.pipes[end].take_back(0);
        if !self.pipes[end].queue.is_empty() {
            self.stall(end, Lost::Packet, since, fabric);
        }
    }

    /// The kernel at the other end knows no such connection and says so, if the answer gets through.
    pub fn refuse(&mut self, end: usize, flight: Flight, fabric: &mut Fabric, at: VirtualTime) {
        if self.obstacle(1 - end, fabric).is_some() {
            self.pipes[end].flight.push_front(flight);
            self.lose(end, fabric, at);
        } else {
            self.emit_reset(1 - end, fabric, at);
        }
    }

    /// Copies what has arrived, and makes room in the window.
    pub fn read(
        &mut self,
        end: usize,
        into: &mut ReadBuf<'_>,
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
    pub fn make_room(&mut self, end: usize, bytes: usize, fabric: &Fabric, now: VirtualTime) {
        if self.pipes[end].queue.is_empty() {
            self.pipes[end].acknowledged(0, bytes);
        } else if self.ends[1 - end].alive {
            self.acknowledge(end, 0, bytes, now, fabric, now);
        }
    }
}
