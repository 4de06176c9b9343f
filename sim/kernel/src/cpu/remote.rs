//! Programs in processes of their own: what is static in a program, and whatever it does to its process, is its own.
//!
//! A *zygote* is forked from the world before any program runs, and forks a child for each program that starts. World and
//! child share the child's memory at the same addresses, and a [`Mailbox`] in it: one of the two runs at a time, and hands
//! over by a futex. Both are kept on one processor, where that costs some microseconds.

use std::{
    cell::{Cell, RefCell},
    fmt, io, ptr,
    sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst},
};

use squall_engine::world::Panicked;

use crate::fork;

use super::{Call, Clock, Clone, Local, Tid, context::real, heap, own, trap};

/// Bytes that are carried over in one go.
const CARRIED: usize = 64 << 10;

const WORLD: u32 = 0;
const PROGRAM: u32 = 1;

/// What the world wants of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Command {
    Resume,
    Clone,
    Signal,
    Forget,
    /// Bytes go from its memory into the mailbox.
    Read,
    /// Bytes go from the mailbox into its memory.
    Write,
}

/// Through which world and child speak. It begins as zeros.
#[repr(C)]
struct Mailbox {
    /// Whose turn it is.
    turn: AtomicU32,
    /// How the child died, as `waitpid` tells it, plus 1.
    died: AtomicU32,
    pid: AtomicI32,
    command: Command,
    tid: Tid,
    numbers: [u64; 8],
    call: Call,
    monotonic: u64,
    wall_offset: i64,
    wall_reads: u32,
    succeeded: bool,
    panicked: bool,
    carried: [u8; CARRIED],
}

/// The room that a mailbox takes in the memory of a program.
pub const MAILBOX_LEN: usize = size_of::<Mailbox>().next_multiple_of(4096);

/// How a program starts: a function that runs another one, `main`.
#[derive(Clone, Copy)]
pub struct Image {
    /// Runs what it is given.
    pub launch: fn(usize),
    /// The address of `main`.
    pub main: usize,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").finish_non_exhaustive()
    }
}

/// A child, as the world sees it.
#[derive(Debug)]
pub struct Remote {
    mailbox: *mut Mailbox,
    slot: usize,
    clock: Clock,
}

thread_local! {
    /// The end of the pipe by which this thread's zygote is told to fork.
    static ZYGOTE: Cell<Option<i32>> = const { Cell::new(None) };
    /// Slots that have been used, and whether by a child that may live.
    static SLOTS: RefCell<Vec<bool>> = const { RefCell::new(Vec::new()) };
}

fn mailbox(slot: usize) -> *mut Mailbox {
    heap::mailbox(slot).cast()
}

/// Makes the zygote of this thread's run, unless it is there. To be called before any program runs.
///
/// # Errors
/// The machine refuses.
pub fn prepare() -> io::Result<()> {
    if ZYGOTE.get().is_some() {
        return Ok(());
    }
    trap::prepare().map_err(io::Error::other)?;
    heap::share_slots()?;
    stay_here();
    let mut ends = [0; 2];
    // SAFETY: plain system calls; the child of the fork never returns from here.
    unsafe {
        checked(real(
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

fn checked(answer: isize) -> io::Result<usize> {
    match answer {
        -4095..0 => Err(io::Error::from_raw_os_error(-answer as i32)),
        answer => Ok(answer as usize),
    }
}

/// Children of the zygote, by slot.
static CHILDREN: [AtomicI32; heap::SLOTS] = [const { AtomicI32::new(0) }; heap::SLOTS];

/// The zygote: forks a child for each slot that it reads of.
fn attend(orders: i32) -> ! {
    // SAFETY: a process of one thread, with plain system calls.
    unsafe {
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
            let zygote = libc::getpid();
            match libc::fork() {
                0 => {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    if libc::getppid() != zygote {
                        libc::_exit(0);
                    }
                    libc::signal(libc::SIGCHLD, libc::SIG_DFL);
                    libc::close(orders);
                    obey(slot);
                }
                -1 => ends(slot, libc::EAGAIN as u32),
                pid => {
                    (*mailbox(slot)).pid.store(pid, SeqCst);
                    CHILDREN[slot].store(pid, SeqCst);
                }
            }
        }
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
            for (slot, child) in CHILDREN.iter().enumerate() {
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

/// Gives the turn to the other side.
///
/// # Safety
/// The mailbox is mapped.
unsafe fn hand_over(mailbox: *mut Mailbox, to: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        (*mailbox).turn.store(to, SeqCst);
        let word = &raw const (*mailbox).turn as usize;
        real(
            libc::SYS_futex,
            [word, libc::FUTEX_WAKE as usize, 1, 0, 0, 0],
        );
    }
}

/// Waits for one's own turn.
///
/// # Safety
/// The mailbox is mapped.
unsafe fn wait_for(mailbox: *mut Mailbox, own: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        while (*mailbox).turn.load(SeqCst) != own {
            let word = &raw const (*mailbox).turn as usize;
            let wait = libc::FUTEX_WAIT as usize;
            real(libc::SYS_futex, [word, wait, (1 - own) as usize, 0, 0, 0]);
        }
    }
}

/// A child: it does what the world wants, for ever.
fn obey(slot: usize) -> ! {
    let mailbox = mailbox(slot);
    // SAFETY: world and child take turns, and each touches the mailbox in its own alone.
    unsafe {
        wait_for(mailbox, PROGRAM);
        heap::adopt(slot);
        let [launch, main, len, ..] = (*mailbox).numbers;
        let launch = std::mem::transmute::<usize, fn(usize)>(launch as usize);
        let environment = variables(&(&(*mailbox).carried)[..len as usize]);
        libc::clearenv();
        for (name, value) in &environment {
            std::env::set_var(name, value);
        }
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
            carry_out(&mut program, &mut *mailbox);
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

/// # Safety
/// The mailbox says what the world wants; addresses in it are the program's own.
unsafe fn carry_out(program: &mut Local, mailbox: &mut Mailbox) {
    let [first, second, third, ..] = mailbox.numbers;
    match mailbox.command {
        Command::Resume => {
            let clock = program.clock();
            clock.monotonic.set(mailbox.monotonic);
            clock.wall_offset.set(mailbox.wall_offset);
            mailbox.call = program.resume(mailbox.tid, first as isize);
            mailbox.monotonic = program.clock().monotonic.get();
            mailbox.wall_reads = program.clock().wall_reads.take();
            if mailbox.call.number == own::ENDED {
                let panic = program.take_panic();
                mailbox.panicked = panic.is_some();
                if let Some(Panicked { message, place }) = panic {
                    let text = format!("{}\0{message}", place.unwrap_or_default());
                    let len = text.len().min(CARRIED);
                    mailbox.carried[..len].copy_from_slice(&text.as_bytes()[..len]);
                    mailbox.numbers[0] = len as u64;
                }
            }
        }
        Command::Clone => {
            let ask = Clone {
                flags: mailbox.numbers[1],
                stack: mailbox.numbers[2] as usize,
                thread_pointer: mailbox.numbers[3] as usize,
                parent_tid: mailbox.numbers[4] as usize,
                child_tid: mailbox.numbers[5] as usize,
            };
            mailbox.succeeded = program.clone_thread(mailbox.tid, first as Tid, &ask);
        }
        Command::Signal => program.signal(mailbox.tid, first as usize, second as i32),
        Command::Forget => program.forget(mailbox.tid),
        // SAFETY: the caller's promise.
        Command::Read => unsafe {
            ptr::copy(
                first as *const u8,
                mailbox.carried.as_mut_ptr(),
                third as usize,
            );
        },
        // SAFETY: the caller's promise.
        Command::Write => unsafe {
            ptr::copy(mailbox.carried.as_ptr(), second as *mut u8, third as usize);
        },
    }
}

impl Remote {
    /// Starts a program.
    ///
    /// # Errors
    /// There are too many, or the machine refuses.
    pub fn start(image: Image, tid: Tid, environment: &[(String, String)]) -> io::Result<Self> {
        let Some(zygote) = ZYGOTE.get() else {
            return Err(io::Error::other("the scenario has no zygote for programs"));
        };
        let slot = free_slot()?;
        let mailbox = mailbox(slot);
        let mut variables = Vec::new();
        for (name, value) in environment {
            for word in [name, value] {
                variables.extend_from_slice(word.as_bytes());
                variables.push(0);
            }
        }
        if variables.len() > CARRIED {
            return Err(io::Error::other(
                "the environment variables of a program are too long",
            ));
        }
        // SAFETY: the slot is this child's alone, which is not there yet.
        unsafe {
            (&mut (*mailbox).carried)[..variables.len()].copy_from_slice(&variables);
            (*mailbox).tid = tid;
            (*mailbox).numbers = [
                image.launch as usize as u64,
                image.main as u64,
                variables.len() as u64,
                0,
                0,
                0,
                0,
                0,
            ];
            (*mailbox).turn.store(PROGRAM, SeqCst);
            let order = slot.to_ne_bytes();
            checked(real(
                libc::SYS_write,
                [zygote as usize, order.as_ptr() as usize, 8, 0, 0, 0],
            ))?;
            wait_for(mailbox, WORLD);
            if !(*mailbox).succeeded {
                return Err(io::Error::other("a process for a program cannot be made"));
            }
        }
        Ok(Remote {
            mailbox,
            slot,
            clock: Clock::default(),
        })
    }

    /// The memory that both see.
    pub fn shared(&self) -> std::ops::Range<usize> {
        heap::slot(self.slot)
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Has a command carried out. False if the child has died.
    fn order(&mut self, command: Command, tid: Tid, numbers: [u64; 6]) -> bool {
        // SAFETY: it is the world's turn, until it hands over.
        unsafe {
            let mailbox = self.mailbox;
            if (*mailbox).died.load(SeqCst) != 0 {
                return false;
            }
            (*mailbox).command = command;
            (*mailbox).tid = tid;
            (&mut (*mailbox).numbers)[..6].copy_from_slice(&numbers);
            fork::program_runs((*mailbox).pid.load(SeqCst));
            hand_over(mailbox, PROGRAM);
            wait_for(mailbox, WORLD);
            fork::program_runs(0);
            (*mailbox).died.load(SeqCst) == 0
        }
    }

    pub fn resume(&mut self, tid: Tid, answer: isize) -> Call {
        // SAFETY: it is the world's turn.
        unsafe {
            (*self.mailbox).monotonic = self.clock.monotonic.get();
            (*self.mailbox).wall_offset = self.clock.wall_offset.get();
        }
        if !self.order(Command::Resume, tid, [answer as u64, 0, 0, 0, 0, 0]) {
            // SAFETY: as above.
            let status = unsafe { (*self.mailbox).died.load(SeqCst) } - 1;
            return Call {
                number: own::DIED,
                arguments: [status as usize, 0, 0, 0, 0, 0],
                at: 0,
            };
        }
        // SAFETY: as above.
        unsafe {
            self.clock.monotonic.set((*self.mailbox).monotonic);
            self.clock.wall_reads.set((*self.mailbox).wall_reads);
            (*self.mailbox).call
        }
    }

    pub fn clone_thread(&mut self, maker: Tid, tid: Tid, ask: &Clone) -> bool {
        let numbers = [
            tid as u64,
            ask.flags,
            ask.stack as u64,
            ask.thread_pointer as u64,
            ask.parent_tid as u64,
            ask.child_tid as u64,
        ];
        // SAFETY: it is the world's turn again.
        self.order(Command::Clone, maker, numbers) && unsafe { (*self.mailbox).succeeded }
    }

    pub fn signal(&mut self, tid: Tid, handler: usize, signal: i32) {
        self.order(
            Command::Signal,
            tid,
            [handler as u64, signal as u64, 0, 0, 0, 0],
        );
    }

    pub fn forget(&mut self, tid: Tid) {
        self.order(Command::Forget, tid, [0; 6]);
    }

    pub fn take_panic(&mut self) -> Option<Panicked> {
        // SAFETY: it is the world's turn.
        unsafe {
            if !std::mem::take(&mut (*self.mailbox).panicked) {
                return None;
            }
            let len = (*self.mailbox).numbers[0] as usize;
            let text = String::from_utf8_lossy(&(&(*self.mailbox).carried)[..len]).into_owned();
            let (place, message) = text.split_once('\0').unwrap_or(("", &text));
            Some(Panicked {
                message: message.to_owned(),
                place: (!place.is_empty()).then(|| place.to_owned()),
            })
        }
    }

    /// Copies what only the child sees.
    pub fn read(&mut self, from: usize, into: &mut [u8]) {
        for (ordinal, part) in into.chunks_mut(CARRIED).enumerate() {
            let at = from + ordinal * CARRIED;
            if self.order(Command::Read, 0, [at as u64, 0, part.len() as u64, 0, 0, 0]) {
                // SAFETY: it is the world's turn.
                part.copy_from_slice(unsafe { &(&(*self.mailbox).carried)[..part.len()] });
            }
        }
    }

    /// Copies to where only the child sees.
    pub fn write(&mut self, to: usize, bytes: &[u8]) {
        for (ordinal, part) in bytes.chunks(CARRIED).enumerate() {
            // SAFETY: it is the world's turn.
            unsafe { (&mut (*self.mailbox).carried)[..part.len()].copy_from_slice(part) };
            let at = to + ordinal * CARRIED;
            self.order(
                Command::Write,
                0,
                [0, at as u64, part.len() as u64, 0, 0, 0],
            );
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // SAFETY: the child is this one's own; what it shares is free once the zygote has seen it die.
        unsafe {
            let pid = (*self.mailbox).pid.load(SeqCst);
            if pid > 0 && (*self.mailbox).died.load(SeqCst) == 0 {
                real(
                    libc::SYS_kill,
                    [pid as usize, libc::SIGKILL as usize, 0, 0, 0, 0],
                );
            }
        }
        SLOTS.with_borrow_mut(|slots| slots[self.slot] = false);
    }
}

/// A slot that no child has: one that was never used, or else one whose child is dead.
fn free_slot() -> io::Result<usize> {
    SLOTS.with_borrow_mut(|slots| {
        if slots.len() < heap::SLOTS {
            slots.push(true);
            return Ok(slots.len() - 1);
        }
        let free = slots.iter().position(|used| !used);
        let slot = free.ok_or_else(|| io::Error::other("too many programs at once"))?;
        slots[slot] = true;
        // SAFETY: its child was killed; once the zygote says so nobody uses the slot any more.
        unsafe {
            while (*mailbox(slot)).died.load(SeqCst) == 0 {
                real(libc::SYS_sched_yield, [0; 6]);
            }
        }
        heap::wipe(slot);
        Ok(slot)
    })
}
