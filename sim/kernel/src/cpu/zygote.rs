//! The zygote: forked from the world before any program runs, it forks a child for each program that starts, and tells who
//! has died.

use std::{
    cell::Cell,
    io, ptr,
    sync::atomic::{AtomicI32, Ordering::SeqCst},
};

use super::{
    Local,
    context::real,
    exec, heap,
    mailbox::{self, Mailbox, PROGRAM, Runs, WORLD, hand_over, mailbox, wait_for},
    remote, trap,
};

thread_local! {
    /// The end of the pipe by which this thread's zygote is told to fork.
    static ZYGOTE: Cell<Option<i32>> = const { Cell::new(None) };
}

/// The process number of the zygote, in its children.
static OWN_PID: AtomicI32 = AtomicI32::new(0);

/// Makes the zygote of this thread's run, unless it is there. To be called before any program runs.
///
/// # Errors
/// The machine refuses.
pub fn prepare() -> io::Result<()> {
    if ZYGOTE.get().is_some() {
        return Ok(());
    }
    trap::prepare().map_err(io::Error::other)?;
    heap::share()?;
    stay_here();
    let mut ends = [0; 2];
    // SAFETY: plain system calls; the child of the fork never returns from here.
    unsafe {
        remote::checked(real(
            libc::SYS_pipe2,
            [
                ends.as_mut_ptr() as usize,
                libc::O_CLOEXEC as usize,
                0,
                0,
                0,
                0,
            ],
        ))?;
        let world = libc::getpid();
        match libc::fork() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid() != world {
                    libc::_exit(0);
                }
                libc::close(ends[1]);
                attend(ends[0]);
            }
            _ => {
                libc::close(ends[0]);
                ZYGOTE.set(Some(ends[1]));
            }
        }
    }
    Ok(())
}

/// Keeps this thread, and what it forks, on the processor that it runs on.
fn stay_here() {
    // SAFETY: reads and sets this thread's own mask.
    unsafe {
        let mut here: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu().max(0) as usize, &mut here);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const here);
    }
}

/// This thread's zygote.
///
/// # Errors
/// There is none.
fn zygote() -> io::Result<i32> {
    let none =
        || io::Error::other("no process has been prepared for programs: call prepare_programs");
    ZYGOTE.get().ok_or_else(none)
}

/// Whether programs can be started, whose mailboxes are mapped only then.
///
/// # Errors
/// Nothing has been [prepared](prepare).
pub fn is_prepared() -> io::Result<()> {
    zygote().map(drop)
}

/// Has a child forked that obeys the mailbox of this slot.
///
/// # Errors
/// There is no zygote.
pub fn fork_for(slot: usize) -> io::Result<()> {
    let zygote = zygote()?;
    let order = slot.to_ne_bytes();
    // SAFETY: the pipe is this thread's own.
    remote::checked(unsafe {
        real(
            libc::SYS_write,
            [zygote as usize, order.as_ptr() as usize, 8, 0, 0, 0],
        )
    })?;
    Ok(())
}

/// The zygote: forks a child for each slot that it reads of.
fn attend(orders: i32) -> ! {
    // SAFETY: a process of one thread, with plain system calls.
    unsafe {
        OWN_PID.store(libc::getpid(), SeqCst);
        let mut on_child: libc::sigaction = std::mem::zeroed();
        on_child.sa_sigaction = bury as *const () as usize;
        on_child.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGCHLD, &raw const on_child, ptr::null_mut());
        let mut deaths: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut deaths, libc::SIGCHLD);
        loop {
            let mut slot = [0u8; 8];
            libc::sigprocmask(libc::SIG_UNBLOCK, &raw const deaths, ptr::null_mut());
            if libc::read(orders, slot.as_mut_ptr().cast(), 8) != 8 {
                libc::_exit(0);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &raw const deaths, ptr::null_mut());
            let slot = usize::from_ne_bytes(slot);
            match libc::fork() {
                0 => {
                    dies_with_the_zygote();
                    libc::signal(libc::SIGCHLD, libc::SIG_DFL);
                    libc::close(orders);
                    // Not by the zygote, which may come late.
                    register(slot, libc::getpid());
                    obey(slot);
                }
                -1 => ends(slot, libc::EAGAIN as u32),
                _ => {}
            }
        }
    }
}

/// This process, a child of the zygote, ends with it.
pub fn dies_with_the_zygote() {
    // SAFETY: plain system calls.
    unsafe {
        real(
            libc::SYS_prctl,
            [
                libc::PR_SET_PDEATHSIG as usize,
                libc::SIGKILL as usize,
                0,
                0,
                0,
                0,
            ],
        );
        if real(libc::SYS_getppid, [0; 6]) != OWN_PID.load(SeqCst) as isize {
            real(libc::SYS_exit_group, [0; 6]);
        }
    }
}

/// A slot has this process.
///
/// # Safety
/// What is shared is mapped.
pub unsafe fn register(slot: usize, pid: i32) {
    // SAFETY: the caller's promise.
    unsafe {
        (*mailbox(slot)).pid.store(pid, SeqCst);
        mailbox::children()[slot].store(pid, SeqCst);
    }
}

/// A child of the zygote has died: whoever waits for it is told.
extern "C" fn bury(_: i32) {
    // SAFETY: `waitpid` and a futex, which a handler may use.
    unsafe {
        let mut status = 0;
        loop {
            let pid = libc::waitpid(-1, &raw mut status, libc::WNOHANG);
            if pid <= 0 {
                return;
            }
            for (slot, child) in mailbox::children().iter().enumerate() {
                if child.compare_exchange(pid, 0, SeqCst, SeqCst).is_ok() {
                    ends(slot, status as u32);
                }
            }
        }
    }
}

/// The child of a slot is no more.
///
/// # Safety
/// The slot is mapped.
unsafe fn ends(slot: usize, status: u32) {
    // SAFETY: the caller's promise; atomic words.
    unsafe {
        let mailbox = mailbox(slot);
        (*mailbox).died.store(status + 1, SeqCst);
        hand_over(mailbox, WORLD);
    }
}

/// A child: it does what the world wants, for ever.
fn obey(slot: usize) -> ! {
    let mailbox = mailbox(slot);
    // SAFETY: world and child take turns, and each touches the mailbox in its own alone.
    unsafe {
        wait_for(mailbox, PROGRAM);
        match (*mailbox).runs {
            Runs::Function => obey_program(slot, mailbox),
            Runs::Executable => exec::obey(mailbox),
        }
    }
}

/// # Safety
/// It is the program's turn.
unsafe fn obey_program(slot: usize, mailbox: *mut Mailbox) -> ! {
    // SAFETY: the caller's promise; world and child take turns.
    unsafe {
        heap::adopt(slot);
        let [launch, main, len, ..] = (*mailbox).numbers;
        let launch = std::mem::transmute::<usize, fn(usize)>(launch as usize);
        let environment = variables(&(&(*mailbox).carried)[..len as usize]);
        let main = Box::new(move || launch(main as usize));
        let started = trap::prepare_child()
            .map_err(io::Error::other)
            .and_then(|()| Local::start(main, (*mailbox).tid, &environment));
        let Ok(mut program) = started else {
            libc::_exit(127);
        };
        (*mailbox).succeeded = true;
        loop {
            hand_over(mailbox, WORLD);
            wait_for(mailbox, PROGRAM);
            remote::carry_out(&mut program, &mut *mailbox);
        }
    }
}

/// The environment as it was written: names and values, each ended by a zero.
fn variables(bytes: &[u8]) -> Vec<(String, String)> {
    let mut words = bytes
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned());
    let mut all = Vec::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        all.push((name, value));
    }
    all
}
