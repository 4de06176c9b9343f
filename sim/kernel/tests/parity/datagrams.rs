//! UDP on the loopback interface.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use crate::{
    Probe, Seen, call,
    readiness::masks,
    settle,
    sockets::{address, connect},
};

pub const PROBES: &[Probe] = &[
    ("datagrams", datagrams),
    ("datagrams, names", names),
    ("datagrams, connected", connected),
    ("datagrams, refused", refused),
    ("datagrams, too long", too_long),
    ("datagrams, truncated", truncated),
    ("datagrams, messages", messages),
    ("datagrams, full buffers", full),
    ("datagrams, wrong calls", wrong),
    ("datagrams, shutdown", shutdowns),
    ("datagrams, addresses in use", in_use),
    ("datagrams, options", options),
    ("datagrams, both families", families),
    ("datagrams, waits", waits),
];

fn bound() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.set_nonblocking(true).expect("it can be set");
    socket
}

fn at(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("it is bound")
}

fn unbound() -> OwnedFd {
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK;
    let fd = call!(socket(libc::AF_INET, kind, 0)).expect("there is room");
    // SAFETY: it is new, and ours.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

fn read(socket: &UdpSocket) -> io::Result<String> {
    let mut buffer = [0; 64];
    let len = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..len]).into_owned())
}

/// Sends from one to the other.
fn send(from: &UdpSocket, to: &UdpSocket, text: &[u8]) -> io::Result<usize> {
    from.send_to(text, at(to))
}

fn datagrams(seen: &mut Seen) {
    let (a, b) = (bound(), bound());
    masks(seen, "nothing", b.as_raw_fd());
    seen.result("nothing yet", read(&b));
    seen.result("sends", send(&a, &b, b"one"));
    seen.result("sends another", send(&a, &b, b"two"));
    seen.result("sends nothing", send(&a, &b, b""));
    masks(seen, "some", b.as_raw_fd());
    let mut buffer = [0; 8];
    let from = b.recv_from(&mut buffer);
    seen.result("receives", from.map(|(len, from)| (len, from == at(&a))));
    seen.result("peeks", b.peek(&mut buffer));
    let mut unread = 0i32;
    call!(ioctl(b.as_raw_fd(), libc::FIONREAD, &raw mut unread)).expect("it can be asked");
    seen.note("unread", unread);
    seen.result("the second", read(&b));
    seen.result("the empty one", read(&b));
    seen.result("no more", read(&b));
    masks(seen, "none", b.as_raw_fd());
}

fn names(seen: &mut Seen) {
    let fd = unbound();
    // SAFETY: it is handed over.
    let socket = UdpSocket::from(fd);
    seen.result("unbound", socket.local_addr());
    seen.outcome("no peer", socket.peer_addr());
    let other = bound();
    seen.result("sends", send(&socket, &other, b"x"));
    let local = at(&socket);
    seen.note("bound by it", (local.ip(), local.port() != 0));
    let mut buffer = [0; 8];
    let from = other.recv_from(&mut buffer).map(|(_, from)| from.ip());
    seen.result("its source", from);
    seen.outcome("connects", socket.connect(at(&other)));
    seen.note("its address then", at(&socket).ip());
    seen.result(
        "its peer",
        socket.peer_addr().map(|peer| peer == at(&other)),
    );
    let none = libc::sockaddr {
        sa_family: libc::AF_UNSPEC as u16,
        sa_data: [0; 14],
    };
    let disconnects = call!(connect(socket.as_raw_fd(), &raw const none, 16));
    seen.result("disconnects", disconnects);
    seen.outcome("no peer again", socket.peer_addr());
    seen.note("its address at last", at(&socket).ip());
    let any = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port is free");
    seen.note("any", at(&any).ip());
    seen.result("to any", other.send_to(b"y", at(&any)));
    let from = any
        .recv_from(&mut buffer)
        .map(|(_, from)| from == at(&other));
    seen.result("from any", from);
}

fn connected(seen: &mut Seen) {
    let (a, b, c) = (bound(), bound(), bound());
    seen.result("no peer", a.send(b"x"));
    seen.outcome("connects", a.connect(at(&b)));
    seen.result("sends", a.send(b"x"));
    seen.result(
        "writes",
        call!(write(a.as_raw_fd(), b"yz".as_ptr().cast(), 2)),
    );
    seen.result("arrives", read(&b));
    seen.result("another's", send(&c, &a, b"not heard"));
    seen.result("hears", read(&a));
    seen.result("its peer's", send(&b, &a, b"heard"));
    seen.result("hears then", read(&a));
    seen.result("elsewhere", a.send_to(b"to c", at(&c)));
    seen.result("arrives there", read(&c));
    seen.outcome("connects anew", a.connect(at(&c)));
    seen.result("sends anew", a.send(b"again"));
    seen.result("arrives anew", read(&c));
}

fn refused(seen: &mut Seen) {
    let gone = at(&bound());
    let socket = bound();
    seen.result("unconnected", socket.send_to(b"x", gone));
    seen.result("hears nothing", read(&socket));
    seen.outcome("connects", socket.connect(gone));
    seen.result("first", socket.send(b"x"));
    masks(seen, "refused", socket.as_raw_fd());
    seen.result("second", socket.send(b"x"));
    seen.result("third", socket.send(b"x"));
    seen.result("reads", read(&socket));
    seen.result("reads again", read(&socket));
    seen.result("fourth", socket.send(b"x"));
    seen.note(
        "error",
        socket
            .take_error()
            .map(|e| e.and_then(|e| e.raw_os_error()))
            .ok(),
    );
    seen.result("reads at last", read(&socket));
    seen.result("port 0", socket.send_to(b"x", "127.0.0.1:0"));
}

fn too_long(seen: &mut Seen) {
    let (a, b) = (bound(), bound());
    let long = vec![7; 70_000];
    seen.result("too long", send(&a, &b, &long));
    seen.result("just too long", send(&a, &b, &long[..65_508]));
    seen.result("longest", send(&a, &b, &long[..65_507]));
    let mut buffer = vec![0; 70_000];
    seen.result("arrives", b.recv(&mut buffer));
}

fn receive(fd: i32, len: usize, flags: i32) -> io::Result<i64> {
    let mut buffer = [0u8; 64];
    call!(recv(fd, buffer.as_mut_ptr().cast(), len, flags))
}

fn truncated(seen: &mut Seen) {
    let (a, b) = (bound(), bound());
    for text in [
        &b"longer than its place"[..],
        b"another",
        b"third",
        b"fourth",
    ] {
        send(&a, &b, text).expect("it goes");
    }
    let fd = b.as_raw_fd();
    seen.result("short place", receive(fd, 4, 0));
    seen.result("peeked", receive(fd, 4, libc::MSG_PEEK | libc::MSG_TRUNC));
    seen.result("its length", receive(fd, 4, libc::MSG_TRUNC));
    seen.result("no place", receive(fd, 0, 0));
    seen.result("the last", receive(fd, 64, libc::MSG_WAITALL));
    seen.result("none", receive(fd, 64, libc::MSG_DONTWAIT));
}

/// A message of two parts, and a place for a name.
fn message(name: &mut libc::sockaddr_in, parts: &mut [libc::iovec; 2]) -> libc::msghdr {
    // SAFETY: zeros are a message of nothing.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw mut *name).cast();
    message.msg_namelen = 16;
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = 2;
    message.msg_flags = 77;
    message
}

fn parts(first: &mut [u8], second: &mut [u8]) -> [libc::iovec; 2] {
    [first, second].map(|part| libc::iovec {
        iov_base: part.as_mut_ptr().cast(),
        iov_len: part.len(),
    })
}

fn messages(seen: &mut Seen) {
    let (a, b) = (bound(), bound());
    let fd = b.as_raw_fd();
    let mut to = address(at(&b));
    let (mut first, mut second) = (*b"abc", *b"def");
    let mut both = parts(&mut first, &mut second);
    let question = message(&mut to, &mut both);
    seen.result(
        "sends",
        call!(sendmsg(a.as_raw_fd(), &raw const question, 0)),
    );
    let mut many = [question, question, question].map(|msg_hdr| libc::mmsghdr {
        msg_hdr,
        msg_len: 0,
    });
    let sent = call!(sendmmsg(a.as_raw_fd(), many.as_mut_ptr(), 3, 0));
    seen.result("sends many", sent);
    seen.note("lengths", many.map(|one| one.msg_len));

    let mut from = address(([0, 0, 0, 0], 0).into());
    let (mut head, mut tail) = ([0; 2], [0; 3]);
    let mut place = parts(&mut head, &mut tail);
    let mut answer = message(&mut from, &mut place);
    seen.result("receives", call!(recvmsg(fd, &raw mut answer, 0)));
    seen.note("flags", answer.msg_flags);
    seen.note(
        "from",
        (answer.msg_namelen, from.sin_port == at(&a).port().to_be()),
    );
    seen.note("parts", (head, tail));
    let mut many = [answer, answer, answer, answer].map(|msg_hdr| libc::mmsghdr {
        msg_hdr,
        msg_len: 0,
    });
    let none = std::ptr::null_mut();
    let got = call!(recvmmsg(
        fd,
        many.as_mut_ptr(),
        4,
        libc::MSG_WAITFORONE,
        none
    ));
    seen.result("receives many", got);
    seen.note("their lengths", many.map(|one| one.msg_len));
    let got = call!(recvmmsg(fd, many.as_mut_ptr(), 4, libc::MSG_DONTWAIT, none));
    seen.result("no more", got);
}

fn full(seen: &mut Seen) {
    for (what, len) in [("small", 10), ("ordinary", 1_400), ("large", 9_000)] {
        let (a, b) = (bound(), bound());
        let text = vec![1; len];
        for _ in 0..300 {
            send(&a, &b, &text).expect("it goes, or is lost");
        }
        let mut buffer = vec![0; 10_000];
        let kept = std::iter::from_fn(|| b.recv(&mut buffer).ok()).count();
        seen.note(what, kept);
    }
}

fn wrong(seen: &mut Seen) {
    let (a, b) = (bound(), bound());
    let fd = a.as_raw_fd();
    seen.result("listen", call!(listen(fd, 1)));
    let none = std::ptr::null_mut();
    seen.result("accept", call!(accept(fd, none, none.cast())));
    seen.outcome("bind again", {
        let name = address(at(&b));
        call!(bind(fd, (&raw const name).cast(), 16))
    });
    seen.outcome("broadcast", a.send_to(b"x", (Ipv4Addr::BROADCAST, 9)));
    seen.outcome("other family", a.send_to(b"x", (Ipv6Addr::LOCALHOST, 9)));
    seen.outcome("short name", {
        let name = address(at(&b));
        call!(connect(fd, (&raw const name).cast(), 8))
    });
    seen.outcome(
        "of TCP",
        call!(socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_TCP)),
    );
    seen.outcome("elsewhere", UdpSocket::bind("192.0.2.1:0"));
    seen.outcome("seek", call!(lseek(fd, 0, libc::SEEK_SET)));
    seen.outcome("reads nothing", call!(read(fd, none.cast(), 0)));
    seen.outcome("no error", connect(fd, at(&b)));
}

fn shutdowns(seen: &mut Seen) {
    let (a, b) = (bound(), bound());
    let fd = a.as_raw_fd();
    seen.result("unconnected", call!(shutdown(fd, libc::SHUT_RDWR)));
    let a = bound();
    let fd = a.as_raw_fd();
    a.connect(at(&b)).expect("it connects");
    seen.result("wrong", call!(shutdown(fd, 7)));
    seen.result("reads", call!(shutdown(fd, libc::SHUT_RD)));
    masks(seen, "deaf", fd);
    seen.result("read", read(&a));
    seen.result("sends", a.send(b"x"));
    seen.result("writes", call!(shutdown(fd, libc::SHUT_WR)));
    masks(seen, "deaf and dumb", fd);
    seen.result("sends no more", a.send(b"x"));
}

fn in_use(seen: &mut Seen) {
    let a = bound();
    let port = at(&a).port();
    seen.outcome("the same", UdpSocket::bind(at(&a)));
    seen.outcome("any", UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)));
    seen.outcome(
        "any of IPv6",
        UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)),
    );
    seen.outcome("IPv6", UdpSocket::bind((Ipv6Addr::LOCALHOST, port)));
    seen.outcome("TCP", std::net::TcpListener::bind(at(&a)));
    let name = address(at(&a));
    drop(a);
    seen.outcome("free again", UdpSocket::bind(("127.0.0.1", port)));
    let share = || {
        let fd = unbound();
        let on = 1i32;
        call!(setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_REUSEADDR,
            (&raw const on).cast(),
            4
        ))
        .expect("it can be set");
        let bound = call!(bind(fd.as_raw_fd(), (&raw const name).cast(), 16));
        (UdpSocket::from(fd), bound.map(|_| ()))
    };
    let ((first, is_first), (second, is_second)) = (share(), share());
    seen.outcome("the first that shares", is_first);
    seen.outcome("the second", is_second);
    let c = bound();
    seen.result("sends", c.send_to(b"whose", at(&second)));
    seen.result("to the first", read(&first));
    seen.result("to the second", read(&second));
}

fn option(fd: i32, level: i32, name: i32) -> io::Result<i32> {
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

fn options(seen: &mut Seen) {
    let a = bound();
    let fd = a.as_raw_fd();
    for (what, level, name) in [
        ("type", libc::SOL_SOCKET, libc::SO_TYPE),
        ("protocol", libc::SOL_SOCKET, libc::SO_PROTOCOL),
        ("domain", libc::SOL_SOCKET, libc::SO_DOMAIN),
        ("receive buffer", libc::SOL_SOCKET, libc::SO_RCVBUF),
        ("send buffer", libc::SOL_SOCKET, libc::SO_SNDBUF),
        ("broadcast", libc::SOL_SOCKET, libc::SO_BROADCAST),
        ("listens", libc::SOL_SOCKET, libc::SO_ACCEPTCONN),
        ("of TCP", libc::IPPROTO_TCP, libc::TCP_NODELAY),
        ("time to live", libc::IPPROTO_IP, libc::IP_TTL),
    ] {
        seen.result(what, option(fd, level, name));
    }
    seen.outcome("set broadcast", a.set_broadcast(true));
    seen.outcome("is broadcast", a.broadcast());
    seen.outcome("set time to live", a.set_ttl(3));
    seen.result("its time to live", a.ttl());
}

fn families(seen: &mut Seen) {
    let six = UdpSocket::bind("[::]:0").expect("a port is free");
    six.set_nonblocking(true).expect("it can be set");
    let four = bound();
    let port = at(&six).port();
    let mut buffer = [0; 8];
    seen.result("from IPv4", four.send_to(b"x", ("127.0.0.1", port)));
    let from = six.recv_from(&mut buffer).map(|(_, from)| from.ip());
    seen.result("its source", from);
    let mapped = SocketAddr::new(
        Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
        at(&four).port(),
    );
    seen.result("to IPv4", six.send_to(b"y", mapped));
    let from = four
        .recv_from(&mut buffer)
        .map(|(_, from)| from == SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    seen.result("from IPv6", from);
    let other = UdpSocket::bind("[::1]:0").expect("a port is free");
    seen.result("IPv6", other.send_to(b"z", ("::1", port)));
    let from = six
        .recv_from(&mut buffer)
        .map(|(_, from)| from == at(&other));
    seen.result("from IPv6 alone", from);
    seen.result(
        "IPv4 to what is IPv6 only",
        four.send_to(b"w", ("127.0.0.1", at(&other).port())),
    );
    other.set_nonblocking(true).expect("it can be set");
    seen.outcome("does not hear", other.recv(&mut buffer));
}

fn waits(seen: &mut Seen) {
    let (a, b) = (bound(), bound());
    b.set_nonblocking(false).expect("it can be set");
    b.set_read_timeout(Some(Duration::from_millis(20)))
        .expect("it can be set");
    seen.outcome("in vain", read(&b));
    let to = at(&b);
    let thread = std::thread::spawn(move || {
        settle();
        a.send_to(b"late", to)
    });
    b.set_read_timeout(None).expect("it can be set");
    seen.result("until it comes", read(&b));
    thread.join().expect("it ends").expect("it goes");
}
