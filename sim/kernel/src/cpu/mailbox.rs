//! Through which the world and a program in a process of its own speak: one of the two runs at a time, and hands over by a
//! futex. Both are kept on one processor, where that costs some microseconds.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};

use super::{Call, Tid, context::real, heap};

/// Bytes that are carried over in one go.
pub const CARRIED: usize = 64 << 10;

/// Whose turn it is.
pub const WORLD: u32 = 0;
pub const PROGRAM: u32 = 1;

/// What the world wants of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Command {
    Resume,
    Clone,
    Signal,
    Forget,
    /// An executable's: it forks.
    Fork,
    /// An executable's: a thread begins a handler of a signal, which is carried.
    EnterHandler,
    /// An executable's: a thread ends one.
    LeaveHandler,
    /// An executable's: it maps a file of the real machine, whose path is carried, or shared memory.
    Map,
}

/// What a child runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Runs {
    /// A function of this executable.
    Function,
    /// An executable, which is carried.
    Executable,
}

/// It begins as zeros.
#[repr(C)]
pub struct Mailbox {
    /// Whose turn it is.
    pub turn: AtomicU32,
    /// How the child died, as `waitpid` tells it, plus 1.
    pub died: AtomicU32,
    pub pid: AtomicI32,
    pub runs: Runs,
    pub command: Command,
    pub tid: Tid,
    pub numbers: [u64; 8],
    pub call: Call,
    pub monotonic: u64,
    pub wall_offset: i64,
    pub wall_reads: u32,
    pub succeeded: bool,
    pub panicked: bool,
    pub carried: [u8; CARRIED],
}

/// The room that a mailbox takes.
pub const MAILBOX_LEN: usize = size_of::<Mailbox>().next_multiple_of(4096);

/// Programs and executables that a run may have at a time.
pub const SLOTS: usize = heap::SLOTS + heap::EXECUTABLES;

/// The mailbox of a slot: those of programs come first, then those of executables.
pub fn mailbox(slot: usize) -> *mut Mailbox {
    match slot.checked_sub(heap::SLOTS) {
        None => heap::mailbox(slot).cast(),
        Some(ordinal) => {
            (heap::executables() + CHILDREN_LEN + ordinal * MAILBOX_LEN) as *mut Mailbox
        }
    }
}

/// The room that mailboxes of executables take, with what is before them.
pub const EXECUTABLES_LEN: usize = CHILDREN_LEN + heap::EXECUTABLES * MAILBOX_LEN;

const CHILDREN_LEN: usize = (SLOTS * size_of::<AtomicI32>()).next_multiple_of(4096);

/// The process of each slot; 0 stands for none.
///
/// # Safety
/// What is shared is mapped.
pub unsafe fn children<'a>() -> &'a [AtomicI32; SLOTS] {
    // SAFETY: the caller's promise; atomic words, which begin as zeros.
    unsafe { &*(heap::executables() as *const [AtomicI32; SLOTS]) }
}

/// Gives the turn to the other side.
///
/// # Safety
/// The mailbox is mapped.
pub unsafe fn hand_over(mailbox: *mut Mailbox, to: u32) {
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
pub unsafe fn wait_for(mailbox: *mut Mailbox, own: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        while (*mailbox).turn.load(SeqCst) != own {
            let word = &raw const (*mailbox).turn as usize;
            let wait = libc::FUTEX_WAIT as usize;
            real(libc::SYS_futex, [word, wait, (1 - own) as usize, 0, 0, 0]);
        }
    }
}
