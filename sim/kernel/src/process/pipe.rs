//! Pipes, and pairs of sockets, which are two of them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Errno, Kernel,
    object::{Kind, ObjectId, events},
};

/// What a pipe holds (`/proc/sys/fs/pipe-max-size` is more; this is what it begins with).
pub(super) const CAPACITY: usize = 65_536;

/// There is room, for `poll`, when a page is free.
const PAGE: usize = 4096;

#[derive(Debug)]
struct Buffer {
    bytes: VecDeque<u8>,
    has_reader: bool,
    has_writer: bool,
    /// The other end went with data that it had not read: told once, as ECONNRESET.
    is_reset: bool,
    /// Whom to tell that there is something to read, or room.
    reader: Option<ObjectId>,
    writer: Option<ObjectId>,
}

impl Buffer {
    fn is_over(&self) -> bool {
        !self.has_writer || !self.has_reader
    }
}

/// One direction, seen from either end.
#[derive(Clone, Debug)]
struct Pipe(Arc<Mutex<Buffer>>);

impl Pipe {
    fn new() -> Self {
        Pipe(Arc::new(Mutex::new(Buffer {
            bytes: VecDeque::new(),
            has_reader: true,
            has_writer: true,
            is_reset: false,
            reader: None,
            writer: None,
        })))
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An end of a pipe, or of a pair of sockets: then it reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct PipeEnd {
    reads: Option<Pipe>,
    writes: Option<Pipe>,
    pub is_socket: bool,
    /// `SO_RCVTIMEO`, in nanoseconds.
    pub receive_timeout: Option<u64>,
}

impl PipeEnd {
    pub fn mask(&self) -> u32 {
        let mut mask = 0;
        if let Some(pipe) = &self.reads {
            let buffer = pipe.buffer();
            if !buffer.bytes.is_empty() {
                mask |= events::IN;
            }
            if !buffer.has_writer {
                let over = self
                    .writes
                    .as_ref()
                    .is_none_or(|pipe| pipe.buffer().is_over());
                mask |= match (self.is_socket, over) {
                    (true, true) => events::IN | events::RDHUP | events::HUP,
                    (true, false) => events::IN | events::RDHUP,
                    (false, _) => events::HUP,
                };
            }
            if buffer.is_reset {
                mask |= events::ERR;
            }
        }
        if let Some(pipe) = &self.writes {
            let buffer = pipe.buffer();
            if !buffer.has_reader {
                mask |= if self.is_socket {
                    events::OUT
                } else {
                    events::OUT | events::ERR
                };
            } else if buffer.bytes.len() + PAGE <= CAPACITY {
                mask |= events::OUT;
            }
        }
        mask
    }

    /// `O_RDONLY` and its like.
    pub fn access(&self) -> i32 {
        match (&self.reads, &self.writes) {
            (Some(_), None) => libc::O_RDONLY,
            (None, Some(_)) => libc::O_WRONLY,
            _ => libc::O_RDWR,
        }
    }

    pub fn unread(&self) -> usize {
        self.reads
            .as_ref()
            .map_or(0, |pipe| pipe.buffer().bytes.len())
    }
}

impl Kernel {
    /// `pipe2`: a reading end and a writing one.
    pub(super) fn pipe(&mut self, place: usize, flags: i32) -> Result<isize, Errno> {
        if flags & !(libc::O_CLOEXEC | libc::O_NONBLOCK) != 0 {
            return Err(Errno(libc::EINVAL));
        }
        let pipe = Pipe::new();
        let ends = [
            PipeEnd {
                reads: Some(pipe.clone()),
                writes: None,
                is_socket: false,
                receive_timeout: None,
            },
            PipeEnd {
                reads: None,
                writes: Some(pipe),
                is_socket: false,
                receive_timeout: None,
            },
        ];
        self.install_ends(ends, place, flags)
    }

    /// `socketpair`.
    pub(super) fn pair(&mut self, domain: i32, kind: i32, place: usize) -> Result<isize, Errno> {
        match (domain, kind & 0xf) {
            (libc::AF_UNIX, libc::SOCK_STREAM) => {}
            (libc::AF_UNIX, _) => return Err(self.refuse("pairs of sockets for datagrams")),
            (libc::AF_INET | libc::AF_INET6, _) => return Err(Errno(libc::EOPNOTSUPP)),
            _ => return Err(Errno(libc::EAFNOSUPPORT)),
        }
        let flags = kind;
        let (there, back) = (Pipe::new(), Pipe::new());
        let ends = [
            PipeEnd {
                reads: Some(back.clone()),
                writes: Some(there.clone()),
                is_socket: true,
                receive_timeout: None,
            },
            PipeEnd {
                reads: Some(there),
                writes: Some(back),
                is_socket: true,
                receive_timeout: None,
            },
        ];
        self.install_ends(ends, place, flags)
    }

    fn install_ends(
        &mut self,
        ends: [PipeEnd; 2],
        place: usize,
        flags: i32,
    ) -> Result<isize, Errno> {
        for (ordinal, end) in ends.into_iter().enumerate() {
            let id = self
                .objects
                .add(Kind::Pipe(end.clone()), flags & libc::O_NONBLOCK != 0);
            if let Some(pipe) = &end.reads {
                pipe.buffer().reader = Some(id);
            }
            if let Some(pipe) = &end.writes {
                pipe.buffer().writer = Some(id);
            }
            let fd = self.install(id, flags)?;
            self.memory.write_u32(place + 4 * ordinal, fd as u32);
        }
        Ok(0)
    }

    /// An end of a pair whose other end is silent for ever.
    pub(super) fn idle_pipe(&mut self) -> PipeEnd {
        PipeEnd {
            reads: Some(Pipe::new()),
            writes: Some(Pipe::new()),
            is_socket: true,
            receive_timeout: None,
        }
    }

    pub(super) fn read_pipe(
        &mut self,
        end: &PipeEnd,
        into: &mut [u8],
        peek: bool,
    ) -> Result<usize, Errno> {
        let Some(pipe) = &end.reads else {
            return Err(Errno(libc::EBADF));
        };
        let mut buffer = pipe.buffer();
        if into.is_empty() {
            return Ok(0);
        }
        if buffer.bytes.is_empty() {
            if std::mem::take(&mut buffer.is_reset) {
                return Err(Errno(libc::ECONNRESET));
            }
            return match buffer.has_writer {
                true => Err(Errno(libc::EAGAIN)),
                false => Ok(0),
            };
        }
        let len = into.len().min(buffer.bytes.len());
        for (to, from) in into.iter_mut().zip(buffer.bytes.iter()) {
            *to = *from;
        }
        if !peek {
            buffer.bytes.drain(..len);
        }
        let writer = buffer.writer;
        drop(buffer);
        if let (Some(writer), false) = (writer, peek) {
            self.notify(writer, events::OUT);
        }
        Ok(len)
    }

    pub(super) fn write_pipe(&mut self, end: &PipeEnd, bytes: &[u8]) -> Result<usize, Errno> {
        let Some(pipe) = &end.writes else {
            return Err(Errno(libc::EBADF));
        };
        let mut buffer = pipe.buffer();
        if bytes.is_empty() && !end.is_socket {
            return Ok(0);
        }
        if buffer.is_over() {
            return Err(Errno(libc::EPIPE));
        }
        let room = CAPACITY - buffer.bytes.len().min(CAPACITY);
        // What is no longer than a page is written as a whole or not at all.
        if room == 0 && !bytes.is_empty() || bytes.len() <= 4096 && room < bytes.len() {
            return Err(Errno(libc::EAGAIN));
        }
        let len = bytes.len().min(room);
        buffer.bytes.extend(&bytes[..len]);
        let reader = buffer.reader;
        drop(buffer);
        if let Some(reader) = reader {
            self.notify(reader, events::IN);
        }
        Ok(len)
    }

    /// The last descriptor of an end is gone.
    pub(super) fn pipe_closes(&mut self, end: &PipeEnd) {
        if let Some(pipe) = &end.reads {
            let mut buffer = pipe.buffer();
            buffer.has_reader = false;
            let (writer, unread) = (buffer.writer, !buffer.bytes.is_empty());
            drop(buffer);
            if let (Some(back), true) = (&end.writes, unread) {
                back.buffer().is_reset = true;
            }
            if let Some(writer) = writer {
                self.notify(writer, events::OUT | events::ERR);
            }
        }
        self.pipe_ends(end);
    }

    /// Nothing more will be read at an end (`SHUT_RD`).
    pub(super) fn pipe_is_deaf(&mut self, end: &PipeEnd) {
        if let Some(pipe) = &end.reads {
            let mut buffer = pipe.buffer();
            (buffer.has_reader, buffer.has_writer) = (false, false);
            let (reader, writer) = (buffer.reader, buffer.writer);
            drop(buffer);
            for id in [reader, writer].into_iter().flatten() {
                self.notify(id, events::IN | events::OUT | events::RDHUP);
            }
        }
    }

    /// Nothing more will be written at an end.
    pub(super) fn pipe_ends(&mut self, end: &PipeEnd) {
        if let Some(pipe) = &end.writes {
            let mut buffer = pipe.buffer();
            buffer.has_writer = false;
            let reader = buffer.reader;
            drop(buffer);
            if let Some(reader) = reader {
                self.notify(reader, events::IN | events::HUP | events::RDHUP);
            }
        }
    }
}
