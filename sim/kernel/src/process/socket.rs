//! TCP sockets, over the simulated network.

pub(super) mod options;

use std::{
    future::Future,
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use squall_engine::net::{Listener, Stream};

use self::options::Options;
use super::{
    ARRIVES_NS, Answer, Errno, Kernel, Wait, address,
    object::{Kind, ObjectId, events},
    wakes::Wakes,
};
use crate::cpu::{Call, Tid};

type Connecting = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

enum State {
    /// Neither listens nor connects, or no longer.
    Idle,
    /// A connection attempt came to nothing, which `connect` has not been asked about.
    Failed,
    Listening(Listener),
    /// For IPv6 only, beside a listener of the same port that gets whatever comes.
    Deaf,
    Connecting(Connecting),
    Connected(Stream),
}

/// A TCP socket.
pub(crate) struct Socket {
    state: State,
    is_v6: bool,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    /// What became of a connection attempt that nobody waited for.
    error: Option<i32>,
    /// Reads are at their end, by the process's own wish.
    shut_read: bool,
    shut_write: bool,
    /// It is connected, which `connect` has not told yet.
    is_news: bool,
    options: Options,
    reader: Waker,
    writer: Waker,
}

impl Socket {
    fn new(is_v6: bool) -> Self {
        Socket {
            state: State::Idle,
            is_v6,
            local: None,
            remote: None,
            error: None,
            shut_read: false,
            shut_write: false,
            is_news: false,
            options: Options::default(),
            reader: Waker::noop().clone(),
            writer: Waker::noop().clone(),
        }
    }

    fn attend(&mut self, id: ObjectId, wakes: &Arc<Wakes>) {
        self.reader = wakes.waker(id, events::IN);
        self.writer = wakes.waker(id, events::OUT);
    }

    /// A connection attempt goes on.
    pub fn progress(&mut self) {
        let State::Connecting(connecting) = &mut self.state else {
            return;
        };
        match connecting
            .as_mut()
            .poll(&mut Context::from_waker(&self.writer))
        {
            Poll::Pending => {}
            Poll::Ready(Ok(stream)) => {
                if let Some(local) = &mut self.local {
                    local.set_port(stream.ports().0);
                }
                self.options.apply(&stream);
                stream.named_by_what_is_said();
                self.state = State::Connected(stream);
                self.is_news = true;
            }
            Poll::Ready(Err(error)) => {
                self.error = Some(Errno::from(error).0);
                self.state = State::Failed;
                self.remote = None;
            }
        }
    }

    /// What it is ready for; news of what it is not are told from now on.
    pub fn mask(&mut self) -> u32 {
        let error = if self.error.is_some() { events::ERR } else { 0 };
        match &self.state {
            State::Failed => error | events::IN | events::OUT | events::HUP | events::RDHUP,
            State::Idle => events::OUT | events::HUP,
            State::Connecting(_) | State::Deaf => 0,
            State::Listening(listener) => {
                if listener.readiness(&self.reader) {
                    events::IN
                } else {
                    0
                }
            }
            State::Connected(stream) => {
                let is = stream.readiness(&self.reader, &self.writer);
                let mut mask = error;
                for (holds, event) in [
                    (is.readable || self.shut_read, events::IN),
                    (is.writable, events::OUT),
                    (is.end_of_file || self.shut_read, events::RDHUP),
                    (is.hung_up || self.shut_read && self.shut_write, events::HUP),
                    (is.failed, events::ERR),
                ] {
                    if holds {
                        mask |= event;
                    }
                }
                mask
            }
        }
    }

    /// The last descriptor is gone.
    pub fn close(self) {
        if let (State::Connected(stream), true) = (self.state, self.options.resets()) {
            stream.abort();
        }
    }

    fn any(&self, port: u16) -> SocketAddr {
        match self.is_v6 {
            true => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
            false => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
        }
    }

    pub fn unread(&self) -> usize {
        match &self.state {
            State::Connected(stream) => stream.unread(),
            _ => 0,
        }
    }

    fn take_error(&mut self) -> i32 {
        if let Some(error) = self.error.take() {
            return error;
        }
        match &self.state {
            State::Connected(stream) => stream.take_error().map_or(0, |error| Errno::from(error).0),
            _ => 0,
        }
    }

    /// Connected, and not yet over in both directions.
    fn is_open(&self) -> bool {
        match &self.state {
            State::Connected(stream) => !stream.readiness(&self.reader, &self.writer).hung_up,
            _ => false,
        }
    }

    fn receive(&mut self, into: &mut [u8], peek: bool) -> Result<usize, Errno> {
        if let Some(error) = self.error.take() {
            return Err(Errno(error));
        }
        match &self.state {
            State::Failed => Ok(0),
            State::Connected(stream) => {
                let received = stream.receive_now(into, peek);
                stream.readiness(&self.reader, &self.writer);
                match received.map_err(Errno::from) {
                    Err(Errno(libc::EAGAIN)) if self.shut_read => Ok(0),
                    received => received,
                }
            }
            State::Connecting(_) => Err(Errno(libc::EAGAIN)),
            State::Idle | State::Listening(_) | State::Deaf => Err(Errno(libc::ENOTCONN)),
        }
    }

    fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<usize, Errno> {
        if let Some(error) = self.error.take() {
            return Err(Errno(error));
        }
        match &self.state {
            State::Connected(stream) => {
                let sent = stream.send_now(parts);
                stream.readiness(&self.reader, &self.writer);
                Ok(sent?)
            }
            State::Connecting(_) => Err(Errno(libc::EAGAIN)),
            State::Idle | State::Failed | State::Listening(_) | State::Deaf => {
                Err(Errno(libc::EPIPE))
            }
        }
    }
}

impl Kernel {
    fn socket_of(&mut self, fd: i32) -> Result<(ObjectId, &mut Socket, bool), Errno> {
        let (id, object) = self.by_fd(fd)?;
        match &mut object.kind {
            Kind::Socket(socket) => Ok((id, socket, object.nonblocking)),
            _ => Err(Errno(libc::ENOTSOCK)),
        }
    }

    pub(super) fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<isize, Errno> {
        self.may_open()?;
        let is_v6 = match domain {
            libc::AF_INET => false,
            libc::AF_INET6 => true,
            libc::AF_UNIX => return self.unix_socket(kind),
            _ => return Err(Errno(libc::EAFNOSUPPORT)),
        };
        match kind & 0xf {
            libc::SOCK_STREAM => {}
            libc::SOCK_DGRAM => return self.udp_socket(is_v6, kind, protocol),
            libc::SOCK_RAW => return Err(Errno(libc::EPERM)),
            _ => return Err(Errno(libc::ESOCKTNOSUPPORT)),
        }
        if ![0, libc::IPPROTO_TCP].contains(&protocol) {
            return Err(Errno(libc::EPROTONOSUPPORT));
        }
        self.open_socket(Socket::new(is_v6), kind)
    }

    fn open_socket(&mut self, socket: Socket, flags: i32) -> Result<isize, Errno> {
        let nonblocking = flags & libc::SOCK_NONBLOCK != 0;
        let id = self
            .objects
            .add(Kind::Socket(Box::new(socket)), nonblocking);
        if let Some(Kind::Socket(socket)) = self.objects.get_mut(id).map(|o| &mut o.kind) {
            socket.attend(id, &self.wakes);
        }
        self.install(id, flags)
    }

    /// Whether a socket of this process has a port to itself. One for IPv6 alone shares it with those for IPv4.
    fn port_is_taken(&mut self, port: u16, by_any: bool, for_v6_only: bool) -> bool {
        self.sockets_of(port).any(|other| match &other.state {
            _ if for_v6_only && !other.is_v6 => false,
            State::Listening(_) | State::Deaf => true,
            _ => by_any || !other.options.reuses_address(),
        })
    }

    fn port_is_heard(&mut self, port: u16) -> bool {
        let mut sockets = self.sockets_of(port);
        sockets.any(|other| matches!(other.state, State::Listening(_)))
    }

    fn sockets_of(&mut self, port: u16) -> impl Iterator<Item = &Socket> {
        let sockets = self
            .objects
            .iter_mut()
            .filter_map(|(_, object)| match &object.kind {
                Kind::Socket(socket) => Some(&**socket),
                _ => None,
            });
        sockets.filter(move |one| one.local.is_some_and(|local| local.port() == port))
    }

    fn free_port(&mut self) -> u16 {
        loop {
            // Away from those of connections, which follow from their ordinals.
            let port = 20_000 + self.next_port % 12_000;
            self.next_port += 1;
            if !self.port_is_taken(port, true, false) {
                return port;
            }
        }
    }

    pub(super) fn bind(&mut self, call: &Call) -> Result<isize, Errno> {
        let [fd, at, len, ..] = call.arguments;
        let mut address = address::read(&self.memory, at, len)?;
        let own = self.node.ix();
        let (_, socket, _) = self.socket_of(fd as i32)?;
        if socket.local.is_some() {
            return Err(Errno(libc::EINVAL));
        }
        if address.is_ipv6() != socket.is_v6 {
            return Err(Errno(libc::EAFNOSUPPORT));
        }
        if address::to_node(address.ip(), own) != Some(own) {
            return Err(Errno(libc::EADDRNOTAVAIL));
        }
        let reuses = socket.options.reuses_address();
        let for_v6_only = socket.is_v6 && socket.options.are_for_v6_only();
        if address.port() == 0 {
            address.set_port(self.free_port());
        } else if self.port_is_taken(address.port(), !reuses, for_v6_only) {
            return Err(Errno(libc::EADDRINUSE));
        }
        let (_, socket, _) = self.socket_of(fd as i32)?;
        socket.local = Some(address);
        Ok(0)
    }

    pub(super) fn listen(&mut self, fd: i32, backlog: i32) -> Result<isize, Errno> {
        let node = self.node.clone();
        let backlog = backlog.clamp(0, 4096) as usize;
        let (_, socket, _) = self.socket_of(fd)?;
        match &socket.state {
            State::Idle => {}
            State::Listening(listener) => {
                listener.set_backlog(backlog);
                return Ok(0);
            }
            State::Deaf => return Ok(0),
            _ => return Err(Errno(libc::EINVAL)),
        }
        let local = match socket.local {
            Some(local) => local,
            None => {
                let port = self.free_port();
                self.socket_of(fd)?.1.any(port)
            }
        };
        let is_alone = !self.port_is_heard(local.port());
        let (id, socket, _) = self.socket_of(fd)?;
        socket.state = match is_alone || !socket.options.are_for_v6_only() {
            true => State::Listening(node.listen_on(local.port(), backlog)?),
            false => State::Deaf,
        };
        socket.local = Some(local);
        self.notify(id, 0);
        Ok(0)
    }

    pub(super) fn accept(&mut self, tid: Tid, call: &Call, flags: i32) -> Answer {
        let [fd, at, len_at, ..] = call.arguments;
        let accepted = match self.is_unix(fd as i32) {
            true => self.try_accept_unix(fd as i32, at, len_at, flags),
            false => self.try_accept(fd as i32, at, len_at, flags),
        };
        match accepted {
            Err(Errno(libc::EAGAIN)) => self.blocks(tid, fd as i32, false, Errno(libc::EAGAIN)),
            result => result.into(),
        }
    }

    fn try_accept(
        &mut self,
        fd: i32,
        at: usize,
        len_at: usize,
        flags: i32,
    ) -> Result<isize, Errno> {
        let (_, socket, _) = self.socket_of(fd)?;
        // Linux hands the options of a listening socket down.
        let (is_v6, options) = (socket.is_v6, socket.options.clone());
        let reader = socket.reader.clone();
        if matches!(socket.state, State::Deaf) {
            return Err(Errno(libc::EAGAIN));
        }
        let State::Listening(listener) = &mut socket.state else {
            return Err(Errno(libc::EINVAL));
        };
        if listener.readiness(&reader) {
            // The connection stays in the queue.
            self.may_open()?;
        }
        let (_, socket, _) = self.socket_of(fd)?;
        let State::Listening(listener) = &mut socket.state else {
            return Err(Errno(libc::EINVAL));
        };
        let accepted = match listener.poll_accept(&mut Context::from_waker(&reader)) {
            Poll::Ready(stream) => stream?,
            Poll::Pending => return Err(Errno(libc::EAGAIN)),
        };
        listener.readiness(&reader);
        let (port, peer_port) = accepted.ports();
        let (peer, own) = match accepted.peer() == self.node.ix() {
            true => {
                let ip = self.dialled(port, peer_port);
                (ip, ip)
            }
            false => (
                address::of_node(accepted.peer()).into(),
                address::of_node(self.node.ix()).into(),
            ),
        };
        let peer = SocketAddr::new(peer, peer_port);
        let own = SocketAddr::new(own, port);
        options.apply(&accepted);
        let mut socket = Socket::new(is_v6);
        socket.options = options;
        socket.local = Some(own);
        socket.remote = Some(peer);
        accepted.named_by_what_is_said();
        socket.state = State::Connected(accepted);
        let new = self.open_socket(socket, flags)?;
        address::write(&self.memory, at, len_at, peer, is_v6);
        Ok(new)
    }

    /// By which of the machine's own addresses a connection of this process reached one of its listeners.
    fn dialled(&mut self, port: u16, peer_port: u16) -> IpAddr {
        let mut sockets = self.objects.iter_mut().filter_map(|(_, object)| {
            let Kind::Socket(socket) = &object.kind else {
                return None;
            };
            let (local, remote) = (socket.local?, socket.remote?);
            (remote.port() == port && [0, peer_port].contains(&local.port())).then(|| remote.ip())
        });
        sockets.next().unwrap_or(Ipv4Addr::LOCALHOST.into())
    }

    pub(super) fn connect(&mut self, tid: Tid, call: &Call) -> Answer {
        let [fd, at, len, ..] = call.arguments;
        match self.try_connect(fd as i32, at, len) {
            Err(Errno(libc::EINPROGRESS)) => {
                self.blocks(tid, fd as i32, true, Errno(libc::EINPROGRESS))
            }
            result => result.into(),
        }
    }

    fn try_connect(&mut self, fd: i32, at: usize, len: usize) -> Result<isize, Errno> {
        let mut address = address::read(&self.memory, at, len)?;
        let node = self.node.clone();
        let own = node.ix();
        let (id, socket, nonblocking) = self.socket_of(fd)?;
        match &socket.state {
            State::Idle => {}
            State::Connecting(_) if nonblocking => return Err(Errno(libc::EALREADY)),
            State::Connecting(_) => return Err(Errno(libc::EINPROGRESS)),
            State::Connected(_) if std::mem::take(&mut socket.is_news) => return Ok(0),
            State::Connected(_) => return Err(Errno(libc::EISCONN)),
            State::Listening(_) | State::Deaf => return Err(Errno(libc::EISCONN)),
            State::Failed => {
                socket.state = State::Idle;
                let error = socket.error.take().unwrap_or(libc::ECONNABORTED);
                return Err(Errno(error));
            }
        }
        if address.is_ipv6() != socket.is_v6 {
            return Err(Errno(libc::EAFNOSUPPORT));
        }
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let Some(peer) = address::to_node(address.ip(), own) else {
            return Err(Errno(libc::ENETUNREACH));
        };
        if node.has_machine(peer) {
            socket.state = State::Connecting(Box::pin(node.connect_to(peer, address.port())));
        } else {
            return Err(Errno(libc::ENETUNREACH));
        }
        let ip: IpAddr = match peer == own {
            true => address.ip(),
            false => address::of_node(own).into(),
        };
        socket.local = Some(SocketAddr::new(ip, 0));
        socket.remote = Some(address);
        socket.progress();
        let mask = socket.mask();
        if mask != 0 {
            self.notify(id, mask);
        }
        let (_, socket, _) = self.socket_of(fd)?;
        match &socket.state {
            State::Connected(_) => {
                socket.is_news = false;
                Ok(0)
            }
            State::Connecting(_) => Err(Errno(libc::EINPROGRESS)),
            _ => {
                socket.state = State::Idle;
                Err(Errno(socket.take_error()))
            }
        }
    }

    /// A call on a descriptor cannot be answered yet: it waits, unless the descriptor is one that does not.
    pub(super) fn blocks(&mut self, tid: Tid, fd: i32, writes: bool, otherwise: Errno) -> Answer {
        let Ok(id) = self.object(fd) else {
            return Err(Errno(libc::EBADF)).into();
        };
        self.waits_for(tid, fd, id, writes, otherwise)
    }

    /// As [`blocks`](Self::blocks), until another object has news.
    pub(super) fn blocks_on(
        &mut self,
        tid: Tid,
        fd: i32,
        on: ObjectId,
        otherwise: Errno,
    ) -> Answer {
        self.waits_for(tid, fd, on, true, otherwise)
    }

    fn waits_for(
        &mut self,
        tid: Tid,
        fd: i32,
        on: ObjectId,
        writes: bool,
        otherwise: Errno,
    ) -> Answer {
        let Ok((_, object)) = self.by_fd(fd) else {
            return Err(Errno(libc::EBADF)).into();
        };
        if object.nonblocking {
            return Err(otherwise).into();
        }
        let timeout = match &object.kind {
            Kind::Socket(socket) if writes => socket.options.send_timeout(),
            Kind::Socket(socket) => socket.options.receive_timeout(),
            Kind::Pipe(end) if !writes => end.receive_timeout,
            Kind::Udp(udp) if !writes && udp.is_deaf() => return Answer::Done(0),
            Kind::Udp(udp) if !writes => udp.receive_timeout(),
            _ => None,
        };
        let until = self.until(tid, timeout);
        if until.is_some_and(|until| until <= self.now()) {
            return Err(otherwise).into();
        }
        self.mask(on);
        Answer::Wait(Wait {
            on: vec![on],
            until,
            ..Wait::default()
        })
    }

    pub(super) fn receive_now(
        &mut self,
        fd: i32,
        into: &mut [u8],
        peek: bool,
    ) -> Result<usize, Errno> {
        let (_, socket, _) = self.socket_of(fd)?;
        socket.receive(into, peek)
    }

    /// The name of the machine that has an address; empty if there is none.
    fn name_of_machine(&self, address: IpAddr) -> String {
        let machine = address::to_node(address, self.node.ix());
        let mut machines = self.node.machines().into_iter();
        let found = machines.find(|(ix, _)| Some(*ix) == machine);
        found.map(|(_, name)| name).unwrap_or_default()
    }

    pub(super) fn send(&mut self, fd: i32, parts: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let hears = self.hears.clone();
        let (_, socket, _) = self.socket_of(fd)?;
        let sent = socket.send(parts)?;
        let stays = match (socket.local, socket.remote) {
            (Some(local), Some(remote)) => remote.ip().is_loopback() || local.ip() == remote.ip(),
            _ => false,
        };
        let remote = socket.remote;
        if stays && self.process.is_executable && sent > 0 {
            self.answered_late = Some(ARRIVES_NS);
        }
        if let (Some(hears), Some(remote)) = (hears, remote) {
            let peer = self.name_of_machine(remote.ip());
            let mut left = sent;
            for part in parts {
                let len = part.len().min(left);
                hears(&peer, &part[..len]);
                left -= len;
            }
        }
        Ok(sent)
    }

    pub(super) fn shutdown(&mut self, fd: i32, how: i32) -> Result<isize, Errno> {
        let (id, object) = self.by_fd(fd)?;
        let end = match &mut object.kind {
            Kind::Pipe(end) if end.is_socket => Some(end.clone()),
            Kind::Socket(_) if !(libc::SHUT_RD..=libc::SHUT_RDWR).contains(&how) => {
                return Err(Errno(libc::EINVAL));
            }
            Kind::Socket(socket) => {
                let is_open = socket.is_open();
                match &socket.state {
                    State::Listening(_) if how != libc::SHUT_WR => socket.state = State::Idle,
                    State::Listening(_) => {}
                    State::Connected(stream) if is_open => {
                        if how != libc::SHUT_RD {
                            stream.finish();
                            socket.shut_write = true;
                        }
                        socket.shut_read |= how != libc::SHUT_WR;
                    }
                    _ => return Err(Errno(libc::ENOTCONN)),
                }
                None
            }
            _ => return Err(Errno(libc::ENOTSOCK)),
        };
        if let Some(end) = end {
            if how != libc::SHUT_RD {
                self.pipe_ends(&end);
            }
            if how != libc::SHUT_WR {
                self.pipe_is_deaf(&end);
            }
        }
        let mask = self.mask(id);
        self.notify(id, mask);
        Ok(0)
    }

    /// `getsockname`, or `getpeername`.
    pub(super) fn name_of(&mut self, call: &Call, peer: bool) -> Result<isize, Errno> {
        let [fd, at, len_at, ..] = call.arguments;
        let (_, socket, _) = self.socket_of(fd as i32)?;
        let is_v6 = socket.is_v6;
        let name = match peer {
            true => match socket.is_open() {
                true => socket.remote,
                false => None,
            }
            .ok_or(Errno(libc::ENOTCONN))?,
            false => socket.local.unwrap_or_else(|| socket.any(0)),
        };
        address::write(&self.memory, at, len_at, name, is_v6);
        Ok(0)
    }
}
