//! A stream as a kernel's socket: calls that never wait, and what would wait.

use std::{
    io::{self, IoSlice},
    task::{Context, Waker},
};

use tokio::io::ReadBuf;

use super::{Stream, linux, receiving::Read};
use crate::net::{connection::CLIENT, node_is_down};

/// What a socket is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// A read returns at once: with bytes, the end or an error.
    pub readable: bool,
    /// A write takes something in at once, or fails.
    pub writable: bool,
    /// The peer has closed its half of the connection.
    pub end_of_file: bool,
    /// The connection is over, in both directions.
    pub hung_up: bool,
    /// An error has not been reported yet.
    pub failed: bool,
}

/// Where ephemeral ports begin (`net.ipv4.ip_local_port_range`), and how many there are.
const EPHEMERAL: (u64, u64) = (32_768, 28_232);

impl Stream {
    /// From now on sites of its bursts are named by what they say, where nobody has said on whose behalf they are.
    pub fn named_by_what_is_said(&self) {
        if let Some((connection, _)) = self.access(&mut self.net.lock()) {
            connection.said.get_or_insert_default();
        }
    }

    /// What the socket is ready for. `reader` is woken by whatever arrives from now on, `writer` once there is room.
    pub fn readiness(&self, reader: &Waker, writer: &Waker) -> Readiness {
        self.net.turn(|state, aftermath, now| {
            let Some((connection, fabric)) = self.access(state) else {
                return Readiness::default();
            };
            connection.advance(fabric, aftermath, now);
            let (end, from) = (self.end, 1 - self.end);
            let failed = connection.ends[end].error.is_some();
            let end_of_file = connection.ends[end].end_of_file;
            let over = !connection.ends[end].alive;
            let finished = connection.pipes[end].finished;
            let readable =
                !connection.pipes[from].inbox.is_empty() || end_of_file || failed || over;
            let writable = connection.pipes[end].free() > 0 || failed || over || finished;
            let ends = &mut connection.ends[end];
            if !over {
                aftermath.forgotten.extend(ends.reader.park(reader));
                if !writable {
                    aftermath.forgotten.extend(ends.writer.park(writer));
                }
            }
            connection.settle(fabric, now);
            Readiness {
                readable,
                writable,
                end_of_file: end_of_file || over,
                hung_up: over || (end_of_file && finished),
                failed,
            }
        })
    }

    /// Takes in as much as there is room for, and sends it as one burst.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room; `EPIPE`, or what became of the connection.
    pub fn send_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let nobody = &mut Context::from_waker(Waker::noop());
        let taken = self.take_in(nobody, parts)?;
        self.flush()?;
        taken.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Reads what has arrived; nothing at the end. A peek leaves it there.
    ///
    /// # Errors
    /// `WouldBlock` if nothing has arrived; what became of the connection.
    pub fn receive_now(&self, into: &mut [u8], peek: bool) -> io::Result<usize> {
        let found = self.net.turn(|state, aftermath, now| {
            let (connection, fabric) = self.access(state)?;
            connection.ends[self.end].reader.unpark();
            connection.advance(fabric, aftermath, now);
            let inbox = &connection.pipes[1 - self.end].inbox;
            if peek && !inbox.is_empty() {
                let mut len = 0;
                for bytes in inbox {
                    let part = bytes.len().min(into.len() - len);
                    into[len..len + part].copy_from_slice(&bytes[..part]);
                    len += part;
                }
                return Some((Read::Ready, len));
            }
            let mut buffer = ReadBuf::new(into);
            let found = connection.read(self.end, &mut buffer, fabric, now);
            let len = buffer.filled().len();
            connection.settle(fabric, now);
            Some((found, len))
        });
        match found {
            Some((Read::Ready, len)) => Ok(len),
            Some((Read::Failed(code), _)) => Err(linux::error(code)),
            Some((Read::Empty, _)) => Err(io::ErrorKind::WouldBlock.into()),
            None => Err(node_is_down()),
        }
    }

    /// Sends a FIN after everything written (`SHUT_WR`).
    pub fn finish(&self) {
        self.net.turn(|state, _, now| {
            if let Some((connection, fabric)) = self.access(state) {
                connection.finish(self.end, fabric, now);
                connection.settle(fabric, now);
            }
        });
    }

    /// How many bytes have arrived and are unread (`FIONREAD`).
    pub fn unread(&self) -> usize {
        self.net.turn(|state, aftermath, now| {
            self.access(state).map_or(0, |(connection, fabric)| {
                connection.advance(fabric, aftermath, now);
                let inbox = &connection.pipes[1 - self.end].inbox;
                inbox.iter().map(bytes::Bytes::len).sum()
            })
        })
    }

    /// The error that has not been reported yet, if any (`SO_ERROR`); it counts as reported.
    pub fn take_error(&self) -> Option<io::Error> {
        let mut state = self.net.lock();
        let (connection, _) = self.access(&mut state)?;
        connection.ends[self.end].error.take().map(linux::error)
    }

    /// The ports of both ends, this one's first.
    pub fn ports(&self) -> (u16, u16) {
        let mut state = self.net.lock();
        let Some(connection) = state.connections.get_mut(&self.connection) else {
            return (0, 0);
        };
        let client = (EPHEMERAL.0 + connection.ordinal % EPHEMERAL.1) as u16;
        match self.end == CLIENT {
            true => (client, connection.port),
            false => (connection.port, client),
        }
    }
}
