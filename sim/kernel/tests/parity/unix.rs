//! Unix sockets with a name, and descriptors that are sent through them.

use std::{
    fs,
    io::{Read, Write},
    mem,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::{
            fs::FileTypeExt,
            net::{UnixDatagram, UnixListener, UnixStream},
        },
    },
    ptr, thread,
};

use crate::{Probe, Seen, call, readiness::poll_mask, settle};

pub const PROBES: &[Probe] = &[
    ("unix sockets", connections),
    ("refused unix sockets", refused),
    ("abstract names", abstract_names),
    ("peers of unix sockets", peers),
    ("descriptors sent", rights),
    ("messages", messages),
    ("datagrams", datagrams),
];

/// The path of a socket that goes with this.
struct Path(String);

impl Path {
    fn new(name: &str) -> Self {
        let path = format!("/tmp/squall-parity-{name}.sock");
        let _ = fs::remove_file(&path);
        Path(path)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn connections(seen: &mut Seen) {
    let path = Path::new("connections");
    let listener = UnixListener::bind(&path.0).expect("the path is free");
    let kind = fs::metadata(&path.0).map(|told| told.file_type().is_socket());
    seen.result("is a socket", kind);
    seen.note("idle", poll_mask(listener.as_raw_fd()));
    let client = UnixStream::connect(&path.0);
    seen.outcome(
        "connect",
        client
            .as_ref()
            .map(|_| ())
            .map_err(|e| std::io::Error::from(e.kind())),
    );
    let mut client = client.expect("it listens");
    seen.note("waiting", poll_mask(listener.as_raw_fd()));
    client.write_all(b"early").expect("there is room");
    let (mut server, address) = listener.accept().expect("one waits");
    seen.note("unnamed", address.is_unnamed());
    let mut bytes = [0; 5];
    server.read_exact(&mut bytes).expect("they are there");
    seen.note("read", bytes);
    let named = |address: std::io::Result<std::os::unix::net::SocketAddr>| {
        address.map(|it| it.as_pathname().map(|path| path.display().to_string()))
    };
    seen.result("client's peer", named(client.peer_addr()));
    seen.result("client", named(client.local_addr()));
    seen.result("server's peer", named(server.peer_addr()));
    seen.result("server", named(server.local_addr()));
    let echo = thread::spawn(move || {
        let mut text = String::new();
        let read = server
            .read_to_string(&mut text)
            .map_err(|e| crate::error_of(&e));
        let _ = server.write_all(b"done");
        (read, text)
    });
    client.write_all(b"later").expect("there is room");
    client
        .shutdown(std::net::Shutdown::Write)
        .expect("it is connected");
    let mut answer = String::new();
    seen.result("answer", client.read_to_string(&mut answer));
    seen.note("answered", answer);
    seen.note("server read", echo.join().ok());
    let waiting = UnixStream::connect(&path.0).expect("it listens");
    drop(listener);
    settle();
    seen.note("never accepted", poll_mask(waiting.as_raw_fd()));
    let mut nothing = [0; 4];
    seen.result("never accepted, read", (&waiting).read(&mut nothing));
}

fn refused(seen: &mut Seen) {
    let path = Path::new("refused");
    seen.outcome("missing", UnixStream::connect(&path.0));
    fs::write(&path.0, b"a file").expect("there is room");
    seen.outcome("a file", UnixStream::connect(&path.0));
    seen.outcome("in use", UnixListener::bind(&path.0));
    fs::remove_file(&path.0).expect("it is there");
    drop(UnixListener::bind(&path.0).expect("the path is free"));
    seen.outcome("nobody listens", UnixStream::connect(&path.0));
    seen.outcome("still there", UnixListener::bind(&path.0));
    fs::remove_file(&path.0).expect("it is there");
    let fd = call!(socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)).expect("there is room") as i32;
    // SAFETY: it is new, and ours.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    seen.note("idle", poll_mask(fd.as_raw_fd()));
    seen.outcome("listen without a name", call!(listen(fd.as_raw_fd(), 1)));
    seen.outcome(
        "send",
        call!(send(fd.as_raw_fd(), b"x".as_ptr().cast(), 1, 0)),
    );
    let mut byte = 0u8;
    seen.outcome(
        "receive",
        call!(recv(fd.as_raw_fd(), (&raw mut byte).cast(), 1, 0)),
    );
    seen.outcome(
        "accept",
        call!(accept(fd.as_raw_fd(), ptr::null_mut(), ptr::null_mut())),
    );
    seen.outcome(
        "peer",
        call!(getpeername(
            fd.as_raw_fd(),
            ptr::null_mut(),
            ptr::null_mut()
        ))
        .map(|_| ()),
    );
}

fn address(name: &[u8]) -> (libc::sockaddr_un, u32) {
    // SAFETY: plain data, for which zeros are a value.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    for (to, from) in address.sun_path.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    (address, 2 + name.len() as u32)
}

fn socket(kind: i32) -> OwnedFd {
    let fd = call!(socket(libc::AF_UNIX, kind, 0)).expect("there is room");
    // SAFETY: it is new, and ours.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

fn abstract_names(seen: &mut Seen) {
    let (address, len) = address(b"\0squall parity");
    let (listener, client) = (socket(libc::SOCK_STREAM), socket(libc::SOCK_STREAM));
    let at = (&raw const address).cast();
    seen.outcome("nobody", call!(connect(client.as_raw_fd(), at, len)));
    seen.outcome("bind", call!(bind(listener.as_raw_fd(), at, len)));
    seen.outcome("bind again", call!(bind(listener.as_raw_fd(), at, len)));
    seen.outcome("in use", call!(bind(client.as_raw_fd(), at, len)));
    seen.outcome("not listening", call!(connect(client.as_raw_fd(), at, len)));
    seen.outcome("listen", call!(listen(listener.as_raw_fd(), 1)));
    seen.outcome("shorter", call!(connect(client.as_raw_fd(), at, len - 1)));
    seen.outcome("connect", call!(connect(client.as_raw_fd(), at, len)));
    seen.outcome("connect again", call!(connect(client.as_raw_fd(), at, len)));
    let second = socket(libc::SOCK_STREAM);
    seen.outcome("second", call!(connect(second.as_raw_fd(), at, len)));
    let next = socket(libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
    seen.outcome("full", call!(connect(next.as_raw_fd(), at, len)));
    let other = socket(libc::SOCK_SEQPACKET);
    seen.outcome("other kind", call!(connect(other.as_raw_fd(), at, len)));
    seen.outcome(
        "accept",
        call!(accept(
            listener.as_raw_fd(),
            ptr::null_mut(),
            ptr::null_mut()
        )),
    );
    drop(listener);
    seen.outcome("gone", call!(connect(next.as_raw_fd(), at, len)));
}

fn peers(seen: &mut Seen) {
    let path = Path::new("peers");
    let listener = UnixListener::bind(&path.0).expect("the path is free");
    let client = UnixStream::connect(&path.0).expect("it listens");
    let (server, _) = listener.accept().expect("one waits");
    for (name, end) in [("client", &client), ("server", &server)] {
        let mut peer = libc::ucred {
            pid: 0,
            uid: 9,
            gid: 9,
        };
        let mut len = size_of::<libc::ucred>() as u32;
        seen.outcome(
            name,
            call!(getsockopt(
                end.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut peer).cast(),
                &raw mut len
            )),
        );
        seen.note(
            &format!("{name}, this"),
            peer.pid == std::process::id() as i32,
        );
        seen.note(&format!("{name}, user"), (peer.uid, peer.gid, len));
    }
}

/// Sends bytes and a descriptor.
fn send_with(socket: i32, bytes: &[u8], fd: i32) -> std::io::Result<i64> {
    #[repr(C, align(8))]
    struct Control([u8; 24]);
    let mut control = Control([0; 24]);
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: plain data; the header lies in the buffer.
    unsafe {
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = 24;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
        libc::CMSG_DATA(header).cast::<i32>().write_unaligned(fd);
        crate::checked(libc::sendmsg(socket, &raw const message, 0) as i64)
    }
}

/// Receives up to so many bytes: how many, and a descriptor that came along.
fn receive_with(socket: i32, room: usize, control_room: usize) -> (Option<i64>, i32, Option<i32>) {
    let mut bytes = vec![0u8; room];
    let mut control = [0u64; 8];
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: room,
    };
    // SAFETY: plain data; the kernel says how much of the buffer is a header.
    unsafe {
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = control_room;
        let len =
            crate::checked(libc::recvmsg(socket, &raw mut message, libc::MSG_DONTWAIT) as i64);
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let fd =
            (!header.is_null()).then(|| libc::CMSG_DATA(header).cast::<i32>().read_unaligned());
        (len.ok(), message.msg_flags, fd)
    }
}

fn rights(seen: &mut Seen) {
    let mut ends = [0; 2];
    call!(socketpair(
        libc::AF_UNIX,
        libc::SOCK_STREAM,
        0,
        ends.as_mut_ptr()
    ))
    .expect("there is room");
    // SAFETY: they are new, and ours.
    let [here, there] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let mut pipe = [0; 2];
    call!(pipe2(pipe.as_mut_ptr(), 0)).expect("there is room");
    call!(write(pipe[1], b"inside".as_ptr().cast(), 6)).expect("there is room");
    let send = |bytes: &[u8]| {
        call!(send(
            here.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            0
        ))
    };
    seen.result("before", send(b"abc"));
    seen.result("sent", send_with(here.as_raw_fd(), b"defg", pipe[0]));
    seen.result("after", send(b"hi"));
    call!(close(pipe[0])).expect("it is ours");
    let (len, flags, none) = receive_with(there.as_raw_fd(), 100, 64);
    seen.note("without", (len, flags, none.is_some()));
    let (len, flags, received) = receive_with(there.as_raw_fd(), 100, 64);
    seen.note("with", (len, flags, received.is_some()));
    let mut text = [0u8; 16];
    let received = received.unwrap_or(-1);
    seen.result(
        "of the pipe",
        call!(read(received, text.as_mut_ptr().cast(), text.len())),
    );
    call!(close(received)).map(|_| ()).unwrap_or_default();
    let (len, flags, none) = receive_with(there.as_raw_fd(), 100, 64);
    seen.note("rest", (len, flags, none.is_some()));
    seen.result("sent again", send_with(here.as_raw_fd(), b"x", pipe[1]));
    call!(close(pipe[1])).expect("it is ours");
    let (len, flags, lost) = receive_with(there.as_raw_fd(), 100, 0);
    seen.note("no room", (len, flags, lost.is_some()));
    seen.outcome(
        "bad descriptor",
        send_with(here.as_raw_fd(), b"x", 9_999_999),
    );
}

fn messages(seen: &mut Seen) {
    for (kind, name) in [
        (libc::SOCK_SEQPACKET, "packets"),
        (libc::SOCK_DGRAM, "datagrams"),
    ] {
        let mut ends = [0; 2];
        call!(socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr())).expect("there is room");
        // SAFETY: they are new, and ours.
        let [here, there] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        let send = |bytes: &[u8]| {
            call!(send(
                here.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                0
            ))
        };
        seen.result(name, send(b"first"));
        seen.result(name, send(b"second"));
        let mut text = [0u8; 16];
        let mut receive = |room: usize, flags: i32| {
            call!(recv(
                there.as_raw_fd(),
                text.as_mut_ptr().cast(),
                room,
                flags
            ))
        };
        seen.result(&format!("{name}, peeked"), receive(16, libc::MSG_PEEK));
        seen.result(&format!("{name}, cut"), receive(3, 0));
        seen.result(&format!("{name}, next"), receive(16, 0));
        seen.result(&format!("{name}, none"), receive(16, libc::MSG_DONTWAIT));
    }
}

fn datagrams(seen: &mut Seen) {
    let (here, there) = (Path::new("datagrams-here"), Path::new("datagrams-there"));
    let receiver = UnixDatagram::bind(&there.0).expect("the path is free");
    let sender = UnixDatagram::unbound().expect("there is room");
    seen.note("idle", poll_mask(receiver.as_raw_fd()));
    seen.result("nowhere", sender.send(b"x"));
    seen.result("missing", sender.send_to(b"x", &here.0));
    seen.result("sent", sender.send_to(b"first", &there.0));
    seen.note("waiting", poll_mask(receiver.as_raw_fd()));
    let mut text = [0; 16];
    let mut receive = |room: usize| {
        let received = receiver.recv_from(&mut text[..room]);
        received.map(|(len, from)| (len, from.as_pathname().map(|path| path.to_owned())))
    };
    seen.result("unnamed", receive(16));
    let sender = UnixDatagram::bind(&here.0).expect("the path is free");
    seen.outcome("connect", sender.connect(&there.0));
    seen.result("connected", sender.send(b"second"));
    seen.result("cut", receive(3));
    sender.set_nonblocking(true).expect("it is open");
    let sent = (0..100)
        .take_while(|_| sender.send(b"many").is_ok())
        .count();
    seen.note("many", (1..100).contains(&sent));
    seen.outcome("full", sender.send(b"more"));
    seen.result("one", receive(16));
    drop(receiver);
    seen.outcome("gone", sender.send(b"more"));
    let stream = UnixStream::connect(&here.0);
    seen.outcome("a stream", stream);
}
