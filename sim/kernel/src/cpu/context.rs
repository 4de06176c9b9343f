//! Switching between the world and the threads of programs, as a scheduler does: a stack pointer and a thread pointer.
//!
//! Everything that a thread of a program is lies in memory: its stack, and what its thread pointer points to (thread-local
//! storage, and libc's own notes). So one thread of the operating system can be all of them in turn.

use std::arch::{global_asm, naked_asm};

/// Where a thread goes on: its stack pointer, with everything else that a call preserves pushed below it, and its thread
/// pointer.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Context {
    rsp: usize,
    fs: usize,
}

/// The general registers, in the order of `ucontext_t`.
pub type Registers = [i64; 23];

impl Context {
    /// A thread as the system call `clone` leaves it: with the registers of its maker, but for the stack pointer, the
    /// thread pointer and a result of 0.
    ///
    /// # Safety
    /// `registers` stays where it is until the thread has started; there are 256 bytes below its stack pointer.
    pub unsafe fn cloned(registers: *const Registers, fs: usize) -> Self {
        // SAFETY: the caller's promise.
        let top = unsafe { (*registers)[libc::REG_RSP as usize] } as usize;
        // What `switch` pops: control words, r15 to r12, rbx, rbp, and where it returns to. The stack pointer of a new
        // thread has nothing of value below it.
        let frame: [usize; 8] = [
            0x0000_037f_0000_1f80,
            0,
            0,
            0,
            0,
            registers as usize,
            0,
            enter as *const () as usize,
        ];
        let rsp = (top - 192) & !15;
        // SAFETY: the caller's promise: the stack reaches that far down.
        unsafe { (rsp as *mut [usize; 8]).write(frame) };
        Context { rsp, fs }
    }
}

/// The thread pointer of whoever asks.
pub fn thread_pointer() -> usize {
    let fs: usize;
    // SAFETY: reads a register.
    unsafe { std::arch::asm!("rdfsbase {}", out(reg) fs, options(nomem, nostack)) };
    fs
}

/// Stops here, to go on when somebody switches back to `save`; goes on at `load`.
///
/// # Safety
/// `load` is where a thread stopped that has not gone on since, or a new one.
#[unsafe(naked)]
pub unsafe extern "C" fn switch(save: *mut Context, load: *const Context) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "rdfsbase rax",
        "mov [rdi], rsp",
        "mov [rdi + 8], rax",
        "mov rsp, [rsi]",
        "mov rax, [rsi + 8]",
        "wrfsbase rax",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// The first thing that a new thread does: it takes on its registers, which `rbx` points to.
#[unsafe(naked)]
unsafe extern "C" fn enter() {
    naked_asm!(
        "mov r8, [rbx]",
        "mov r9, [rbx + 8]",
        "mov r10, [rbx + 16]",
        "mov r12, [rbx + 32]",
        "mov r13, [rbx + 40]",
        "mov r14, [rbx + 48]",
        "mov r15, [rbx + 56]",
        "mov rdi, [rbx + 64]",
        "mov rsi, [rbx + 72]",
        "mov rbp, [rbx + 80]",
        "mov rdx, [rbx + 96]",
        "mov rsp, [rbx + 120]",
        "mov rcx, [rbx + 128]",
        "mov rbx, [rbx + 88]",
        "xor eax, eax",
        "jmp rcx",
    )
}

// The only instructions that may ask the real kernel for something while a program runs (see `trap`): between these
// labels lie a system call of the harness's own, and the return from a signal handler.
global_asm!(
    ".p2align 4",
    ".globl squall_exempt_begin",
    "squall_exempt_begin:",
    ".globl squall_raw_syscall",
    "squall_raw_syscall:",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "mov rdx, rcx",
    "mov r10, r8",
    "mov r8, r9",
    "mov r9, [rsp + 8]",
    "syscall",
    "ret",
    ".globl squall_restorer",
    "squall_restorer:",
    "mov eax, 15",
    "syscall",
    ".globl squall_exempt_end",
    "squall_exempt_end:",
    "nop",
);

unsafe extern "C" {
    fn squall_raw_syscall(
        number: usize,
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        e: usize,
        f: usize,
    ) -> isize;
    /// Returns from a signal handler; never to be called.
    pub fn squall_restorer();
    fn squall_exempt_begin();
    fn squall_exempt_end();
}

/// Asks the real kernel: a negative error number, or the result.
///
/// # Safety
/// As the system call's own.
pub unsafe fn real(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller's promise.
    unsafe { squall_raw_syscall(number as usize, a, b, c, d, e, f) }
}

/// Where the exempt instructions lie: address and length.
pub fn exempt() -> (usize, usize) {
    let begin = squall_exempt_begin as *const () as usize;
    (begin, squall_exempt_end as *const () as usize - begin + 1)
}
