//! Threads, what they wait for, clocks, signals.

use std::{
    cell::RefCell,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::{
        Arc, Barrier, Condvar, Mutex, Once, OnceLock, RwLock,
        atomic::{AtomicI32, AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{Probe, Seen, call, settle};

pub const PROBES: &[Probe] = &[
    ("join", join),
    ("locks of threads", locks),
    ("condition", condition),
    ("parking", parking),
    ("channels", channels),
    ("thread locals", thread_locals),
    ("order of sleeps", sleeps),
    ("clocks", clocks),
    ("futex", futex),
    ("signals", signals),
    ("interrupted", interrupted),
    ("blocked signals", blocked_signals),
    ("process", process),
];

fn join(seen: &mut Seen) {
    let thread = thread::Builder::new()
        .name("worker".into())
        .spawn(|| thread::current().name().map(ToOwned::to_owned));
    seen.note("name", thread.expect("there is room").join().ok());
    let mut sum = 0;
    thread::scope(|scope| {
        let all: Vec<_> = (0..5).map(|n| scope.spawn(move || n * n)).collect();
        sum = all.into_iter().map(|t| t.join().unwrap_or(-1)).sum();
    });
    seen.note("scope", sum);
    let quiet = thread::spawn(|| std::panic::resume_unwind(Box::new(7)));
    let panic = quiet
        .join()
        .map(|()| 0)
        .unwrap_or_else(|why| why.downcast_ref::<i32>().copied().unwrap_or(-1));
    seen.note("panic", panic);
    let (sender, receiver) = mpsc::channel();
    drop(thread::spawn(move || {
        settle();
        sender.send("done").expect("somebody listens");
    }));
    seen.note("detached", receiver.recv().ok());
    let deep = thread::Builder::new().stack_size(16 << 20).spawn(|| {
        let big = [1u8; 8 << 20];
        std::hint::black_box(&big)
            .iter()
            .map(|b| u64::from(*b))
            .sum::<u64>()
    });
    seen.note("large stack", deep.expect("there is room").join().ok());
}

fn locks(seen: &mut Seen) {
    let count = Arc::new(Mutex::new(0));
    let all: Vec<_> = (0..8)
        .map(|_| {
            let count = count.clone();
            thread::spawn(move || {
                for _ in 0..100 {
                    let mut count = count.lock().expect("nobody panics");
                    let old = *count;
                    thread::yield_now();
                    *count = old + 1;
                }
            })
        })
        .collect();
    for thread in all {
        thread.join().expect("it ends");
    }
    seen.note("count", *count.lock().expect("nobody panics"));
    let lock = Arc::new(RwLock::new(1));
    let read = lock.read().expect("nobody panics");
    let other = lock.clone();
    let writer = thread::spawn(move || *other.write().expect("nobody panics") += 1);
    settle();
    seen.note("not yet", *read);
    drop(read);
    writer.join().expect("it ends");
    seen.note("written", *lock.read().expect("nobody panics"));
    let held = count.lock().expect("nobody panics");
    seen.note("held", count.try_lock().is_err());
    drop(held);
    let barrier = Arc::new(Barrier::new(3));
    let leaders: Vec<_> = (0..3)
        .map(|_| {
            let barrier = barrier.clone();
            thread::spawn(move || barrier.wait().is_leader())
        })
        .collect();
    let leaders = leaders
        .into_iter()
        .map(|t| t.join().unwrap_or(false))
        .filter(|leads| *leads);
    seen.note("leaders", leaders.count());
    let poisoned = Arc::new(Mutex::new(()));
    let other = poisoned.clone();
    let _ = thread::spawn(move || {
        let _held = other.lock();
        std::panic::resume_unwind(Box::new(()));
    })
    .join();
    seen.note("poisoned", poisoned.is_poisoned());
    let (once, calls, cell) = (Once::new(), AtomicU32::new(0), OnceLock::new());
    thread::scope(|scope| {
        for n in 0..4 {
            let (once, calls, cell) = (&once, &calls, &cell);
            scope.spawn(move || {
                once.call_once(|| {
                    settle();
                    calls.fetch_add(1, SeqCst);
                });
                cell.get_or_init(|| n < 4);
            });
        }
    });
    seen.note("once", (calls.load(SeqCst), cell.get().copied()));
}

fn condition(seen: &mut Seen) {
    let shared = Arc::new((Mutex::new(0), Condvar::new()));
    let (lock, condition) = &*shared;
    let (guard, told) = condition
        .wait_timeout(
            lock.lock().expect("nobody panics"),
            Duration::from_millis(20),
        )
        .expect("nobody panics");
    drop(guard);
    seen.note("times out", told.timed_out());
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let shared = shared.clone();
            thread::spawn(move || {
                let (lock, condition) = &*shared;
                let mut turn = condition
                    .wait_while(lock.lock().expect("nobody panics"), |n| *n == 0)
                    .expect("nobody panics");
                *turn -= 1;
            })
        })
        .collect();
    settle();
    for _ in 0..3 {
        *lock.lock().expect("nobody panics") += 1;
        condition.notify_one();
    }
    let ended = waiters.into_iter().filter_map(|t| t.join().ok()).count();
    seen.note("one by one", (ended, *lock.lock().expect("nobody panics")));
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let shared = shared.clone();
            thread::spawn(move || {
                let (lock, condition) = &*shared;
                drop(condition.wait_while(lock.lock().expect("nobody panics"), |n| *n < 9));
            })
        })
        .collect();
    settle();
    *lock.lock().expect("nobody panics") = 9;
    condition.notify_all();
    seen.note(
        "all at once",
        waiters.into_iter().filter_map(|t| t.join().ok()).count(),
    );
}

fn parking(seen: &mut Seen) {
    let began = Instant::now();
    thread::park_timeout(Duration::from_millis(20));
    seen.note("waited", began.elapsed() >= Duration::from_millis(20));
    thread::current().unpark();
    let began = Instant::now();
    thread::park_timeout(Duration::from_secs(20));
    seen.note("token", began.elapsed() < Duration::from_secs(10));
    let parked = thread::spawn(|| {
        thread::park();
        "woken"
    });
    settle();
    parked.thread().unpark();
    seen.note("unparked", parked.join().ok());
}

fn channels(seen: &mut Seen) {
    let (sender, receiver) = mpsc::sync_channel(1);
    let producer = thread::spawn(move || {
        for n in 0..5 {
            sender.send(n).expect("somebody listens");
        }
    });
    settle();
    seen.note("all", receiver.iter().collect::<Vec<i32>>());
    producer.join().expect("it ends");
    let (sender, receiver) = mpsc::channel::<()>();
    seen.note(
        "times out",
        receiver.recv_timeout(Duration::from_millis(20)).err(),
    );
    drop(sender);
    seen.note(
        "gone",
        receiver.recv_timeout(Duration::from_millis(20)).err(),
    );
}

struct Tells(&'static str, mpsc::Sender<&'static str>);

impl Drop for Tells {
    fn drop(&mut self) {
        let _ = self.1.send(self.0);
    }
}

fn thread_locals(seen: &mut Seen) {
    thread_local! {
        static FIRST: RefCell<Option<Tells>> = const { RefCell::new(None) };
        static SECOND: RefCell<Option<Tells>> = const { RefCell::new(None) };
        static COUNT: RefCell<u32> = const { RefCell::new(0) };
    }
    let (sender, receiver) = mpsc::channel();
    COUNT.with(|count| *count.borrow_mut() = 5);
    let of_thread = thread::spawn(move || {
        FIRST.set(Some(Tells("first", sender.clone())));
        SECOND.set(Some(Tells("second", sender)));
        COUNT.with(|count| {
            *count.borrow_mut() += 1;
            *count.borrow()
        })
    });
    seen.note("its own", of_thread.join().ok());
    seen.note("ours", COUNT.with(|count| *count.borrow()));
    seen.note("destroyed", receiver.iter().collect::<Vec<_>>());
}

fn sleeps(seen: &mut Seen) {
    let (sender, receiver) = mpsc::channel();
    for (name, ms) in [("late", 60), ("early", 20), ("between", 40)] {
        let sender = sender.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(ms));
            let _ = sender.send(name);
        });
    }
    drop(sender);
    seen.note("order", receiver.iter().collect::<Vec<_>>());
}

fn clocks(seen: &mut Seen) {
    let began = (Instant::now(), SystemTime::now());
    thread::sleep(Duration::from_millis(20));
    seen.note("elapsed", began.0.elapsed() >= Duration::from_millis(20));
    seen.note(
        "wall",
        began
            .1
            .elapsed()
            .is_ok_and(|e| e >= Duration::from_millis(19)),
    );
    seen.note(
        "after 2020",
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .is_ok_and(|t| t.as_secs() > 1_577_836_800),
    );
    let mut time = libc::timespec {
        tv_sec: -1,
        tv_nsec: -1,
    };
    for clock in [
        libc::CLOCK_REALTIME,
        libc::CLOCK_MONOTONIC,
        libc::CLOCK_PROCESS_CPUTIME_ID,
        libc::CLOCK_THREAD_CPUTIME_ID,
        libc::CLOCK_MONOTONIC_RAW,
        libc::CLOCK_REALTIME_COARSE,
        libc::CLOCK_MONOTONIC_COARSE,
        libc::CLOCK_BOOTTIME,
        99,
    ] {
        seen.outcome(
            &format!("clock {clock}"),
            call!(clock_gettime(clock, &raw mut time)),
        );
    }
    seen.note("seconds", time.tv_sec > 0);
    seen.outcome(
        "resolution",
        call!(clock_getres(libc::CLOCK_MONOTONIC, &raw mut time)),
    );
    seen.outcome("resolution of none", call!(clock_getres(99, &raw mut time)));
    for (sec, ns) in [(0, 1_000_000_000), (-1, 0), (0, -1), (0, 1)] {
        let wanted = libc::timespec {
            tv_sec: sec,
            tv_nsec: ns,
        };
        seen.outcome(
            &format!("sleep {sec} {ns}"),
            call!(nanosleep(&raw const wanted, std::ptr::null_mut())),
        );
        // SAFETY: the time is there.
        let result = unsafe {
            libc::clock_nanosleep(
                libc::CLOCK_MONOTONIC,
                libc::TIMER_ABSTIME,
                &raw const wanted,
                std::ptr::null_mut(),
            )
        };
        seen.note(&format!("until {sec} {ns}"), result);
    }
    let wanted = libc::timespec {
        tv_sec: 0,
        tv_nsec: 1,
    };
    // SAFETY: the time is there.
    seen.note("sleep by no clock", unsafe {
        libc::clock_nanosleep(99, 0, &raw const wanted, std::ptr::null_mut())
    });
    // SAFETY: as above.
    seen.note(
        "time",
        unsafe { libc::time(std::ptr::null_mut()) } as u64 / 100
            == SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .expect("it is later")
                .as_secs()
                / 100,
    );
}

fn futex(seen: &mut Seen) {
    let word = Arc::new(AtomicU32::new(1));
    let place = word.as_ptr();
    let none = std::ptr::null::<libc::timespec>();
    let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    seen.outcome(
        "other value",
        call!(syscall(libc::SYS_futex, place, wait, 2, none)),
    );
    let short = libc::timespec {
        tv_sec: 0,
        tv_nsec: 10_000_000,
    };
    seen.outcome(
        "times out",
        call!(syscall(libc::SYS_futex, place, wait, 1, &raw const short)),
    );
    seen.result("nobody", call!(syscall(libc::SYS_futex, place, wake, 10)));
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let word = word.clone();
            thread::spawn(move || {
                call!(syscall(
                    libc::SYS_futex,
                    word.as_ptr(),
                    wait,
                    1,
                    std::ptr::null::<libc::timespec>()
                ))
                .ok()
            })
        })
        .collect();
    settle();
    seen.result("one", call!(syscall(libc::SYS_futex, place, wake, 1)));
    seen.result("rest", call!(syscall(libc::SYS_futex, place, wake, 10)));
    seen.note(
        "woken",
        waiters
            .into_iter()
            .map(|t| t.join().ok().flatten())
            .collect::<Vec<_>>(),
    );
    let wrong = libc::timespec {
        tv_sec: 0,
        tv_nsec: 1_000_000_000,
    };
    seen.outcome(
        "wrong time",
        call!(syscall(libc::SYS_futex, place, wait, 1, &raw const wrong)),
    );
    seen.outcome(
        "no bits",
        call!(syscall(
            libc::SYS_futex,
            place,
            libc::FUTEX_WAIT_BITSET,
            1,
            none,
            0,
            0
        )),
    );
}

static CAUGHT: AtomicI32 = AtomicI32::new(0);

extern "C" fn catch(signal: i32) {
    CAUGHT.fetch_add(signal, SeqCst);
}

fn install(signal: i32, handler: usize, flags: i32) -> io::Result<usize> {
    // SAFETY: plain data, for which zeros are a value.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = handler;
    new.sa_flags = flags;
    let mut old = new;
    call!(sigaction(signal, &raw const new, &raw mut old))?;
    Ok(old.sa_sigaction)
}

fn signals(seen: &mut Seen) {
    let handler = catch as *const () as usize;
    CAUGHT.store(0, SeqCst);
    seen.result(
        "default before",
        install(libc::SIGUSR1, handler, 0).map(|old| old == libc::SIG_DFL),
    );
    seen.outcome("raise", call!(raise(libc::SIGUSR1)));
    seen.note("caught", CAUGHT.load(SeqCst) == libc::SIGUSR1);
    seen.result(
        "ours before",
        install(libc::SIGUSR1, libc::SIG_IGN, 0).map(|old| old == handler),
    );
    seen.outcome("raise again", call!(raise(libc::SIGUSR1)));
    seen.note("ignored", CAUGHT.load(SeqCst) == libc::SIGUSR1);
    seen.result(
        "ignored before",
        install(libc::SIGUSR1, handler, libc::SA_RESETHAND).map(|old| old == libc::SIG_IGN),
    );
    seen.outcome("raise once", call!(raise(libc::SIGUSR1)));
    seen.result(
        "reset after it",
        install(libc::SIGUSR1, libc::SIG_DFL, 0).map(|old| old == libc::SIG_DFL),
    );
    seen.result(
        "pipes are ignored",
        install(libc::SIGPIPE, libc::SIG_IGN, 0).map(|old| old == libc::SIG_IGN),
    );
    seen.outcome("kill cannot be caught", install(libc::SIGKILL, handler, 0));
    seen.outcome("unknown signal", install(99, handler, 0));
    seen.outcome("ask ourselves", call!(kill(std::process::id() as i32, 0)));
    seen.outcome("ask nobody", call!(kill(2_000_000_000, 0)));
    seen.outcome(
        "send an unknown one",
        call!(kill(std::process::id() as i32, 99)),
    );
}

fn interrupted(seen: &mut Seen) {
    let handler = catch as *const () as usize;
    for (flags, name) in [(0, "interrupted"), (libc::SA_RESTART, "restarted")] {
        install(libc::SIGUSR2, handler, flags).expect("it can be caught");
        let mut fds = [0i32; 2];
        call!(pipe2(fds.as_mut_ptr(), 0)).expect("there is room");
        // SAFETY: they are new, and ours.
        let (reader, writer) =
            unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
        let (sender, receiver) = mpsc::channel();
        let waits = thread::spawn(move || {
            // SAFETY: asks who we are.
            sender
                .send(unsafe { libc::pthread_self() })
                .expect("somebody listens");
            let mut byte = 0u8;
            call!(read(reader.as_raw_fd(), (&raw mut byte).cast(), 1))
                .map_err(|e| crate::error_of(&e))
        });
        let thread = receiver.recv().expect("it runs");
        settle();
        CAUGHT.store(0, SeqCst);
        // SAFETY: the thread has not been joined.
        seen.note(name, unsafe { libc::pthread_kill(thread, libc::SIGUSR2) });
        settle();
        seen.note(
            &format!("{name}, caught"),
            CAUGHT.load(SeqCst) == libc::SIGUSR2,
        );
        call!(write(writer.as_raw_fd(), b"x".as_ptr().cast(), 1))
            .map(|_| ())
            .unwrap_or_default();
        seen.note(&format!("{name}, read"), waits.join().ok());
    }
    // A sleep of std's goes on after a signal.
    let (sender, receiver) = mpsc::channel();
    let sleeper = thread::spawn(move || {
        // SAFETY: asks who we are.
        sender
            .send(unsafe { libc::pthread_self() })
            .expect("somebody listens");
        let began = Instant::now();
        thread::sleep(Duration::from_millis(60));
        began.elapsed() >= Duration::from_millis(60)
    });
    let thread = receiver.recv().expect("it runs");
    settle();
    // SAFETY: the thread has not been joined.
    unsafe { libc::pthread_kill(thread, libc::SIGUSR2) };
    seen.note("sleep", sleeper.join().ok());
    install(libc::SIGUSR2, libc::SIG_DFL, 0).expect("it can be set");
}

fn blocked_signals(seen: &mut Seen) {
    install(libc::SIGUSR1, catch as *const () as usize, 0).expect("it can be caught");
    CAUGHT.store(0, SeqCst);
    // SAFETY: plain data, for which zeros are a value; the calls get valid sets.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGUSR1);
        let mut old = set;
        seen.note(
            "block",
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut old),
        );
        seen.note(
            "not before",
            libc::sigismember(&raw const old, libc::SIGUSR1),
        );
        libc::raise(libc::SIGUSR1);
        seen.note("blocked", CAUGHT.load(SeqCst));
        seen.note(
            "unblock",
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, &raw mut old),
        );
        seen.note(
            "was blocked",
            libc::sigismember(&raw const old, libc::SIGUSR1),
        );
        seen.note("caught", CAUGHT.load(SeqCst) == libc::SIGUSR1);
    }
    install(libc::SIGUSR1, libc::SIG_DFL, 0).expect("it can be set");
}

fn process(seen: &mut Seen) {
    seen.note(
        "same",
        std::process::id() == thread::spawn(std::process::id).join().unwrap_or(0),
    );
    let tid = || call!(syscall(libc::SYS_gettid)).unwrap_or(-1);
    seen.note(
        "threads have numbers",
        thread::spawn(tid).join().unwrap_or(-1) != tid(),
    );
    seen.note("unset", std::env::var("PARITY_UNSET").is_err());
    seen.result("page", call!(sysconf(libc::_SC_PAGESIZE)));
    seen.note("processors", thread::available_parallelism().is_ok());
    // SAFETY: the buffer is there.
    seen.note("getrandom", unsafe {
        libc::getrandom([0u8; 16].as_mut_ptr().cast(), 16, 0)
    });
    seen.outcome(
        "unknown flags",
        call!(getrandom([0u8; 16].as_mut_ptr().cast(), 16, 0x80)),
    );
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    seen.outcome(
        "limit",
        call!(getrlimit(libc::RLIMIT_NOFILE, &raw mut limit)),
    );
    seen.note("some", limit.rlim_cur > 100);
}
