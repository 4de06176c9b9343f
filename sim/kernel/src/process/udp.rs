//! UDP sockets, over the simulated network.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    task::Waker,
};

use squall_engine::net::DatagramSocket;

use super::{
    Answer, Errno, Kernel, address,
    object::{Kind, events},
    socket::options::{self, Options},
};
use crate::cpu::{Call, Tid};

/// The longest datagram that IPv4 carries.
const LONGEST: usize = 65_507;
/// Where the parts of a `msghdr` lie.
const NAME_LEN: usize = 8;
const CONTROL_LEN: usize = 40;
const FLAGS: usize = 48;
/// How far apart those of `mmsghdr` are, and where the length of a message lies.
const EACH: usize = 64;
const LEN: usize = 56;

const RECEIVE_BUFFER: (i32, i32) = (libc::SOL_SOCKET, libc::SO_RCVBUF);

/// A UDP socket.
pub(crate) struct Udp {
    is_v6: bool,
    /// Its place in the network, once it has one.
    socket: Option<DatagramSocket>,
    /// The address that it was bound to.
    bound: Option<IpAddr>,
    shut_read: bool,
    shut_write: bool,
    options: Options,
    reader: Waker,
}

/// What became of a datagram that was received.
pub(super) struct Received {
    /// How much of it has found room, and how long it is.
    pub copied: usize,
    len: usize,
    from: SocketAddr,
}

impl Udp {
    pub fn mask(&self) -> u32 {
        let (readable, failed) = match &self.socket {
            Some(socket) => socket.readiness(&self.reader),
            None => (false, false),
        };
        let mut mask = events::OUT;
        for (holds, event) in [
            (readable, events::IN),
            (failed, events::ERR),
            (self.shut_read, events::IN | events::RDHUP),
            (self.shut_read && self.shut_write, events::HUP),
        ] {
            if holds {
                mask |= event;
            }
        }
        mask
    }

    pub fn receive_timeout(&self) -> Option<u64> {
        self.options.receive_timeout()
    }

    /// Whether it waits for nothing more.
    pub fn is_deaf(&self) -> bool {
        self.shut_read
    }

    /// How long the next datagram is (`FIONREAD`).
    pub fn unread(&self) -> usize {
        let next = self.socket.as_ref().and_then(|s| s.unread().ok()).flatten();
        next.unwrap_or(0)
    }

    fn any(&self) -> IpAddr {
        match self.is_v6 {
            true => Ipv6Addr::UNSPECIFIED.into(),
            false => Ipv4Addr::UNSPECIFIED.into(),
        }
    }

    fn local(&self) -> SocketAddr {
        let bound = self.socket.as_ref().and_then(|s| s.local().ok());
        bound.unwrap_or_else(|| SocketAddr::new(self.any(), 0))
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.socket.as_ref()?.peer().ok()?
    }
}

/// Whether a call may concern UDP sockets.
pub(super) fn concerns(number: libc::c_long) -> bool {
    matches!(
        number,
        libc::SYS_connect
            ..=libc::SYS_getpeername
                | libc::SYS_setsockopt
                | libc::SYS_getsockopt
                | libc::SYS_accept4
                | libc::SYS_recvmmsg
                | libc::SYS_sendmmsg
    )
}

impl Kernel {
    pub(super) fn udp_socket(
        &mut self,
        is_v6: bool,
        kind: i32,
        protocol: i32,
    ) -> Result<isize, Errno> {
        if ![0, libc::IPPROTO_UDP].contains(&protocol) {
            return Err(Errno(libc::EPROTONOSUPPORT));
        }
        let udp = Udp {
            is_v6,
            socket: None,
            bound: None,
            shut_read: false,
            shut_write: false,
            options: Options::default(),
            reader: Waker::noop().clone(),
        };
        let nonblocking = kind & libc::SOCK_NONBLOCK != 0;
        let id = self.objects.add(Kind::Udp(Box::new(udp)), nonblocking);
        if let Some(Kind::Udp(udp)) = self.objects.get_mut(id).map(|o| &mut o.kind) {
            udp.reader = self.wakes.waker(id, events::IN);
        }
        self.install(id, kind)
    }

    pub(super) fn is_udp(&mut self, fd: i32) -> bool {
        let object = self.by_fd(fd);
        object.is_ok_and(|(_, object)| matches!(object.kind, Kind::Udp(_)))
    }

    fn udp(&mut self, fd: i32) -> Result<&mut Udp, Errno> {
        match &mut self.by_fd(fd)?.1.kind {
            Kind::Udp(udp) => Ok(udp),
            _ => Err(Errno(libc::ENOTSOCK)),
        }
    }

    /// Answers a call on a UDP socket.
    pub(super) fn serve_udp(&mut self, tid: Tid, call: &Call) -> Answer {
        let [fd, a, b, c, d, e] = call.arguments;
        let fd = fd as i32;
        match call.number {
            libc::SYS_bind => self.bind_udp(fd, a, b).into(),
            libc::SYS_connect => self.connect_udp(fd, a, b).into(),
            libc::SYS_listen | libc::SYS_accept | libc::SYS_accept4 => {
                Err(Errno(libc::EOPNOTSUPP)).into()
            }
            libc::SYS_shutdown => self.shutdown_udp(fd, a as i32).into(),
            libc::SYS_getsockname | libc::SYS_getpeername => self.udp_name(call).into(),
            libc::SYS_setsockopt => self.set_udp_option(call).into(),
            libc::SYS_getsockopt => self.udp_option(call).into(),
            libc::SYS_sendto => self.send_to_name(fd, &[(a, b)], d, e).into(),
            libc::SYS_sendmsg => self.send_from_message(fd, a).into(),
            libc::SYS_sendmmsg => self.send_messages(fd, a, b).into(),
            libc::SYS_recvfrom => self.waits_for_datagram(tid, fd, c as i32, |process| {
                let received =
                    process.receive_datagram(fd, &[(a, b)], c as i32 & libc::MSG_PEEK != 0)?;
                process.tell_source(&received, fd, d, e);
                Ok(received.told(c as i32))
            }),
            libc::SYS_recvmsg => self.waits_for_datagram(tid, fd, b as i32, |process| {
                process.receive_in_message(fd, a, b as i32)
            }),
            _ => self.receive_messages(tid, fd, a, b, c as i32),
        }
    }

    /// Answers what may have to wait for a datagram.
    fn waits_for_datagram(
        &mut self,
        tid: Tid,
        fd: i32,
        flags: i32,
        receive: impl FnOnce(&mut Self) -> Result<isize, Errno>,
    ) -> Answer {
        if flags & libc::MSG_ERRQUEUE != 0 {
            return Err(Errno(libc::EAGAIN)).into();
        }
        match receive(self) {
            Err(Errno(libc::EAGAIN)) if flags & libc::MSG_DONTWAIT == 0 => {
                self.blocks(tid, fd, false, Errno(libc::EAGAIN))
            }
            result => result.into(),
        }
    }

    /// Gives a socket a place in the network.
    fn place_udp(&mut self, fd: i32, local: SocketAddr) -> Result<(), Errno> {
        let node = self.node.clone();
        let udp = self.udp(fd)?;
        let socket = node.bind_datagrams(local, udp.options.reuses_address())?;
        socket.set_room(udp.room())?;
        udp.socket = Some(socket);
        Ok(())
    }

    /// The socket's place in the network, which it is given now if it has none.
    fn placed_udp(&mut self, fd: i32) -> Result<&mut Udp, Errno> {
        let udp = self.udp(fd)?;
        if udp.socket.is_none() {
            let local = SocketAddr::new(udp.any(), 0);
            self.place_udp(fd, local)?;
        }
        self.udp(fd)
    }

    fn bind_udp(&mut self, fd: i32, at: usize, len: usize) -> Result<isize, Errno> {
        let address = address::read(&self.memory, at, len)?;
        let own = self.node.ix();
        let udp = self.udp(fd)?;
        if udp.socket.is_some() {
            return Err(Errno(libc::EINVAL));
        }
        if address.is_ipv6() != udp.is_v6 {
            return Err(Errno(libc::EAFNOSUPPORT));
        }
        if address::to_node(address.ip(), own) != Some(own) {
            return Err(Errno(libc::EADDRNOTAVAIL));
        }
        let ip = match address.ip() {
            any if any.is_unspecified() => any,
            ip => ip.to_canonical(),
        };
        self.place_udp(fd, SocketAddr::new(ip, address.port()))?;
        self.udp(fd)?.bound = Some(ip);
        Ok(0)
    }

    fn connect_udp(&mut self, fd: i32, at: usize, len: usize) -> Result<isize, Errno> {
        let family = match len {
            2.. => self.memory.read(at, 2),
            _ => return Err(Errno(libc::EINVAL)),
        };
        if family == (libc::AF_UNSPEC as u16).to_ne_bytes() {
            let udp = self.udp(fd)?;
            let local = udp.bound.unwrap_or_else(|| udp.any());
            if let Some(socket) = &udp.socket {
                socket.connect(local, None)?;
            }
            return Ok(0);
        }
        let target = self.target(fd, at, len)?;
        let own = self.node.ix();
        address::to_node(target.ip(), own).ok_or(Errno(libc::ENETUNREACH))?;
        let source = self.source_ip(fd, target.ip())?;
        if let Some(socket) = &self.placed_udp(fd)?.socket {
            socket.connect(source, Some(target))?;
        }
        Ok(0)
    }

    /// Whom a datagram is for.
    fn target(&mut self, fd: i32, at: usize, len: usize) -> Result<SocketAddr, Errno> {
        let mut target = address::read(&self.memory, at, len)?;
        if target.is_ipv6() && !self.udp(fd)?.is_v6 {
            return Err(Errno(libc::EAFNOSUPPORT));
        }
        if target.ip().is_unspecified() {
            target.set_ip(match target {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        target.set_ip(target.ip().to_canonical());
        Ok(target)
    }

    /// From which of its addresses a datagram leaves.
    fn source_ip(&mut self, fd: i32, target: IpAddr) -> Result<IpAddr, Errno> {
        let own = self.node.ix();
        let bound = self.udp(fd)?.bound;
        Ok(match bound.filter(|ip| !ip.is_unspecified()) {
            Some(bound) => bound,
            None if !target.is_loopback() => address::of_node(own).into(),
            None if target.is_ipv6() => Ipv6Addr::LOCALHOST.into(),
            None => Ipv4Addr::LOCALHOST.into(),
        })
    }

    /// Sends the parts of a datagram, to its peer if to nobody else.
    pub(super) fn send_datagram(
        &mut self,
        fd: i32,
        parts: &[(usize, usize)],
        target: Option<SocketAddr>,
    ) -> Result<isize, Errno> {
        let udp = self.udp(fd)?;
        if udp.shut_write {
            return Err(Errno(libc::EPIPE));
        }
        let target = target.or(udp.peer()).ok_or(Errno(libc::EDESTADDRREQ))?;
        let len: usize = parts.iter().map(|(_, len)| len).sum();
        if target.port() == 0 {
            return Err(Errno(libc::EINVAL));
        }
        if len > LONGEST {
            return Err(Errno(libc::EMSGSIZE));
        }
        if target.ip() == IpAddr::V4(Ipv4Addr::BROADCAST) || target.ip().is_multicast() {
            let allowed = udp.options.get((libc::SOL_SOCKET, libc::SO_BROADCAST));
            return Err(match target.ip().is_multicast() || allowed[0] != 0 {
                true => self.refuse("datagrams to several machines"),
                false => Errno(libc::EACCES),
            });
        }
        let to = address::to_node(target.ip(), self.node.ix()).ok_or(Errno(libc::ENETUNREACH))?;
        let source = self.source_ip(fd, target.ip())?;
        let bytes: Vec<u8> = parts
            .iter()
            .flat_map(|&(at, len)| self.memory.slice(at, len).iter().copied())
            .collect();
        let udp = self.placed_udp(fd)?;
        let Some(socket) = &udp.socket else {
            return Err(Errno(libc::EBADF));
        };
        let source = SocketAddr::new(source, socket.local()?.port());
        socket.send(source, to, target, bytes.into())?;
        Ok(len as isize)
    }

    fn send_to_name(
        &mut self,
        fd: i32,
        parts: &[(usize, usize)],
        name: usize,
        len: usize,
    ) -> Result<isize, Errno> {
        let target = match name {
            0 => None,
            name => Some(self.target(fd, name, len)?),
        };
        self.send_datagram(fd, parts, target)
    }

    /// `sendmsg`.
    fn send_from_message(&mut self, fd: i32, message: usize) -> Result<isize, Errno> {
        let name = self.memory.read_u64(message) as usize;
        let len = self.memory.read_u32(message + NAME_LEN) as usize;
        let parts = self.message_parts(message);
        self.send_to_name(fd, &parts, name, len)
    }

    /// `sendmmsg`.
    fn send_messages(&mut self, fd: i32, messages: usize, count: usize) -> Result<isize, Errno> {
        let mut sent = 0;
        for message in (0..count.min(1024)).map(|ordinal| messages + EACH * ordinal) {
            match self.send_from_message(fd, message) {
                Ok(len) => self.memory.write_u32(message + LEN, len as u32),
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
            sent += 1;
        }
        Ok(sent)
    }

    /// Receives a datagram into parts of memory; what finds no room is lost.
    pub(super) fn receive_datagram(
        &mut self,
        fd: i32,
        parts: &[(usize, usize)],
        peek: bool,
    ) -> Result<Received, Errno> {
        let memory = self.memory;
        let udp = self.udp(fd)?;
        let socket = udp.socket.as_ref().ok_or(Errno(libc::EAGAIN))?;
        let datagram = socket.receive(peek)?;
        let mut copied = 0;
        for &(at, len) in parts {
            let len = len.min(datagram.bytes.len() - copied);
            memory.write(at, &datagram.bytes[copied..copied + len]);
            copied += len;
        }
        Ok(Received {
            copied,
            len: datagram.bytes.len(),
            from: datagram.from,
        })
    }

    fn tell_source(&mut self, received: &Received, fd: i32, at: usize, len_at: usize) {
        let is_v6 = self.udp(fd).is_ok_and(|udp| udp.is_v6);
        address::write(&self.memory, at, len_at, received.from, is_v6);
    }

    /// `recvmsg`.
    fn receive_in_message(&mut self, fd: i32, message: usize, flags: i32) -> Result<isize, Errno> {
        let parts = self.message_parts(message);
        let received = self.receive_datagram(fd, &parts, flags & libc::MSG_PEEK != 0)?;
        let name = self.memory.read_u64(message) as usize;
        match name {
            0 => self.memory.write_u32(message + NAME_LEN, 0),
            name => self.tell_source(&received, fd, name, message + NAME_LEN),
        }
        let told = match received.copied < received.len {
            true => libc::MSG_TRUNC,
            false => 0,
        };
        self.memory.write_u64(message + CONTROL_LEN, 0);
        self.memory.write_u32(message + FLAGS, told as u32);
        Ok(received.told(flags))
    }

    /// `recvmmsg`, without its timeout, which Linux looks at only when a datagram arrives.
    fn receive_messages(
        &mut self,
        tid: Tid,
        fd: i32,
        messages: usize,
        count: usize,
        flags: i32,
    ) -> Answer {
        let begun = self.threads.get(&tid).map_or(0, |thread| thread.progress);
        let mut done = begun;
        let error = loop {
            if done == count.min(1024) {
                return Answer::Done(done as isize);
            }
            let message = messages + EACH * done;
            match self.receive_in_message(fd, message, flags) {
                Ok(len) => self.memory.write_u32(message + LEN, len as u32),
                Err(error) => break error,
            }
            done += 1;
        };
        let waits =
            flags & libc::MSG_DONTWAIT == 0 && (done == 0 || flags & libc::MSG_WAITFORONE == 0);
        if error.0 == libc::EAGAIN && waits {
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.progress = done;
            }
            if let Answer::Wait(wait) = self.blocks(tid, fd, false, error) {
                return Answer::Wait(wait);
            }
        }
        match done {
            0 => Err(error).into(),
            done => Answer::Done(done as isize),
        }
    }

    fn shutdown_udp(&mut self, fd: i32, how: i32) -> Result<isize, Errno> {
        if !(libc::SHUT_RD..=libc::SHUT_RDWR).contains(&how) {
            return Err(Errno(libc::EINVAL));
        }
        let udp = self.udp(fd)?;
        if udp.peer().is_none() {
            return Err(Errno(libc::ENOTCONN));
        }
        udp.shut_read |= how != libc::SHUT_WR;
        udp.shut_write |= how != libc::SHUT_RD;
        let (id, _) = self.by_fd(fd)?;
        let mask = self.mask(id);
        self.notify(id, mask);
        Ok(0)
    }

    /// `getsockname`, or `getpeername`.
    fn udp_name(&mut self, call: &Call) -> Result<isize, Errno> {
        let [fd, at, len_at, ..] = call.arguments;
        let udp = self.udp(fd as i32)?;
        let (is_v6, local) = (udp.is_v6, udp.local());
        let name = match call.number {
            libc::SYS_getpeername => udp.peer().ok_or(Errno(libc::ENOTCONN))?,
            _ => local,
        };
        address::write(&self.memory, at, len_at, name, is_v6);
        Ok(0)
    }

    fn set_udp_option(&mut self, call: &Call) -> Result<isize, Errno> {
        let [fd, level, name, at, len, _] = call.arguments;
        let option = (level as i32, name as i32);
        if is_unknown(option) {
            return Err(Errno(libc::ENOPROTOOPT));
        }
        if concerns_groups(option) {
            return Err(self.refuse("datagrams to several machines"));
        }
        // One byte is enough for some of IP's.
        let mut bytes = self.memory.read(at, len);
        if option.0 != libc::SOL_SOCKET && (1..4).contains(&bytes.len()) {
            bytes.resize(4, 0);
        }
        let udp = self.udp(fd as i32)?;
        udp.options.set(option, bytes)?;
        if let (RECEIVE_BUFFER, Some(socket)) = (option, &udp.socket) {
            socket.set_room(udp.room())?;
        }
        Ok(0)
    }

    fn udp_option(&mut self, call: &Call) -> Result<isize, Errno> {
        let [fd, level, name, at, len_at, _] = call.arguments;
        let option = (level as i32, name as i32);
        if option.0 == libc::IPPROTO_TCP {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        if is_unknown(option) {
            return Err(Errno(libc::ENOPROTOOPT));
        }
        let value = self.udp(fd as i32)?.option(option)?;
        self.tell_option(&value, at, len_at);
        Ok(0)
    }
}

impl Received {
    /// What its receiver is told of its length.
    fn told(&self, flags: i32) -> isize {
        match flags & libc::MSG_TRUNC {
            0 => self.copied as isize,
            _ => self.len as isize,
        }
    }
}

impl Udp {
    /// What it keeps of what nobody has read.
    fn room(&self) -> usize {
        let [a, b, c, d] = self.value(RECEIVE_BUFFER)[..] else {
            return 0;
        };
        u32::from_ne_bytes([a, b, c, d]) as usize
    }

    fn value(&self, option: (i32, i32)) -> Vec<u8> {
        match self.options.is_set(option) {
            false if BUFFERS.contains(&option) => options::int_value(BUFFER),
            _ => self.options.get(option),
        }
    }

    fn option(&mut self, option: (i32, i32)) -> Result<Vec<u8>, Errno> {
        Ok(match option {
            (libc::SOL_SOCKET, libc::SO_ERROR) => {
                let error = match &self.socket {
                    Some(socket) => socket.take_error()?,
                    None => None,
                };
                options::int_value(error.map_or(0, |error| Errno::from(error).0))
            }
            (libc::SOL_SOCKET, libc::SO_TYPE) => options::int_value(libc::SOCK_DGRAM),
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => options::int_value(libc::IPPROTO_UDP),
            (libc::SOL_SOCKET, libc::SO_DOMAIN) if self.is_v6 => options::int_value(libc::AF_INET6),
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => options::int_value(libc::AF_INET),
            option => self.value(option),
        })
    }
}

/// `net.core.rmem_default` and `wmem_default`.
const BUFFER: i32 = 212_992;
const BUFFERS: [(i32, i32); 2] = [RECEIVE_BUFFER, (libc::SOL_SOCKET, libc::SO_SNDBUF)];

/// Options that UDP sockets don't have, or that a kernel may be without: datagrams in batches among them.
fn is_unknown((level, name): (i32, i32)) -> bool {
    const CORK: i32 = 1;
    match level {
        libc::IPPROTO_TCP => true,
        libc::IPPROTO_UDP => name != CORK,
        level => options::is_unknown(level, name),
    }
}

/// Options of multicast, but for those that every socket may set.
fn concerns_groups(option: (i32, i32)) -> bool {
    matches!(
        option,
        (
            libc::IPPROTO_IP,
            libc::IP_ADD_MEMBERSHIP | libc::IP_ADD_SOURCE_MEMBERSHIP
        ) | (libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP)
    )
}
