//! What a client and a server observe of each other, each on a machine of its own.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    os::fd::AsRawFd,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{Seen, Step};

/// A client, a server, and what becomes of the machines meanwhile, each at a millisecond.
pub struct Probe {
    pub name: &'static str,
    pub client: fn(&mut Seen),
    pub server: fn(&mut Seen),
    pub steps: &'static [(u64, Step)],
}

macro_rules! probes {
    ($($name:literal: $client:ident, $server:ident $(, $at:literal => $step:expr)*;)*) => {
        pub const PROBES: &[Probe] = &[$(Probe {
            name: $name,
            client: $client,
            server: $server,
            steps: &[$(($at, $step)),*],
        }),*];
    };
}

probes! {
    "refused": refused, idle;
    "no route": no_route, idle;
    "connect through a cut": connect_late, keeps, 0 => Step::Cut, 2_500 => Step::Heal;
    "listens late": listens_late, late_listener;
    "cut heals": writes_through_cut, reads_lines, 1_000 => Step::Cut, 4_000 => Step::Heal;
    "acknowledgements are cut": writes_once, counts_bytes, 1_000 => Step::CutBack, 3_000 => Step::Heal;
    "peer closes": peer_closes, reads_and_closes;
    "peer closes with unread data": peer_closes_unread, closes_unread;
    "peer is killed": peer_closes, reads_and_exits;
    "linger of zero": resets, resets_at_once;
    "data, then reset": data_then_reset, writes_and_resets;
    "half-close": half_closes, answers_at_end;
    "backlog": fills_backlog, never_accepts;
    "listener closes": waits_in_queue, closes_listener;
    "write before accept": writes_early, accepts_late;
    "window closes": fills_window, reads_late;
    "sockets of the listener": rebinds, keeps;
    "many small writes": writes_many, counts_all;
    "power loss, reader": reads_in_vain, keeps, 1_000 => Step::PowerLoss;
    "power loss, keepalive": reads_with_keepalive, keeps, 1_000 => Step::PowerLoss;
    "power loss, user timeout": writes_with_limit, keeps, 1_000 => Step::PowerLoss;
    "reboot, writer": writes_after_reboot, keeps, 1_000 => Step::PowerLoss, 2_000 => Step::Boot;
    "reboot, reader": reads_in_vain, keeps, 1_000 => Step::PowerLoss, 2_000 => Step::Boot;
    "datagrams": datagrams, echoes, 1_000 => Step::Cut, 2_000 => Step::Heal;
    "datagrams, refused": datagrams_refused, idle;
    "datagrams, power loss": datagrams_in_vain, echoes, 1_000 => Step::PowerLoss;
}

const PORT: u16 = 7_000;

fn at(ms: u64) {
    sleep(Duration::from_millis(ms).saturating_sub(crate::began().elapsed()));
}

fn connect() -> io::Result<TcpStream> {
    TcpStream::connect((crate::server(), PORT))
}

/// A connection, once the server listens.
fn connected() -> TcpStream {
    at(300);
    connect().expect("it listens")
}

fn listener() -> TcpListener {
    TcpListener::bind(("0.0.0.0", PORT)).expect("the port is free")
}

fn accepted() -> TcpStream {
    listener().accept().expect("somebody connects").0
}

fn read(stream: &mut TcpStream) -> io::Result<String> {
    let mut buffer = [0; 64];
    let len = stream.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..len]).into_owned())
}

fn set(stream: &TcpStream, level: i32, name: i32, value: &[i32]) {
    let (fd, len) = (stream.as_raw_fd(), size_of_val(value) as u32);
    // SAFETY: the value is there.
    let done = unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), len) };
    assert_eq!(done, 0);
}

fn reset_on_close(stream: &TcpStream) {
    set(stream, libc::SOL_SOCKET, libc::SO_LINGER, &[1, 0]);
}

fn idle(_: &mut Seen) {}

/// Accepts, and keeps what it has.
fn keeps(_: &mut Seen) {
    let listener = listener();
    let mut kept = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        kept.push(stream);
    }
}

fn refused(seen: &mut Seen) {
    at(300);
    let began = Instant::now();
    seen.outcome("connect", connect());
    seen.took("it takes", began);
}

fn no_route(seen: &mut Seen) {
    seen.outcome("connect", TcpStream::connect(("192.0.2.1", PORT)));
    let socket = UdpSocket::bind("0.0.0.0:0").expect("there is a port");
    seen.outcome("datagram", socket.send_to(b"x", ("192.0.2.1", PORT)));
}

fn connect_late(seen: &mut Seen) {
    at(300);
    let began = Instant::now();
    seen.outcome("connect", connect());
    seen.took("it takes", began);
}

fn listens_late(seen: &mut Seen) {
    at(300);
    seen.outcome("too early", connect());
    at(1_600);
    seen.outcome("then", connect());
}

fn late_listener(seen: &mut Seen) {
    at(1_000);
    keeps(seen);
}

fn writes_through_cut(seen: &mut Seen) {
    let mut stream = connected();
    seen.outcome("before", stream.write_all(b"one "));
    at(1_500);
    seen.outcome("meanwhile", stream.write_all(b"two "));
    at(2_500);
    seen.outcome("later", stream.write_all(b"three "));
    at(7_000);
}

fn reads_lines(seen: &mut Seen) {
    let mut stream = accepted();
    seen.result("first", read(&mut stream));
    let mut text = read(&mut stream).expect("there is more");
    seen.took("the second comes", crate::began());
    while let Ok(more) = read(&mut stream)
        && !more.is_empty()
    {
        text += &more;
    }
    seen.note("in all", text);
}

fn writes_once(seen: &mut Seen) {
    let mut stream = connected();
    at(1_500);
    seen.outcome("write", stream.write_all(b"once"));
    at(4_500);
}

fn counts_bytes(seen: &mut Seen) {
    let mut stream = accepted();
    seen.result("read", read(&mut stream));
    seen.took("it comes", crate::began());
    seen.result("nothing else", read(&mut stream));
}

fn peer_closes(seen: &mut Seen) {
    let mut stream = connected();
    stream.write_all(b"question").expect("it goes");
    seen.result("read", read(&mut stream));
    seen.result("write", stream.write(b"lost"));
    sleep(Duration::from_millis(300));
    seen.result("write again", stream.write(b"lost"));
    seen.result("read again", read(&mut stream));
}

fn reads_and_closes(seen: &mut Seen) {
    let mut stream = accepted();
    seen.result("reads", read(&mut stream));
}

fn reads_and_exits(seen: &mut Seen) {
    let mut stream = accepted();
    seen.result("reads", read(&mut stream));
    // SAFETY: it ends the process.
    unsafe { libc::raise(libc::SIGKILL) };
}

fn peer_closes_unread(seen: &mut Seen) {
    let mut stream = connected();
    stream.write_all(b"question").expect("it goes");
    seen.result("read", read(&mut stream));
    seen.result("read again", read(&mut stream));
    seen.result("write", stream.write(b"lost"));
}

fn closes_unread(_: &mut Seen) {
    let _stream = accepted();
    at(800);
}

fn resets(seen: &mut Seen) {
    let mut stream = connected();
    seen.result("read", read(&mut stream));
    seen.result("read again", read(&mut stream));
}

fn resets_at_once(_: &mut Seen) {
    let stream = accepted();
    at(800);
    reset_on_close(&stream);
}

fn data_then_reset(seen: &mut Seen) {
    let mut stream = connected();
    at(1_200);
    seen.result("data", read(&mut stream));
    seen.result("then", read(&mut stream));
    seen.result("at last", read(&mut stream));
}

fn writes_and_resets(_: &mut Seen) {
    let mut stream = accepted();
    stream.write_all(b"data").expect("it goes");
    at(800);
    reset_on_close(&stream);
}

fn half_closes(seen: &mut Seen) {
    let mut stream = connected();
    stream.write_all(b"question").expect("it goes");
    seen.outcome("shutdown", stream.shutdown(Shutdown::Write));
    seen.result("answer", read(&mut stream));
    seen.result("end", read(&mut stream));
}

fn answers_at_end(seen: &mut Seen) {
    let mut stream = accepted();
    seen.result("question", read(&mut stream));
    seen.result("its end", read(&mut stream));
    seen.outcome("answers", stream.write_all(b"answer"));
}

fn fills_backlog(seen: &mut Seen) {
    at(300);
    let mut kept = Vec::new();
    let to = (crate::server(), PORT).to_socket_addrs();
    let to = to
        .ok()
        .and_then(|mut all| all.next())
        .expect("it has an address");
    for nth in ["first", "second", "third"] {
        let stream = TcpStream::connect_timeout(&to, Duration::from_millis(1_500));
        seen.result(nth, stream.map(|stream| kept.push(stream)));
        // What a handshake ends with has arrived before the next one begins.
        sleep(Duration::from_millis(50));
    }
}

fn never_accepts(_: &mut Seen) {
    let listener = listener();
    // SAFETY: a plain call; it listens already, and asks for less.
    unsafe { libc::listen(listener.as_raw_fd(), 1) };
    at(60_000);
}

fn waits_in_queue(seen: &mut Seen) {
    let mut stream = connected();
    seen.result("read", read(&mut stream));
    seen.took("it comes", crate::began());
}

fn closes_listener(_: &mut Seen) {
    let _listener = listener();
    at(1_500);
}

fn writes_early(seen: &mut Seen) {
    let mut stream = connected();
    seen.result("write", stream.write(b"early"));
    seen.result("answer", read(&mut stream));
}

fn accepts_late(seen: &mut Seen) {
    let listener = listener();
    at(1_000);
    let (mut stream, _) = listener.accept().expect("somebody waits");
    seen.result("read", read(&mut stream));
    seen.outcome("answers", stream.write_all(b"late"));
}

fn reads_in_vain(seen: &mut Seen) {
    let mut stream = connected();
    let limit = Some(Duration::from_millis(3_000));
    stream.set_read_timeout(limit).expect("it can be set");
    seen.result("read", read(&mut stream));
    seen.took("it takes", crate::began());
}

fn reads_with_keepalive(seen: &mut Seen) {
    let mut stream = connected();
    set(&stream, libc::SOL_SOCKET, libc::SO_KEEPALIVE, &[1]);
    set(&stream, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, &[1]);
    set(&stream, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, &[1]);
    set(&stream, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, &[3]);
    seen.result("read", read(&mut stream));
    seen.took("it takes", crate::began());
    seen.result("read again", read(&mut stream));
}

fn writes_with_limit(seen: &mut Seen) {
    let mut stream = connected();
    set(&stream, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, &[2_000]);
    at(1_500);
    seen.result("write", stream.write(b"lost"));
    seen.result("read", read(&mut stream));
    seen.took("it takes", crate::began());
    seen.result("write again", stream.write(b"lost"));
}

fn writes_after_reboot(seen: &mut Seen) {
    let mut stream = connected();
    at(3_500);
    seen.result("write", stream.write(b"who are you"));
    seen.result("read", read(&mut stream));
    seen.result("write again", stream.write(b"lost"));
    seen.outcome("a new connection", connect());
}

fn socket() -> UdpSocket {
    at(300);
    let socket = UdpSocket::bind("0.0.0.0:0").expect("there is a port");
    let limit = Some(Duration::from_millis(300));
    socket.set_read_timeout(limit).expect("it can be set");
    socket
        .connect((crate::server(), PORT))
        .expect("it has an address");
    socket
}

fn ask(socket: &UdpSocket, question: &[u8]) -> io::Result<String> {
    let mut buffer = [0; 64];
    socket.send(question)?;
    let len = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..len]).into_owned())
}

fn echoes(_: &mut Seen) {
    let socket = UdpSocket::bind(("0.0.0.0", PORT)).expect("the port is free");
    let mut buffer = [0; 64];
    while let Ok((len, from)) = socket.recv_from(&mut buffer) {
        let _ = socket.send_to(&buffer[..len], from);
    }
}

fn datagrams(seen: &mut Seen) {
    let socket = socket();
    seen.result("before", ask(&socket, b"before"));
    at(1_300);
    seen.result("meanwhile", ask(&socket, b"meanwhile"));
    at(2_500);
    seen.result("after", ask(&socket, b"after"));
}

fn datagrams_refused(seen: &mut Seen) {
    let socket = socket();
    seen.result("first", ask(&socket, b"x"));
    seen.result("second", socket.send(b"x"));
    sleep(Duration::from_millis(100));
    seen.result("third", socket.send(b"x"));
}

fn datagrams_in_vain(seen: &mut Seen) {
    let socket = socket();
    seen.result("before", ask(&socket, b"before"));
    at(1_500);
    seen.result("after", ask(&socket, b"after"));
    seen.result("once more", ask(&socket, b"once more"));
}

/// Writes until there is no more room, and again once the peer reads.
fn fills_window(seen: &mut Seen) {
    let mut stream = connected();
    stream.set_nonblocking(true).expect("it can be set");
    let bytes = [7; 4_096];
    let mut all = 0;
    let full = loop {
        match stream.write(&bytes) {
            Ok(len) => all += len,
            Err(full) => break full,
        }
    };
    seen.result::<()>("full", Err(full));
    seen.note("it took some", all > 40_000);
    at(2_500);
    seen.outcome("room again", stream.write(&bytes));
    stream.set_nonblocking(false).expect("it can be set");
    drop(stream);
    at(4_000);
}

fn reads_late(seen: &mut Seen) {
    let mut stream = accepted();
    at(1_500);
    let mut all = Vec::new();
    seen.outcome("reads all", stream.read_to_end(&mut all));
    seen.note("as it was written", all.iter().all(|byte| *byte == 7));
}

/// A port is taken while it is listened on; one of a connection alone is not for who may share it.
fn rebinds(seen: &mut Seen) {
    let own = listener();
    seen.outcome("again", TcpListener::bind(("0.0.0.0", PORT)));
    let stream = connected();
    drop(own);
    seen.outcome("after it was closed", TcpListener::bind(("0.0.0.0", PORT)));
    seen.outcome("still connected", stream.peer_addr().map(|_| ()));
}

fn writes_many(seen: &mut Seen) {
    let mut stream = connected();
    for _ in 0..500 {
        stream.write_all(b"0123456789").expect("it goes");
    }
    seen.outcome("shutdown", stream.shutdown(Shutdown::Write));
    seen.result("how many", read(&mut stream));
}

fn counts_all(seen: &mut Seen) {
    let mut stream = accepted();
    let mut all = Vec::new();
    seen.outcome("reads all", stream.read_to_end(&mut all));
    seen.outcome(
        "answers",
        stream.write_all(all.len().to_string().as_bytes()),
    );
}
