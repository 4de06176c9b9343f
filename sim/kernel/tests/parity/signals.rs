//! Signals: masks, what is pending, calls that are interrupted and calls that wait for them.

use std::{
    io, mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::{
        atomic::{AtomicI32, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use crate::{Probe, Seen, call, error_of, settle};

pub const PROBES: &[Probe] = &[
    ("masks", masks),
    ("order of handlers", order),
    ("in a handler", in_a_handler),
    ("sigsuspend", sigsuspend),
    ("sigtimedwait", sigtimedwait),
    ("masks of polls", masks_of_polls),
    ("signalfd", signalfd),
    ("interval timer", interval_timer),
    ("timer", timer),
    ("interrupted sleep", interrupted_sleep),
    ("broken pipe", broken_pipe),
];

/// The signals that were handled, as digits of two.
static HANDLED: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: i32) {
    let before = HANDLED.load(SeqCst).wrapping_mul(100);
    HANDLED.store(before.wrapping_add(signal), SeqCst);
}

/// Raises another signal, which is let through or not.
extern "C" fn raise_another(signal: i32) {
    note(signal);
    // SAFETY: a handler may raise signals.
    unsafe { libc::raise(libc::SIGUSR2) };
    note(signal);
}

extern "C" fn raise_itself(signal: i32) {
    if HANDLED.load(SeqCst) < 10_000 {
        note(signal);
        // SAFETY: as above.
        unsafe { libc::raise(signal) };
        note(99);
    }
}

fn handled() -> i32 {
    HANDLED.swap(0, SeqCst)
}

/// Until this is dropped, signals are handled so.
struct Handling(i32);

impl Handling {
    fn by(signal: i32, handler: extern "C" fn(i32), flags: i32, masked: &[i32]) -> Self {
        HANDLED.store(0, SeqCst);
        // SAFETY: plain data, for which zeros are a value.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = flags;
        action.sa_mask = set(masked);
        call!(sigaction(signal, &raw const action, ptr::null_mut())).expect("it can be caught");
        Handling(signal)
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        // SAFETY: nothing is handled so any more.
        unsafe { libc::signal(self.0, libc::SIG_DFL) };
    }
}

fn set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: plain data, and a valid set.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        set
    }
}

/// Changes the mask of this thread.
fn mask(how: i32, signals: &[i32]) {
    let set = set(signals);
    // SAFETY: a valid set.
    unsafe { libc::pthread_sigmask(how, &raw const set, ptr::null_mut()) };
}

fn raise(signal: i32) {
    // SAFETY: each probe handles or blocks what it raises.
    unsafe { libc::raise(signal) };
}

fn is_pending(signal: i32) -> bool {
    let mut pending = set(&[]);
    // SAFETY: a valid set.
    unsafe {
        libc::sigpending(&raw mut pending);
        libc::sigismember(&raw const pending, signal) == 1
    }
}

fn masks(seen: &mut Seen) {
    let _handling = Handling::by(libc::SIGUSR1, note, 0, &[]);
    mask(libc::SIG_BLOCK, &[libc::SIGUSR1]);
    raise(libc::SIGUSR1);
    raise(libc::SIGUSR1);
    seen.note("blocked", handled());
    seen.note("pending", is_pending(libc::SIGUSR1));
    let inherited = thread::spawn(|| {
        let mut mask = set(&[]);
        // SAFETY: a valid set.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut mask);
            libc::sigismember(&raw const mask, libc::SIGUSR1)
        }
    });
    seen.note("inherited", inherited.join().ok());
    mask(libc::SIG_UNBLOCK, &[libc::SIGUSR1]);
    seen.note("once", handled());
    seen.note("no longer pending", is_pending(libc::SIGUSR1));
    mask(libc::SIG_BLOCK, &[libc::SIGUSR1]);
    raise(libc::SIGUSR1);
    // SAFETY: it is ignored from here on.
    unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
    seen.note("ignored meanwhile", is_pending(libc::SIGUSR1));
    mask(libc::SIG_UNBLOCK, &[libc::SIGUSR1]);
    let full = set(&[libc::SIGKILL]);
    seen.outcome(
        "unknown change",
        call!(sigprocmask(77, &raw const full, ptr::null_mut())),
    );
}

fn order(seen: &mut Seen) {
    let real_time = libc::SIGRTMIN() + 3;
    let _handling = [libc::SIGUSR1, libc::SIGUSR2, libc::SIGHUP, real_time]
        .map(|signal| Handling::by(signal, note, 0, &[]));
    for signals in [
        &[libc::SIGUSR2, libc::SIGHUP][..],
        &[libc::SIGUSR1, libc::SIGUSR2],
        &[real_time, libc::SIGUSR1, real_time],
    ] {
        mask(libc::SIG_BLOCK, signals);
        signals.iter().copied().for_each(raise);
        mask(libc::SIG_UNBLOCK, signals);
        seen.note("handled", handled());
    }
}

fn in_a_handler(seen: &mut Seen) {
    let _other = Handling::by(libc::SIGUSR2, note, 0, &[]);
    for (masked, name) in [(&[][..], "let through"), (&[libc::SIGUSR2], "masked")] {
        let _handling = Handling::by(libc::SIGUSR1, raise_another, 0, masked);
        raise(libc::SIGUSR1);
        seen.note(name, handled());
    }
    for (flags, name) in [(0, "itself"), (libc::SA_NODEFER, "itself, not deferred")] {
        let _handling = Handling::by(libc::SIGUSR1, raise_itself, flags, &[]);
        raise(libc::SIGUSR1);
        seen.note(name, handled());
    }
}

fn sigsuspend(seen: &mut Seen) {
    let _handling = Handling::by(libc::SIGUSR1, note, libc::SA_RESTART, &[]);
    mask(libc::SIG_BLOCK, &[libc::SIGUSR1]);
    raise(libc::SIGUSR1);
    let nothing = set(&[]);
    seen.outcome("pending", call!(sigsuspend(&raw const nothing)));
    seen.note("handled", handled());
    raise(libc::SIGUSR1);
    seen.note("blocked again", handled());
    mask(libc::SIG_UNBLOCK, &[libc::SIGUSR1]);
    seen.note("let through", handled());
}

fn sigtimedwait(seen: &mut Seen) {
    let wanted = [libc::SIGUSR1, libc::SIGRTMIN() + 4];
    mask(libc::SIG_BLOCK, &wanted);
    let waited = set(&wanted);
    let soon = libc::timespec {
        tv_sec: 0,
        tv_nsec: 20_000_000,
    };
    // SAFETY: plain data, for which zeros are a value.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    raise(wanted[1]);
    raise(wanted[0]);
    for name in ["lowest", "next"] {
        let taken = call!(sigtimedwait(
            &raw const waited,
            &raw mut info,
            &raw const soon
        ));
        seen.note(
            name,
            taken.map(|signal| signal == i64::from(info.si_signo)).ok(),
        );
        seen.note(&format!("{name}, number"), info.si_signo);
        seen.note(&format!("{name}, code"), info.si_code);
    }
    let began = Instant::now();
    seen.outcome(
        "none",
        call!(sigtimedwait(
            &raw const waited,
            &raw mut info,
            &raw const soon
        )),
    );
    seen.note("waited", began.elapsed() >= Duration::from_millis(20));
    // SAFETY: asks who we are.
    let this = unsafe { libc::pthread_self() };
    let sender = thread::spawn(move || {
        settle();
        // SAFETY: the thread waits for this one.
        unsafe { libc::pthread_kill(this, wanted[0]) };
    });
    let later = libc::timespec {
        tv_sec: 5,
        tv_nsec: 0,
    };
    seen.result(
        "sent meanwhile",
        call!(sigtimedwait(
            &raw const waited,
            &raw mut info,
            &raw const later
        )),
    );
    let _ = sender.join();
    mask(libc::SIG_UNBLOCK, &wanted);
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    call!(pipe2(fds.as_mut_ptr(), 0)).expect("there is room");
    // SAFETY: they are new, and ours.
    unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) }
}

fn masks_of_polls(seen: &mut Seen) {
    let _handling = Handling::by(libc::SIGUSR1, note, libc::SA_RESTART, &[]);
    let (reader, writer) = pipe();
    let mut asked = libc::pollfd {
        fd: reader.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let (nothing, soon) = (
        set(&[]),
        libc::timespec {
            tv_sec: 0,
            tv_nsec: 20_000_000,
        },
    );
    mask(libc::SIG_BLOCK, &[libc::SIGUSR1]);
    raise(libc::SIGUSR1);
    seen.outcome(
        "ppoll",
        call!(ppoll(
            &raw mut asked,
            1,
            &raw const soon,
            &raw const nothing
        )),
    );
    seen.note("ppoll, handled", handled());
    raise(libc::SIGUSR1);
    seen.note("still blocked", handled());
    seen.outcome(
        "pselect",
        call!(pselect(
            0,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &raw const soon,
            &raw const nothing
        )),
    );
    seen.note("pselect, handled", handled());
    call!(write(writer.as_raw_fd(), b"x".as_ptr().cast(), 1)).expect("there is room");
    seen.result(
        "ready",
        call!(ppoll(
            &raw mut asked,
            1,
            &raw const soon,
            &raw const nothing
        )),
    );
    seen.note("ready, handled", handled());
    mask(libc::SIG_UNBLOCK, &[libc::SIGUSR1]);
}

fn signalfd(seen: &mut Seen) {
    let taken = [libc::SIGUSR1, libc::SIGUSR2];
    mask(libc::SIG_BLOCK, &taken);
    let wanted = set(&taken[..1]);
    let fd = call!(signalfd(-1, &raw const wanted, libc::SFD_NONBLOCK)).expect("there is room");
    // SAFETY: it is new, and ours.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let mut told = [0u8; 256];
    let mut read = || {
        let read = call!(read(fd.as_raw_fd(), told.as_mut_ptr().cast(), told.len()));
        read.map(|len| {
            (
                len,
                told[0],
                i32::from_ne_bytes([told[8], told[9], told[10], told[11]]),
            )
        })
    };
    seen.result("none", read());
    raise(libc::SIGUSR2);
    seen.result("not of its own", read());
    raise(libc::SIGUSR1);
    seen.note("polled", crate::readiness::poll_mask(fd.as_raw_fd()));
    seen.result("one", read());
    seen.result("none left", read());
    let both = set(&taken);
    let again = call!(signalfd(fd.as_raw_fd(), &raw const both, 0));
    seen.note("changed", again.is_ok());
    seen.result("the other", read());
    let mut short = [0u8; 64];
    seen.outcome(
        "short",
        call!(read(fd.as_raw_fd(), short.as_mut_ptr().cast(), short.len())),
    );
    mask(libc::SIG_UNBLOCK, &taken);
}

fn interval_timer(seen: &mut Seen) {
    let _handling = Handling::by(libc::SIGALRM, note, libc::SA_RESTART, &[]);
    let ms = |ms: i64| libc::timeval {
        tv_sec: 0,
        tv_usec: ms * 1_000,
    };
    let timer = libc::itimerval {
        it_interval: ms(20),
        it_value: ms(20),
    };
    // SAFETY: plain data, for which zeros are a value.
    let mut old: libc::itimerval = unsafe { mem::zeroed() };
    seen.outcome(
        "set",
        call!(setitimer(libc::ITIMER_REAL, &raw const timer, &raw mut old)),
    );
    seen.note("none before", old.it_value.tv_usec);
    thread::sleep(Duration::from_millis(70));
    seen.note("rings", handled() >= libc::SIGALRM);
    seen.outcome("shown", call!(getitimer(libc::ITIMER_REAL, &raw mut old)));
    seen.note("interval", old.it_interval.tv_usec);
    let none = libc::itimerval {
        it_interval: ms(0),
        it_value: ms(0),
    };
    seen.outcome(
        "ended",
        call!(setitimer(libc::ITIMER_REAL, &raw const none, &raw mut old)),
    );
    seen.note("interval before", old.it_interval.tv_usec);
    handled();
    thread::sleep(Duration::from_millis(50));
    seen.note("silent", handled());
    // SAFETY: no pointers.
    unsafe {
        seen.note("alarm", libc::alarm(100));
        seen.note("alarm again", libc::alarm(0) > 90);
        seen.note("no alarm", libc::alarm(0));
    }
    seen.outcome("unknown", call!(getitimer(9, &raw mut old)));
}

fn timer(seen: &mut Seen) {
    let signal = libc::SIGRTMIN() + 5;
    mask(libc::SIG_BLOCK, &[signal]);
    // SAFETY: plain data, for which zeros are a value.
    let mut event: libc::sigevent = unsafe { mem::zeroed() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = signal;
    event.sigev_value.sival_ptr = 4711 as *mut _;
    event.sigev_notify_thread_id = call!(syscall(libc::SYS_gettid)).expect("it has one") as i32;
    let mut id: libc::timer_t = ptr::null_mut();
    seen.outcome(
        "create",
        call!(timer_create(
            libc::CLOCK_MONOTONIC,
            &raw mut event,
            &raw mut id
        )),
    );
    let ms = |ms: i64| libc::timespec {
        tv_sec: 0,
        tv_nsec: ms * 1_000_000,
    };
    let once = libc::itimerspec {
        it_interval: ms(0),
        it_value: ms(30),
    };
    seen.outcome(
        "set",
        call!(timer_settime(id, 0, &raw const once, ptr::null_mut())),
    );
    let waited = set(&[signal]);
    // SAFETY: plain data, for which zeros are a value.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    let began = Instant::now();
    let second = libc::timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let taken = call!(sigtimedwait(
        &raw const waited,
        &raw mut info,
        &raw const second
    ));
    seen.note("taken", taken.ok() == Some(i64::from(signal)));
    // SAFETY: it is that of a timer.
    seen.note("value", unsafe { info.si_value().sival_ptr as usize });
    seen.note("code", info.si_code);
    seen.note("in time", began.elapsed() >= Duration::from_millis(30));
    seen.outcome("delete", call!(timer_delete(id)));
    mask(libc::SIG_UNBLOCK, &[signal]);
}

fn interrupted_sleep(seen: &mut Seen) {
    let _handling = Handling::by(libc::SIGUSR2, note, libc::SA_RESTART, &[]);
    let (sender, receiver) = mpsc::channel();
    let sleeper = thread::spawn(move || {
        // SAFETY: asks who we are.
        sender
            .send(unsafe { libc::pthread_self() })
            .expect("somebody listens");
        let wanted = libc::timespec {
            tv_sec: 0,
            tv_nsec: 300_000_000,
        };
        let mut left = libc::timespec {
            tv_sec: 9,
            tv_nsec: 9,
        };
        let slept = call!(nanosleep(&raw const wanted, &raw mut left));
        let is_less = left.tv_sec == 0 && (1..300_000_000).contains(&left.tv_nsec);
        (slept.map_err(|error: io::Error| error_of(&error)), is_less)
    });
    let thread = receiver.recv().expect("it runs");
    settle();
    // SAFETY: the thread has not been joined.
    unsafe { libc::pthread_kill(thread, libc::SIGUSR2) };
    seen.note("sleeper", sleeper.join().ok());
    seen.note("handled", handled());
}

fn broken_pipe(seen: &mut Seen) {
    let handling = Handling::by(libc::SIGPIPE, note, 0, &[]);
    let (reader, writer) = pipe();
    drop(reader);
    seen.outcome(
        "write",
        call!(write(writer.as_raw_fd(), b"x".as_ptr().cast(), 1)),
    );
    seen.note("handled", handled());
    let mut fds = [0; 2];
    call!(socketpair(
        libc::AF_UNIX,
        libc::SOCK_STREAM,
        0,
        fds.as_mut_ptr()
    ))
    .expect("there is room");
    call!(close(fds[0])).expect("it is ours");
    seen.outcome(
        "send",
        call!(send(fds[1], b"x".as_ptr().cast(), 1, libc::MSG_NOSIGNAL)),
    );
    seen.note("silent", handled());
    seen.outcome(
        "send aloud",
        call!(send(fds[1], b"x".as_ptr().cast(), 1, 0)),
    );
    seen.note("aloud", handled());
    call!(close(fds[1])).expect("it is ours");
    drop(handling);
    // As Rust's start-up leaves it.
    // SAFETY: nothing handles it.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
