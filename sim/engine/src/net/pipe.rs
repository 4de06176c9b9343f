//! One direction of a connection: what its sender's kernel holds, what is on the wire, what its receiver's kernel holds.

use std::{collections::VecDeque, time::Duration};

use bytes::{Bytes, BytesMut};

use squall_core::time::VirtualTime;

use super::linux;

/// What a packet carries.
#[derive(Clone, Debug)]
pub enum Content {
    /// The last step of the handshake.
    Open,
    Data(Bytes),
    Fin,
    Reset,
}

/// A packet, sent or waiting to be.
#[derive(Clone, Debug)]
pub struct Packet {
    pub content: Content,
    /// Ordinal of the burst that it is from, in this direction.
    pub burst: u64,
    /// Ordinal within the burst; more than one only where a window or a limit splits it.
    pub part: u64,
    /// A fault makes it this much later.
    pub extra: Duration,
}

impl Packet {
    /// A packet that carries no data.
    pub fn control(content: Content, burst: u64) -> Self {
        Packet {
            content,
            burst,
            part: 0,
            extra: Duration::ZERO,
        }
    }

    /// How many bytes it carries.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Data(bytes) => bytes.len(),
            Content::Open | Content::Fin | Content::Reset => 0,
        }
    }
}

/// A packet on the wire.
#[derive(Clone, Debug)]
pub struct Flight {
    pub packet: Packet,
    /// When it was sent first.
    pub sent: VirtualTime,
    /// When it is sent last: later than now while it waits for its retransmission.
    pub ready: VirtualTime,
    /// When it has left: later than now while a limit of the link's bandwidth holds it up.
    pub departs: VirtualTime,
    pub arrives: VirtualTime,
}

impl Flight {
    /// Leaves at once.
    pub fn unhindered(packet: Packet, at: VirtualTime, arrives: VirtualTime) -> Self {
        Flight {
            packet,
            sent: at,
            ready: at,
            departs: at,
            arrives,
        }
    }
}

/// News for the sender.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    pub at: VirtualTime,
    /// Bytes that have arrived.
    pub arrived: usize,
    /// Bytes that the receiving process has read, which makes room in the window.
    pub read: usize,
}

/// What the sender misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The packet at the head of the queue.
    Packet,
    /// The acknowledgement of what has arrived.
    Ack,
}

/// The sender retransmits into nothing. Nothing else leaves meanwhile: its congestion window has collapsed.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    pub lost: Lost,
    pub since: VirtualTime,
    pub timeout: Duration,
    /// The next retransmission that may get through; none while an obstacle is known.
    pub retry: Option<VirtualTime>,
    pub give_up: VirtualTime,
}

/// One direction of a connection.
///
/// Every byte is in one place: draft, queue, flight, inbox, or read.
#[derive(Debug)]
pub struct Pipe {
    /// Written, not flushed: becomes one burst.
    pub draft: BytesMut,
    /// In the sender's kernel, not sent or to be sent again.
    pub queue: VecDeque<Packet>,
    /// On the wire, in order of arrival.
    pub flight: VecDeque<Flight>,
    /// In the receiver's kernel.
    pub inbox: VecDeque<Bytes>,
    /// On the way back, in order of arrival.
    pub acks: VecDeque<Ack>,
    /// Bytes in `queue`.
    queued: usize,
    /// Bytes sent of which the sender does not know that they arrived.
    pub unacked: usize,
    /// Bytes sent of which the sender does not know that they were read.
    pub window_used: usize,
    /// What a lost acknowledgement said; any later one says it too.
    pub owed: Option<Ack>,
    /// Packets arrive in the order of their departure, whatever their latency.
    pub last_arrival: VirtualTime,
    pub bursts: u64,
    pub stall: Option<Stall>,
    /// A FIN has been queued: nothing more can be written.
    pub finished: bool,
    congestion_window: usize,
    send_buffer: usize,
    receive_window: usize,
}

impl Pipe {
    pub fn new(loopback: bool) -> Self {
        let (send_buffer, receive_window) = if loopback {
            (linux::LOOPBACK_SEND_BUFFER, linux::LOOPBACK_RECEIVE_WINDOW)
        } else {
            let (times, per) = linux::SEND_BUFFER_PER_WINDOW;
            (linux::INITIAL_WINDOW * times / per, linux::RECEIVE_WINDOW)
        };
        Pipe {
            draft: BytesMut::new(),
            queue: VecDeque::new(),
            flight: VecDeque::new(),
            inbox: VecDeque::new(),
            acks: VecDeque::new(),
            queued: 0,
            unacked: 0,
            window_used: 0,
            owed: None,
            last_arrival: VirtualTime::ZERO,
            bursts: 0,
            stall: None,
            finished: false,
            congestion_window: linux::INITIAL_WINDOW,
            send_buffer,
            receive_window,
        }
    }

    /// How many bytes the sender's kernel still takes.
    pub fn free(&self) -> usize {
        self.send_buffer.saturating_sub(self.used())
    }

    fn used(&self) -> usize {
        self.draft.len() + self.queued + self.unacked
    }

    /// `sk_stream_is_writeable`: a blocked writer is woken when a third of the buffer is free.
    pub fn is_writable(&self) -> bool {
        self.free() * 2 >= self.used()
    }

    /// Puts a packet at the end of the queue.
    pub fn push(&mut self, packet: Packet) {
        self.queued += packet.len();
        self.queue.push_back(packet);
    }

    /// Takes the packet that may leave now, split if the windows or `limit` demand it.
    pub fn take(&mut self, limit: usize) -> Option<Packet> {
        let congestion = self.congestion_window.saturating_sub(self.unacked);
        let window = self.receive_window.saturating_sub(self.window_used);
        let room = congestion.min(window).min(limit);
        let front = self.queue.front_mut()?;
        let Content::Data(bytes) = &mut front.content else {
            return self.queue.pop_front();
        };
        if room == 0 {
            return None;
        }
        let packet = if bytes.len() <= room {
            self.queue.pop_front()?
        } else {
            let part = Packet {
                content: Content::Data(bytes.split_to(room)),
                ..*front
            };
            front.part += 1;
            part
        };
        self.queued -= packet.len();
        self.unacked += packet.len();
        self.window_used += packet.len();
        Some(packet)
    }

    /// Takes the flights from the `first` on back into the queue: they are lost and will be sent again. A reset is not.
    pub fn take_back(&mut self, first: usize) {
        while self.flight.len() > first {
            let Some(Flight { packet, .. }) = self.flight.pop_back() else {
                return;
            };
            let bytes = packet.len();
            self.unacked -= bytes;
            self.window_used -= bytes;
            self.queued += bytes;
            if !matches!(packet.content, Content::Reset) {
                self.queue.push_front(packet);
            }
        }
        self.last_arrival = self.flight.back().map_or(VirtualTime::ZERO, |f| f.arrives);
    }

    /// The sender learns what has arrived and what has been read.
    pub fn acknowledged(&mut self, arrived: usize, read: usize) {
        self.unacked = self.unacked.saturating_sub(arrived);
        self.window_used = self.window_used.saturating_sub(read);
        self.congestion_window =
            (self.congestion_window + arrived).min(linux::CONGESTION_WINDOW_MAX);
        let (times, per) = linux::SEND_BUFFER_PER_WINDOW;
        let grown = (self.congestion_window * times / per).min(linux::SEND_BUFFER_MAX);
        self.send_buffer = self.send_buffer.max(grown);
    }

    /// Whether the sender retransmits for want of an acknowledgement only.
    pub fn misses_ack(&self) -> bool {
        self.stall.is_some_and(|stall| stall.lost == Lost::Ack)
    }

    /// A retransmission timeout: slow start again.
    pub fn collapse(&mut self) {
        self.congestion_window = linux::INITIAL_WINDOW;
    }

    /// An acknowledgement has been lost; remembers what it said.
    pub fn owe(&mut self, ack: Ack) {
        let owed = self.owed.get_or_insert(Ack {
            arrived: 0,
            read: 0,
            ..ack
        });
        owed.arrived += ack.arrived;
        owed.read += ack.read;
    }

    /// Sends an acknowledgement, with all that earlier ones failed to say.
    pub fn acknowledge(&mut self, mut ack: Ack) {
        if let Some(owed) = self.owed.take() {
            ack.arrived += owed.arrived;
            ack.read += owed.read;
        }
        ack.at = ack
            .at
            .max(self.acks.back().map_or(VirtualTime::ZERO, |a| a.at));
        self.acks.push_back(ack);
    }

    /// The sender's kernel forgets the connection; what is on the wire stays there.
    pub fn discard(&mut self) {
        self.draft.clear();
        self.queue.clear();
        self.acks.clear();
        self.queued = 0;
        self.owed = None;
        self.stall = None;
        self.finished = true;
    }

    /// How many of its bursts have not reached the receiving process. Those in the queue of a `severed` connection never
    /// will.
    pub fn undelivered(&self, severed: bool) -> usize {
        let counts = |packet: &&Packet| matches!(packet.content, Content::Open | Content::Data(_));
        let queued = self.queue.iter().filter(counts).count();
        let travelling = self.flight.iter().map(|f| &f.packet).filter(counts);
        let unread = usize::from(!self.inbox.is_empty());
        travelling.count() + unread + if severed { 0 } else { queued }
    }
}
