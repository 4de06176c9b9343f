//! What is ready: `poll`, `select`, `epoll`, and the descriptors that are there for it.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use crate::{Probe, Seen, call, settle, sockets::pair};

pub const PROBES: &[Probe] = &[
    ("poll", poll),
    ("select", select),
    ("level-triggered", level),
    ("edge-triggered", edge),
    ("one-shot", one_shot),
    ("epoll_ctl", control),
    ("epoll and descriptors", epoll_and_descriptors),
    ("nested epoll", nested),
    ("waiting", waiting),
    ("eventfd", eventfd),
    ("semaphore", semaphore),
    ("pipe", pipe),
    ("pipe ends", pipe_ends),
    ("full pipe", full_pipe),
    ("socketpair", socketpair),
    ("timerfd", timerfd),
    ("duplicates", duplicates),
    ("flags", flags),
    ("bad descriptors", bad_descriptors),
    ("not a socket", not_a_socket),
];

fn names(mask: u32) -> String {
    let known = [
        (libc::EPOLLIN, "IN"),
        (libc::EPOLLPRI, "PRI"),
        (libc::EPOLLOUT, "OUT"),
        (libc::EPOLLERR, "ERR"),
        (libc::EPOLLHUP, "HUP"),
        (libc::POLLNVAL as i32, "NVAL"),
        (libc::EPOLLRDHUP, "RDHUP"),
    ];
    let set = known.iter().filter(|(bit, _)| mask & *bit as u32 != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

/// What `poll` says of a descriptor.
pub fn poll_mask(fd: i32) -> String {
    let events = libc::POLLIN | libc::POLLOUT | libc::POLLPRI | libc::POLLRDHUP;
    let mut asked = libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    call!(poll(&raw mut asked, 1, 0)).expect("it may be asked");
    names(asked.revents as u16 as u32)
}

struct Epoll(OwnedFd);

impl Epoll {
    fn new() -> Self {
        let fd = call!(epoll_create1(libc::EPOLL_CLOEXEC)).expect("there is room");
        // SAFETY: it is new, and ours.
        Epoll(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }

    fn control(&self, operation: i32, fd: i32, events: i32) -> io::Result<i64> {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: 42,
        };
        call!(epoll_ctl(self.0.as_raw_fd(), operation, fd, &raw mut event))
    }

    fn add(&self, fd: &impl AsRawFd, events: i32) {
        self.control(libc::EPOLL_CTL_ADD, fd.as_raw_fd(), events)
            .expect("it can be watched");
    }

    /// What it says, of a single descriptor.
    fn wait(&self, timeout: i32) -> String {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        let count = call!(epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, timeout))
            .expect("it may be asked");
        match count {
            0 => "nothing".to_owned(),
            _ => names(event.events),
        }
    }
}

/// What `poll` and a new epoll say of a descriptor.
pub fn masks(seen: &mut Seen, when: &str, fd: i32) {
    seen.note(&format!("{when}, poll"), poll_mask(fd));
    let epoll = Epoll::new();
    let all = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLPRI | libc::EPOLLRDHUP;
    let added = epoll.control(libc::EPOLL_CTL_ADD, fd, all);
    seen.note(
        &format!("{when}, epoll"),
        added
            .map(|_| epoll.wait(0))
            .map_err(|e| crate::error_of(&e)),
    );
}

fn pair_of_fds(kind: &str, flags: i32) -> (OwnedFd, OwnedFd) {
    let mut fds = [0i32; 2];
    match kind {
        "pipe" => call!(pipe2(fds.as_mut_ptr(), flags)),
        _ => call!(socketpair(
            libc::AF_UNIX,
            libc::SOCK_STREAM | flags,
            0,
            fds.as_mut_ptr()
        )),
    }
    .expect("there is room");
    // SAFETY: they are new, and ours.
    unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) }
}

fn event(initial: u32, flags: i32) -> OwnedFd {
    let fd = call!(eventfd(initial, flags)).expect("there is room");
    // SAFETY: it is new, and ours.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

fn read_u64(fd: &impl AsRawFd) -> io::Result<u64> {
    let mut value = 0u64;
    call!(read(fd.as_raw_fd(), (&raw mut value).cast(), 8))?;
    Ok(value)
}

fn write_u64(fd: &impl AsRawFd, value: u64) -> io::Result<i64> {
    call!(write(fd.as_raw_fd(), (&raw const value).cast(), 8))
}

fn read(fd: &impl AsRawFd, len: usize) -> io::Result<String> {
    let mut buffer = vec![0u8; len];
    let count = call!(read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), len))?;
    Ok(String::from_utf8_lossy(&buffer[..count as usize]).into_owned())
}

fn write(fd: &impl AsRawFd, bytes: &[u8]) -> io::Result<i64> {
    call!(write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()))
}

fn poll(seen: &mut Seen) {
    let (reader, writer) = pair_of_fds("pipe", 0);
    let asked = |fd: i32, events: i16| libc::pollfd {
        fd,
        events,
        revents: -1,
    };
    let mut both = [
        asked(reader.as_raw_fd(), libc::POLLIN),
        asked(writer.as_raw_fd(), libc::POLLOUT),
        asked(-1, libc::POLLIN),
        asked(100_000_000, libc::POLLIN),
        asked(writer.as_raw_fd(), libc::POLLIN),
    ];
    seen.result("count", call!(poll(both.as_mut_ptr(), 5, -1)));
    seen.note("masks", both.map(|one| one.revents));
    seen.result("of none", call!(poll(both.as_mut_ptr(), 0, 1)));
    let mut one = [asked(reader.as_raw_fd(), libc::POLLIN)];
    let began = Instant::now();
    seen.result("times out", call!(poll(one.as_mut_ptr(), 1, 20)));
    seen.note("waited", began.elapsed() >= Duration::from_millis(20));
    let late = std::thread::spawn(move || {
        settle();
        write(&writer, b"x").expect("it goes");
        writer
    });
    seen.result("waits", call!(poll(one.as_mut_ptr(), 1, -1)));
    seen.note("mask", one[0].revents);
    drop(late.join());
    seen.result("hung up", call!(poll(one.as_mut_ptr(), 1, -1)));
    seen.note("and data", one[0].revents);
    let file = File::open("/").expect("it is there");
    seen.note("directory", poll_mask(file.as_raw_fd()));
}

fn select(seen: &mut Seen) {
    // Descriptors of a process without an address space of its own are too high for a set.
    let (reader, writer) = pair_of_fds("pipe", 0);
    let (r, w) = (reader.as_raw_fd(), writer.as_raw_fd());
    if r.max(w) >= 1024 {
        return;
    }
    let ask = |timeout_ms: i64| {
        // SAFETY: plain data, for which zeros are a value; the descriptors are below 1024.
        let mut sets: [libc::fd_set; 2] = unsafe {
            let mut sets: [libc::fd_set; 2] = std::mem::zeroed();
            libc::FD_SET(r, &raw mut sets[0]);
            libc::FD_SET(w, &raw mut sets[1]);
            sets
        };
        let mut time = libc::timeval {
            tv_sec: 0,
            tv_usec: timeout_ms * 1000,
        };
        let (reads, writes) = (&raw mut sets[0], &raw mut sets[1]);
        let count = call!(select(
            r.max(w) + 1,
            reads,
            writes,
            std::ptr::null_mut(),
            &raw mut time
        ));
        // SAFETY: the sets are valid.
        let told = unsafe {
            (
                libc::FD_ISSET(r, &raw const sets[0]),
                libc::FD_ISSET(w, &raw const sets[1]),
            )
        };
        count.map(|count| (count, told))
    };
    seen.result("empty", ask(0));
    write(&writer, b"x").expect("it goes");
    seen.result("with data", ask(1000));
    let mut time = libc::timeval {
        tv_sec: 0,
        tv_usec: 2000,
    };
    let (none, forever) = (std::ptr::null_mut(), std::ptr::null_mut());
    seen.result("nothing", call!(select(0, none, none, none, &raw mut time)));
    read(&reader, 1).expect("it is there");
    drop(writer);
    let hung = {
        // SAFETY: as above.
        let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        unsafe { libc::FD_SET(r, &raw mut set) };
        call!(select(r + 1, &raw mut set, none, none, forever))
    };
    seen.result("at the end", hung);
    let closed = call!(dup(r)).expect("there is room") as i32;
    call!(close(closed)).expect("it is open");
    // SAFETY: as above.
    let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    unsafe { libc::FD_SET(closed, &raw mut set) };
    let bad = call!(select(closed + 1, &raw mut set, none, none, forever));
    seen.result("bad", bad);
    let mut wrong = libc::timeval {
        tv_sec: -1,
        tv_usec: 0,
    };
    seen.result(
        "negative",
        call!(select(0, none, none, none, &raw mut wrong)),
    );
}

fn level(seen: &mut Seen) {
    let (client, mut server) = pair();
    let epoll = Epoll::new();
    epoll.add(&server, libc::EPOLLIN | libc::EPOLLRDHUP);
    seen.note("idle", epoll.wait(0));
    (&client).write_all(b"ab").expect("it goes");
    settle();
    seen.note("data", epoll.wait(-1));
    seen.note("still", epoll.wait(0));
    server.read_exact(&mut [0; 1]).expect("it is there");
    seen.note("some left", epoll.wait(0));
    server.read_exact(&mut [0; 1]).expect("it is there");
    seen.note("none left", epoll.wait(0));
    client
        .shutdown(std::net::Shutdown::Write)
        .expect("it is connected");
    settle();
    seen.note("end", epoll.wait(-1));
    seen.note("still at the end", epoll.wait(0));
}

fn edge(seen: &mut Seen) {
    let (client, mut server) = pair();
    let epoll = Epoll::new();
    epoll.add(
        &server,
        libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET,
    );
    seen.note("writable", epoll.wait(0));
    seen.note("once", epoll.wait(0));
    (&client).write_all(b"ab").expect("it goes");
    settle();
    seen.note("data", epoll.wait(0));
    seen.note("once more", epoll.wait(0));
    server.read_exact(&mut [0; 1]).expect("it is there");
    seen.note("some left", epoll.wait(0));
    (&client).write_all(b"c").expect("it goes");
    settle();
    seen.note("more data", epoll.wait(0));
    epoll
        .control(
            libc::EPOLL_CTL_MOD,
            server.as_raw_fd(),
            libc::EPOLLIN | libc::EPOLLET,
        )
        .expect("it is watched");
    seen.note("modified", epoll.wait(0));
    seen.note("then", epoll.wait(0));
    server.read_exact(&mut [0; 2]).expect("it is there");
    drop(client);
    settle();
    seen.note("closed", epoll.wait(0));
    seen.note("told once", epoll.wait(0));

    let (reader, writer) = pair_of_fds("pipe", libc::O_NONBLOCK);
    let epoll = Epoll::new();
    epoll.add(&reader, libc::EPOLLIN | libc::EPOLLET);
    write(&writer, b"a").expect("it goes");
    write(&writer, b"b").expect("it goes");
    seen.note("pipe", epoll.wait(0));
    seen.note("pipe once", epoll.wait(0));
    write(&writer, b"c").expect("it goes");
    seen.note("pipe again", epoll.wait(0));
    let counter = event(0, libc::EFD_NONBLOCK);
    let epoll = Epoll::new();
    epoll.add(&counter, libc::EPOLLIN | libc::EPOLLET);
    for _ in 0..2 {
        write_u64(&counter, 1).expect("it goes");
        seen.note("counter", epoll.wait(0));
        seen.note("counter once", epoll.wait(0));
    }
    read_u64(&counter).expect("it is there");
    seen.note("counter is read", epoll.wait(0));
}

fn one_shot(seen: &mut Seen) {
    let (client, server) = pair();
    let epoll = Epoll::new();
    epoll.add(&server, libc::EPOLLIN | libc::EPOLLONESHOT);
    (&client).write_all(b"a").expect("it goes");
    settle();
    seen.note("first", epoll.wait(0));
    (&client).write_all(b"b").expect("it goes");
    settle();
    seen.note("spent", epoll.wait(0));
    epoll
        .control(
            libc::EPOLL_CTL_MOD,
            server.as_raw_fd(),
            libc::EPOLLIN | libc::EPOLLONESHOT,
        )
        .expect("it is watched");
    seen.note("again", epoll.wait(0));
    drop(client);
    settle();
    seen.note("spent, hung up", epoll.wait(0));
}

fn control(seen: &mut Seen) {
    let (reader, writer) = pair_of_fds("pipe", 0);
    let epoll = Epoll::new();
    let (fd, own) = (reader.as_raw_fd(), epoll.0.as_raw_fd());
    seen.outcome(
        "modify an unknown one",
        epoll.control(libc::EPOLL_CTL_MOD, fd, libc::EPOLLIN),
    );
    seen.outcome(
        "remove an unknown one",
        epoll.control(libc::EPOLL_CTL_DEL, fd, 0),
    );
    seen.outcome("add", epoll.control(libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN));
    seen.outcome(
        "add again",
        epoll.control(libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN),
    );
    seen.outcome("remove", epoll.control(libc::EPOLL_CTL_DEL, fd, 0));
    seen.outcome(
        "add itself",
        epoll.control(libc::EPOLL_CTL_ADD, own, libc::EPOLLIN),
    );
    seen.outcome("unknown operation", epoll.control(77, fd, libc::EPOLLIN));
    seen.outcome(
        "bad",
        epoll.control(libc::EPOLL_CTL_ADD, 100_000_000, libc::EPOLLIN),
    );
    let file = File::open("/").expect("it is there");
    seen.outcome(
        "directory",
        epoll.control(libc::EPOLL_CTL_ADD, file.as_raw_fd(), libc::EPOLLIN),
    );
    let path = std::env::temp_dir().join(format!("parity-epoll-{}", std::process::id()));
    let file = File::create(&path).expect("it can be made");
    seen.outcome(
        "file",
        epoll.control(libc::EPOLL_CTL_ADD, file.as_raw_fd(), libc::EPOLLIN),
    );
    std::fs::remove_file(&path).expect("it is there");
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    seen.outcome(
        "no epoll",
        call!(epoll_ctl(
            fd,
            libc::EPOLL_CTL_ADD,
            writer.as_raw_fd(),
            &raw mut event
        )),
    );
    seen.outcome(
        "wait for none",
        call!(epoll_wait(own, &raw mut event, 0, 0)),
    );
    seen.outcome(
        "wait at no epoll",
        call!(epoll_wait(fd, &raw mut event, 1, 0)),
    );
    seen.outcome(
        "wait at a bad one",
        call!(epoll_wait(100_000_000, &raw mut event, 1, 0)),
    );
    seen.outcome("no size", call!(epoll_create(0)));
    seen.outcome("unknown flags", call!(epoll_create1(1)));
    seen.outcome("read", read(&epoll.0, 8));
    // Nothing wanted: errors are told all the same.
    epoll.add(&writer, 0);
    seen.note("nothing wanted", epoll.wait(0));
    drop(reader);
    seen.note("error", epoll.wait(0));
    let mut told = [libc::epoll_event { events: 0, u64: 0 }; 4];
    let count = call!(epoll_wait(own, told.as_mut_ptr(), 4, 0));
    seen.note("data", (count.ok(), { told[0].u64 }));
}

fn epoll_and_descriptors(seen: &mut Seen) {
    let (reader, writer) = pair_of_fds("pipe", 0);
    let epoll = Epoll::new();
    epoll.add(&reader, libc::EPOLLIN);
    let copy = reader.try_clone().expect("there is room");
    seen.outcome(
        "its copy",
        epoll.control(libc::EPOLL_CTL_ADD, copy.as_raw_fd(), libc::EPOLLIN),
    );
    write(&writer, b"x").expect("it goes");
    let mut told = [libc::epoll_event { events: 0, u64: 0 }; 4];
    let mut all = 0;
    // How many are told at once is the kernel's choice.
    for _ in 0..20 {
        all = all.max(call!(epoll_wait(epoll.0.as_raw_fd(), told.as_mut_ptr(), 4, 0)).unwrap_or(0));
    }
    seen.note("both", all);
    seen.outcome(
        "copy removed",
        epoll.control(libc::EPOLL_CTL_DEL, copy.as_raw_fd(), 0),
    );
    drop(reader);
    seen.note("closed, but for the copy", epoll.wait(0));
    drop(copy);
    seen.note("all closed", epoll.wait(0));
}

fn nested(seen: &mut Seen) {
    let (reader, writer) = pair_of_fds("pipe", 0);
    let (inner, outer) = (Epoll::new(), Epoll::new());
    inner.add(&reader, libc::EPOLLIN);
    outer.add(&inner.0, libc::EPOLLIN);
    seen.note("idle", (outer.wait(0), poll_mask(inner.0.as_raw_fd())));
    write(&writer, b"x").expect("it goes");
    seen.note("data", (outer.wait(0), poll_mask(inner.0.as_raw_fd())));
    seen.note("inside", inner.wait(0));
    read(&reader, 1).expect("it is there");
    seen.note("read", (outer.wait(0), poll_mask(inner.0.as_raw_fd())));
    seen.outcome(
        "in a ring",
        inner.control(libc::EPOLL_CTL_ADD, outer.0.as_raw_fd(), libc::EPOLLIN),
    );
}

fn waiting(seen: &mut Seen) {
    let epoll = Epoll::new();
    let began = Instant::now();
    seen.note("times out", epoll.wait(20));
    seen.note("waited", began.elapsed() >= Duration::from_millis(20));
    let counter = event(0, 0);
    epoll.add(&counter, libc::EPOLLIN);
    let copy = counter.try_clone().expect("there is room");
    let late = std::thread::spawn(move || {
        settle();
        write_u64(&copy, 3)
    });
    seen.note("waits", epoll.wait(-1));
    seen.note("count", read_u64(&counter).ok());
    late.join().expect("it ends").expect("it goes");
    // A descriptor that is added while another thread waits.
    let (reader, writer) = pair_of_fds("pipe", 0);
    write(&writer, b"x").expect("it goes");
    let fd = epoll.0.as_raw_fd();
    let late = std::thread::spawn(move || {
        settle();
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: 1,
        };
        let added = call!(epoll_ctl(
            fd,
            libc::EPOLL_CTL_ADD,
            reader.as_raw_fd(),
            &raw mut event
        ));
        (added, reader)
    });
    seen.note("added late", epoll.wait(-1));
    drop(late.join());
    // A thread that waits for a counter is woken.
    let counter = std::sync::Arc::new(event(0, 0));
    let other = counter.clone();
    let reader = std::thread::spawn(move || read_u64(&*other).ok());
    settle();
    write_u64(&*counter, 5).expect("it goes");
    seen.note("reader", reader.join().expect("it ends"));
}

fn eventfd(seen: &mut Seen) {
    let counter = event(3, libc::EFD_NONBLOCK);
    masks(seen, "initial", counter.as_raw_fd());
    seen.result("read", read_u64(&counter));
    masks(seen, "zero", counter.as_raw_fd());
    seen.result("read zero", read_u64(&counter));
    seen.result("short read of zero", read(&counter, 4));
    seen.result("write", write_u64(&counter, 2));
    seen.result("write zero", write_u64(&counter, 0));
    seen.result("write again", write_u64(&counter, 5));
    seen.result("short read", read(&counter, 4));
    seen.result("sum", read_u64(&counter));
    seen.result("too much", write_u64(&counter, u64::MAX));
    seen.result("most", write_u64(&counter, u64::MAX - 1));
    masks(seen, "full", counter.as_raw_fd());
    seen.result("overflow", write_u64(&counter, 1));
    seen.result("short write", write(&counter, b"abcd"));
    seen.result("long write", write(&counter, &[0; 16]));
    seen.result(
        "read of most",
        read_u64(&counter).map(|value| value == u64::MAX - 1),
    );
    seen.outcome("seek", call!(lseek(counter.as_raw_fd(), 0, libc::SEEK_SET)));
    seen.outcome("unknown flags", call!(eventfd(0, 2)));
    seen.note(
        "access",
        call!(fcntl(counter.as_raw_fd(), libc::F_GETFL))
            .map(|flags| flags as i32 & libc::O_ACCMODE)
            .ok(),
    );
    // A write that must wait for a read.
    let counter = std::sync::Arc::new(event(0, 0));
    write_u64(&*counter, u64::MAX - 1).expect("it goes");
    let other = counter.clone();
    let writer = std::thread::spawn(move || write_u64(&*other, 9).ok());
    settle();
    seen.note(
        "full one is read",
        read_u64(&*counter).map(|value| value == u64::MAX - 1).ok(),
    );
    seen.note("writer", writer.join().expect("it ends"));
    seen.note("its value", read_u64(&*counter).ok());
}

fn semaphore(seen: &mut Seen) {
    let counter = event(2, libc::EFD_NONBLOCK | libc::EFD_SEMAPHORE);
    for _ in 0..3 {
        seen.result("read", read_u64(&counter));
    }
    seen.result("write", write_u64(&counter, 2));
    seen.result("then", read_u64(&counter));
    masks(seen, "one left", counter.as_raw_fd());
}

fn pipe(seen: &mut Seen) {
    let (reader, writer) = pair_of_fds("pipe", libc::O_NONBLOCK);
    masks(seen, "idle reader", reader.as_raw_fd());
    masks(seen, "idle writer", writer.as_raw_fd());
    seen.result("empty", read(&reader, 8));
    seen.result("write", write(&writer, b"hello"));
    seen.result("write nothing", write(&writer, b""));
    masks(seen, "with data", reader.as_raw_fd());
    seen.result("some", read(&reader, 2));
    seen.result("read nothing", read(&reader, 0));
    seen.result("rest", read(&reader, 100));
    seen.result("wrong end, read", read(&writer, 1));
    seen.result("wrong end, written", write(&reader, b"x"));
    seen.outcome("seek", call!(lseek(reader.as_raw_fd(), 0, libc::SEEK_CUR)));
    let mut byte = 0u8;
    seen.outcome(
        "pread",
        call!(pread(reader.as_raw_fd(), (&raw mut byte).cast(), 1, 0)),
    );
    seen.outcome("truncate", call!(ftruncate(writer.as_raw_fd(), 0)));
    seen.outcome("sync", call!(fsync(writer.as_raw_fd())));
    seen.result("size", call!(fcntl(writer.as_raw_fd(), libc::F_GETPIPE_SZ)));
    for (name, fd) in [("reader", &reader), ("writer", &writer)] {
        let flags = call!(fcntl(fd.as_raw_fd(), libc::F_GETFL))
            .map(|flags| flags as i32 & (libc::O_ACCMODE | libc::O_NONBLOCK));
        seen.result(name, flags);
    }
    seen.outcome("unknown flags", call!(pipe2([0i32; 2].as_mut_ptr(), 1)));
    let mut unread = 0i32;
    write(&writer, b"abc").expect("it goes");
    seen.outcome(
        "FIONREAD",
        call!(ioctl(reader.as_raw_fd(), libc::FIONREAD, &raw mut unread)),
    );
    seen.note("unread", unread);
    let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
    seen.outcome("stat", call!(fstat(reader.as_raw_fd(), stat.as_mut_ptr())));
    // SAFETY: it was filled in, and zeros are a value too.
    seen.note("mode", unsafe { stat.assume_init() }.st_mode & libc::S_IFMT);
    seen.outcome(
        "send",
        call!(send(writer.as_raw_fd(), b"x".as_ptr().cast(), 1, 0)),
    );
}

fn pipe_ends(seen: &mut Seen) {
    let (reader, writer) = pair_of_fds("pipe", 0);
    write(&writer, b"left").expect("it goes");
    drop(writer);
    masks(seen, "writer is gone, data", reader.as_raw_fd());
    seen.result("data", read(&reader, 8));
    masks(seen, "writer is gone", reader.as_raw_fd());
    seen.result("end", read(&reader, 8));
    let (reader, writer) = pair_of_fds("pipe", 0);
    drop(reader);
    masks(seen, "reader is gone", writer.as_raw_fd());
    seen.result("write", write(&writer, b"x"));
    seen.result("write nothing", write(&writer, b""));
    let (reader, writer) = pair_of_fds("pipe", 0);
    let waits = std::thread::spawn(move || read(&reader, 8).ok());
    settle();
    drop(writer);
    seen.note("who waited", waits.join().expect("it ends"));
}

fn full_pipe(seen: &mut Seen) {
    let (reader, writer) = pair_of_fds("pipe", libc::O_NONBLOCK);
    let page = [1u8; 4096];
    let mut pages = 0;
    let error = loop {
        match write(&writer, &page) {
            Ok(_) => pages += 1,
            Err(error) => break crate::error_of(&error),
        }
    };
    seen.note("pages", (pages, error));
    masks(seen, "full", writer.as_raw_fd());
    seen.result("one byte", write(&writer, b"x"));
    read(&reader, 1).expect("it is there");
    masks(seen, "a byte was read", writer.as_raw_fd());
    read(&reader, 4095).expect("it is there");
    masks(seen, "a page was read", writer.as_raw_fd());
    seen.result("much", write(&writer, &[2; 10_000]));
    seen.result("much again", write(&writer, &[2; 10_000]));
    // A write that is longer than the pipe waits for its reader.
    let (reader, writer) = pair_of_fds("pipe", 0);
    let long = std::thread::spawn(move || write(&writer, &[3; 200_000]).ok());
    settle();
    let mut all = 0;
    loop {
        match read(&reader, 50_000) {
            Ok(text) if !text.is_empty() => all += text.len(),
            _ => break,
        }
    }
    seen.note("long write", long.join().expect("it ends"));
    seen.note("all of it", all);
}

fn socketpair(seen: &mut Seen) {
    let (mut a, mut b) = UnixStream::pair().expect("there is room");
    masks(seen, "idle", a.as_raw_fd());
    seen.result("write", a.write(b"hello"));
    masks(seen, "with data", b.as_raw_fd());
    let mut buffer = [0; 3];
    seen.result("read", b.read(&mut buffer));
    seen.note("some", buffer);
    seen.result("answer", b.write(b"yes"));
    seen.note("unnamed", a.local_addr().map(|a| a.is_unnamed()).ok());
    seen.note("unnamed peer", a.peer_addr().map(|a| a.is_unnamed()).ok());
    seen.outcome("shutdown", a.shutdown(std::net::Shutdown::Write));
    masks(seen, "half closed", a.as_raw_fd());
    masks(seen, "its other", b.as_raw_fd());
    seen.result("write after it", a.write(b"x"));
    let mut all = String::new();
    seen.result("rest", b.read_to_string(&mut all));
    seen.note("text", all);
    drop(b);
    masks(seen, "closed", a.as_raw_fd());
    let mut all = String::new();
    seen.result("answer is there", a.read_to_string(&mut all));
    seen.note("answer text", all);
    let (mut a, mut b) = UnixStream::pair().expect("there is room");
    a.write_all(b"never read").expect("it goes");
    drop(b);
    masks(seen, "closed with unread data", a.as_raw_fd());
    seen.result("reset", a.read(&mut buffer));
    seen.result("then", a.read(&mut buffer));
    seen.result("write to none", a.write(b"x"));
    (a, b) = UnixStream::pair().expect("there is room");
    a.set_nonblocking(true).expect("it can be set");
    seen.result("would wait", a.read(&mut buffer));
    seen.outcome("read side", b.shutdown(std::net::Shutdown::Read));
    seen.result("write to a deaf one", a.write(b"x"));
    masks(seen, "deaf", b.as_raw_fd());
    masks(seen, "deaf one's other", a.as_raw_fd());
    let (a, b) = UnixStream::pair().expect("there is room");
    a.set_read_timeout(Some(Duration::from_millis(20)))
        .expect("it can be set");
    seen.result("times out", (&a).read(&mut buffer));
    drop(b);
    let mut fds = [0i32; 2];
    seen.outcome(
        "of another family",
        call!(socketpair(
            libc::AF_INET,
            libc::SOCK_STREAM,
            0,
            fds.as_mut_ptr()
        )),
    );
}

fn timerfd(seen: &mut Seen) {
    let make = |flags: i32| {
        let fd = call!(timerfd_create(libc::CLOCK_MONOTONIC, flags)).expect("there is room");
        // SAFETY: it is new, and ours.
        unsafe { OwnedFd::from_raw_fd(fd as i32) }
    };
    let ms = |ms: i64| libc::timespec {
        tv_sec: ms / 1000,
        tv_nsec: ms % 1000 * 1_000_000,
    };
    let set = |fd: &OwnedFd, first: libc::timespec, interval: libc::timespec| {
        let new = libc::itimerspec {
            it_value: first,
            it_interval: interval,
        };
        let mut old = new;
        call!(timerfd_settime(
            fd.as_raw_fd(),
            0,
            &raw const new,
            &raw mut old
        ))?;
        io::Result::Ok(old)
    };
    let timer = make(libc::TFD_NONBLOCK);
    seen.result("unset", read_u64(&timer));
    masks(seen, "unset", timer.as_raw_fd());
    set(&timer, ms(10), ms(10)).expect("it can be set");
    seen.result("too early", read_u64(&timer));
    std::thread::sleep(Duration::from_millis(35));
    masks(seen, "run out", timer.as_raw_fd());
    seen.result("several times", read_u64(&timer).map(|count| count >= 3));
    let old = set(&timer, ms(0), ms(0)).expect("it can be set");
    seen.note("interval", old.it_interval.tv_nsec);
    seen.result("stopped", read_u64(&timer));
    set(&timer, ms(10_000), ms(0)).expect("it can be set");
    let mut left = libc::itimerspec {
        it_value: ms(0),
        it_interval: ms(0),
    };
    seen.outcome(
        "gettime",
        call!(timerfd_gettime(timer.as_raw_fd(), &raw mut left)),
    );
    seen.note("left", (9..10).contains(&left.it_value.tv_sec));
    let blocking = make(0);
    set(&blocking, ms(10), ms(0)).expect("it can be set");
    seen.result("waits", read_u64(&blocking));
    seen.result("short", read(&blocking, 4));
    seen.outcome("write", write_u64(&blocking, 1));
    let wrong = libc::timespec {
        tv_sec: 0,
        tv_nsec: 1_000_000_000,
    };
    seen.outcome("too many nanoseconds", set(&timer, wrong, ms(0)));
    seen.outcome("unknown clock", call!(timerfd_create(99, 0)));
    seen.outcome(
        "unknown flags",
        call!(timerfd_create(libc::CLOCK_MONOTONIC, 1)),
    );
    let counter = event(0, 0);
    seen.outcome("no timer", set(&counter, ms(1), ms(0)));
    // Absolute times: one that has been is told at once.
    let past = libc::itimerspec {
        it_value: ms(1),
        it_interval: ms(0),
    };
    seen.outcome(
        "absolute",
        call!(timerfd_settime(
            timer.as_raw_fd(),
            libc::TFD_TIMER_ABSTIME,
            &raw const past,
            std::ptr::null_mut()
        )),
    );
    settle();
    seen.result("long ago", read_u64(&timer));
    let epoll = Epoll::new();
    epoll.add(&timer, libc::EPOLLIN | libc::EPOLLET);
    set(&timer, ms(5), ms(0)).expect("it can be set");
    seen.note("edge", epoll.wait(1000));
    seen.note("edge once", epoll.wait(0));
}

fn duplicates(seen: &mut Seen) {
    let (reader, writer) = pair_of_fds("pipe", 0);
    let fd = writer.as_raw_fd();
    let copy = call!(dup(fd)).expect("there is room") as i32;
    seen.result("copy", write(&copy, b"a"));
    seen.note("close on exec", call!(fcntl(copy, libc::F_GETFD)).ok());
    let far = call!(fcntl(fd, libc::F_DUPFD_CLOEXEC, 700)).expect("there is room") as i32;
    seen.note("at least", far >= 700);
    seen.note("closes on exec", call!(fcntl(far, libc::F_GETFD)).ok());
    seen.result("same", call!(dup2(fd, fd)).map(|same| same as i32 == fd));
    seen.outcome("same with dup3", call!(dup3(fd, fd, 0)));
    let other = event(7, libc::EFD_NONBLOCK);
    seen.result(
        "over another",
        call!(dup2(fd, far)).map(|to| to as i32 == far),
    );
    seen.note("flag is new", call!(fcntl(far, libc::F_GETFD)).ok());
    seen.result(
        "over a timer",
        call!(dup3(other.as_raw_fd(), far, libc::O_CLOEXEC)).map(|to| to as i32 == far),
    );
    seen.result("is it now", read_u64(&far));
    seen.outcome("bad", call!(dup2(100_000_000, far)));
    seen.outcome("to a bad one", call!(dup2(fd, -1)));
    seen.outcome("too far", call!(fcntl(fd, libc::F_DUPFD, 2_000_000_000)));
    seen.outcome("unknown flags", call!(dup3(fd, far, 1)));
    seen.outcome("close", call!(close(far)));
    seen.outcome("close again", call!(close(far)));
    drop(writer);
    seen.result("read", read(&reader, 8));
    masks(seen, "a copy is left", reader.as_raw_fd());
    call!(close(copy)).expect("it is open");
    masks(seen, "no copy is left", reader.as_raw_fd());
}

fn flags(seen: &mut Seen) {
    let (reader, _writer) = pair_of_fds("pipe", libc::O_CLOEXEC);
    let fd = reader.as_raw_fd();
    let copy = reader.try_clone().expect("there is room");
    seen.note("closes on exec", call!(fcntl(fd, libc::F_GETFD)).ok());
    seen.outcome("set", call!(fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK)));
    seen.result("shared", read(&copy, 1));
    seen.outcome("not any more", call!(fcntl(fd, libc::F_SETFD, 0)));
    seen.note(
        "of its own",
        (
            call!(fcntl(fd, libc::F_GETFD)).ok(),
            call!(fcntl(copy.as_raw_fd(), libc::F_GETFD)).ok(),
        ),
    );
    let mut on = 0i32;
    seen.outcome("FIONBIO", call!(ioctl(fd, libc::FIONBIO, &raw mut on)));
    seen.note(
        "cleared",
        call!(fcntl(fd, libc::F_GETFL))
            .map(|flags| flags as i32 & libc::O_NONBLOCK)
            .ok(),
    );
    on = 1;
    seen.outcome(
        "FIONBIO again",
        call!(ioctl(fd, libc::FIONBIO, &raw mut on)),
    );
    seen.result("shared again", read(&copy, 1));
    seen.outcome("unknown command", call!(fcntl(fd, 4711, 0)));
    seen.outcome("unknown request", call!(ioctl(fd, 0x1234, &raw mut on)));
    // SAFETY: asks about a descriptor.
    seen.note("a terminal", unsafe { libc::isatty(fd) });
}

fn bad_descriptors(seen: &mut Seen) {
    let (mut buffer, mut len) = ([0u8; 16], 16u32);
    let place = buffer.as_mut_ptr();
    let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
    for fd in [-1, 100_000_000] {
        seen.outcome("read", call!(read(fd, place.cast(), 1)));
        seen.outcome("write", call!(write(fd, place.cast(), 1)));
        seen.outcome("pread", call!(pread(fd, place.cast(), 1, 0)));
        seen.outcome("pwrite", call!(pwrite(fd, place.cast(), 1, 0)));
        seen.outcome("readv", call!(readv(fd, std::ptr::null(), 0)));
        seen.outcome("lseek", call!(lseek(fd, 0, 0)));
        seen.outcome("close", call!(close(fd)));
        seen.outcome("dup", call!(dup(fd)));
        seen.outcome("fcntl", call!(fcntl(fd, libc::F_GETFD)));
        seen.outcome("flags", call!(fcntl(fd, libc::F_GETFL)));
        seen.outcome("ioctl", call!(ioctl(fd, libc::FIONBIO, place)));
        seen.outcome("fstat", call!(fstat(fd, stat.as_mut_ptr())));
        seen.outcome("fsync", call!(fsync(fd)));
        seen.outcome("ftruncate", call!(ftruncate(fd, 0)));
        seen.outcome("flock", call!(flock(fd, libc::LOCK_SH)));
        seen.outcome("recv", call!(recv(fd, place.cast(), 1, 0)));
        seen.outcome("send", call!(send(fd, place.cast(), 1, 0)));
        seen.outcome(
            "accept",
            call!(accept(fd, std::ptr::null_mut(), std::ptr::null_mut())),
        );
        seen.outcome("listen", call!(listen(fd, 1)));
        seen.outcome("shutdown", call!(shutdown(fd, libc::SHUT_RD)));
        seen.outcome(
            "getsockname",
            call!(getsockname(fd, place.cast(), &raw mut len)),
        );
        seen.outcome("fchdir", call!(fchdir(fd)));
        seen.outcome("fchmod", call!(fchmod(fd, 0o600)));
    }
}

fn not_a_socket(seen: &mut Seen) {
    let (reader, _writer) = pair_of_fds("pipe", 0);
    let file = File::open("/").expect("it is there");
    let counter = event(0, 0);
    let (mut buffer, mut len) = ([0u8; 16], 16u32);
    let place = buffer.as_mut_ptr();
    for (name, fd) in [
        ("pipe", reader.as_raw_fd()),
        ("file", file.as_raw_fd()),
        ("counter", counter.as_raw_fd()),
    ] {
        seen.outcome(
            &format!("{name}, recv"),
            call!(recv(fd, place.cast(), 1, 0)),
        );
        seen.outcome(
            &format!("{name}, send"),
            call!(send(fd, place.cast(), 1, 0)),
        );
        seen.outcome(
            &format!("{name}, accept"),
            call!(accept(fd, std::ptr::null_mut(), std::ptr::null_mut())),
        );
        seen.outcome(&format!("{name}, listen"), call!(listen(fd, 1)));
        seen.outcome(
            &format!("{name}, shutdown"),
            call!(shutdown(fd, libc::SHUT_RD)),
        );
        seen.outcome(
            &format!("{name}, getsockname"),
            call!(getsockname(fd, place.cast(), &raw mut len)),
        );
        seen.outcome(
            &format!("{name}, setsockopt"),
            call!(setsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_REUSEADDR,
                place.cast(),
                4
            )),
        );
        seen.outcome(
            &format!("{name}, getsockopt"),
            call!(getsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_TYPE,
                place.cast(),
                &raw mut len
            )),
        );
    }
}
