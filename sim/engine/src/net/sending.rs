//! The sender's kernel: what leaves, what is sent again, and when it gives up.

use std::time::Duration;

use bytes::Bytes;

use squall_core::{event::ConnectionEvent, seed::mix, time::VirtualTime};

use super::{
    Aftermath, Effect, Fabric,
    connection::{CLIENT, Connection, SERVER},
    linux,
    pipe::{Ack, Content, Flight, Lost, Packet, Stall},
};

/// The kind of a packet, as part of the key of its latency.
#[derive(Clone, Copy)]
pub enum Kind {
    Data,
    Ack,
    Open,
    Fin,
    Reset,
}

impl Connection {
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

    pub fn touch(&self, end: usize, effect: Effect, fabric: &mut Fabric) {
        fabric
            .link_mut(self.ends[end].node, self.ends[1 - end].node)
            .touch(effect);
    }

    /// A client whose handshake was not acknowledged does not know it: its data takes the handshake along.
    pub fn open_late(&mut self, end: usize, fabric: &Fabric) {
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
            let mut ready = at;
            let mut attempt = bits;
            while link.loses(attempt) {
                ready = linux::next_retransmission(at, timeout, ready + Duration::from_nanos(1));
                attempt = mix(attempt);
                link.touch(Effect::Loss);
            }
            let departs = link.through(packet.len(), ready);
            if matches!(kind, Kind::Data) {
                if departs > ready {
                    link.touch(Effect::Bandwidth);
                }
                if link.change.is_some() {
                    link.touch(Effect::Latency);
                }
            }
            let arrives = departs + link.travel(bits) + packet.extra;
            self.launch(
                end,
                Flight {
                    packet,
                    sent: at,
                    ready,
                    departs,
                    arrives,
                },
            );
        }
    }

    /// Puts a packet on the wire, behind those that are there.
    pub fn launch(&mut self, end: usize, mut flight: Flight) {
        let pipe = &mut self.pipes[end];
        flight.arrives = flight.arrives.max(pipe.last_arrival);
        pipe.last_arrival = flight.arrives;
        pipe.flight.push_back(flight);
    }

    /// 64 bits for a packet sent by `end`, which depend on nothing else that happens.
    pub fn bits(&self, end: usize, kind: Kind, burst: u64, part: u64, fabric: &Fabric) -> u64 {
        let link = fabric.link(self.ends[end].node, self.ends[1 - end].node);
        let way = u64::from(self.port) << 8 | (end as u64) << 4 | kind as u64;
        fabric
            .seed
            .keyed(&[link.key, way, self.ordinal, burst, part])
    }

    pub fn travel(&self, end: usize, kind: Kind, burst: u64, fabric: &Fabric) -> Duration {
        fabric
            .link(self.ends[end].node, self.ends[1 - end].node)
            .travel(self.bits(end, kind, burst, 0, fabric))
    }

    /// From now on `end` retransmits, until something gets through.
    pub fn stall(&mut self, end: usize, lost: Lost, since: VirtualTime, fabric: &Fabric) {
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

    /// Whether what was lost is to be sent again, and nothing is in its way.
    pub fn is_retransmitting(&self) -> bool {
        let mut stalls = self.pipes.iter().filter_map(|pipe| pipe.stall);
        stalls.any(|stall| stall.retry.is_some())
    }

    /// A retransmission leaves.
    pub fn retry(&mut self, end: usize, fabric: &mut Fabric, at: VirtualTime) {
        let Some(stall) = &mut self.pipes[end].stall else {
            return;
        };
        stall.retry = None;
        let lost = stall.lost;
        let receiver = &self.ends[1 - end];
        if self.obstacle(end, fabric).is_some() || !fabric.node(receiver.node).kernel {
            return;
        }
        fabric.retransmitted = fabric.retransmitted.max(at);
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

    /// The link from `end` loses or carries another share from now on: what has not left yet leaves under its new
    /// terms, and what was lost at its next retransmission.
    pub fn plan_anew(&mut self, end: usize, fabric: &mut Fabric, now: VirtualTime) {
        let waiting = self.pipes[end].flight.iter().position(|f| f.departs > now);
        let Some(first) = waiting else { return };
        let Flight { sent, ready, .. } = self.pipes[end].flight[first];
        self.pipes[end].take_back(first);
        if ready > now {
            self.stall(end, Lost::Packet, sent, fabric);
            self.resume(fabric, now);
        } else {
            self.transmit(end, fabric, now);
        }
    }

    /// Cuts the connection for good, both ways.
    pub fn sever(&mut self, fabric: &mut Fabric, now: VirtualTime) {
        self.severed = true;
        self.hold_back(CLIENT, fabric, now);
        self.hold_back(SERVER, fabric, now);
    }

    pub fn acknowledged(
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

    pub fn time_out(&mut self, end: usize, fabric: &Fabric, aftermath: &mut Aftermath) {
        self.pipes[end].discard();
        if self.ends[end].held {
            self.tell(end, ConnectionEvent::TimedOut, fabric, aftermath);
        }
        self.ends[end].fail(linux::TIMED_OUT, aftermath);
    }
}
