//! Pipes, and pairs of sockets, which are two of them.

mod fifo;

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(super) use self::fifo::Fifos;
use super::{
    Errno, Kernel,
    object::{Kind, ObjectId, events},
    unix::{Ends, Peer},
};

/// What a pipe holds (`/proc/sys/fs/pipe-max-size` is more; this is what it begins with).
pub(super) const CAPACITY: usize = 65_536;

/// There is room, for `poll`, when a page is free.
const PAGE: usize = 4096;

#[derive(Debug)]
struct Buffer {
    bytes: VecDeque<u8>,
    /// How many ends read and write it; more than one of each if it has a name.
    readers: u32,
    writers: u32,
    /// How many there have ever been.
    readers_ever: u64,
    writers_ever: u64,
    /// The other end went with data that it had not read: told once, as ECONNRESET.
    is_reset: bool,
    /// Whom to tell that there is something to read, or room.
    reader: Vec<ObjectId>,
    writer: Vec<ObjectId>,
    /// Where messages keep their bounds: the lengths of those in it.
    messages: Option<VecDeque<usize>>,
    /// How many bytes have been read.
    read: u64,
    /// Objects that are sent along, each with the bytes from which place to which one.
    rights: VecDeque<(Range<u64>, Vec<ObjectId>)>,
}

impl Buffer {
    /// How many bytes a read into room for so many gets, and how many it takes out.
    fn next(&self, room: usize) -> (usize, usize) {
        if let Some(message) = self.messages.as_ref().and_then(VecDeque::front) {
            return (room.min(*message), *message);
        }
        // What was sent with objects is not read together with what comes after it.
        let until = match self.rights.front() {
            Some((of, _)) => of.end - self.read,
            None => u64::MAX,
        };
        let len = room.min(self.bytes.len()).min(until as usize);
        (len, len)
    }

    /// Takes bytes out, and what was sent along with them.
    fn take(&mut self, len: usize, received: &mut Vec<ObjectId>) {
        self.bytes.drain(..len);
        if let Some(messages) = &mut self.messages {
            messages.pop_front();
        }
        while let Some((of, _)) = self.rights.front()
            && of.start < self.read + len as u64
        {
            received.extend(self.rights.pop_front().into_iter().flat_map(|(_, ids)| ids));
        }
        self.read += len as u64;
    }

    fn put(&mut self, bytes: &[u8], rights: Vec<ObjectId>) {
        let from = self.read + self.bytes.len() as u64;
        self.bytes.extend(bytes);
        if let Some(messages) = &mut self.messages {
            messages.push_back(bytes.len());
        }
        if !rights.is_empty() {
            self.rights
                .push_back((from..from + bytes.len() as u64, rights));
        }
    }

    fn is_over(&self) -> bool {
        self.writers == 0 || self.readers == 0
    }
}

/// One direction, seen from either end.
#[derive(Clone, Debug)]
struct Pipe(Arc<Mutex<Buffer>>);

impl Pipe {
    fn new(keeps_bounds: bool) -> Self {
        Pipe(Arc::new(Mutex::new(Buffer {
            bytes: VecDeque::new(),
            readers: 1,
            writers: 1,
            readers_ever: 1,
            writers_ever: 1,
            is_reset: false,
            reader: Vec::new(),
            writer: Vec::new(),
            messages: keeps_bounds.then(VecDeque::new),
            read: 0,
            rights: VecDeque::new(),
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
    /// How many others there had ever been at the other end when this one was opened.
    met: u64,
    /// It is one of messages, which keep their bounds.
    pub keeps_bounds: bool,
    /// `SO_RCVTIMEO`, in nanoseconds.
    pub receive_timeout: Option<u64>,
    /// What it knows of both ends, where they were connected by name.
    pub(super) ends: Option<Arc<Ends>>,
}

impl PipeEnd {
    fn new(reads: Option<Pipe>, writes: Option<Pipe>) -> Self {
        PipeEnd {
            is_socket: reads.is_some() && writes.is_some(),
            reads,
            writes,
            met: 0,
            keeps_bounds: false,
            receive_timeout: None,
            ends: None,
        }
    }

    /// Both ends of a pair of sockets.
    pub(super) fn pair(keeps_bounds: bool) -> [Self; 2] {
        let (there, back) = (Pipe::new(keeps_bounds), Pipe::new(keeps_bounds));
        [
            PipeEnd::new(Some(back.clone()), Some(there.clone())),
            PipeEnd::new(Some(there), Some(back)),
        ]
        .map(|end| PipeEnd {
            keeps_bounds,
            ..end
        })
    }

    /// It is this object.
    pub(super) fn attend(&self, id: ObjectId) {
        if let Some(pipe) = &self.reads {
            pipe.buffer().reader.push(id);
        }
        if let Some(pipe) = &self.writes {
            pipe.buffer().writer.push(id);
        }
    }

    pub fn mask(&self) -> u32 {
        let mut mask = 0;
        if let Some(pipe) = &self.reads {
            let buffer = pipe.buffer();
            if !buffer.bytes.is_empty() {
                mask |= events::IN;
            }
            if buffer.writers == 0 && buffer.writers_ever != self.met {
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
            if buffer.readers == 0 {
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

    /// The other end is told that there never was this one.
    pub(super) fn resets_other(&self) {
        if let Some(pipe) = &self.writes {
            pipe.buffer().is_reset = true;
        }
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
        let pipe = Pipe::new(false);
        let ends = [
            PipeEnd::new(Some(pipe.clone()), None),
            PipeEnd::new(None, Some(pipe)),
        ];
        self.install_ends(ends, place, flags)
    }

    /// `socketpair`.
    pub(super) fn pair(&mut self, domain: i32, kind: i32, place: usize) -> Result<isize, Errno> {
        let keeps_bounds = match (domain, kind & 0xf) {
            (libc::AF_UNIX, libc::SOCK_STREAM) => false,
            (libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_SEQPACKET) => true,
            (libc::AF_UNIX, _) => return Err(Errno(libc::ESOCKTNOSUPPORT)),
            (libc::AF_INET | libc::AF_INET6, _) => return Err(Errno(libc::EOPNOTSUPP)),
            _ => return Err(Errno(libc::EAFNOSUPPORT)),
        };
        let peer = Peer {
            pid: self.process.pid,
            user: self.process.user.0,
            group: self.process.user.1,
        };
        let ends = Some(Arc::new(Ends {
            peer,
            ..Ends::default()
        }));
        let pair = PipeEnd::pair(keeps_bounds).map(|end| PipeEnd {
            ends: ends.clone(),
            ..end
        });
        self.install_ends(pair, place, kind)
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
            end.attend(id);
            let fd = self.install(id, flags)?;
            self.memory.write_u32(place + 4 * ordinal, fd as u32);
        }
        Ok(0)
    }

    /// An end of a pair whose other end is silent for ever.
    pub(super) fn idle_pipe(&mut self) -> PipeEnd {
        PipeEnd::new(Some(Pipe::new(false)), Some(Pipe::new(false)))
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
            return match buffer.writers {
                0 => Ok(0),
                _ => Err(Errno(libc::EAGAIN)),
            };
        }
        let (len, taken) = buffer.next(into.len());
        for (to, from) in into.iter_mut().zip(buffer.bytes.iter().take(len)) {
            *to = *from;
        }
        if !peek {
            buffer.take(taken, &mut self.received);
        }
        let writers = buffer.writer.clone();
        drop(buffer);
        for writer in writers.into_iter().filter(|_| !peek) {
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
        if buffer.messages.is_some() && bytes.len() > CAPACITY {
            return Err(Errno(libc::EMSGSIZE));
        }
        let is_whole = buffer.messages.is_some();
        // What is no longer than a page is written as a whole or not at all.
        if room == 0 && !bytes.is_empty() || (is_whole || bytes.len() <= PAGE) && room < bytes.len()
        {
            return Err(Errno(libc::EAGAIN));
        }
        let len = bytes.len().min(room);
        let rights = std::mem::take(&mut self.sending);
        for id in &rights {
            if let Some(object) = self.objects.get_mut(*id) {
                object.descriptors += 1;
            }
        }
        buffer.put(&bytes[..len], rights);
        let readers = buffer.reader.clone();
        drop(buffer);
        for reader in readers {
            self.notify(reader, events::IN);
        }
        Ok(len)
    }

    /// The last descriptor of an end is gone.
    pub(super) fn pipe_closes(&mut self, end: &PipeEnd) {
        if let Some(pipe) = &end.reads {
            let mut buffer = pipe.buffer();
            buffer.readers = buffer.readers.saturating_sub(1);
            let (writers, unread) = (buffer.writer.clone(), !buffer.bytes.is_empty());
            let lost = std::mem::take(&mut buffer.rights);
            drop(buffer);
            for id in lost.into_iter().flat_map(|(_, ids)| ids) {
                self.give_up(id);
            }
            if let (Some(back), true) = (&end.writes, unread) {
                back.buffer().is_reset = true;
            }
            for writer in writers {
                self.notify(writer, events::OUT | events::ERR);
            }
        }
        self.pipe_ends(end);
    }

    /// Nothing more will be read at an end (`SHUT_RD`).
    pub(super) fn pipe_is_deaf(&mut self, end: &PipeEnd) {
        if let Some(pipe) = &end.reads {
            let mut buffer = pipe.buffer();
            (buffer.readers, buffer.writers) = (0, 0);
            let both = [buffer.reader.clone(), buffer.writer.clone()].concat();
            drop(buffer);
            for id in both {
                self.notify(id, events::IN | events::OUT | events::RDHUP);
            }
        }
    }

    /// Nothing more will be written at an end.
    pub(super) fn pipe_ends(&mut self, end: &PipeEnd) {
        if let Some(pipe) = &end.writes {
            let mut buffer = pipe.buffer();
            buffer.writers = buffer.writers.saturating_sub(1);
            let readers = buffer.reader.clone();
            drop(buffer);
            for reader in readers {
                self.notify(reader, events::IN | events::HUP | events::RDHUP);
            }
        }
    }
}
