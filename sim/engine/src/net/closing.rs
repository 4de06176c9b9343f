//! How a connection ends.

use std::{io, time::Duration};

use squall_core::{event::ConnectionEvent, time::VirtualTime};

use super::{
    Aftermath, Fabric,
    connection::{CLIENT, Connection, SERVER},
    linux::{self, error},
    pipe::{Content, Flight, Packet},
    sending::Kind,
};

impl Connection {
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
    pub fn flush(&mut self, end: usize, fabric: &mut Fabric, now: VirtualTime) {
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

    /// Sends a reset from `end`. It is sent once: where it does not pass it is lost.
    pub fn emit_reset(&mut self, end: usize, fabric: &mut Fabric, at: VirtualTime) {
        if self.obstacle(end, fabric).is_none() {
            let burst = self.pipes[end].bursts;
            let arrives = at + self.travel(end, Kind::Reset, burst, fabric);
            let packet = Packet::control(Content::Reset, burst);
            self.launch(end, Flight::unhindered(packet, at, arrives));
        }
    }

    pub fn reset_arrived(&mut self, end: usize, fabric: &Fabric, aftermath: &mut Aftermath) {
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
            self.tell(end, ConnectionEvent::Reset, fabric, aftermath);
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

    /// Why nothing can be written at `end`.
    pub fn write_error(&mut self, end: usize) -> Option<io::Error> {
        if let Some(code) = self.ends[end].error.take() {
            return Some(error(code));
        }
        let closed = !self.ends[end].alive || self.pipes[end].finished;
        closed.then(|| error(linux::BROKEN_PIPE))
    }
}
