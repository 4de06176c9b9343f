//! A process's end of a connection.

mod nonblocking;

use std::{
    borrow::Cow,
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use squall_core::{
    event::{ConnectionEvent, Fate, What},
    host::{BurstFault, NodeIx, Reached, Verdict},
    site::SAYS,
    time::VirtualTime,
};

pub use nonblocking::Readiness;

use super::{
    Aftermath, Fabric, Net, State,
    connection::{CLIENT, Connection},
    label::{self, Named},
    linux::{self, error},
    node_is_down,
    receiving::{self, Read},
};

/// A connected byte stream. Dropping it closes it as Linux does: with a FIN after everything written, or with a reset
/// where input is unread.
///
/// When its node has died, reads never end and writes fail.
pub struct Stream {
    net: Arc<Net>,
    connection: u64,
    end: usize,
    node: NodeIx,
    life: u32,
    peer: NodeIx,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("node", &self.node)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// A burst on its way out.
struct Burst {
    bytes: Bytes,
    to: NodeIx,
    peer: Arc<str>,
    ordinal: u64,
    label: Arc<str>,
}

impl Stream {
    /// A process's handle on `end` of a connection.
    pub(super) fn new(net: Arc<Net>, connection: &Connection, end: usize, life: u32) -> Self {
        Stream {
            net,
            connection: connection.id,
            end,
            node: connection.ends[end].node,
            life,
            peer: connection.ends[1 - end].node,
        }
    }

    /// The node at the other end.
    pub fn peer(&self) -> NodeIx {
        self.peer
    }

    /// Closes with a reset (`SO_LINGER` with a time of zero): the peer sees `ECONNRESET`, and what the windows have not
    /// let out is lost.
    pub fn abort(self) {
        let end = self.end;
        self.net.turn(|state, aftermath, now| {
            if let Some((connection, fabric)) = self.access(state) {
                connection.advance(fabric, aftermath, now);
                connection.abort(end, fabric, aftermath, now);
                connection.settle(fabric, now);
            }
            state.bury(self.connection);
        });
    }

    /// `SO_KEEPALIVE`: after `idle` without a sign of life the peer is probed each `interval`; after `probes` without an
    /// answer the connection ends with `ETIMEDOUT`.
    pub fn set_keepalive(&self, idle: Duration, interval: Duration, probes: u32) {
        self.net.turn(|state, aftermath, now| {
            if let Some((connection, fabric)) = self.access(state) {
                connection.advance(fabric, aftermath, now);
                connection.watch(self.end, idle, interval, probes, now);
                connection.settle(fabric, now);
            }
        });
    }

    /// Ends what [`set_keepalive`](Self::set_keepalive) began.
    pub fn end_keepalive(&self) {
        if let Some((connection, _)) = self.access(&mut self.net.lock()) {
            connection.ends[self.end].keepalive = None;
        }
    }

    /// `TCP_USER_TIMEOUT`: what is sent from now on and stays unacknowledged for so long ends the connection with
    /// `ETIMEDOUT`. Zero stands for the default.
    pub fn set_user_timeout(&self, timeout: Duration) {
        if let Some((connection, _)) = self.access(&mut self.net.lock()) {
            connection.ends[self.end].user_timeout = (!timeout.is_zero()).then_some(timeout);
        }
    }

    /// The connection, if the process still may use it.
    fn access<'a>(&self, state: &'a mut State) -> Option<(&'a mut Connection, &'a mut Fabric)> {
        if !state.fabric.lives(self.node, self.life) {
            return None;
        }
        let connection = state.connections.get_mut(&self.connection)?;
        connection.ends[self.end]
            .held
            .then_some((connection, &mut state.fabric))
    }

    /// Sends what has been written since the last flush, if anything.
    fn flush(&self) -> io::Result<()> {
        let Some(burst) = self.net.turn(|state, aftermath, now| {
            let (connection, fabric) = self.access(state).ok_or_else(node_is_down)?;
            if connection.pipes[self.end].draft.is_empty() {
                return Ok::<_, io::Error>(None);
            }
            connection.advance(fabric, aftermath, now);
            connection.settle(fabric, now);
            Ok(connection.take_draft(self.end, fabric))
        })?
        else {
            return Ok(());
        };
        let site = Reached::Send {
            to: burst.to,
            label: &burst.label,
            bytes: &burst.bytes,
        };
        let verdict = self.net.host.reached(self.node, site);
        self.carry_out(burst, verdict)
    }

    fn carry_out(&self, burst: Burst, verdict: Verdict) -> io::Result<()> {
        if verdict.dead {
            return Err(node_is_down());
        }
        let mut latency = Duration::ZERO;
        let fate = self.net.turn(|state, aftermath, now| {
            let (connection, fabric) = self.access(state).ok_or_else(node_is_down)?;
            let end = self.end;
            let mut fate = Fate::Sent;
            let mut extra = Duration::ZERO;
            match verdict.burst {
                Some(BurstFault::Reset) => {
                    connection.reset_from(end, fabric, aftermath, now);
                    connection.settle(fabric, now);
                    return Ok(Fate::Reset);
                }
                Some(BurstFault::Lose) => {
                    connection.sever(fabric, now);
                    fate = Fate::Lost;
                }
                Some(BurstFault::Delay(delay)) => {
                    extra = delay;
                    fate = Fate::Delayed;
                }
                Some(BurstFault::Duplicate(_)) if end == CLIENT => fate = Fate::Duplicated,
                Some(BurstFault::Duplicate(_)) | None => {}
            }
            match connection.send(end, burst.bytes.clone(), extra, fabric, now) {
                Some(travel) => latency = travel,
                None if fate != Fate::Lost => fate = Fate::HeldBack,
                None => {}
            }
            connection.settle(fabric, now);
            if let (Some(BurstFault::Duplicate(delay)), CLIENT) = (verdict.burst, end) {
                state.duplicate(self.connection, burst.bytes.clone(), delay, now);
            }
            Ok::<_, io::Error>(fate)
        })?;
        let what = What::Burst {
            to: (&*burst.peer).into(),
            connection: burst.ordinal,
            bytes: Cow::Borrowed(&burst.bytes),
            label: (&*burst.label).into(),
            latency,
            fate,
        };
        self.net.host.record(self.node, what);
        if fate == Fate::Reset {
            return Err(error(linux::CONNECTION_RESET));
        }
        Ok(())
    }

    /// Takes bytes into the send buffer. None: it is full, and `cx` will be woken.
    fn take_in(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        self.net.turn(|state, aftermath, now| {
            let (connection, fabric) = self.access(state).ok_or_else(node_is_down)?;
            connection.ends[self.end].writer.unpark();
            connection.advance(fabric, aftermath, now);
            if let Some(error) = connection.write_error(self.end) {
                return Err(error);
            }
            let pipe = &mut connection.pipes[self.end];
            let wanted = bufs.iter().map(|buf| buf.len()).sum::<usize>();
            let mut room = pipe.free();
            let taken = wanted.min(room);
            for buf in bufs {
                let part = buf.len().min(room);
                pipe.draft.extend_from_slice(&buf[..part]);
                room -= part;
            }
            let blocked = taken == 0 && wanted > 0;
            if blocked {
                let other = connection.ends[self.end].writer.park(cx.waker());
                aftermath.forgotten.extend(other);
            }
            connection.settle(fabric, now);
            Ok((!blocked).then_some(taken))
        })
    }

    fn write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            match self.take_in(cx, bufs)? {
                Some(taken) => return Poll::Ready(Ok(taken)),
                // A full buffer does not wait for a flush that its writer cannot reach.
                None if self.has_draft() => self.flush()?,
                None => return Poll::Pending,
            }
        }
    }

    fn has_draft(&self) -> bool {
        self.access(&mut self.net.lock())
            .is_some_and(|(connection, _)| !connection.pipes[self.end].draft.is_empty())
    }
}

impl Connection {
    /// The burst that has been written at `end`, unless the connection is dead and it can go nowhere.
    fn take_draft(&mut self, end: usize, fabric: &Fabric) -> Option<Burst> {
        let bytes = self.pipes[end].draft.split().freeze();
        if bytes.is_empty() || !self.ends[end].alive {
            return None;
        }
        if end == CLIENT {
            match label::of(&bytes) {
                Named::Operation(operation) if *operation == *self.label => {}
                Named::Operation(operation) => self.label = operation.into(),
                Named::Anonymous => self.label = format!("c{}", self.ordinal).into(),
                Named::Continues => {}
            }
        }
        let to = self.ends[1 - end].node;
        let says = self.said.as_mut().and_then(|said| said.of(&bytes));
        let is_anonymous = || *self.label == format!("c{}", self.ordinal);
        Some(Burst {
            label: match says {
                Some(says) if is_anonymous() => format!("{SAYS}{says}").into(),
                _ => self.label.clone(),
            },
            bytes,
            to,
            peer: fabric.node(to).name.clone(),
            ordinal: self.ordinal,
        })
    }
}

impl State {
    /// Forgets a connection that nobody can notice any more.
    fn bury(&mut self, connection: u64) {
        if self
            .connections
            .get(&connection)
            .is_some_and(Connection::is_over)
        {
            self.connections.remove(&connection);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let found = self.net.turn(|state, aftermath, now| {
                let (connection, fabric) = self.access(state)?;
                connection.ends[self.end].reader.unpark();
                connection.advance(fabric, aftermath, now);
                let found = connection.read(self.end, buf, fabric, now);
                let draft = !connection.pipes[self.end].draft.is_empty();
                if matches!(found, Read::Empty) && !draft {
                    let other = connection.ends[self.end].reader.park(cx.waker());
                    aftermath.forgotten.extend(other);
                }
                connection.settle(fabric, now);
                Some((found, draft))
            });
            match found {
                Some((Read::Ready, _)) => return Poll::Ready(Ok(())),
                Some((Read::Failed(code), _)) => return Poll::Ready(Err(error(code))),
                // Whoever waits for an answer has asked the whole question.
                Some((Read::Empty, true)) => self.flush()?,
                Some((Read::Empty, false)) | None => return Poll::Pending,
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flush()?;
        self.net.turn(|state, _, now| {
            if let Some((connection, fabric)) = self.access(state) {
                connection.finish(self.end, fabric, now);
                connection.settle(fabric, now);
            }
        });
        Poll::Ready(Ok(()))
    }
}

impl Stream {
    fn close(&self, state: &mut State, aftermath: &mut Aftermath, now: VirtualTime) {
        if let Some((connection, fabric)) = self.access(state) {
            connection.advance(fabric, aftermath, now);
            connection.tell(self.end, ConnectionEvent::Closed, fabric, aftermath);
            connection.close(self.end, fabric, aftermath, now);
            connection.settle(fabric, now);
        }
        state.bury(self.connection);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The node may die at this very burst; then there is nothing left to close.
        let _ = self.flush();
        self.net
            .turn(|state, aftermath, now| self.close(state, aftermath, now));
    }
}
