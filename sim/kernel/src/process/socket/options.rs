//! Options of sockets.

use std::{collections::BTreeMap, time::Duration};

use squall_engine::net::Stream;

use super::{Errno, Kernel, Kind, Socket, State};
use crate::cpu::Call;

/// The options of a socket, as they were set; those that no program sets have Linux's values.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Options(BTreeMap<(i32, i32), Vec<u8>>);

const SECOND_NS: u64 = 1_000_000_000;
const KEEPALIVE: (i32, i32) = (libc::SOL_SOCKET, libc::SO_KEEPALIVE);
const REUSE_ADDRESS: (i32, i32) = (libc::SOL_SOCKET, libc::SO_REUSEADDR);
const LINGER: (i32, i32) = (libc::SOL_SOCKET, libc::SO_LINGER);
const RECEIVE_TIMEOUT: (i32, i32) = (libc::SOL_SOCKET, libc::SO_RCVTIMEO);
const SEND_TIMEOUT: (i32, i32) = (libc::SOL_SOCKET, libc::SO_SNDTIMEO);
const KEEP_IDLE: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE);
const KEEP_INTERVAL: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL);
const KEEP_COUNT: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_KEEPCNT);
const USER_TIMEOUT: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT);

fn int(bytes: &[u8], from: usize) -> i32 {
    let bytes = bytes.get(from..from + 4).and_then(|b| b.try_into().ok());
    bytes.map_or(0, i32::from_ne_bytes)
}

/// A `timeval` in nanoseconds; none if it is zero, which stands for no limit.
fn timeval(bytes: &[u8]) -> Option<u64> {
    let long = |from: usize| {
        Some(u64::from_ne_bytes(
            bytes.get(from..from + 8)?.try_into().ok()?,
        ))
    };
    let ns = long(0)? * SECOND_NS + long(8)? * 1_000;
    (ns > 0).then_some(ns)
}

impl Options {
    fn int(&self, option: (i32, i32)) -> i32 {
        match self.0.get(&option) {
            Some(bytes) => int(bytes, 0),
            None => usual(option),
        }
    }

    /// It shares its port with sockets that have ended (`SO_REUSEADDR`).
    pub fn reuses_address(&self) -> bool {
        self.int(REUSE_ADDRESS) != 0
    }

    /// It is for IPv6 alone (`IPV6_V6ONLY`).
    pub fn are_for_v6_only(&self) -> bool {
        self.int((libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)) != 0
    }

    /// It sends a reset at its end (`SO_LINGER` with a time of zero).
    pub fn resets(&self) -> bool {
        let linger = self.0.get(&LINGER);
        linger.is_some_and(|bytes| int(bytes, 0) != 0 && int(bytes, 4) == 0)
    }

    /// How long a read waits at most, in nanoseconds (`SO_RCVTIMEO`).
    pub fn receive_timeout(&self) -> Option<u64> {
        timeval(self.0.get(&RECEIVE_TIMEOUT)?)
    }

    /// How long a write waits at most, in nanoseconds (`SO_SNDTIMEO`).
    pub fn send_timeout(&self) -> Option<u64> {
        timeval(self.0.get(&SEND_TIMEOUT)?)
    }

    /// Keeps what an option is set to.
    pub fn set(&mut self, option: (i32, i32), mut bytes: Vec<u8>) -> Result<(), Errno> {
        let (level, name) = option;
        let is_told_only = matches!(
            option,
            (
                libc::SOL_SOCKET,
                libc::SO_ERROR | libc::SO_TYPE | libc::SO_DOMAIN
            )
        );
        if is_unknown(level, name) || is_told_only {
            return Err(Errno(libc::ENOPROTOOPT));
        }
        let value = int(&bytes, 0);
        if bytes.len() < 4 || !allows(level, name, value) {
            return Err(Errno(libc::EINVAL));
        }
        bytes[..4].copy_from_slice(&as_kept(level, name, value).to_ne_bytes());
        self.0.insert(option, bytes);
        Ok(())
    }

    /// Whether anybody has set an option.
    pub fn is_set(&self, option: (i32, i32)) -> bool {
        self.0.contains_key(&option)
    }

    /// What an option is set to, or what it is when nobody has set it.
    pub fn get(&self, option: (i32, i32)) -> Vec<u8> {
        match self.0.get(&option) {
            Some(bytes) => bytes.clone(),
            None if option == LINGER => vec![0; 8],
            None if option == RECEIVE_TIMEOUT || option == SEND_TIMEOUT => vec![0; 16],
            None => int_value(usual(option)),
        }
    }

    /// Does to a connection what they say of connections, whenever and in whatever order they were set.
    pub fn apply(&self, stream: &Stream) {
        let seconds = |option| Duration::from_secs(self.int(option).max(0) as u64);
        match self.int(KEEPALIVE) {
            0 => stream.end_keepalive(),
            _ => {
                let probes = self.int(KEEP_COUNT).max(0) as u32;
                stream.set_keepalive(seconds(KEEP_IDLE), seconds(KEEP_INTERVAL), probes);
            }
        }
        let limit = self.int(USER_TIMEOUT).max(0) as u64;
        stream.set_user_timeout(Duration::from_millis(limit));
    }
}

/// What an option is that nobody has set.
fn usual(option: (i32, i32)) -> i32 {
    match option {
        (libc::SOL_SOCKET, libc::SO_RCVBUF) => 131_072,
        (libc::SOL_SOCKET, libc::SO_SNDBUF) => 16_384,
        (libc::IPPROTO_IP, libc::IP_TTL) => 64,
        KEEP_IDLE => 7200,
        KEEP_INTERVAL => 75,
        KEEP_COUNT => 9,
        (libc::IPPROTO_TCP, libc::TCP_MAXSEG) => 1448,
        _ => 0,
    }
}

impl Kernel {
    pub(in super::super) fn set_option(&mut self, call: &Call) -> Result<isize, Errno> {
        let [fd, level, name, at, len, _] = call.arguments;
        let option = (level as i32, name as i32);
        let bytes = self.memory.read(at, len);
        match &mut self.by_fd(fd as i32)?.1.kind {
            Kind::Pipe(end) if end.is_socket => {
                if option == RECEIVE_TIMEOUT {
                    end.receive_timeout = timeval(&bytes);
                }
                return Ok(0);
            }
            Kind::Unix(_) => return Ok(0),
            _ => {}
        }
        let (_, socket, _) = self.socket_of(fd as i32)?;
        socket.options.set(option, bytes)?;
        let concerns_the_connection = matches!(
            option,
            KEEPALIVE | KEEP_IDLE | KEEP_INTERVAL | KEEP_COUNT | USER_TIMEOUT
        );
        if let (State::Connected(stream), true) = (&socket.state, concerns_the_connection) {
            socket.options.apply(stream);
        }
        Ok(0)
    }

    pub(in super::super) fn option(&mut self, call: &Call) -> Result<isize, Errno> {
        let [fd, level, name, at, len_at, _] = call.arguments;
        let (level, name) = (level as i32, name as i32);
        let value = match &mut self.by_fd(fd as i32)?.1.kind {
            Kind::Pipe(end) if !end.is_socket => return Err(Errno(libc::ENOTSOCK)),
            Kind::Pipe(end) => match name {
                libc::SO_TYPE if end.keeps_bounds => int_value(libc::SOCK_SEQPACKET),
                libc::SO_TYPE => int_value(libc::SOCK_STREAM),
                libc::SO_DOMAIN => int_value(libc::AF_UNIX),
                libc::SO_PEERCRED => {
                    let peer = end.ends.as_ref().map(|ends| ends.peer).unwrap_or_default();
                    let fields = [peer.pid as u32, peer.user, peer.group];
                    fields.into_iter().flat_map(u32::to_ne_bytes).collect()
                }
                _ => int_value(0),
            },
            Kind::Unix(socket) => match name {
                libc::SO_TYPE => int_value(socket.kind()),
                libc::SO_DOMAIN => int_value(libc::AF_UNIX),
                libc::SO_ACCEPTCONN => int_value(socket.listens().into()),
                libc::SO_PEERCRED => {
                    let nobody = [0, u32::MAX, u32::MAX];
                    nobody.into_iter().flat_map(u32::to_ne_bytes).collect()
                }
                _ => int_value(0),
            },
            _ => self.socket_of(fd as i32)?.1.option((level, name))?,
        };
        self.tell_option(&value, at, len_at);
        Ok(0)
    }

    pub(in super::super) fn tell_option(&self, value: &[u8], at: usize, len_at: usize) {
        let room = self.memory.read_u32(len_at) as usize;
        let len = value.len().min(room);
        self.memory.write(at, &value[..len]);
        self.memory.write_u32(len_at, len as u32);
    }
}

pub(in super::super) fn int_value(value: i32) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

impl Socket {
    fn option(&mut self, option: (i32, i32)) -> Result<Vec<u8>, Errno> {
        if is_unknown(option.0, option.1) {
            return Err(Errno(libc::ENOPROTOOPT));
        }
        Ok(match option {
            (libc::SOL_SOCKET, libc::SO_ERROR) => {
                self.progress();
                int_value(self.take_error())
            }
            (libc::SOL_SOCKET, libc::SO_TYPE) => int_value(libc::SOCK_STREAM),
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => int_value(libc::IPPROTO_TCP),
            (libc::SOL_SOCKET, libc::SO_DOMAIN) if self.is_v6 => int_value(libc::AF_INET6),
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => int_value(libc::AF_INET),
            (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => {
                int_value(matches!(self.state, State::Listening(_) | State::Deaf).into())
            }
            option => self.options.get(option),
        })
    }
}

/// Whether Linux has no such option.
pub(in super::super) fn is_unknown(level: i32, name: i32) -> bool {
    match level {
        libc::SOL_SOCKET => !(1..=83).contains(&name),
        libc::IPPROTO_TCP => !(1..=44).contains(&name),
        _ => false,
    }
}

/// Whether an option can have this value.
fn allows(level: i32, name: i32, value: i32) -> bool {
    match (level, name) {
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE | libc::TCP_KEEPINTVL) => {
            (1..=32_767).contains(&value)
        }
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) => (1..=127).contains(&value),
        _ => true,
    }
}

/// What is read of an option that was set to this value.
fn as_kept(level: i32, name: i32, value: i32) -> i32 {
    /// `net.core.rmem_max` and `wmem_max`.
    const BUFFER_MAX: i32 = 212_992;
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE | libc::SO_REUSEADDR | libc::SO_REUSEPORT)
        | (libc::IPPROTO_TCP, libc::TCP_NODELAY) => i32::from(value != 0),
        // Linux doubles it, for its own needs.
        (libc::SOL_SOCKET, libc::SO_RCVBUF) => (2 * value.clamp(0, BUFFER_MAX)).max(2304),
        (libc::SOL_SOCKET, libc::SO_SNDBUF) => (2 * value.clamp(0, BUFFER_MAX)).max(4608),
        _ => value,
    }
}
