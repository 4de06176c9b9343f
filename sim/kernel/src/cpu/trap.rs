//! What goes round libc's functions: `syscall` instructions, `rdtsc`, and faults of the program's own making.

use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    fmt, ptr,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{
    Call, GUEST,
    context::{self, Registers, real, squall_restorer},
    heap, own, vdso,
};

const PR_SET_SYSCALL_USER_DISPATCH: usize = 59;
const PR_SYS_DISPATCH_ON: usize = 1;
const PR_SET_TSC: usize = 26;
const PR_TSC_ENABLE: usize = 1;
const PR_TSC_SIGSEGV: usize = 2;
const SA_RESTORER: i32 = 0x0400_0000;

/// Runs of one address space follow one another: their programs share static variables, locks among them, and a thread
/// that waits for one is woken by threads of its own run only.
static ONE_RUN: Mutex<()> = Mutex::new(());

thread_local! {
    /// Held until this thread, and with it its run, ends.
    static RUNS_HERE: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) };
    /// What Linux looks at when it meets a `syscall` instruction on this thread: 1 stops it.
    static SELECTOR: Cell<u8> = const { Cell::new(0) };
    static PREPARED: Cell<bool> = const { Cell::new(false) };
}

/// What this machine does not allow, without which programs cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// The address of this thread's selector.
pub fn selector() -> *mut u8 {
    SELECTOR.with(Cell::as_ptr)
}

/// Whether `syscall` instructions are stopped from here on.
pub fn set(selector: *mut u8, stopped: bool) {
    // SAFETY: it is that of a thread of the operating system that runs this.
    unsafe { selector.write_volatile(stopped.into()) };
}

/// Makes this thread one that can run programs. To be called by each thread before it makes a processor.
///
/// # Errors
/// What the machine lacks, and what to do.
pub fn prepare() -> Result<(), Missing> {
    static PROCESS: OnceLock<Result<(), Missing>> = OnceLock::new();
    PROCESS.get_or_init(prepare_process).clone()?;
    if !PREPARED.get() {
        RUNS_HERE.set(Some(ONE_RUN.lock().unwrap_or_else(PoisonError::into_inner)));
    }
    heap::prepare();
    if !PREPARED.replace(true) {
        prepare_thread()?;
    }
    Ok(())
}

/// Makes the only thread of a forked process one that can run programs.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_child() -> Result<(), Missing> {
    set(selector(), false);
    prepare_thread()
}

/// Whether `syscall` instructions are stopped on this thread.
pub fn stops() -> bool {
    SELECTOR.get() != 0
}

/// Makes the only thread of a forked process one that can run an executable: whatever it does that has to be answered
/// arrives at `entry`, on this stack.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_executable(entry: usize, stack: &mut [u8]) -> Result<(), Missing> {
    let stack = libc::stack_t {
        ss_sp: stack.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: stack.len(),
    };
    // SAFETY: the stack outlives the process's use of it.
    unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
    for signal in [
        libc::SIGSYS,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGTRAP,
    ] {
        // SAFETY: the handler may be called at any time.
        unsafe { install(signal, entry, libc::SA_ONSTACK) };
    }
    prepare_child()
}

fn prepare_process() -> Result<(), Missing> {
    const FSGSBASE: u64 = 2;
    // SAFETY: reads what the kernel said at the start.
    if unsafe { libc::getauxval(libc::AT_HWCAP2) } & FSGSBASE == 0 {
        return Err(Missing(
            "unmodified programs need a processor and a kernel with FSGSBASE (x86-64, Linux 5.9 or later)".into(),
        ));
    }
    vdso::replace().map_err(Missing)?;
    handle(libc::SIGSYS, on_syscall);
    handle(libc::SIGSEGV, on_fault);
    handle(libc::SIGBUS, on_fault);
    handle(libc::SIGILL, on_fault);
    handle(libc::SIGFPE, on_fault);
    Ok(())
}

fn prepare_thread() -> Result<(), Missing> {
    let (begin, len) = context::exempt();
    let arguments = [
        PR_SET_SYSCALL_USER_DISPATCH,
        PR_SYS_DISPATCH_ON,
        begin,
        len,
        selector() as usize,
        0,
    ];
    // SAFETY: the selector lives as long as this thread, and says 0.
    if unsafe { real(libc::SYS_prctl, arguments) } < 0 {
        return Err(Missing(
            "unmodified programs need Syscall User Dispatch: Linux 5.11 or later on x86-64, and no \
             seccomp filter that forbids prctl(PR_SET_SYSCALL_USER_DISPATCH); under gVisor it is not there"
                .into(),
        ));
    }
    trap_timestamps(true);
    // Signals from outside go to other threads: here they would meet the stack of a program.
    let mut all = u64::MAX;
    for signal in [
        libc::SIGSYS,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGABRT,
        libc::SIGTRAP,
    ] {
        all &= !(1 << (signal - 1));
    }
    let arguments = [
        libc::SIG_BLOCK as usize,
        &raw const all as usize,
        0,
        8,
        0,
        0,
    ];
    // SAFETY: the mask is a valid one.
    unsafe { real(libc::SYS_rt_sigprocmask, arguments) };
    Ok(())
}

/// Whether `rdtsc` raises SIGSEGV on this thread.
fn trap_timestamps(stopped: bool) {
    let how = if stopped {
        PR_TSC_SIGSEGV
    } else {
        PR_TSC_ENABLE
    };
    // SAFETY: changes nothing but what this thread's `rdtsc` does, which `on_fault` answers.
    unsafe { real(libc::SYS_prctl, [PR_SET_TSC, how, 0, 0, 0, 0]) };
}

#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void);

/// The handlers that were there before, for faults outside of programs.
static BEFORE: [OnceLock<libc::sigaction>; 32] = [const { OnceLock::new() }; 32];

fn handle(signal: i32, handler: Handler) {
    // SAFETY: plain data, for which zeros are a value; the handler may be called at any time.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, ptr::null(), &raw mut before);
        let _ = BEFORE[signal as usize].set(before);
        let on_stack = if signal == libc::SIGSYS {
            0
        } else {
            libc::SA_ONSTACK
        };
        install(signal, handler as usize, on_stack);
    }
}

/// # Safety
/// The handler may be called at any time.
unsafe fn install(signal: i32, handler: usize, flags: i32) {
    let action = KernelAction {
        handler,
        flags: (libc::SA_SIGINFO | libc::SA_NODEFER | SA_RESTORER | flags) as u64,
        restorer: squall_restorer as *const () as usize,
        mask: 0,
    };
    let arguments = [signal as usize, &raw const action as usize, 0, 8, 0, 0];
    // SAFETY: the action is a valid one, and the caller's promise.
    unsafe { real(libc::SYS_rt_sigaction, arguments) };
}

extern "C" fn on_syscall(_: i32, info: *mut libc::siginfo_t, ucontext: *mut c_void) {
    let _ = info;
    // SAFETY: Linux hands a valid context to the handler.
    unsafe {
        let registers = &raw mut (*ucontext.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let get = |register: i32| (*registers)[register as usize] as usize;
        let arguments = [
            get(libc::REG_RDI),
            get(libc::REG_RSI),
            get(libc::REG_RDX),
            get(libc::REG_R10),
            get(libc::REG_R8),
            get(libc::REG_R9),
        ];
        let number = get(libc::REG_RAX) as libc::c_long;
        let at = get(libc::REG_RIP);
        let answer = super::arrive(number, arguments, at, registers as *const Registers);
        (*registers)[libc::REG_RAX as usize] = answer as i64;
    }
}

/// What is this near to the stack pointer belongs to the stack.
const STACK_PROBE: i64 = 64 << 10;

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, ucontext: *mut c_void) {
    // SAFETY: Linux hands valid pointers to the handler.
    unsafe {
        let registers = &mut (*ucontext.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        if signal == libc::SIGSEGV && read_timestamp(registers) {
            return;
        }
        let guest = GUEST.get();
        if guest.is_null() {
            let near = (*info).si_addr() as i64 - registers[libc::REG_RSP as usize];
            if signal == libc::SIGSEGV && near.abs() < STACK_PROBE {
                crate::fork::stack_overflows();
            }
            fault_outside(signal, info, ucontext);
            return;
        }
        let at = registers[libc::REG_RIP as usize] as usize;
        let arguments = [signal as usize, (*info).si_addr() as usize, at, 0, 0, 0];
        super::ask(guest, own::FAULT, arguments, at, ptr::null());
        // The world never resumes a thread that has asked this.
        std::process::abort();
    }
}

/// Answers `rdtsc` and `rdtscp`. False if the fault is something else.
fn read_timestamp(registers: &mut Registers) -> bool {
    if timestamp_len(registers).is_none() {
        return false;
    }
    // A program's counts nanoseconds.
    let ticks = super::read_clock(libc::CLOCK_MONOTONIC).unwrap_or_else(|| {
        trap_timestamps(false);
        // SAFETY: x86-64 has it.
        let ticks = unsafe { core::arch::x86_64::_rdtsc() };
        trap_timestamps(true);
        ticks
    });
    answer_timestamp(registers, ticks);
    true
}

/// The length of the instruction that was met, if that is `rdtsc` or `rdtscp`.
pub fn timestamp_len(registers: &Registers) -> Option<i64> {
    let at = registers[libc::REG_RIP as usize] as *const u8;
    // SAFETY: the processor has just read the instruction there, unless jumping there was the fault: then no page is.
    let code = unsafe {
        let mut resident = 0u8;
        let page = [
            at as usize & !4095,
            4096,
            &raw mut resident as usize,
            0,
            0,
            0,
        ];
        if real(libc::SYS_mincore, page) < 0 {
            return None;
        }
        [at.read(), at.add(1).read(), at.add(2).read()]
    };
    match code {
        [0x0f, 0x31, _] => Some(2),
        [0x0f, 0x01, 0xf9] => Some(3),
        _ => None,
    }
}

/// The instruction that was met has this answer.
pub fn answer_timestamp(registers: &mut Registers, ticks: u64) {
    let Some(len) = timestamp_len(registers) else {
        return;
    };
    registers[libc::REG_RAX as usize] = (ticks & 0xffff_ffff) as i64;
    registers[libc::REG_RDX as usize] = (ticks >> 32) as i64;
    if len == 3 {
        registers[libc::REG_RCX as usize] = 0;
    }
    registers[libc::REG_RIP as usize] += len;
}

/// Hands a fault to the handler that was there before.
///
/// # Safety
/// As a signal handler.
unsafe fn fault_outside(signal: i32, info: *mut libc::siginfo_t, ucontext: *mut c_void) {
    // SAFETY: the caller's promise; an earlier handler is what it says.
    unsafe {
        if let Some(before) = BEFORE[signal as usize].get()
            && before.sa_flags & libc::SA_SIGINFO != 0
        {
            let handler: Handler = std::mem::transmute::<usize, _>(before.sa_sigaction);
            handler(signal, info, ucontext);
            return;
        }
        let default = KernelAction {
            handler: libc::SIG_DFL,
            flags: SA_RESTORER as u64,
            restorer: squall_restorer as *const () as usize,
            mask: 0,
        };
        let arguments = [signal as usize, &raw const default as usize, 0, 8, 0, 0];
        real(libc::SYS_rt_sigaction, arguments);
    }
}

impl Call {
    /// The name of a system call, as far as it is known.
    pub fn name(&self) -> String {
        match self.number {
            own::RESOLVE => "getaddrinfo".into(),
            number => super::call_names::name(number)
                .map_or_else(|| format!("system call {number}"), Into::into),
        }
    }
}
