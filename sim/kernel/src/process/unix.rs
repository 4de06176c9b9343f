//! Unix sockets with a name: in the file system, or beside it (abstract).
//!
//! A connection is a pair of pipes, as `socketpair` makes them: a socket that is connected becomes one of its ends.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Answer, Errno, Kernel,
    object::{Kind, ObjectId, events},
    pipe::PipeEnd,
};
use crate::cpu::{Call, Memory, Tid};

/// Connections that wait to be accepted, at most (`net.core.somaxconn`).
const BACKLOG_MAX: i32 = 4096;
/// The length of a `sockaddr_un`.
const ADDRESS_LEN: usize = 110;

/// Datagrams that a socket holds, at most (`net.unix.max_dgram_qlen`), and how long one is.
const INBOX_MAX: usize = 11;
const DATAGRAM_MAX: usize = 212_960;

/// A name as a program gives it: the bytes behind the family, which of an abstract one begin with a zero.
pub(super) type Name = Vec<u8>;

/// Under what a socket is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Inode(u64),
    Abstract(Vec<u8>),
}

/// A process at one end of a connection: its number, user and group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    pub pid: Tid,
    pub user: u32,
    pub group: u32,
}

/// What one end of a connection knows of both.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    pub own: Name,
    pub other: Name,
    pub peer: Peer,
}

/// A Unix socket that is not connected.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    /// `SOCK_*`.
    kind: i32,
    name: Name,
    key: Option<Key>,
    /// Where it listens: how many may wait to be accepted, and those that do.
    queue: Option<(usize, VecDeque<PipeEnd>)>,
    /// Who listens.
    owner: Peer,
    /// Of a socket for datagrams: those that have come, and where its own go.
    inbox: VecDeque<Datagram>,
    addressee: Option<(ObjectId, Name)>,
}

#[derive(Debug)]
struct Datagram {
    bytes: Vec<u8>,
    from: Name,
    rights: Vec<ObjectId>,
}

impl UnixSocket {
    pub fn mask(&self) -> u32 {
        match &self.queue {
            None if self.kind == libc::SOCK_DGRAM => match self.inbox.is_empty() {
                true => events::OUT,
                false => events::IN | events::OUT,
            },
            Some((_, waiting)) if waiting.is_empty() => 0,
            Some(_) => events::IN,
            None => events::OUT | events::HUP,
        }
    }

    pub fn listens(&self) -> bool {
        self.queue.is_some()
    }

    pub fn kind(&self) -> i32 {
        self.kind
    }
}

/// Reads the name in a `sockaddr_un`.
fn read(memory: &Memory, at: usize, len: usize) -> Result<Name, Errno> {
    if !(2..=ADDRESS_LEN).contains(&len) {
        return Err(Errno(libc::EINVAL));
    }
    let bytes = memory.read(at, len);
    if i32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) != libc::AF_UNIX {
        return Err(Errno(libc::EINVAL));
    }
    let name = &bytes[2..];
    Ok(match name.first() {
        None | Some(0) => name.to_vec(),
        Some(_) => name
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or(name)
            .to_vec(),
    })
}

/// Writes a `sockaddr_un`, as far as there is room, and its length.
fn write(memory: &Memory, at: usize, len_at: usize, name: &Name) {
    if at == 0 || len_at == 0 {
        return;
    }
    let mut bytes = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    bytes.extend_from_slice(name);
    if name.first().is_some_and(|first| *first != 0) {
        bytes.push(0);
    }
    let room = memory.read_u32(len_at) as usize;
    memory.write(at, &bytes[..bytes.len().min(room)]);
    memory.write_u32(len_at, bytes.len() as u32);
}

impl Kernel {
    /// Whether a descriptor is of a Unix socket, connected or not.
    pub(super) fn is_unix(&self, fd: i32) -> bool {
        let object = self.object(fd).ok().and_then(|id| self.objects.get(id));
        match object.map(|object| &object.kind) {
            Some(Kind::Unix(_)) => true,
            Some(Kind::Pipe(end)) => end.is_socket,
            _ => false,
        }
    }

    fn unix_of(&mut self, fd: i32) -> Result<(ObjectId, &mut UnixSocket), Errno> {
        let (id, object) = self.by_fd(fd)?;
        match &mut object.kind {
            Kind::Unix(socket) => Ok((id, socket)),
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    fn as_peer(&self) -> Peer {
        let (user, group) = self.process.user;
        Peer {
            pid: self.process.pid,
            user,
            group,
        }
    }

    pub(super) fn unix_socket(&mut self, kind: i32) -> Result<isize, Errno> {
        let flags = kind & (libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
        let socket = UnixSocket {
            kind: match kind & 0xf {
                libc::SOCK_RAW => libc::SOCK_DGRAM,
                kind @ (libc::SOCK_STREAM | libc::SOCK_SEQPACKET | libc::SOCK_DGRAM) => kind,
                _ => return Err(Errno(libc::ESOCKTNOSUPPORT)),
            },
            name: Vec::new(),
            key: None,
            queue: None,
            owner: Peer::default(),
            inbox: VecDeque::new(),
            addressee: None,
        };
        self.open_object(Kind::Unix(Box::new(socket)), flags)
    }

    pub(super) fn bind_unix(&mut self, call: &Call) -> Result<isize, Errno> {
        let [fd, at, len, ..] = call.arguments;
        let mut name = read(&self.memory, at, len)?;
        let (id, socket) = self.unix_of(fd as i32)?;
        if socket.key.is_some() {
            return Err(Errno(libc::EINVAL));
        }
        let key = match name.first() {
            None => {
                name = format!("\0{:05x}", id.0).into_bytes();
                Key::Abstract(name.clone())
            }
            Some(0) => Key::Abstract(name.clone()),
            Some(_) => {
                let files = &self.process.files;
                match files.mknod(None, &name, libc::S_IFSOCK | 0o777) {
                    Err(squall_files::Errno(libc::EEXIST)) => {
                        return Err(Errno(libc::EADDRINUSE));
                    }
                    made => made?,
                }
                Key::Inode(files.stat(None, &name, false)?.ino)
            }
        };
        if self.unix_names.contains_key(&key) {
            return Err(Errno(libc::EADDRINUSE));
        }
        self.unix_names.insert(key.clone(), id);
        let (_, socket) = self.unix_of(fd as i32)?;
        (socket.name, socket.key) = (name, Some(key));
        Ok(0)
    }

    pub(super) fn listen_unix(&mut self, fd: i32, backlog: i32) -> Result<isize, Errno> {
        let owner = self.as_peer();
        let (id, socket) = self.unix_of(fd)?;
        if socket.kind == libc::SOCK_DGRAM {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        if socket.key.is_none() {
            return Err(Errno(libc::EINVAL));
        }
        let most = match backlog {
            0..=BACKLOG_MAX => backlog as usize,
            _ => BACKLOG_MAX as usize,
        };
        let waiting = socket.queue.take().map(|(_, waiting)| waiting);
        socket.queue = Some((most, waiting.unwrap_or_default()));
        socket.owner = owner;
        self.notify(id, 0);
        Ok(0)
    }

    /// The socket of a name.
    fn named(&self, name: &Name) -> Result<ObjectId, Errno> {
        let key = match name.first() {
            None => return Err(Errno(libc::EINVAL)),
            Some(0) => Key::Abstract(name.clone()),
            Some(_) => {
                let stat = self.process.files.stat(None, name, true)?;
                if stat.mode & libc::S_IFMT != libc::S_IFSOCK {
                    return Err(Errno(libc::ECONNREFUSED));
                }
                Key::Inode(stat.ino)
            }
        };
        let found = self.unix_names.get(&key).copied();
        found.ok_or(Errno(libc::ECONNREFUSED))
    }

    pub(super) fn connect_unix(&mut self, tid: Tid, call: &Call) -> Answer {
        let [fd, at, len, ..] = call.arguments;
        match self.try_connect_unix(fd as i32, at, len) {
            Err((Some(listener), error)) => self.blocks_on(tid, fd as i32, listener, error),
            Err((None, error)) => Err(error).into(),
            Ok(()) => Answer::Done(0),
        }
    }

    /// An error comes with the socket whose news may change that.
    fn try_connect_unix(
        &mut self,
        fd: i32,
        at: usize,
        len: usize,
    ) -> Result<(), (Option<ObjectId>, Errno)> {
        let for_good = |error| (None, error);
        let fails = |number| Err((None, Errno(number)));
        let peer = self.as_peer();
        let name = read(&self.memory, at, len).map_err(for_good)?;
        let (id, object) = self.by_fd(fd).map_err(for_good)?;
        let (kind, own) = match &object.kind {
            Kind::Unix(socket) if socket.listens() => return fails(libc::EINVAL),
            Kind::Unix(socket) => (socket.kind, socket.name.clone()),
            _ => return fails(libc::EISCONN),
        };
        let found = self.named(&name).map_err(for_good)?;
        let listener = match self.objects.get_mut(found).map(|object| &mut object.kind) {
            Some(Kind::Unix(listener)) => listener,
            _ => return fails(libc::ECONNREFUSED),
        };
        if listener.kind != kind {
            // Abstract names are told apart by kind.
            return fails(match listener.key {
                Some(Key::Abstract(_)) => libc::ECONNREFUSED,
                _ => libc::EPROTOTYPE,
            });
        }
        if kind == libc::SOCK_DGRAM {
            let (_, socket) = self.unix_of(fd).map_err(for_good)?;
            socket.addressee = Some((found, name));
            return Ok(());
        }
        let owner = listener.owner;
        let listens_as = listener.name.clone();
        let Some((most, waiting)) = &mut listener.queue else {
            return fails(libc::ECONNREFUSED);
        };
        if waiting.len() > *most {
            return Err((Some(found), Errno(libc::EAGAIN)));
        }
        let [here, there] = PipeEnd::pair(kind != libc::SOCK_STREAM);
        waiting.push_back(there.of(Ends {
            own: listens_as.clone(),
            other: own.clone(),
            peer,
        }));
        let here = here.of(Ends {
            own,
            other: listens_as,
            peer: owner,
        });
        here.attend(id);
        if let Some(object) = self.objects.get_mut(id) {
            object.kind = Kind::Pipe(here);
        }
        self.notify(found, events::IN);
        self.notify(id, events::OUT);
        Ok(())
    }

    pub(super) fn try_accept_unix(
        &mut self,
        fd: i32,
        at: usize,
        len_at: usize,
        flags: i32,
    ) -> Result<isize, Errno> {
        let (listener, socket) = self.unix_of(fd)?;
        let Some((_, waiting)) = &mut socket.queue else {
            return Err(Errno(libc::EINVAL));
        };
        if waiting.is_empty() {
            return Err(Errno(libc::EAGAIN));
        }
        self.may_open()?;
        let (_, socket) = self.unix_of(fd)?;
        let next = socket.queue.as_mut().and_then(|(_, all)| all.pop_front());
        let end = next.ok_or(Errno(libc::EAGAIN))?;
        let name = end.ends.as_ref().map(|ends| ends.other.clone());
        let is_nonblocking = flags & libc::SOCK_NONBLOCK != 0;
        let id = self.objects.add(Kind::Pipe(end.clone()), is_nonblocking);
        end.attend(id);
        let new = self.install(id, flags)?;
        write(&self.memory, at, len_at, &name.unwrap_or_default());
        self.notify(listener, events::OUT);
        Ok(new)
    }

    /// `getsockname`, or `getpeername`.
    pub(super) fn name_of_unix(&mut self, call: &Call, peer: bool) -> Result<isize, Errno> {
        let [fd, at, len_at, ..] = call.arguments;
        let (_, object) = self.by_fd(fd as i32)?;
        let name = match &object.kind {
            Kind::Unix(socket) if peer => match &socket.addressee {
                Some((_, name)) => name.clone(),
                None => return Err(Errno(libc::ENOTCONN)),
            },
            Kind::Unix(socket) => socket.name.clone(),
            Kind::Pipe(end) => match (&end.ends, peer) {
                (None, _) => Name::new(),
                (Some(ends), true) => ends.other.clone(),
                (Some(ends), false) => ends.own.clone(),
            },
            _ => return Err(Errno(libc::ENOTSOCK)),
        };
        write(&self.memory, at, len_at, &name);
        Ok(0)
    }

    /// The last descriptor of a socket that is not connected is gone.
    pub(super) fn unix_closes(&mut self, socket: UnixSocket) {
        if let Some(key) = &socket.key {
            self.unix_names.remove(key);
        }
        let unread = socket.inbox.into_iter().flat_map(|one| one.rights);
        unread.for_each(|id| self.give_up(id));
        for end in socket.queue.into_iter().flat_map(|(_, waiting)| waiting) {
            end.resets_other();
            self.pipe_closes(&end);
        }
    }
}

/// Datagrams.
impl Kernel {
    /// The name that a datagram is sent to, if the socket is one for them and an address is given.
    pub(super) fn address_of_datagram(
        &mut self,
        fd: i32,
        at: usize,
        len: usize,
    ) -> Result<Option<Name>, Errno> {
        match &self.by_fd(fd)?.1.kind {
            Kind::Unix(socket) if socket.kind == libc::SOCK_DGRAM && at != 0 => {
                read(&self.memory, at, len).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Sends what a socket that is not connected can send.
    pub(super) fn send_unix(&mut self, fd: i32, bytes: Vec<u8>) -> Result<usize, Errno> {
        let named = self.addressee.take();
        let (_, socket) = self.unix_of(fd)?;
        if socket.kind != libc::SOCK_DGRAM {
            return Err(Errno(libc::ENOTCONN));
        }
        let from = socket.name.clone();
        let to = match (named, &socket.addressee) {
            (Some(name), _) => self.named(&name)?,
            (None, Some((found, _))) => *found,
            (None, None) => return Err(Errno(libc::ENOTCONN)),
        };
        let inbox = match self.objects.get_mut(to).map(|object| &mut object.kind) {
            Some(Kind::Unix(other)) if other.kind == libc::SOCK_DGRAM => &mut other.inbox,
            Some(_) => return Err(Errno(libc::EPROTOTYPE)),
            None => return Err(Errno(libc::ECONNREFUSED)),
        };
        if bytes.len() > DATAGRAM_MAX {
            return Err(Errno(libc::EMSGSIZE));
        }
        if inbox.len() >= INBOX_MAX {
            return Err(Errno(libc::EAGAIN));
        }
        let len = bytes.len();
        let rights = std::mem::take(&mut self.sending);
        inbox.push_back(Datagram {
            bytes,
            from,
            rights: rights.clone(),
        });
        for id in rights {
            if let Some(object) = self.objects.get_mut(id) {
                object.descriptors += 1;
            }
        }
        self.notify(to, events::IN);
        Ok(len)
    }

    /// Receives what a socket that is not connected can receive.
    pub(super) fn receive_unix(
        &mut self,
        fd: i32,
        into: &mut [u8],
        peek: bool,
    ) -> Result<usize, Errno> {
        let (id, socket) = self.unix_of(fd)?;
        if socket.kind != libc::SOCK_DGRAM {
            return Err(Errno(libc::EINVAL));
        }
        let Some(next) = socket.inbox.front_mut() else {
            return Err(Errno(libc::EAGAIN));
        };
        let len = into.len().min(next.bytes.len());
        into[..len].copy_from_slice(&next.bytes[..len]);
        let from = next.from.clone();
        if !peek && let Some(gone) = socket.inbox.pop_front() {
            self.received.extend(gone.rights);
            let sends_here = |object: &super::object::Object| match &object.kind {
                Kind::Unix(other) => other.addressee.as_ref().is_some_and(|(to, _)| *to == id),
                _ => false,
            };
            let all = self.objects.iter_mut();
            let senders: Vec<ObjectId> = all
                .filter_map(|(other, object)| sends_here(object).then_some(other))
                .collect();
            for sender in senders {
                self.notify(sender, events::OUT);
            }
        }
        self.sender = Some(from);
        Ok(len)
    }

    /// Writes whose datagram was received.
    pub(super) fn put_sender(&mut self, at: usize, len_at: usize) {
        if let Some(sender) = self.sender.take() {
            write(&self.memory, at, len_at, &sender);
        }
    }
}

/// Descriptors that are sent along with bytes (`SCM_RIGHTS`).
impl Kernel {
    /// The objects whose descriptors a `msghdr` holds.
    pub(super) fn rights_of(&self, message: usize) -> Result<Vec<ObjectId>, Errno> {
        const HEADER: usize = 16;
        let (at, len) = (
            self.memory.read_u64(message + 32) as usize,
            self.memory.read_u64(message + 40) as usize,
        );
        let control = self.memory.slice(at, if at == 0 { 0 } else { len });
        let int = |from: usize| {
            control[from..from + 4]
                .try_into()
                .map_or(0, i32::from_ne_bytes)
        };
        let mut rights = Vec::new();
        let mut header = 0;
        while header + HEADER <= control.len() {
            let long = control[header..header + 8].try_into();
            let len = long.map_or(0, u64::from_ne_bytes) as usize;
            if len < HEADER || len > control.len() - header {
                return Err(Errno(libc::EINVAL));
            }
            if (int(header + 8), int(header + 12)) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                for fd in (header + HEADER..header + len - 3).step_by(4).map(int) {
                    rights.push(self.object(fd)?);
                }
            }
            header += len.next_multiple_of(8);
        }
        Ok(rights)
    }

    /// Writes what came along into a `msghdr` that has room for `room` bytes of it.
    pub(super) fn put_rights(&mut self, message: usize, room: usize, flags: i32) {
        const HEADER: usize = 16;
        let received = std::mem::take(&mut self.received);
        let fits = room.saturating_sub(HEADER) / 4;
        let how = match flags & libc::MSG_CMSG_CLOEXEC {
            0 => 0,
            _ => libc::O_CLOEXEC,
        };
        let (mut fds, mut lost) = (Vec::new(), false);
        for id in received {
            let installed = match fds.len() < fits {
                true => self.install(id, how).ok(),
                false => None,
            };
            lost |= installed.is_none();
            fds.extend(installed.map(|fd| fd as i32));
            self.give_up(id);
        }
        let mut len = 0;
        if !fds.is_empty() {
            len = HEADER + 4 * fds.len();
            let mut control = (len as u64).to_ne_bytes().to_vec();
            for word in [libc::SOL_SOCKET, libc::SCM_RIGHTS].into_iter().chain(fds) {
                control.extend(word.to_ne_bytes());
            }
            let at = self.memory.read_u64(message + 32) as usize;
            self.memory.write(at, &control);
            len = len.next_multiple_of(8).min(room);
        }
        self.memory.write_u64(message + 40, len as u64);
        let lost = if lost { libc::MSG_CTRUNC } else { 0 };
        self.memory.write_u32(message + 48, lost as u32);
    }

    /// What came along with bytes for which nobody asked together with it is closed.
    pub(super) fn drop_received(&mut self) {
        for id in std::mem::take(&mut self.received) {
            self.give_up(id);
        }
    }
}

impl PipeEnd {
    fn of(mut self, ends: Ends) -> Self {
        self.ends = Some(Arc::new(ends));
        self
    }
}
