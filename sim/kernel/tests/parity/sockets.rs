//! TCP on the loopback interface.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use crate::{
    Probe, Seen, call,
    readiness::{masks, poll_mask},
    settle,
};

pub const PROBES: &[Probe] = &[
    ("refused", refused),
    ("names", names),
    ("half-close", half_close),
    ("peer closes", peer_closes),
    ("peer closes with unread data", peer_closes_unread),
    ("linger of zero", linger_zero),
    ("data, then reset", data_then_reset),
    ("peek", peek),
    ("flags of receive", receive_flags),
    ("non-blocking connect", nonblocking_connect),
    ("non-blocking refused", nonblocking_refused),
    ("non-blocking calls", nonblocking),
    ("bind", bind),
    ("wrong state", wrong_state),
    ("shutdown", shutdowns),
    ("new sockets", new_sockets),
    ("options", options),
    ("timeouts", timeouts),
    ("full buffers", full_buffers),
    ("vectors", vectors),
    ("listener closes", listener_closes),
    ("accept waits", accept_waits),
    ("dual stack", dual_stack),
    ("lookups", lookups),
    ("descriptors of sockets", clones),
    ("wrong arguments", wrong_arguments),
];

pub fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port is free")
}

/// Two ends of a connection.
pub fn pair() -> (TcpStream, TcpStream) {
    let listener = listener();
    let client =
        TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    let (server, _) = listener.accept().expect("somebody connected");
    settle();
    (client, server)
}

pub fn socket(kind: i32) -> OwnedFd {
    let fd = call!(socket(libc::AF_INET, libc::SOCK_STREAM | kind, 0)).expect("there is room");
    // SAFETY: it is new, and ours.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

pub fn address(to: SocketAddr) -> libc::sockaddr_in {
    let SocketAddr::V4(to) = to else {
        panic!("{to} is of another family");
    };
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(to.ip().octets()),
        },
        sin_zero: [0; 8],
    }
}

pub fn connect(fd: i32, to: SocketAddr) -> io::Result<i64> {
    let to = address(to);
    call!(connect(fd, (&raw const to).cast(), size_of_val(&to) as u32))
}

fn bind_to(fd: i32, to: SocketAddr) -> io::Result<i64> {
    let to = address(to);
    call!(bind(fd, (&raw const to).cast(), size_of_val(&to) as u32))
}

fn set(fd: i32, level: i32, name: i32, value: i32) -> io::Result<i64> {
    call!(setsockopt(fd, level, name, (&raw const value).cast(), 4))
}

fn get(fd: i32, level: i32, name: i32) -> io::Result<i32> {
    let (mut value, mut len) = (0i32, 4u32);
    call!(getsockopt(
        fd,
        level,
        name,
        (&raw mut value).cast(),
        &raw mut len
    ))?;
    Ok(value)
}

fn so_error(fd: i32) -> io::Result<i32> {
    get(fd, libc::SOL_SOCKET, libc::SO_ERROR)
}

fn reset_on_close(stream: &TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let len = size_of_val(&linger) as u32;
    let place = (&raw const linger).cast();
    call!(setsockopt(
        stream.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_LINGER,
        place,
        len
    ))
    .expect("it can be set");
}

fn read(stream: &mut TcpStream) -> io::Result<String> {
    let mut buffer = [0; 64];
    let len = stream.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..len]).into_owned())
}

fn refused(seen: &mut Seen) {
    let address = listener().local_addr().expect("it was bound");
    seen.outcome("connect", TcpStream::connect(address));
    let fd = socket(0);
    seen.outcome("first", connect(fd.as_raw_fd(), address));
    seen.outcome("second", connect(fd.as_raw_fd(), address));
    seen.result("error", so_error(fd.as_raw_fd()));
    masks(seen, "after", fd.as_raw_fd());
    seen.outcome("port 0", TcpStream::connect("127.0.0.1:0"));
    let listener = listener();
    seen.outcome(
        "third",
        connect(fd.as_raw_fd(), listener.local_addr().expect("it is bound")),
    );
    let timed = TcpStream::connect_timeout(&address, Duration::from_secs(1));
    seen.outcome("with a timeout", timed);
}

fn names(seen: &mut Seen) {
    let listener = listener();
    let bound = listener.local_addr().expect("it is bound");
    seen.note("ip", bound.ip());
    seen.note("a port was chosen", bound.port() != 0);
    let client = TcpStream::connect(bound).expect("it listens");
    let (server, peer) = listener.accept().expect("somebody connected");
    seen.note("peer of client", client.peer_addr().ok() == Some(bound));
    seen.note("local of server", server.local_addr().ok() == Some(bound));
    seen.note("accept", client.local_addr().ok() == Some(peer));
    seen.note("peer of server", server.peer_addr().ok() == Some(peer));
    seen.note("ip of client", peer.ip());
    seen.result("peer of listener", peer_of(listener.as_raw_fd()));
    let fd = socket(0);
    seen.result("unbound", local_of(fd.as_raw_fd()));
    seen.result("no peer", peer_of(fd.as_raw_fd()));
    drop(server);
    settle();
    seen.outcome("peer of a closed connection", client.peer_addr());
    let any = TcpListener::bind("0.0.0.0:0").expect("a port is free");
    seen.note("any", any.local_addr().map(|a| a.ip()).ok());
    let port = any.local_addr().expect("it is bound").port();
    let to_any = TcpStream::connect((Ipv4Addr::UNSPECIFIED, port));
    seen.result(
        "peer of what connects to any",
        to_any.and_then(|s| s.peer_addr()).map(|a| a.ip()),
    );
}

fn local_of(fd: i32) -> io::Result<(u16, u16, u32, u32)> {
    let (mut name, mut len) = (address(([1, 2, 3, 4], 5).into()), 16u32);
    call!(getsockname(fd, (&raw mut name).cast(), &raw mut len))?;
    Ok((name.sin_family, name.sin_port, name.sin_addr.s_addr, len))
}

fn peer_of(fd: i32) -> io::Result<u32> {
    let (mut name, mut len) = (address(([1, 2, 3, 4], 5).into()), 16u32);
    call!(getpeername(fd, (&raw mut name).cast(), &raw mut len))?;
    Ok(len)
}

fn half_close(seen: &mut Seen) {
    let (mut client, mut server) = pair();
    client.write_all(b"question").expect("it goes");
    seen.outcome("shutdown", client.shutdown(Shutdown::Write));
    settle();
    masks(seen, "who shut down", client.as_raw_fd());
    masks(seen, "the other", server.as_raw_fd());
    seen.result("reads", read(&mut server));
    seen.result("then", read(&mut server));
    seen.result("answers", server.write(b"answer"));
    seen.result("is answered", read(&mut client));
    seen.result("writes", client.write(b"more"));
    seen.outcome("again", client.shutdown(Shutdown::Write));
    drop(server);
    settle();
    masks(seen, "both ended", client.as_raw_fd());
    seen.result("end", read(&mut client));
    seen.outcome("too late", client.shutdown(Shutdown::Both));
}

fn peer_closes(seen: &mut Seen) {
    let (mut client, server) = pair();
    drop(server);
    settle();
    masks(seen, "closed", client.as_raw_fd());
    seen.result("read", read(&mut client));
    seen.result("read again", read(&mut client));
    seen.result("write", client.write(b"lost"));
    settle();
    masks(seen, "reset", client.as_raw_fd());
    seen.result("error", so_error(client.as_raw_fd()));
    masks(seen, "error taken", client.as_raw_fd());
    seen.result("write after the reset", client.write(b"lost"));
    seen.result("read after the reset", read(&mut client));

    let (mut client, server) = pair();
    drop(server);
    settle();
    seen.result("first write", client.write(b"lost"));
    settle();
    seen.result("second write", client.write(b"lost"));
    seen.result("third write", client.write(b"lost"));
    seen.result("read at last", read(&mut client));
    seen.outcome("peer", client.peer_addr());
    seen.outcome("shutdown", client.shutdown(Shutdown::Both));
}

fn peer_closes_unread(seen: &mut Seen) {
    let (mut client, server) = pair();
    client.write_all(b"never read").expect("it goes");
    settle();
    drop(server);
    settle();
    masks(seen, "reset", client.as_raw_fd());
    seen.result("read", read(&mut client));
    seen.result("read again", read(&mut client));
    seen.result("write", client.write(b"x"));
    masks(seen, "at last", client.as_raw_fd());
}

fn linger_zero(seen: &mut Seen) {
    let (mut client, server) = pair();
    reset_on_close(&server);
    drop(server);
    settle();
    masks(seen, "reset", client.as_raw_fd());
    seen.result("error", so_error(client.as_raw_fd()));
    seen.result("read", read(&mut client));
    seen.result("write", client.write(b"x"));
    seen.outcome("peer", client.peer_addr());
    seen.outcome("shutdown", client.shutdown(Shutdown::Write));

    let (mut client, server) = pair();
    reset_on_close(&server);
    drop(server);
    settle();
    seen.result("write first", client.write(b"x"));
    seen.result("write second", client.write(b"x"));
    seen.result("then read", read(&mut client));
}

fn data_then_reset(seen: &mut Seen) {
    let (mut client, mut server) = pair();
    server.write_all(b"queued").expect("it goes");
    settle();
    reset_on_close(&server);
    drop(server);
    settle();
    masks(seen, "both", client.as_raw_fd());
    seen.result("read", read(&mut client));
    seen.result("read again", read(&mut client));
    seen.result("at last", read(&mut client));
}

fn peek(seen: &mut Seen) {
    let (client, mut server) = pair();
    (&client).write_all(b"hello").expect("it goes");
    settle();
    let mut buffer = [0; 3];
    seen.result("peek", server.peek(&mut buffer));
    seen.note("peeked", buffer);
    seen.result("read", read(&mut server));
    drop(client);
    settle();
    seen.result("at the end", server.peek(&mut buffer));
}

fn receive_flags(seen: &mut Seen) {
    let (mut client, server) = pair();
    let fd = server.as_raw_fd();
    let mut buffer = [0u8; 8];
    let receive = |buffer: &mut [u8], flags: i32| {
        call!(recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), flags))
    };
    seen.result("does not wait", receive(&mut buffer, libc::MSG_DONTWAIT));
    client.write_all(b"hello").expect("it goes");
    settle();
    let mut unread = 0i32;
    seen.outcome(
        "FIONREAD",
        call!(ioctl(fd, libc::FIONREAD, &raw mut unread)),
    );
    seen.note("unread", unread);
    seen.result("of no length", receive(&mut [], 0));
    let flags = libc::MSG_DONTWAIT | libc::MSG_WAITALL;
    seen.result("as much as there is", receive(&mut buffer, flags));
    let writer = std::thread::spawn(move || {
        client.write_all(b"four").expect("it goes");
        settle();
        client.write_all(b"more").expect("it goes");
    });
    seen.result("waits for all", receive(&mut buffer, libc::MSG_WAITALL));
    seen.note("all", buffer);
    writer.join().expect("it ends");
    settle();
    seen.result("at the end", receive(&mut buffer, libc::MSG_WAITALL));
    let flags = libc::MSG_NOSIGNAL;
    seen.result("write", call!(send(fd, b"x".as_ptr().cast(), 1, flags)));
    settle();
    seen.result(
        "write again",
        call!(send(fd, b"x".as_ptr().cast(), 1, flags)),
    );
    seen.result(
        "of no length, sent",
        call!(send(fd, b"x".as_ptr().cast(), 0, flags)),
    );
}

fn nonblocking_connect(seen: &mut Seen) {
    let listener = listener();
    let to = listener.local_addr().expect("it is bound");
    let fd = socket(libc::SOCK_NONBLOCK);
    seen.outcome("connect", connect(fd.as_raw_fd(), to));
    settle();
    masks(seen, "connected", fd.as_raw_fd());
    seen.result("error", so_error(fd.as_raw_fd()));
    seen.outcome("connect again", connect(fd.as_raw_fd(), to));
    seen.outcome("and again", connect(fd.as_raw_fd(), to));
    seen.outcome("peer", peer_of(fd.as_raw_fd()));
    masks(seen, "listener", listener.as_raw_fd());
    seen.outcome("accept", listener.accept());
    masks(seen, "accepted", listener.as_raw_fd());
}

fn nonblocking_refused(seen: &mut Seen) {
    let to = listener().local_addr().expect("it was bound");
    let fd = socket(libc::SOCK_NONBLOCK);
    let first = connect(fd.as_raw_fd(), to);
    // Linux may know at once.
    let at_once = first
        .as_ref()
        .is_err_and(|e| e.raw_os_error() == Some(libc::ECONNREFUSED));
    settle();
    if !at_once {
        masks(seen, "refused", fd.as_raw_fd());
        seen.result("error", so_error(fd.as_raw_fd()));
    }
    seen.result("no error", so_error(fd.as_raw_fd()));
    masks(seen, "idle", fd.as_raw_fd());
    let mut byte = [0u8];
    seen.result(
        "read",
        call!(read(fd.as_raw_fd(), byte.as_mut_ptr().cast(), 1)),
    );
    seen.result(
        "write",
        call!(write(fd.as_raw_fd(), byte.as_ptr().cast(), 1)),
    );

    let fd = socket(libc::SOCK_NONBLOCK);
    let _ = connect(fd.as_raw_fd(), to);
    settle();
    if !at_once {
        seen.result(
            "read tells",
            call!(read(fd.as_raw_fd(), byte.as_mut_ptr().cast(), 1)),
        );
    }
    seen.result("told", so_error(fd.as_raw_fd()));
}

fn nonblocking(seen: &mut Seen) {
    let listener = listener();
    listener.set_nonblocking(true).expect("it can be set");
    seen.outcome("accept", listener.accept());
    let (mut client, server) = pair();
    client.set_nonblocking(true).expect("it can be set");
    seen.result("read", read(&mut client));
    seen.note(
        "flag",
        call!(fcntl(client.as_raw_fd(), libc::F_GETFL))
            .map(|f| f as i32 & libc::O_NONBLOCK != 0)
            .ok(),
    );
    seen.note(
        "access",
        call!(fcntl(client.as_raw_fd(), libc::F_GETFL))
            .map(|f| f as i32 & libc::O_ACCMODE)
            .ok(),
    );
    seen.note(
        "other flag",
        call!(fcntl(server.as_raw_fd(), libc::F_GETFL))
            .map(|f| f as i32 & libc::O_NONBLOCK != 0)
            .ok(),
    );
    let to = listener.local_addr().expect("it is bound");
    let _other = TcpStream::connect(to).expect("it listens");
    settle();
    let (accepted, _) = listener.accept().expect("somebody is there");
    seen.note(
        "accepted one",
        call!(fcntl(accepted.as_raw_fd(), libc::F_GETFL))
            .map(|f| f as i32 & libc::O_NONBLOCK != 0)
            .ok(),
    );
    seen.note(
        "closes on exec",
        call!(fcntl(accepted.as_raw_fd(), libc::F_GETFD)).ok(),
    );
}

fn bind(seen: &mut Seen) {
    let first = listener();
    let taken = first.local_addr().expect("it is bound");
    seen.outcome("twice", TcpListener::bind(taken));
    let plain = socket(0);
    seen.outcome("plain", bind_to(plain.as_raw_fd(), taken));
    let any = SocketAddr::from(([0, 0, 0, 0], taken.port()));
    seen.outcome("any", bind_to(plain.as_raw_fd(), any));
    let reuses = socket(0);
    set(reuses.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1).expect("it can be set");
    seen.outcome(
        "reuses, with a listener",
        bind_to(reuses.as_raw_fd(), taken),
    );
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let (a, b) = (socket(0), socket(0));
    for fd in [&a, &b] {
        set(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1).expect("it can be set");
    }
    seen.outcome("one", bind_to(a.as_raw_fd(), free));
    let (_, port, ..) = local_of(a.as_raw_fd()).expect("it is bound");
    let same = SocketAddr::from(([127, 0, 0, 1], u16::from_be(port)));
    seen.outcome("another", bind_to(b.as_raw_fd(), same));
    seen.outcome("one listens", call!(listen(a.as_raw_fd(), 5)));
    seen.outcome("another listens", call!(listen(b.as_raw_fd(), 5)));
    seen.outcome("bound already", bind_to(a.as_raw_fd(), free));
    let c = socket(0);
    seen.outcome("plain beside", bind_to(c.as_raw_fd(), same));
    let elsewhere = SocketAddr::from(([203, 0, 113, 1], 0));
    seen.outcome("not ours", bind_to(c.as_raw_fd(), elsewhere));
    seen.outcome(
        "other loopback",
        bind_to(c.as_raw_fd(), ([127, 0, 0, 2], 0).into()),
    );
    // A listener that is gone leaves its port, also when connections of it live on.
    let to = first.local_addr().expect("it is bound");
    let _client = TcpStream::connect(to).expect("it listens");
    let _server = first.accept().expect("somebody connected");
    drop(first);
    seen.outcome("again, with a connection", TcpListener::bind(to));
    let plain = socket(0);
    seen.outcome("plain, with a connection", bind_to(plain.as_raw_fd(), to));
    // From a port of one's own choice.
    let bound = socket(0);
    bind_to(bound.as_raw_fd(), free).expect("a port is free");
    let (_, port, ..) = local_of(bound.as_raw_fd()).expect("it is bound");
    let listener = listener();
    seen.outcome(
        "bound, then connected",
        connect(
            bound.as_raw_fd(),
            listener.local_addr().expect("it is bound"),
        ),
    );
    let (_, peer) = listener.accept().expect("somebody connected");
    seen.note("from its port", peer.port() == u16::from_be(port));
}

fn wrong_state(seen: &mut Seen) {
    let idle = socket(0);
    let mut byte = [0u8];
    seen.result(
        "read of an idle one",
        call!(read(idle.as_raw_fd(), byte.as_mut_ptr().cast(), 1)),
    );
    seen.result(
        "write to an idle one",
        call!(write(idle.as_raw_fd(), byte.as_ptr().cast(), 1)),
    );
    seen.outcome(
        "shutdown of an idle one",
        call!(shutdown(idle.as_raw_fd(), libc::SHUT_WR)),
    );
    seen.outcome("accept at an idle one", accept(idle.as_raw_fd()));
    let listener = listener();
    let (client, _server) = pair();
    let to = listener.local_addr().expect("it is bound");
    seen.outcome("accept at a connection", accept(client.as_raw_fd()));
    seen.outcome(
        "listen at a connection",
        call!(listen(client.as_raw_fd(), 1)),
    );
    seen.outcome("connect of a connection", connect(client.as_raw_fd(), to));
    seen.outcome("connect of a listener", connect(listener.as_raw_fd(), to));
    seen.outcome("listen again", call!(listen(listener.as_raw_fd(), 1)));
    seen.result(
        "read of a listener",
        call!(read(listener.as_raw_fd(), byte.as_mut_ptr().cast(), 1)),
    );
    seen.result(
        "write to a listener",
        call!(write(listener.as_raw_fd(), byte.as_ptr().cast(), 1)),
    );
    seen.outcome("unbound listens", call!(listen(idle.as_raw_fd(), 1)));
    seen.note(
        "at a port",
        local_of(idle.as_raw_fd()).map(|name| name.1 != 0).ok(),
    );
    seen.outcome(
        "shutdown of a listener",
        call!(shutdown(listener.as_raw_fd(), libc::SHUT_RDWR)),
    );
    seen.outcome("accept at a shut one", accept(listener.as_raw_fd()));
    seen.outcome("connect to a shut one", TcpStream::connect(to));
    seen.outcome("seek", call!(lseek(client.as_raw_fd(), 0, libc::SEEK_SET)));
    seen.outcome("sync", call!(fsync(client.as_raw_fd())));
    seen.outcome(
        "shutdown of an unknown kind",
        call!(shutdown(client.as_raw_fd(), 7)),
    );
}

fn accept(fd: i32) -> io::Result<i64> {
    call!(accept(fd, std::ptr::null_mut(), std::ptr::null_mut()))
}

fn shutdowns(seen: &mut Seen) {
    let (mut client, mut server) = pair();
    seen.outcome("read side", client.shutdown(Shutdown::Read));
    masks(seen, "read side", client.as_raw_fd());
    seen.result("read", read(&mut client));
    seen.result("the other writes", server.write(b"data"));
    settle();
    masks(seen, "the other", server.as_raw_fd());
    seen.result("read of what came", read(&mut client));
    seen.result("write", client.write(b"still"));
    settle();
    seen.result("the other reads", read(&mut server));
    seen.outcome("both sides", client.shutdown(Shutdown::Both));
    settle();
    masks(seen, "both sides", client.as_raw_fd());
    masks(seen, "the other at last", server.as_raw_fd());
    seen.outcome("the other both", server.shutdown(Shutdown::Both));
    settle();
    masks(seen, "all over", server.as_raw_fd());
    seen.result("read at last", read(&mut server));
    seen.result("write at last", server.write(b"x"));
    // One that waits in a read is woken.
    let (client, _server) = pair();
    let mut other = client.try_clone().expect("there is room");
    let reader = std::thread::spawn(move || read(&mut other).map_err(|e| crate::error_of(&e)));
    settle();
    client.shutdown(Shutdown::Read).expect("it is connected");
    seen.note("a reader", reader.join().expect("it ends"));
}

fn new_sockets(seen: &mut Seen) {
    let fd = socket(0);
    masks(seen, "new", fd.as_raw_fd());
    let listener = listener();
    masks(seen, "listener", listener.as_raw_fd());
    let (client, server) = pair();
    masks(seen, "connected", client.as_raw_fd());
    (&client).write_all(b"x").expect("it goes");
    settle();
    masks(seen, "with data", server.as_raw_fd());
    seen.note(
        "closes on exec",
        call!(fcntl(client.as_raw_fd(), libc::F_GETFD)).ok(),
    );
    seen.outcome("of no family", call!(socket(200, libc::SOCK_STREAM, 0)));
    seen.outcome("of no kind", call!(socket(libc::AF_INET, 9, 0)));
    seen.outcome(
        "of another protocol",
        call!(socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_UDP)),
    );
    seen.outcome(
        "of its protocol",
        call!(socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP))
            .and_then(|fd| call!(close(fd as i32))),
    );
}

fn options(seen: &mut Seen) {
    let listener = listener();
    let (client, _server) = pair();
    let (tcp, socket_level) = (libc::IPPROTO_TCP, libc::SOL_SOCKET);
    for (name, level, option) in [
        ("SO_TYPE", socket_level, libc::SO_TYPE),
        ("SO_DOMAIN", socket_level, libc::SO_DOMAIN),
        ("SO_PROTOCOL", socket_level, libc::SO_PROTOCOL),
        ("SO_ACCEPTCONN", socket_level, libc::SO_ACCEPTCONN),
        ("SO_REUSEADDR", socket_level, libc::SO_REUSEADDR),
        ("SO_KEEPALIVE", socket_level, libc::SO_KEEPALIVE),
        ("SO_BROADCAST", socket_level, libc::SO_BROADCAST),
        ("TCP_NODELAY", tcp, libc::TCP_NODELAY),
        ("TCP_KEEPIDLE", tcp, libc::TCP_KEEPIDLE),
        ("TCP_KEEPINTVL", tcp, libc::TCP_KEEPINTVL),
        ("TCP_KEEPCNT", tcp, libc::TCP_KEEPCNT),
        ("TCP_USER_TIMEOUT", tcp, libc::TCP_USER_TIMEOUT),
        ("IP_TTL", libc::IPPROTO_IP, libc::IP_TTL),
        ("IP_TOS", libc::IPPROTO_IP, libc::IP_TOS),
        ("unknown", socket_level, 4711),
        ("unknown of TCP", tcp, 4711),
    ] {
        seen.result(
            &format!("{name} of a listener"),
            get(listener.as_raw_fd(), level, option),
        );
        seen.result(
            &format!("{name} of a connection"),
            get(client.as_raw_fd(), level, option),
        );
    }
    let fd = client.as_raw_fd();
    for (name, level, option, value) in [
        ("SO_KEEPALIVE", socket_level, libc::SO_KEEPALIVE, 5),
        ("SO_REUSEADDR", socket_level, libc::SO_REUSEADDR, 5),
        ("TCP_NODELAY", tcp, libc::TCP_NODELAY, 5),
        ("TCP_KEEPIDLE", tcp, libc::TCP_KEEPIDLE, 11),
        ("TCP_KEEPINTVL", tcp, libc::TCP_KEEPINTVL, 12),
        ("TCP_KEEPCNT", tcp, libc::TCP_KEEPCNT, 13),
        ("TCP_KEEPCNT of 0", tcp, libc::TCP_KEEPCNT, 0),
        ("TCP_KEEPIDLE of 0", tcp, libc::TCP_KEEPIDLE, 0),
        ("TCP_USER_TIMEOUT", tcp, libc::TCP_USER_TIMEOUT, 1400),
        ("IP_TTL", libc::IPPROTO_IP, libc::IP_TTL, 33),
        ("SO_RCVBUF", socket_level, libc::SO_RCVBUF, 20_000),
        ("SO_SNDBUF", socket_level, libc::SO_SNDBUF, 20_000),
        ("SO_ERROR", socket_level, libc::SO_ERROR, 1),
        ("SO_TYPE", socket_level, libc::SO_TYPE, 1),
        ("unknown", socket_level, 4711, 1),
    ] {
        seen.outcome(&format!("set {name}"), set(fd, level, option, value));
        seen.result(&format!("then {name}"), get(fd, level, option));
    }
    let short = 1u8;
    seen.outcome(
        "too short",
        call!(setsockopt(
            fd,
            tcp,
            libc::TCP_NODELAY,
            (&raw const short).cast(),
            1
        )),
    );
    reset_on_close(&client);
    let (mut linger, mut len) = ([0i32; 2], 8u32);
    seen.outcome(
        "SO_LINGER",
        call!(getsockopt(
            fd,
            socket_level,
            libc::SO_LINGER,
            (&raw mut linger).cast(),
            &raw mut len
        )),
    );
    seen.note("linger", (linger, len));
    seen.outcome("TTL", client.set_ttl(77));
    seen.result("TTL set", client.ttl());
    seen.result("timeout", client.read_timeout());
    client
        .set_read_timeout(Some(Duration::from_millis(1500)))
        .expect("it can be set");
    seen.result("timeout set", client.read_timeout());
    seen.result(
        "error",
        client.take_error().map(|e| e.map(|e| e.to_string())),
    );
}

fn timeouts(seen: &mut Seen) {
    let (mut client, _server) = pair();
    client
        .set_read_timeout(Some(Duration::from_millis(20)))
        .expect("it can be set");
    seen.result("read", read(&mut client));
    client
        .set_write_timeout(Some(Duration::from_millis(20)))
        .expect("it can be set");
    let buffer = vec![0; 1 << 20];
    let ended = loop {
        if let Err(error) = client.write_all(&buffer) {
            break error;
        }
    };
    seen.note("write", crate::error_of(&ended));
    let listener = listener();
    let (fd, time) = (
        listener.as_raw_fd(),
        libc::timeval {
            tv_sec: 0,
            tv_usec: 20_000,
        },
    );
    call!(setsockopt(
        fd,
        libc::SOL_SOCKET,
        libc::SO_RCVTIMEO,
        (&raw const time).cast(),
        16
    ))
    .expect("it can be set");
    seen.outcome("accept", listener.accept());
}

fn full_buffers(seen: &mut Seen) {
    let (mut client, mut server) = pair();
    client.set_nonblocking(true).expect("it can be set");
    let buffer = vec![7; 1 << 20];
    let mut written = 0;
    let mut idle = 0;
    // Until nothing moves any more.
    let error = loop {
        match client.write(&buffer) {
            Ok(count) => (written, idle) = (written + count, 0),
            Err(error) if idle > 2 => break error,
            Err(_) => {
                idle += 1;
                settle();
            }
        }
    };
    seen.note("at last", crate::error_of(&error));
    masks(seen, "full", client.as_raw_fd());
    let mut read = 0;
    let mut into = vec![0; 1 << 16];
    while read < written {
        read += server.read(&mut into).expect("there is more");
    }
    settle();
    masks(seen, "drained", client.as_raw_fd());
    seen.note(
        "everything came",
        (read == written, into.iter().all(|byte| *byte == 7)),
    );
}

fn vectors(seen: &mut Seen) {
    let (mut client, mut server) = pair();
    let parts = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
    seen.result("written", client.write_vectored(&parts));
    settle();
    let (mut a, mut b) = ([0; 3], [0; 8]);
    let mut parts = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
    seen.result("read", server.read_vectored(&mut parts));
    seen.note("parts", (a, b));
}

fn listener_closes(seen: &mut Seen) {
    let listener = listener();
    let mut client =
        TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    drop(listener);
    settle();
    masks(seen, "pending", client.as_raw_fd());
    seen.result("read", read(&mut client));
    seen.result("write", client.write(b"x"));
    // One that is gone before it was accepted.
    let listener = self::listener();
    let mut client =
        TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    client.write_all(b"left").expect("it goes");
    drop(client);
    settle();
    let (mut accepted, _) = listener.accept().expect("it is in the queue");
    seen.result("what it left", read(&mut accepted));
    seen.result("its end", read(&mut accepted));
}

fn accept_waits(seen: &mut Seen) {
    let listener = listener();
    let to = listener.local_addr().expect("it is bound");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let text = read(&mut stream)?;
        stream.write_all(text.to_uppercase().as_bytes())?;
        io::Result::Ok(text)
    });
    settle();
    let mut client = TcpStream::connect(to).expect("it listens");
    settle();
    client.write_all(b"shout").expect("it goes");
    let mut all = String::new();
    seen.result("to the end", client.read_to_string(&mut all));
    seen.note("answer", all);
    seen.result("server", server.join().expect("it ends"));
}

fn dual_stack(seen: &mut Seen) {
    let listener = TcpListener::bind("[::]:0").expect("a port is free");
    let bound = listener.local_addr().expect("it is bound");
    seen.note("bound", bound.ip());
    let v4 = TcpStream::connect((Ipv4Addr::LOCALHOST, bound.port()));
    seen.result(
        "v4",
        v4.as_ref()
            .map(|s| s.peer_addr().map(|a| a.ip()).ok())
            .map_err(|e| io::Error::from(e.kind())),
    );
    seen.result(
        "accepted v4",
        listener
            .accept()
            .and_then(|(s, from)| Ok((from.ip(), s.local_addr()?.ip()))),
    );
    let v6 = TcpStream::connect(("::1", bound.port()));
    seen.result(
        "v6",
        v6.as_ref()
            .map(|s| s.peer_addr().map(|a| a.ip()).ok())
            .map_err(|e| io::Error::from(e.kind())),
    );
    seen.result(
        "accepted v6",
        listener
            .accept()
            .and_then(|(s, from)| Ok((from.ip(), s.local_addr()?.ip()))),
    );
    let only = TcpListener::bind("[::1]:0").expect("a port is free");
    let to = only.local_addr().expect("it is bound");
    seen.note("v6 only", to.ip());
    seen.outcome(
        "v4 to v6 only",
        TcpStream::connect((Ipv4Addr::LOCALHOST, to.port())),
    );
    let fd = socket(0);
    let name = libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as u16,
        sin6_port: to.port().to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
        sin6_scope_id: 0,
    };
    seen.outcome(
        "bind to another family",
        call!(bind(
            fd.as_raw_fd(),
            (&raw const name).cast(),
            size_of_val(&name) as u32
        )),
    );
    seen.outcome(
        "connect to another family",
        call!(connect(
            fd.as_raw_fd(),
            (&raw const name).cast(),
            size_of_val(&name) as u32
        )),
    );
}

fn lookups(seen: &mut Seen) {
    let find =
        |name: &str| -> io::Result<Vec<SocketAddr>> { Ok(name.to_socket_addrs()?.collect()) };
    seen.result("numbers", find("10.1.2.3:80"));
    seen.result("v6 numbers", find("[::1]:80"));
    seen.note(
        "localhost",
        find("localhost:80")
            .map(|all| all.contains(&([127, 0, 0, 1], 80).into()))
            .ok(),
    );
    let none: Result<Vec<SocketAddr>, _> = find("no-such-name.invalid:80");
    seen.note(
        "no such name",
        none.map_err(|e| (e.raw_os_error(), e.kind())).is_err(),
    );
}

fn clones(seen: &mut Seen) {
    let (client, mut server) = pair();
    let other = client.try_clone().expect("there is room");
    drop(client);
    settle();
    masks(seen, "one of two closed", server.as_raw_fd());
    (&other).write_all(b"alive").expect("it goes");
    seen.result("read", read(&mut server));
    drop(other);
    settle();
    seen.note("both closed", poll_mask(server.as_raw_fd()));
}

fn wrong_arguments(seen: &mut Seen) {
    let fd = socket(0);
    let name = address(([127, 0, 0, 1], 1).into());
    seen.outcome(
        "short name",
        call!(connect(fd.as_raw_fd(), (&raw const name).cast(), 8)),
    );
    seen.outcome(
        "short name to bind",
        call!(bind(fd.as_raw_fd(), (&raw const name).cast(), 8)),
    );
    let (mut short, mut len) = ([0u8; 4], 4u32);
    let (client, _server) = pair();
    seen.outcome(
        "short place",
        call!(getpeername(
            client.as_raw_fd(),
            short.as_mut_ptr().cast(),
            &raw mut len
        )),
    );
    seen.note("length", (len, &short[..2]));
    let (mut value, mut len) = (0u16, 2u32);
    seen.outcome(
        "short option",
        call!(getsockopt(
            client.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            (&raw mut value).cast(),
            &raw mut len
        )),
    );
    seen.note("value", (value, len));
}
