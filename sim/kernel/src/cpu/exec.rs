//! The child's side of an executable: code that nobody here has compiled, its own libc and all, in a process forked for it.
//!
//! Each of its `syscall` instructions raises SIGSYS (Syscall User Dispatch). The handler, on a stack of its own, speaks with
//! the world until that resumes a thread; the return from the handler is then the switch to that thread, with all of its
//! registers. So a thread needs no room on its stack, and nothing of it is known but its registers.

mod frame;
mod load;

use std::{
    arch::global_asm,
    collections::BTreeMap,
    ffi::{CString, c_void},
    io,
    ops::Range,
    ptr,
    sync::atomic::{AtomicPtr, Ordering::SeqCst},
};

pub use frame::Handler;
pub use load::Executable;

use super::{
    Call, Clock, Reading, Tid,
    context::{Registers, real, thread_pointer},
    heap,
    mailbox::{Command, Mailbox, PROGRAM, WORLD, hand_over, mailbox, wait_for},
    own, trap, zygote,
};
use load::map;

const PAGE: usize = 4096;
/// The stack of the handler.
const HANDLER_STACK: usize = 256 << 10;
/// By this call the handler comes to run for the first time.
const BEGIN: libc::c_long = 0x10_0007;

/// What an executable maps that lies outside of its own memory.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// A file of the real machine; none stands for memory that processes share.
    pub path: Option<Vec<u8>>,
    /// Where, if it insists (with `MAP_FIXED` in `flags`), or would like.
    pub at: usize,
    /// Bytes.
    pub len: usize,
    /// `PROT_*`.
    pub protection: i32,
    /// `MAP_*`.
    pub flags: i32,
    /// From where on in the file or in what is shared.
    pub offset: u64,
}

/// A thread that does not run.
struct Saved {
    registers: Registers,
    thread_pointer: usize,
    /// What `xsave` saves.
    extended: Vec<u8>,
}

/// What follows a command of the world's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It is the world's turn.
    HandOver,
    /// It is the world's turn already.
    Wait,
    /// A thread goes on.
    Return,
}

/// The executable that this process runs.
struct Running {
    mailbox: *mut Mailbox,
    threads: BTreeMap<Tid, Saved>,
    /// The thread whose registers will be those of the process when the handler returns; 0: none yet.
    current: Tid,
    /// The registers of that thread, while the handler runs.
    registers: *mut Registers,
    extended: *mut u8,
    extended_len: usize,
    clock: Clock,
    /// Where mappings that were never used begin.
    fresh: usize,
    brk: Range<usize>,
    /// What it shares with others.
    shared: Vec<Range<usize>>,
    /// What lies behind the handler's stack pointer.
    _stack: Vec<u8>,
}

static RUNNING: AtomicPtr<Running> = AtomicPtr::new(ptr::null_mut());

// The handler's first and last instructions: code of the harness needs the harness's own thread pointer. On the way out
// that is the one of the thread which goes on.
global_asm!(
    ".globl squall_exec_entry",
    "squall_exec_entry:",
    "push rbx",
    "rdfsbase rax",
    "mov [rip + squall_exec_thread_pointer], rax",
    "mov rax, [rip + squall_exec_own_thread_pointer]",
    "wrfsbase rax",
    "call squall_exec_arrive",
    "mov rax, [rip + squall_exec_thread_pointer]",
    "wrfsbase rax",
    "pop rbx",
    "ret",
    ".section .bss.squall_exec, \"aw\", @nobits",
    ".p2align 3",
    "squall_exec_thread_pointer: .zero 8",
    "squall_exec_own_thread_pointer: .zero 8",
    ".text",
);

unsafe extern "C" {
    fn squall_exec_entry();
    static mut squall_exec_thread_pointer: usize;
    static mut squall_exec_own_thread_pointer: usize;
}

/// Runs the executable that the mailbox carries.
///
/// # Safety
/// It is the program's turn, in a child that was forked for it.
pub unsafe fn obey(mailbox: *mut Mailbox) -> ! {
    // SAFETY: the caller's promise.
    unsafe {
        let carried = &(&(*mailbox).carried)[..(*mailbox).numbers[0] as usize];
        let loaded = Executable::from_bytes(carried)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOEXEC))
            .and_then(|executable| executable.load());
        let start = match loaded {
            Ok(start) => start,
            Err(error) => {
                (*mailbox).numbers[0] = error.raw_os_error().unwrap_or(libc::ENOEXEC) as u64;
                hand_over(mailbox, WORLD);
                libc::_exit(127);
            }
        };
        let mut stack = vec![0; HANDLER_STACK];
        squall_exec_own_thread_pointer = thread_pointer();
        if trap::prepare_executable(squall_exec_entry as *const () as usize, &mut stack).is_err() {
            libc::_exit(127);
        }
        let tid = (*mailbox).tid;
        let mut first = Saved {
            registers: [0; 23],
            thread_pointer: 0,
            extended: Vec::new(),
        };
        first.registers[libc::REG_RIP as usize] = start.entry as i64;
        first.registers[libc::REG_RSP as usize] = start.stack as i64;
        let running = Box::new(Running {
            mailbox,
            threads: [(tid, first)].into(),
            current: 0,
            registers: ptr::null_mut(),
            extended: ptr::null_mut(),
            extended_len: 0,
            clock: Clock::default(),
            fresh: load::MAPPINGS,
            brk: start.brk..start.brk,
            shared: Vec::new(),
            _stack: stack,
        });
        RUNNING.store(Box::into_raw(running), SeqCst);
        // The call is stopped, and the handler never returns here.
        trap::set(trap::selector(), true);
        std::arch::asm!("syscall", in("rax") BEGIN, options(noreturn));
    }
}

/// A signal: a call, or a fault of the executable's own making.
///
/// # Safety
/// Linux hands valid pointers to the handler.
#[unsafe(no_mangle)]
unsafe extern "C" fn squall_exec_arrive(
    signal: i32,
    info: *mut libc::siginfo_t,
    ucontext: *mut c_void,
) {
    /// Where in what `fxsave` saves Linux notes how much `xsave` has saved: a magic number, then the length.
    const NOTE: usize = 464;
    const MAGIC: u32 = 0x4650_5853;
    if !trap::stops() {
        // The harness's own fault.
        std::process::abort();
    }
    trap::set(trap::selector(), false);
    // SAFETY: the caller's promise; there is one thread, and it is in this handler alone.
    unsafe {
        let running = &mut *RUNNING.load(SeqCst);
        let context = &mut (*ucontext.cast::<libc::ucontext_t>()).uc_mcontext;
        running.registers = &raw mut context.gregs;
        running.extended = context.fpregs.cast();
        let note = running.extended.add(NOTE).cast::<u32>();
        running.extended_len = match note.read() {
            MAGIC => note.add(1).read() as usize,
            _ => 512,
        };
        match signal {
            libc::SIGSYS => running.call(),
            libc::SIGSEGV if trap::timestamp_len(&*running.registers).is_some() => {
                running.timestamp()
            }
            _ => running.fault(signal, info),
        }
        trap::set(trap::selector(), true);
    }
}

impl Running {
    fn register(&self, which: i32) -> usize {
        // SAFETY: the handler runs, and they are where it was told.
        unsafe { (*self.registers)[which as usize] as usize }
    }

    fn set_register(&mut self, which: i32, value: usize) {
        // SAFETY: as in `register`.
        unsafe { (*self.registers)[which as usize] = value as i64 };
    }

    /// A `syscall` instruction.
    fn call(&mut self) {
        let number = self.register(libc::REG_RAX) as libc::c_long;
        if number == BEGIN && self.current == 0 {
            return self.begin();
        }
        let arguments = [
            libc::REG_RDI,
            libc::REG_RSI,
            libc::REG_RDX,
            libc::REG_R10,
            libc::REG_R8,
            libc::REG_R9,
        ]
        .map(|register| self.register(register));
        match self.answer_here(number, arguments) {
            Some(answer) => {
                self.set_register(libc::REG_RAX, answer as usize);
                if self.clock.spins() {
                    self.ask(own::SPINS, [0; 6], 0);
                }
            }
            None => self.ask(number, arguments, self.register(libc::REG_RIP)),
        }
    }

    /// The handler runs for the first time: the present registers are nobody's.
    fn begin(&mut self) {
        const MXCSR: usize = 24;
        const FEATURES: usize = 512;
        // SAFETY: what is saved is so long.
        let mut extended =
            unsafe { std::slice::from_raw_parts(self.extended, self.extended_len) }.to_vec();
        // A new program finds the units of the processor as they begin.
        extended[..32].fill(0);
        extended[..2].copy_from_slice(&0x37f_u16.to_ne_bytes());
        extended[MXCSR..MXCSR + 4].copy_from_slice(&0x1f80_u32.to_ne_bytes());
        extended[32..416].fill(0);
        if let Some(features) = extended.get_mut(FEATURES..FEATURES + 8) {
            features.fill(0);
        }
        // SAFETY: the handler runs.
        let present = unsafe { *self.registers };
        for thread in self.threads.values_mut() {
            for kept in [libc::REG_EFL, libc::REG_CSGSFS] {
                thread.registers[kept as usize] = present[kept as usize];
            }
            thread.registers[libc::REG_EFL as usize] &= !0x4d5;
            thread.extended.clone_from(&extended);
        }
        // SAFETY: it is this side's turn.
        unsafe { (*self.mailbox).succeeded = true };
        self.obey();
    }

    /// The world is asked, and obeyed until it resumes a thread.
    fn ask(&mut self, number: libc::c_long, arguments: [usize; 6], at: usize) {
        // SAFETY: it is this side's turn.
        let mailbox = unsafe { &mut *self.mailbox };
        mailbox.call = Call {
            number,
            arguments,
            at,
        };
        mailbox.monotonic = self.clock.monotonic.get();
        mailbox.wall_reads = self.clock.wall_reads.take();
        self.obey();
    }

    fn obey(&mut self) {
        let mut after = After::HandOver;
        while after != After::Return {
            // SAFETY: the mailbox is mapped, and each side touches it in its own turn.
            unsafe {
                if after == After::HandOver {
                    hand_over(self.mailbox, WORLD);
                }
                wait_for(self.mailbox, PROGRAM);
            }
            after = self.carry_out();
        }
    }

    /// Does what the world wants.
    fn carry_out(&mut self) -> After {
        // SAFETY: it is this side's turn; a fork changes which mailbox it is, after this.
        let mailbox = unsafe { &mut *self.mailbox };
        let [first, second, third, fourth, fifth, sixth, ..] = mailbox.numbers;
        match mailbox.command {
            Command::Resume => {
                self.clock.monotonic.set(mailbox.monotonic);
                self.clock.wall_offset.set(mailbox.wall_offset);
                self.clock.reads.set(0);
                self.switch_to(mailbox.tid);
                self.set_register(libc::REG_RAX, first as usize);
                return After::Return;
            }
            Command::Clone => {
                self.switch_to(mailbox.tid);
                let flags = second;
                let sets_pointer = flags & libc::CLONE_SETTLS as u64 != 0;
                let pointer = sets_pointer.then_some(fourth as usize);
                let copy = self.copy(third as usize, pointer);
                self.threads.insert(first as Tid, copy);
                mailbox.succeeded = true;
            }
            Command::Forget => {
                self.threads.remove(&mailbox.tid);
                // Its registers are the process's until another one takes its place.
            }
            Command::EnterHandler => {
                self.switch_to(mailbox.tid);
                let words = mailbox.carried.chunks_exact(8);
                let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
                let handler = Handler::from_words(words.map(word));
                // SAFETY: the registers and what else is saved are those of the thread, which has a stack.
                unsafe { handler.enter(&mut *self.registers, self.extended()) };
            }
            Command::LeaveHandler => {
                self.switch_to(mailbox.tid);
                // SAFETY: as above; the thread stands in `rt_sigreturn`.
                let (mask, answer) = unsafe { frame::leave(&mut *self.registers, self.extended()) };
                mailbox.numbers[0] = mask;
                mailbox.numbers[1] = answer as u64;
            }
            Command::Map => {
                let path = &mailbox.carried[..sixth as usize];
                let mapping = Mapping {
                    path: (!path.is_empty()).then(|| path.to_vec()),
                    at: first as usize,
                    len: second as usize,
                    protection: third as i32,
                    flags: fourth as i32,
                    offset: fifth,
                };
                mailbox.numbers[0] = match self.map_outside(&mapping) {
                    Ok(place) => place as u64,
                    Err(error) => -i64::from(error.raw_os_error().unwrap_or(libc::EINVAL)) as u64,
                };
            }
            Command::Fork => {
                self.switch_to(mailbox.tid);
                let pointer = (fourth != 0).then_some(fifth as usize);
                return self.fork(first as Tid, second as usize, third as usize, pointer);
            }
            Command::Signal => {}
        }
        After::HandOver
    }

    /// What is saved beyond the general registers.
    ///
    /// # Safety
    /// Nobody else has it.
    unsafe fn extended<'a>(&self) -> &'a mut [u8] {
        // SAFETY: the handler runs, and was told so.
        unsafe { std::slice::from_raw_parts_mut(self.extended, self.extended_len) }
    }

    /// From here on the registers of the process are those of this thread.
    fn switch_to(&mut self, tid: Tid) {
        if tid == self.current {
            return;
        }
        // SAFETY: the handler runs, alone.
        unsafe {
            if self.current != 0 {
                let saved = Saved {
                    registers: *self.registers,
                    thread_pointer: squall_exec_thread_pointer,
                    extended: self.extended().to_vec(),
                };
                self.threads.insert(self.current, saved);
            }
            let Some(saved) = self.threads.remove(&tid) else {
                return;
            };
            *self.registers = saved.registers;
            squall_exec_thread_pointer = saved.thread_pointer;
            let len = saved.extended.len().min(self.extended_len);
            self.extended()[..len].copy_from_slice(&saved.extended[..len]);
            self.current = tid;
        }
    }

    /// The present thread as `clone` copies it: its call has the answer 0.
    fn copy(&self, stack: usize, pointer: Option<usize>) -> Saved {
        // SAFETY: the handler runs.
        unsafe {
            let mut registers = *self.registers;
            registers[libc::REG_RAX as usize] = 0;
            if stack != 0 {
                registers[libc::REG_RSP as usize] = stack as i64;
            }
            Saved {
                registers,
                thread_pointer: pointer.unwrap_or(squall_exec_thread_pointer),
                extended: self.extended().to_vec(),
            }
        }
    }

    /// The process forks; its copy obeys another mailbox, and has the present thread alone, under this number.
    fn fork(&mut self, tid: Tid, slot: usize, stack: usize, pointer: Option<usize>) -> After {
        let flags = (libc::CLONE_PARENT | libc::SIGCHLD) as usize;
        // SAFETY: this handler goes on in both. What it uses is memory of its own in each, but for the mailboxes.
        unsafe {
            match real(libc::SYS_clone, [flags, 0, 0, 0, 0, 0]) {
                0 => {
                    zygote::dies_with_the_zygote();
                    let _ = trap::prepare_child();
                    let copy = self.copy(stack, pointer);
                    self.threads.clear();
                    self.threads.insert(tid, copy);
                    // Nobody's registers are to be kept.
                    self.current = 0;
                    self.switch_to(tid);
                    self.mailbox = mailbox(slot);
                    After::Wait
                }
                pid => {
                    (*self.mailbox).succeeded = pid > 0;
                    if pid > 0 {
                        zygote::register(slot, pid as i32);
                    }
                    After::HandOver
                }
            }
        }
    }

    fn fault(&mut self, signal: i32, info: *mut libc::siginfo_t) {
        // SAFETY: Linux hands a valid pointer to the handler.
        let (address, code) = unsafe { ((*info).si_addr() as usize, (*info).si_code) };
        let at = self.register(libc::REG_RIP);
        self.ask(
            own::FAULT,
            [signal as usize, address, at, code as usize, 0, 0],
            at,
        );
    }

    /// The time stamp counter counts nanoseconds.
    fn timestamp(&mut self) {
        match self.clock.read(libc::CLOCK_MONOTONIC) {
            Some(Reading { ns, spins: false }) => {
                // SAFETY: the handler runs.
                trap::answer_timestamp(unsafe { &mut *self.registers }, ns);
            }
            // The instruction is met once more.
            _ => self.ask(own::SPINS, [0; 6], 0),
        }
    }
}

/// Calls that concern its own memory and registers alone.
impl Running {
    fn answer_here(&mut self, number: libc::c_long, arguments: [usize; 6]) -> Option<isize> {
        let [a, b, c, d, ..] = arguments;
        let result = match number {
            libc::SYS_clock_gettime => {
                self.tell_time(a as i32, b, 1_000_000_000)?;
                Ok(0)
            }
            libc::SYS_gettimeofday => {
                self.tell_time(libc::CLOCK_REALTIME, a, 1_000_000)?;
                Ok(0)
            }
            libc::SYS_time => {
                let seconds = self.tell_time(libc::CLOCK_REALTIME_COARSE, 0, 1)?;
                if a != 0 {
                    // SAFETY: the program's own argument.
                    unsafe { (a as *mut u64).write_unaligned(seconds) };
                }
                Ok(seconds as usize)
            }
            libc::SYS_arch_prctl => self.arch_prctl(a, b),
            libc::SYS_brk => Ok(self.brk(a)),
            libc::SYS_mmap if d as i32 & libc::MAP_ANONYMOUS != 0 && !is_shared(d as i32) => {
                let anonymous = usize::MAX;
                self.map_at(a, b, c as i32, d as i32, anonymous, 0)
            }
            libc::SYS_munmap => {
                let gone = a..a.saturating_add(b);
                let overlaps = |it: &Range<usize>| it.start < gone.end && gone.start < it.end;
                if self.shared.iter().any(overlaps) {
                    self.shared = self
                        .shared
                        .iter()
                        .flat_map(|it| rest_of(it, &gone))
                        .collect();
                    // SAFETY: the program's own arguments.
                    unsafe { real(number, arguments) };
                    return None;
                }
                // SAFETY: as above.
                return Some(unsafe { real(number, arguments) });
            }
            libc::SYS_mprotect | libc::SYS_madvise | libc::SYS_mlock | libc::SYS_munlock => {
                // SAFETY: as above.
                return Some(unsafe { real(number, arguments) });
            }
            libc::SYS_mremap => self.remap(arguments),
            libc::SYS_set_robust_list => Ok(0),
            libc::SYS_rseq => Err(io::Error::from_raw_os_error(libc::ENOSYS)),
            _ => return None,
        };
        Some(match result {
            Ok(value) => value as isize,
            Err(error) => -(error.raw_os_error().unwrap_or(libc::EINVAL) as isize),
        })
    }

    /// What a clock shows goes to `place`, in seconds and fractions of which a second has so many. None: the world has to
    /// be asked.
    fn tell_time(&mut self, clock: libc::clockid_t, place: usize, fractions: u64) -> Option<u64> {
        const NS: u64 = 1_000_000_000;
        let Reading { ns, .. } = self.clock.read(clock)?;
        let words = [ns / NS, ns % NS / (NS / fractions)];
        if place != 0 {
            // SAFETY: the program's own argument.
            unsafe { (place as *mut [u64; 2]).write_unaligned(words) };
        }
        Some(words[0])
    }

    fn arch_prctl(&mut self, what: usize, argument: usize) -> io::Result<usize> {
        const ARCH_SET_FS: usize = 0x1002;
        const ARCH_GET_FS: usize = 0x1003;
        // SAFETY: the thread pointer is set when the handler returns; the place is the program's own argument.
        unsafe {
            match what {
                ARCH_SET_FS => squall_exec_thread_pointer = argument,
                ARCH_GET_FS => (argument as *mut usize).write(squall_exec_thread_pointer),
                _ => return Err(io::Error::from_raw_os_error(libc::EINVAL)),
            }
        }
        Ok(0)
    }

    fn brk(&mut self, wanted: usize) -> usize {
        if wanted < self.brk.start || wanted - self.brk.start > 1 << 36 {
            return self.brk.end;
        }
        let (old, new) = (
            self.brk.end.next_multiple_of(PAGE),
            wanted.next_multiple_of(PAGE),
        );
        let usual = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        if new > old && map(old, new - old, usual, flags, usize::MAX, 0).is_err() {
            return self.brk.end;
        }
        if new < old {
            // SAFETY: the program's own memory, which it gives back.
            unsafe { real(libc::SYS_munmap, [new, old - new, 0, 0, 0, 0]) };
        }
        self.brk.end = wanted;
        wanted
    }

    /// An address that was never used, with a page behind it that stays free.
    fn fresh(&mut self, len: usize) -> usize {
        let at = self.fresh;
        self.fresh = self
            .fresh
            .saturating_add((len | (PAGE - 1)).saturating_add(1 + PAGE));
        at
    }

    /// Maps where the program insists, would like, or at an address that follows from its own doings.
    fn map_at(
        &mut self,
        at: usize,
        len: usize,
        protection: i32,
        flags: i32,
        fd: usize,
        offset: usize,
    ) -> io::Result<usize> {
        if flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) != 0 {
            return map(at, len, protection, flags, fd, offset);
        }
        let flags = flags & !libc::MAP_32BIT | libc::MAP_FIXED_NOREPLACE;
        if at != 0
            && at.is_multiple_of(PAGE)
            && let Ok(place) = map(at, len, protection, flags, fd, offset)
        {
            return Ok(place);
        }
        let before = self.fresh;
        let at = self.fresh(len);
        let mapped = map(at, len, protection, flags, fd, offset);
        if mapped.is_err() {
            self.fresh = before;
        }
        mapped
    }

    fn remap(&mut self, arguments: [usize; 6]) -> io::Result<usize> {
        let [at, old, new, flags, ..] = arguments;
        let flags = flags as i32;
        // What is shared ends where the next one's begins.
        let moved = at..at.saturating_add(old);
        if self
            .shared
            .iter()
            .any(|it| it.start < moved.end && moved.start < it.end)
        {
            return Err(io::Error::from_raw_os_error(libc::ENOMEM));
        }
        let wants_place = flags & libc::MREMAP_FIXED != 0;
        if !wants_place {
            // SAFETY: the program's own arguments; it stays where it is.
            let stays = unsafe { real(libc::SYS_mremap, [at, old, new, 0, 0, 0]) };
            if stays >= 0 || flags & libc::MREMAP_MAYMOVE == 0 {
                return super::remote::checked(stays);
            }
        }
        let to = match wants_place {
            true => arguments[4],
            false => self.fresh(new),
        };
        let moved = (flags | libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
        // SAFETY: the program's own arguments, to a place of its choice or that nobody has.
        super::remote::checked(unsafe { real(libc::SYS_mremap, [at, old, new, moved, to, 0]) })
    }

    fn map_outside(&mut self, mapping: &Mapping) -> io::Result<usize> {
        let Mapping {
            path,
            at,
            len,
            protection,
            flags,
            offset,
        } = mapping;
        let Some(path) = path else {
            let fd = heap::arena() as usize;
            let flags = flags & !libc::MAP_ANONYMOUS;
            let place = self.map_at(*at, *len, *protection, flags, fd, *offset as usize)?;
            self.shared.push(place..place + len);
            return Ok(place);
        };
        let path = CString::new(&**path)?;
        let how = (libc::O_RDONLY | libc::O_CLOEXEC) as usize;
        // SAFETY: a path that ends with a zero; the descriptor is this function's own.
        unsafe {
            let here = libc::AT_FDCWD as usize;
            let opened = real(
                libc::SYS_openat,
                [here, path.as_ptr() as usize, how, 0, 0, 0],
            );
            let fd = super::remote::checked(opened)?;
            let place = self.map_at(*at, *len, *protection, *flags, fd, *offset as usize);
            real(libc::SYS_close, [fd, 0, 0, 0, 0, 0]);
            place
        }
    }
}

/// What is left of a range: before and after what is gone of it.
pub fn rest_of(range: &Range<usize>, gone: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let before = range.start..range.end.min(gone.start);
    let after = range.start.max(gone.end)..range.end;
    [before, after]
        .into_iter()
        .filter(|part| part.start < part.end)
}

fn is_shared(flags: i32) -> bool {
    matches!(
        flags & libc::MAP_TYPE,
        libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE
    )
}
