//! Bytes on their way through descriptors: `read`, `write`, `recvmsg`, `sendmsg` and their kin, whatever a descriptor refers
//! to.

use std::io::IoSlice;

use super::{
    Answer, Errno, Kernel,
    object::{Kind, events},
    signals::Target,
};
use crate::cpu::Tid;

impl Kernel {
    /// The parts of a buffer that lie apart (`iovec`).
    pub(super) fn parts(&self, at: usize, count: usize) -> Vec<(usize, usize)> {
        let part = |ordinal: usize| {
            let at = at + 16 * ordinal;
            (
                self.memory.read_u64(at) as usize,
                self.memory.read_u64(at + 8) as usize,
            )
        };
        (0..count.min(1024)).map(part).collect()
    }

    pub(super) fn message_parts(&self, message: usize) -> Vec<(usize, usize)> {
        let (at, count) = (
            self.memory.read_u64(message + 16),
            self.memory.read_u64(message + 24),
        );
        self.parts(at as usize, count as usize)
    }

    pub(super) fn read(&mut self, tid: Tid, fd: i32, parts: &[(usize, usize)]) -> Answer {
        let read = self.read_parts(fd, parts, false);
        self.drop_received();
        match read {
            Err(Errno(libc::EAGAIN)) => self.blocks(tid, fd, false, Errno(libc::EAGAIN)),
            result => result.into(),
        }
    }

    /// `recvmsg`.
    pub(super) fn receive_message(
        &mut self,
        tid: Tid,
        fd: i32,
        message: usize,
        flags: i32,
    ) -> Answer {
        let parts = self.message_parts(message);
        let answer = self.receive(tid, fd, &parts, flags);
        if let Answer::Done(0..) = answer {
            let room = self.memory.read_u64(message + 40) as usize;
            let name = self.memory.read_u64(message) as usize;
            match self.sender {
                Some(_) => self.put_sender(name, message + 8),
                None => self.memory.write_u32(message + 8, 0),
            }
            self.put_rights(message, room, flags);
        }
        answer
    }

    /// `sendmsg`.
    pub(super) fn send_message(&mut self, tid: Tid, fd: i32, message: usize, flags: i32) -> Answer {
        let parts = self.message_parts(message);
        let begun = self.threads.get(&tid).is_some_and(|one| one.progress > 0);
        if !begun && self.is_unix(fd) {
            self.sending = match self.rights_of(message) {
                Ok(rights) => rights,
                Err(error) => return Err(error).into(),
            };
        }
        let (name, len) = (
            self.memory.read_u64(message),
            self.memory.read_u32(message + 8),
        );
        self.addressee = match self.address_of_datagram(fd, name as usize, len as usize) {
            Ok(addressee) => addressee,
            Err(error) => return Err(error).into(),
        };
        let answer = self.send_to(tid, fd, &parts, flags);
        self.sending.clear();
        answer
    }

    pub(super) fn receive_from(
        &mut self,
        tid: Tid,
        fd: i32,
        parts: &[(usize, usize)],
        flags: i32,
    ) -> Answer {
        let answer = self.receive(tid, fd, parts, flags);
        self.drop_received();
        answer
    }

    fn receive(&mut self, tid: Tid, fd: i32, parts: &[(usize, usize)], flags: i32) -> Answer {
        match self.by_fd(fd).map(|(_, object)| &object.kind) {
            Ok(Kind::Socket(_) | Kind::Unix(_)) => {}
            Ok(Kind::Pipe(end)) if end.is_socket => {}
            Ok(_) => return Err(Errno(libc::ENOTSOCK)).into(),
            Err(error) => return Err(error).into(),
        }
        let waits = flags & libc::MSG_DONTWAIT == 0;
        let peek = flags & libc::MSG_PEEK != 0;
        if waits && !peek && flags & libc::MSG_WAITALL != 0 {
            let read = |process: &mut Self, rest: &[_]| match process.read_parts(fd, rest, false) {
                Ok(0) => Err(Errno(0)),
                result => result,
            };
            return self.all_of(tid, fd, parts, false, read);
        }
        match self.read_parts(fd, parts, peek) {
            Err(Errno(libc::EAGAIN)) if waits => self.blocks(tid, fd, false, Errno(libc::EAGAIN)),
            result => result.into(),
        }
    }

    /// A call that waits, if its descriptor does, until it has transferred everything, or cannot go on.
    fn all_of(
        &mut self,
        tid: Tid,
        fd: i32,
        parts: &[(usize, usize)],
        writes: bool,
        mut transfer: impl FnMut(&mut Self, &[(usize, usize)]) -> Result<isize, Errno>,
    ) -> Answer {
        let before = self.threads.get(&tid).map_or(0, |thread| thread.progress);
        let whole: usize = parts.iter().map(|(_, len)| len).sum();
        let mut skip = before;
        let mut rest = Vec::with_capacity(parts.len());
        for &(at, len) in parts {
            let gone = skip.min(len);
            skip -= gone;
            rest.push((at + gone, len - gone));
        }
        let (done, error) = match transfer(self, &rest) {
            Ok(more) => (before + more as usize, None),
            Err(error) => (before, Some(error)),
        };
        if done < whole && error.is_none_or(|error| error.0 == libc::EAGAIN) {
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.progress = done;
            }
            if let Answer::Wait(wait) = self.blocks(tid, fd, writes, Errno(libc::EAGAIN)) {
                return Answer::Wait(wait);
            }
        }
        match error {
            Some(error) if done == 0 => Err(error).into(),
            _ => Answer::Done(done as isize),
        }
    }

    fn read_parts(
        &mut self,
        fd: i32,
        parts: &[(usize, usize)],
        peek: bool,
    ) -> Result<isize, Errno> {
        self.object(fd)?;
        if parts.len() > 1 && self.is_unix(fd) {
            return self.read_message(fd, parts, peek);
        }
        if let Kind::Udp(_) = self.by_fd(fd)?.1.kind {
            return match parts.iter().all(|(_, len)| *len == 0) {
                true => Ok(0),
                false => Ok(self.receive_datagram(fd, parts, peek)?.copied as isize),
            };
        }
        let mut all = 0;
        for (ordinal, &(at, len)) in parts.iter().enumerate() {
            let memory = self.memory;
            let into = memory.slice_mut(at, len);
            match self.read_part(fd, into, peek) {
                Ok(read) => {
                    all += read;
                    if read < len || peek {
                        break;
                    }
                }
                Err(error) if ordinal == 0 || all == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(all as isize)
    }

    /// Reads what may be a message, whose parts go to different places.
    fn read_message(
        &mut self,
        fd: i32,
        parts: &[(usize, usize)],
        peek: bool,
    ) -> Result<isize, Errno> {
        let mut message = vec![0; parts.iter().map(|(_, len)| len).sum()];
        let read = self.read_part(fd, &mut message, peek)?;
        let mut rest = &message[..read];
        for &(at, len) in parts {
            let (part, left) = rest.split_at(len.min(rest.len()));
            self.memory.write(at, part);
            rest = left;
        }
        Ok(read as isize)
    }

    fn read_part(&mut self, fd: i32, into: &mut [u8], peek: bool) -> Result<usize, Errno> {
        let now = self.now();
        let (id, object) = self.by_fd(fd)?;
        match &mut object.kind {
            Kind::Input => Ok(0),
            Kind::Output { .. } => Err(Errno(libc::EBADF)),
            Kind::Event { count, semaphore } => {
                if into.len() < 8 {
                    return Err(Errno(libc::EINVAL));
                }
                let value = match (*count, *semaphore) {
                    (0, _) => return Err(Errno(libc::EAGAIN)),
                    (_, true) => 1,
                    (count, false) => count,
                };
                *count -= value;
                into[..8].copy_from_slice(&value.to_ne_bytes());
                self.notify(id, events::OUT);
                Ok(8)
            }
            Kind::Timer(timer) => {
                if into.len() < 8 {
                    return Err(Errno(libc::EINVAL));
                }
                match timer.expirations(now) {
                    0 => Err(Errno(libc::EAGAIN)),
                    count => {
                        into[..8].copy_from_slice(&count.to_ne_bytes());
                        Ok(8)
                    }
                }
            }
            Kind::Epoll(_) => Err(Errno(libc::EINVAL)),
            Kind::Signals(set) => {
                let set = *set;
                self.read_signals(set, into)
            }
            Kind::Pipe(end) => {
                let end = end.clone();
                self.read_pipe(&end, into, peek)
            }
            Kind::Socket(_) => self.receive_now(fd, into, peek),
            Kind::Udp(_) => Err(Errno(libc::EINVAL)),
            Kind::Unix(_) => self.receive_unix(fd, into, peek),
            Kind::File(file) => Ok(file.read(into)?),
        }
    }

    pub(super) fn write(&mut self, tid: Tid, fd: i32, parts: &[(usize, usize)]) -> Answer {
        match self.by_fd(fd).map(|(_, object)| &object.kind) {
            Ok(Kind::File(_)) => return self.write_at(tid, fd, parts, -1),
            Ok(Kind::Event { .. }) => {
                return match self.write_parts(fd, parts) {
                    Err(Errno(libc::EAGAIN)) => self.blocks(tid, fd, true, Errno(libc::EAGAIN)),
                    result => result.into(),
                };
            }
            _ => {}
        }
        let answer = self.all_of(tid, fd, parts, true, |process, rest| {
            process.write_parts(fd, rest)
        });
        self.told_of_broken_pipe(tid, answer, 0)
    }

    /// A thread that writes to where nobody reads any more gets a signal.
    pub(super) fn told_of_broken_pipe(&mut self, tid: Tid, answer: Answer, flags: i32) -> Answer {
        const BROKEN: isize = -(libc::EPIPE as isize);
        if let Answer::Done(BROKEN) = answer
            && flags & libc::MSG_NOSIGNAL == 0
        {
            let signal = self.own_signal(libc::SIGPIPE);
            self.raise(Target::Thread(tid), signal);
        }
        answer
    }

    pub(super) fn send_to(
        &mut self,
        tid: Tid,
        fd: i32,
        parts: &[(usize, usize)],
        flags: i32,
    ) -> Answer {
        match self.by_fd(fd).map(|(_, object)| &object.kind) {
            Ok(Kind::Socket(_) | Kind::Unix(_)) => {}
            Ok(Kind::Pipe(end)) if end.is_socket => {}
            Ok(_) => return Err(Errno(libc::ENOTSOCK)).into(),
            Err(error) => return Err(error).into(),
        }
        let answer = match flags & libc::MSG_DONTWAIT {
            0 => self.all_of(tid, fd, parts, true, |process, rest| {
                process.write_parts(fd, rest)
            }),
            _ => self.write_parts(fd, parts).into(),
        };
        self.told_of_broken_pipe(tid, answer, flags)
    }

    fn write_parts(&mut self, fd: i32, parts: &[(usize, usize)]) -> Result<isize, Errno> {
        let memory = self.memory;
        let (id, object) = self.by_fd(fd)?;
        match &mut object.kind {
            Kind::Input => Err(Errno(libc::EBADF)),
            Kind::Output { is_error } => {
                let is_error = *is_error;
                let mut all = 0;
                for &(at, len) in parts {
                    self.console
                        .write(&self.node, is_error, memory.slice(at, len));
                    all += len;
                }
                Ok(all as isize)
            }
            Kind::Event { count, .. } => {
                let value = match parts {
                    [(at, 8)] => memory.read_u64(*at),
                    _ => return Err(Errno(libc::EINVAL)),
                };
                if value == u64::MAX {
                    return Err(Errno(libc::EINVAL));
                }
                match count.checked_add(value) {
                    Some(sum) if sum < u64::MAX => *count = sum,
                    _ => return Err(Errno(libc::EAGAIN)),
                }
                self.notify(id, events::IN);
                Ok(8)
            }
            Kind::Timer(_) | Kind::Epoll(_) | Kind::Signals(_) | Kind::File(_) => {
                Err(Errno(libc::EINVAL))
            }
            Kind::Pipe(end) => {
                let end = end.clone();
                if end.keeps_bounds {
                    let whole: Vec<&[u8]> = parts
                        .iter()
                        .map(|&(at, len)| memory.slice(at, len))
                        .collect();
                    return Ok(self.write_pipe(&end, &whole.concat())? as isize);
                }
                let mut all = 0;
                for &(at, len) in parts {
                    match self.write_pipe(&end, memory.slice(at, len)) {
                        Ok(written) => {
                            all += written;
                            if written < len {
                                break;
                            }
                        }
                        Err(error) if all == 0 => return Err(error),
                        Err(_) => break,
                    }
                }
                Ok(all as isize)
            }
            Kind::Udp(_) => self.send_datagram(fd, parts, None),
            Kind::Unix(_) => {
                let whole: Vec<&[u8]> = parts
                    .iter()
                    .map(|&(at, len)| memory.slice(at, len))
                    .collect();
                Ok(self.send_unix(fd, whole.concat())? as isize)
            }
            Kind::Socket(_) => {
                let slices: Vec<IoSlice<'_>> = parts
                    .iter()
                    .map(|&(at, len)| IoSlice::new(memory.slice(at, len)))
                    .collect();
                Ok(self.send(fd, &slices)? as isize)
            }
        }
    }
}
