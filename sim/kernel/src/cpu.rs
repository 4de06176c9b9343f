//! The processor of a simulated machine: it runs the threads of unmodified programs, one at a time, until their next
//! system call.
//!
//! A thread is a stack and a thread pointer in memory (`context`); the world resumes one by switching to it, and gets
//! control back with its next [`Call`]. Calls come in two ways. Functions of libc that matter for speed are defined by this
//! crate (`symbols`) and switch at once. Whatever else would reach the real kernel is stopped by Linux itself (Syscall User
//! Dispatch, `trap`): a `syscall` instruction anywhere in the program raises SIGSYS, whose handler does the same. So
//! nothing falls through in silence, and threads are made by libc as always: its `clone` arrives here too.

mod call_names;
mod context;
mod environment;
mod exec;
mod heap;
mod mailbox;
mod memory;
mod placement;
mod remote;
mod symbols;
mod trap;
mod vdso;
mod voice;
mod zygote;

use std::{cell::Cell, collections::BTreeMap, fmt, ptr};

use squall_engine::world::Panicked;

pub use exec::{Executable, Handler, Mapping};
pub use heap::{release_region, shared_region};
pub use memory::Memory;
pub use remote::Image;
pub use symbols::Resolve;
pub use trap::{Missing, prepare};
pub use voice::Said;
pub use zygote::prepare as prepare_programs;

use context::{Context, Registers, switch};
use environment::Environment;
use memory::Apart;
use remote::Remote;

/// A thread's number, as `gettid` tells it: unique among all programs of a run.
pub type Tid = i32;

/// The answer to a call that is asked again once the handlers of its thread have returned, as Linux has it within
/// (`ERESTARTSYS`). Not of executables, whose [`Handler`] says so.
pub const RESTARTS: isize = -512;

/// What a thread asks of its kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The number of the system call, or one of [`own`].
    pub number: libc::c_long,
    /// Its arguments, as in registers.
    pub arguments: [usize; 6],
    /// The address of the `syscall` instruction, where the call came by one.
    pub at: usize,
}

/// What programs ask that is no system call of Linux.
pub mod own {
    use libc::c_long;

    /// `getaddrinfo`, with the address of a [`super::Resolve`].
    pub const RESOLVE: c_long = 0x10_0001;
    /// The function that a process began with has returned, or panicked.
    pub const ENDED: c_long = 0x10_0002;
    /// The processor caught a signal of the thread's own making: number, address.
    pub const FAULT: c_long = 0x10_0003;
    /// A `tracing` event, with the address of a [`super::Said`].
    pub const SAYS: c_long = 0x10_0006;
    /// The process of its own is no more: how it died, as `waitpid` tells it.
    pub const DIED: c_long = 0x10_0005;
    /// The thread has read the clock many times without asking for anything else.
    pub const SPINS: c_long = 0x10_0004;
}

thread_local! {
    /// The thread of a program that runs here; null in the world's own.
    static GUEST: Cell<*mut Guest> = const { Cell::new(ptr::null_mut()) };
    /// The processor for which the world is making a first thread.
    static MAKING: Cell<*mut Inner> = const { Cell::new(ptr::null_mut()) };
}

/// A thread of a program.
struct Guest {
    context: Context,
    processor: *mut Inner,
    call: Call,
    answer: isize,
    /// Its registers at its call, where that came by a `syscall` instruction.
    at_call: *const Registers,
    /// Handlers to be called, each with its signal's number, before the call returns.
    signals: Vec<(usize, i32)>,
    /// Where it began, if it was cloned.
    _began: Option<Box<Registers>>,
}

/// The time that a program sees without asking.
#[derive(Debug, Default)]
pub struct Clock {
    /// Nanoseconds of the monotonic clock.
    pub monotonic: Cell<u64>,
    /// The wall clock's nanoseconds since the Unix epoch, less those of the monotonic clock.
    pub wall_offset: Cell<i64>,
    /// How often the wall clock was read.
    pub wall_reads: Cell<u32>,
    /// How often any clock was read since the thread was last resumed.
    pub reads: Cell<u32>,
}

/// Each reading of a clock takes this many nanoseconds: a program that waits for time to pass without asking for anything
/// else sees it pass.
const CLOCK_READ_NS: u64 = 25;
/// After so many readings in one turn the thread's kernel is told.
const SPINNING_READS: u32 = 20_000;

/// The stack of a process's first thread: what Linux gives it.
const FIRST_STACK: usize = 8 << 20;

struct Inner {
    /// Where the world waits for the thread that it has resumed.
    world: Context,
    guests: BTreeMap<Tid, Box<Guest>>,
    /// The number of the thread that is being made.
    next: Tid,
    selector: *mut u8,
    clock: Clock,
    environment: Environment,
    /// Where its memory is.
    space: *mut u8,
    /// Its `tracing` events are the world's to hear: it shares the address space, and with it the subscriber.
    is_heard: bool,
    /// The panic of the process's first function.
    panic: Option<Panicked>,
}

/// The threads of one process, in this one.
struct Local(Box<Inner>);

/// Runs the threads of one process: in the world's own, or in one forked for it.
pub struct Processor(Place);

enum Place {
    Here(Local),
    Apart(Box<Remote>, Box<Apart>),
}

// SAFETY: a run has one thread of the operating system, on which the processor is made, used and dropped.
unsafe impl Send for Processor {}

impl fmt::Debug for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processor").finish_non_exhaustive()
    }
}

impl Processor {
    /// A processor for a process of the world's own address space whose first thread, of this number, will run `main`.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn start(
        main: Box<dyn FnOnce()>,
        tid: Tid,
        environment: &[(String, String)],
    ) -> std::io::Result<Self> {
        let local = Local::start(main, tid, environment)?;
        Ok(Processor(Place::Here(local)))
    }

    /// A processor for a process of its own.
    ///
    /// # Errors
    /// None can be made.
    pub fn start_apart(
        image: Image,
        tid: Tid,
        environment: &[(String, String)],
    ) -> std::io::Result<Self> {
        Ok(Self::apart(Remote::start(image, tid, environment)?))
    }

    /// A processor for an executable, in a process of its own.
    ///
    /// # Errors
    /// It is none, or no process can be made.
    pub fn start_exec(executable: &Executable, tid: Tid) -> std::io::Result<Self> {
        Ok(Self::apart(Remote::start_exec(executable, tid)?))
    }

    fn apart(remote: Remote) -> Self {
        let mut remote = Box::new(remote);
        let apart = Box::new(Apart::of(&raw mut *remote, remote.shared()));
        Processor(Place::Apart(remote, apart))
    }

    /// The process of an executable forks: thread `tid`, which stands in its call, goes on in both; in the copy it is
    /// thread `child`, with another stack pointer and thread pointer if there are any.
    ///
    /// # Errors
    /// No process can be made, or this is no executable's (`ENOSYS`).
    pub fn fork(
        &mut self,
        tid: Tid,
        child: Tid,
        stack: usize,
        thread_pointer: Option<usize>,
    ) -> std::io::Result<Processor> {
        match &mut self.0 {
            Place::Here(_) => Err(std::io::Error::from_raw_os_error(libc::ENOSYS)),
            Place::Apart(remote, apart) => {
                apart.settle();
                let copy = Self::apart(remote.fork(tid, child, stack, thread_pointer)?);
                if let Place::Apart(_, other) = &copy.0 {
                    other.shares_as(apart);
                }
                Ok(copy)
            }
        }
    }

    /// The executable that it runs, if it does, and its memory.
    fn executable(&mut self) -> Option<(&mut Remote, &Apart)> {
        match &mut self.0 {
            Place::Apart(remote, apart) if remote.is_executable() => {
                apart.settle();
                Some((remote, apart))
            }
            _ => None,
        }
    }

    /// A thread begins to handle a signal, before it goes on.
    pub fn enter_handler(&mut self, tid: Tid, handler: &Handler) {
        if let Some((remote, _)) = self.executable() {
            remote.enter_handler(tid, handler);
            return;
        }
        match &mut self.0 {
            Place::Here(local) => local.signal(tid, handler.handler, handler.signal),
            Place::Apart(remote, _) => remote.signal(tid, handler.handler, handler.signal),
        }
    }

    /// A thread of an executable, which stands in `rt_sigreturn`, goes on where the signal met it: the mask that it had
    /// there, and what its call had answered.
    pub fn leave_handler(&mut self, tid: Tid) -> Option<(u64, isize)> {
        Some(self.executable()?.0.leave_handler(tid))
    }

    /// An executable maps a file of the real machine, or what it shares with others: where.
    ///
    /// # Errors
    /// What the real kernel says, or this is no executable (`ENODEV`).
    pub fn map(&mut self, mapping: &Mapping) -> std::io::Result<usize> {
        let Some((remote, apart)) = self.executable() else {
            return Err(std::io::Error::from_raw_os_error(libc::ENODEV));
        };
        let place = remote.map(mapping)?;
        if mapping.path.is_none() {
            apart.shares(place..place + mapping.len, mapping.offset);
        }
        Ok(place)
    }

    /// The memory of its program, for as long as the processor is there.
    pub fn memory(&self) -> Memory {
        match &self.0 {
            Place::Here(_) => Memory::default(),
            Place::Apart(_, apart) => Memory::apart(apart),
        }
    }

    /// The panic of the process's first function, if that was how it ended.
    pub fn take_panic(&mut self) -> Option<Panicked> {
        match &mut self.0 {
            Place::Here(local) => local.take_panic(),
            Place::Apart(remote, _) => remote.take_panic(),
        }
    }

    /// The clock that its threads see.
    pub fn clock(&self) -> &Clock {
        match &self.0 {
            Place::Here(local) => local.clock(),
            Place::Apart(remote, _) => remote.clock(),
        }
    }

    /// Lets a thread go on, with the answer to what it asked last, until it asks again.
    pub fn resume(&mut self, tid: Tid, answer: isize) -> Call {
        match &mut self.0 {
            Place::Here(local) => local.resume(tid, answer),
            Place::Apart(remote, apart) => {
                apart.settle();
                remote.resume(tid, answer)
            }
        }
    }

    /// Makes the thread for which thread `maker` asks at present. False if that is not in a state to be copied.
    pub fn clone_thread(&mut self, maker: Tid, tid: Tid, ask: &Clone) -> bool {
        match &mut self.0 {
            Place::Here(local) => local.clone_thread(maker, tid, ask),
            Place::Apart(remote, _) => remote.clone_thread(maker, tid, ask),
        }
    }

    /// A thread is gone: it will not be resumed.
    pub fn forget(&mut self, tid: Tid) {
        match &mut self.0 {
            Place::Here(local) => local.forget(tid),
            Place::Apart(remote, _) => remote.forget(tid),
        }
    }
}

/// What a new thread of a process asks `clone` for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clone {
    /// Flags, `CLONE_*`.
    pub flags: u64,
    /// The stack pointer that it starts with.
    pub stack: usize,
    /// The thread pointer that it starts with.
    pub thread_pointer: usize,
    /// Where its number goes in the memory of its maker.
    pub parent_tid: usize,
    /// Where its number goes in its own memory, or is taken away at its end.
    pub child_tid: usize,
}

impl Clone {
    /// Reads what `clone` or `clone3` are asked. None if this is neither.
    pub fn read(call: &Call, memory: &Memory) -> Option<Self> {
        let [a, b, c, d, e, _] = call.arguments;
        match call.number {
            libc::SYS_clone => Some(Clone {
                flags: a as u64,
                stack: b,
                parent_tid: c,
                child_tid: d,
                thread_pointer: e,
            }),
            libc::SYS_clone3 => {
                let word = |n: usize| memory.read_u64(a + 8 * n);
                Some(Clone {
                    // By `clone`, the lowest byte says which signal the parent gets at its end.
                    flags: word(0) | word(4),
                    child_tid: word(2) as usize,
                    parent_tid: word(3) as usize,
                    stack: (word(5) + word(6)) as usize,
                    thread_pointer: word(7) as usize,
                })
            }
            _ => None,
        }
    }
}

impl Local {
    /// A processor for a process whose first thread, of this number, will run `main`.
    ///
    /// # Errors
    /// No thread can be made.
    fn start(
        main: Box<dyn FnOnce()>,
        tid: Tid,
        environment: &[(String, String)],
    ) -> std::io::Result<Self> {
        let selector = trap::selector();
        let mut inner = Box::new(Inner {
            world: Context::default(),
            guests: BTreeMap::new(),
            next: tid,
            selector,
            clock: Clock::default(),
            space: heap::space(),
            is_heard: !heap::is_apart(),
            environment: Environment::new(environment),
            panic: None,
        });
        let main: *mut Box<dyn FnOnce()> = Box::into_raw(Box::new(main));
        let mut thread: libc::pthread_t = 0;
        let attributes = symbols::Attributes::with_stack(inner.space, FIRST_STACK)?;
        MAKING.set(&raw mut *inner);
        trap::set(selector, true);
        // SAFETY: the pointers are valid; the real thread is never made: `clone` arrives in `arrive`, which keeps what it
        // was asked for as a guest.
        let failed = unsafe {
            symbols::make_thread(&raw mut thread, attributes.as_ptr(), begin, main.cast())
        };
        trap::set(selector, false);
        MAKING.set(ptr::null_mut());
        if failed != 0 || inner.guests.is_empty() {
            // SAFETY: nobody else has it.
            drop(unsafe { Box::from_raw(main) });
            return Err(std::io::Error::from_raw_os_error(failed.max(libc::EAGAIN)));
        }
        Ok(Local(inner))
    }

    /// The panic of the process's first function, if that was how it ended.
    pub fn take_panic(&mut self) -> Option<Panicked> {
        self.0.panic.take()
    }

    /// The clock that its threads see.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Lets a thread go on, with the answer to what it asked last, until it asks again.
    pub fn resume(&mut self, tid: Tid, answer: isize) -> Call {
        let inner = &raw mut *self.0;
        // SAFETY: the guest stopped in `ask` or has not started, and nobody else touches either while this thread is it.
        unsafe {
            let Some(guest) = (*inner).guests.get_mut(&tid) else {
                return Call::default();
            };
            let guest = &raw mut **guest;
            (*guest).answer = answer;
            (*inner).clock.reads.set(0);
            (*inner).environment.exchange();
            trap::set((*inner).selector, true);
            switch(&raw mut (*inner).world, &raw const (*guest).context);
            trap::set((*inner).selector, false);
            (*inner).environment.exchange();
            (*guest).call
        }
    }

    /// Makes the thread for which thread `maker` asks at present. False if that is not in a state to be copied.
    pub fn clone_thread(&mut self, maker: Tid, tid: Tid, ask: &Clone) -> bool {
        let inner = &raw mut *self.0;
        let Some(at_call) = self.0.guests.get(&maker).map(|guest| guest.at_call) else {
            return false;
        };
        if at_call.is_null() {
            return false;
        }
        // SAFETY: the maker stands in its call, so its registers are where they were.
        let registers = unsafe { *at_call };
        self.0
            .guests
            .insert(tid, Guest::cloned(inner, registers, ask));
        true
    }

    /// Before thread `tid` goes on, it runs a handler of this signal.
    pub fn signal(&mut self, tid: Tid, handler: usize, signal: i32) {
        if let Some(guest) = self.0.guests.get_mut(&tid) {
            guest.signals.push((handler, signal));
        }
    }

    /// A thread is gone: it will not be resumed.
    pub fn forget(&mut self, tid: Tid) {
        self.0.guests.remove(&tid);
    }
}

impl Guest {
    fn cloned(processor: *mut Inner, mut registers: Registers, ask: &Clone) -> Box<Self> {
        registers[libc::REG_RSP as usize] = ask.stack as i64;
        let registers = Box::new(registers);
        // SAFETY: libc has made the stack; the registers are kept as long as the guest.
        let context = unsafe { Context::cloned(&raw const *registers, ask.thread_pointer) };
        let mut guest = Box::new(Guest {
            context,
            processor,
            call: Call::default(),
            answer: 0,
            at_call: ptr::null(),
            signals: Vec::new(),
            _began: Some(registers),
        });
        let here = GUEST.with(ptr::from_ref) as usize;
        let distance = here.wrapping_sub(context::thread_pointer());
        let there = ask.thread_pointer.wrapping_add(distance);
        // SAFETY: thread-local variables of the executable lie at the same distance from each thread pointer; libc has
        // made the new thread's.
        unsafe { (there as *mut *mut Guest).write(&raw mut *guest) };
        guest
    }
}

/// The first function of a process's first thread.
extern "C" fn begin(main: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: `start` made it, and hands it over.
    let main = unsafe { Box::from_raw(main.cast::<Box<dyn FnOnce()>>()) };
    let voice = voice::raise();
    let ended = Panicked::catch(main);
    drop(voice);
    let guest = GUEST.get();
    // SAFETY: it is the thread that runs; the world waits meanwhile.
    unsafe { (*(*guest).processor).panic = ended.err() };
    call(own::ENDED, [0; 6]);
    ptr::null_mut()
}

/// A call by function: of the thread of a program that runs here, or else of the real kernel.
fn call(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let guest = GUEST.get();
    if guest.is_null() {
        // SAFETY: whoever calls a function of libc keeps its promises.
        return unsafe { context::real(number, arguments) };
    }
    // SAFETY: it is the thread that runs.
    unsafe { ask(guest, number, arguments, 0, ptr::null()) }
}

/// A thread asks, and waits for the answer.
///
/// # Safety
/// `guest` is the thread that runs here.
unsafe fn ask(
    guest: *mut Guest,
    number: libc::c_long,
    arguments: [usize; 6],
    at: usize,
    registers: *const Registers,
) -> isize {
    // SAFETY: the caller's promise; the world waits in `resume`.
    unsafe {
        let space = (*(*guest).processor).space;
        if let Some(answer) = memory::own(space, number, &arguments) {
            return answer;
        }
        loop {
            (*guest).call = Call {
                number,
                arguments,
                at,
            };
            (*guest).at_call = registers;
            switch(
                &raw mut (*guest).context,
                &raw const (*(*guest).processor).world,
            );
            (*guest).at_call = ptr::null();
            let answer = (*guest).answer;
            // The last one is on top of the others, as Linux has it.
            for (handler, signal) in std::mem::take(&mut (*guest).signals).into_iter().rev() {
                let handler: extern "C" fn(i32, *const libc::siginfo_t, *const libc::c_void) =
                    std::mem::transmute::<usize, _>(handler);
                let mut info: libc::siginfo_t = std::mem::zeroed();
                info.si_signo = signal;
                handler(signal, &raw const info, ptr::null());
                ask(guest, libc::SYS_rt_sigreturn, [0; 6], 0, ptr::null());
            }
            if answer != RESTARTS {
                return answer;
            }
        }
    }
}

/// A `syscall` instruction was met at `at`.
///
/// # Safety
/// `registers` are those of the instruction.
unsafe fn arrive(
    number: libc::c_long,
    arguments: [usize; 6],
    at: usize,
    registers: *const Registers,
) -> isize {
    let guest = GUEST.get();
    // SAFETY: the caller's promise; guests are the threads that run.
    unsafe {
        if !guest.is_null() {
            return ask(guest, number, arguments, at, registers);
        }
        let making = MAKING.get();
        if !making.is_null() {
            let call = Call {
                number,
                arguments,
                at,
            };
            if let Some(ask) = Clone::read(&call, &Memory::default()) {
                let tid = (*making).next;
                Memory::default().write_u32(ask.parent_tid, tid as u32);
                let guest = Guest::cloned(making, *registers, &ask);
                (*making).guests.insert(tid, guest);
                return tid as isize;
            }
            if number == libc::SYS_rt_sigprocmask {
                Memory::default().write_u64(arguments[2], 0);
                return 0;
            }
        }
        context::real(number, arguments)
    }
}

/// The clocks that are told without asking the world. The others count CPU time, or are no clocks.
const TOLD: [libc::clockid_t; 8] = [
    libc::CLOCK_REALTIME,
    libc::CLOCK_MONOTONIC,
    libc::CLOCK_MONOTONIC_RAW,
    libc::CLOCK_REALTIME_COARSE,
    libc::CLOCK_MONOTONIC_COARSE,
    libc::CLOCK_BOOTTIME,
    libc::CLOCK_TAI,
    libc::CLOCK_BOOTTIME_ALARM,
];

/// What a clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    ns: u64,
    /// It was read many times in one turn.
    spins: bool,
}

impl Clock {
    /// None of clocks that are not told without asking.
    fn read(&self, clock: libc::clockid_t) -> Option<Reading> {
        if !TOLD.contains(&clock) {
            return None;
        }
        self.reads.set(self.reads.get() + 1);
        let monotonic = self.monotonic.get() + CLOCK_READ_NS;
        self.monotonic.set(monotonic);
        let ns = match clock {
            libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI => {
                self.wall_reads.set(self.wall_reads.get() + 1);
                monotonic.saturating_add_signed(self.wall_offset.get())
            }
            _ => monotonic,
        };
        Some(Reading {
            ns,
            spins: self.spins(),
        })
    }

    /// It was read many times in one turn.
    fn spins(&self) -> bool {
        self.reads.get() >= SPINNING_READS
    }
}

/// What the present thread of a program reads from a clock. None in the world, and of clocks that are not told here.
fn read_clock(clock: libc::clockid_t) -> Option<u64> {
    let guest = GUEST.get();
    if guest.is_null() {
        return None;
    }
    // SAFETY: it is the thread that runs, and its processor is there as long as it.
    let time = unsafe { &(*(*guest).processor).clock };
    let mut reading = time.read(clock)?;
    if reading.spins {
        call(own::SPINS, [0; 6]);
        time.reads.set(0);
        reading = time.read(clock)?;
    }
    Some(reading.ns)
}
