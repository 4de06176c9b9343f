//! The heap of the programs of a run, and their mappings, at addresses that are the same in every run.
//!
//! Programs look at addresses: parking_lot sorts waiting threads into buckets by them, collections may be keyed by them.
//! libc's heap is shared with the harness and lies where chance puts it, so programs get one of their own. It is used by one
//! thread at a time, as they are.

use std::{
    cell::Cell,
    ptr,
    sync::atomic::{AtomicI32, AtomicUsize, Ordering::Relaxed},
};

use super::context::real;

/// Where the address spaces of runs begin. In a forked storm there is but one.
const BEGIN: usize = 0x1000_0000_0000;
/// The length of one, a power of two: half heap, half mappings.
const LEN: usize = 1 << 38;
const RUNS_MAX: usize = 64;
/// Programs in processes of their own that a run may have at a time. Their memory lies behind that of the runs.
pub const SLOTS: usize = 32;
/// Processes that run executables, of which a run may have so many at a time.
pub const EXECUTABLES: usize = 224;
/// Bytes of memory that processes of executables may share among them, in all.
const ARENA_LEN: usize = 1 << 36;
/// Before each block: its class, and the offset of what was asked for from the block's own beginning.
const HEADER: usize = 16;
const CLASSES: usize = 160;

thread_local! {
    /// The address space of this thread's run.
    static SPACE: Cell<*mut Space> = const { Cell::new(ptr::null_mut()) };
}

/// The beginning of an address space.
#[repr(C)]
struct Space {
    /// Where blocks that were never used begin.
    fresh: usize,
    /// Where mappings that were never used begin.
    mappings: usize,
    /// Between these addresses lie mappings that show files.
    files: [usize; 2],
    /// All of it is mapped already, mappings included.
    is_shared: bool,
    /// Blocks that were given back, by class: each begins with the address of the next.
    free: [usize; CLASSES],
}

/// Four classes to each power of two, from 16 bytes on.
fn class_of(len: usize) -> usize {
    let len = len.max(16);
    let power = usize::BITS - 1 - (len - 1).leading_zeros();
    if len <= 16 {
        return 0;
    }
    let quarter = 1usize << power.saturating_sub(2);
    let above = (len - (1usize << power)).div_ceil(quarter);
    (power as usize - 4) * 4 + above
}

/// The length of the blocks of a class.
fn len_of(class: usize) -> usize {
    let power = class / 4 + 4;
    (1usize << power) + (class % 4) * (1usize << (power - 2))
}

/// Gives this thread's run an address space. The same as before if it has one.
pub fn prepare() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    if !SPACE.get().is_null() {
        return;
    }
    let run = RUNS.fetch_add(1, Relaxed) % RUNS_MAX;
    let at = BEGIN + run * LEN;
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags =
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: asks for memory that nobody has.
    let got = unsafe {
        real(
            libc::SYS_mmap,
            [at, LEN / 2, protection, flags as usize, usize::MAX, 0],
        )
    };
    if got != at as isize {
        // Taken: an earlier run's, whose blocks may still be there. libc's heap will do.
        return;
    }
    // SAFETY: it has just been mapped, and is zero.
    unsafe { begin(at, false) };
}

/// Makes the memory at `at` this thread's.
///
/// # Safety
/// It is mapped, and zero.
unsafe fn begin(at: usize, is_shared: bool) {
    let space = at as *mut Space;
    // SAFETY: the caller's promise.
    unsafe {
        (*space).fresh = at + SPACE_LEN + super::mailbox::MAILBOX_LEN;
        // A page that nobody may touch parts them from the heap: a stack may be the first of them. Where nothing is mapped
        // yet, nothing needs to be protected.
        real(
            libc::SYS_mprotect,
            [at + LEN / 2, 4096, libc::PROT_NONE as usize, 0, 0, 0],
        );
        (*space).mappings = at + LEN / 2 + 4096;
        (*space).is_shared = is_shared;
    }
    SPACE.set(space);
}

const SPACE_LEN: usize = size_of::<Space>().next_multiple_of(4096);

/// The addresses of a program in a process of its own.
pub fn slot(slot: usize) -> std::ops::Range<usize> {
    let at = BEGIN + (RUNS_MAX + slot) * LEN;
    at..at + LEN
}

/// The mailbox of such a program.
pub fn mailbox(of: usize) -> *mut u8 {
    (slot(of).start + SPACE_LEN) as *mut u8
}

/// Where the mailboxes of executables lie.
pub fn executables() -> usize {
    slot(SLOTS).start
}

/// The file of which processes of executables map what they share, and how much of it was ever given out.
static ARENA: AtomicI32 = AtomicI32::new(-1);
static ARENA_USED: AtomicUsize = AtomicUsize::new(0);

/// The file of which processes of executables map what they share.
pub fn arena() -> i32 {
    ARENA.load(Relaxed)
}

/// A part of that file that nobody had, all zeros.
///
/// # Errors
/// There is no more.
pub fn shared_region(len: usize) -> std::io::Result<u64> {
    let len = len.next_multiple_of(4096);
    let at = ARENA_USED.fetch_add(len, Relaxed);
    match at + len <= ARENA_LEN {
        true => Ok(at as u64),
        false => Err(std::io::Error::from_raw_os_error(libc::ENOMEM)),
    }
}

/// Gives back the pages of such a part.
pub fn release_region(at: u64, len: usize) {
    let how = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let len = len.next_multiple_of(4096);
    // SAFETY: nobody has it mapped any more.
    unsafe {
        real(
            libc::SYS_fallocate,
            [arena() as usize, how as usize, at as usize, len, 0, 0],
        )
    };
}

/// Maps the memory of all such programs and the mailboxes of executables, to be shared with what is forked from now on.
///
/// # Errors
/// The machine refuses.
pub fn share() -> std::io::Result<()> {
    for at in (0..SLOTS).map(|index| slot(index).start) {
        map_shared(at, LEN)?;
    }
    map_shared(executables(), super::mailbox::EXECUTABLES_LEN)?;
    if arena() >= 0 {
        return Ok(());
    }
    // SAFETY: plain system calls.
    unsafe {
        let fd = libc::memfd_create(c"squall".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 || libc::ftruncate(fd, ARENA_LEN as i64) < 0 {
            return Err(std::io::Error::last_os_error());
        }
        ARENA.store(fd, Relaxed);
    }
    Ok(())
}

fn map_shared(at: usize, len: usize) -> std::io::Result<()> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags =
        libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: asks for memory that nobody has.
    let got = unsafe {
        real(
            libc::SYS_mmap,
            [at, len, protection, flags as usize, usize::MAX, 0],
        )
    };
    match got == at as isize || got == -(libc::EEXIST as isize) {
        true => Ok(()),
        false => Err(std::io::Error::from_raw_os_error(-got as i32)),
    }
}

/// Makes the memory of such a program this thread's.
///
/// # Safety
/// It is shared, and nobody else's.
pub unsafe fn adopt(of: usize) {
    // SAFETY: the caller's promise; but for the mailbox it is zero.
    unsafe { begin(slot(of).start, true) };
}

/// Makes it zero again.
pub fn wipe(of: usize) {
    let at = slot(of).start;
    // SAFETY: it is mapped, and nobody's any more.
    unsafe {
        real(
            libc::SYS_madvise,
            [at, LEN, libc::MADV_REMOVE as usize, 0, 0, 0],
        )
    };
}

/// Whether this thread runs a program in a process of its own.
pub fn is_apart() -> bool {
    // SAFETY: a thread's own space is one that was prepared.
    unsafe { is_shared(space()) }
}

/// Whether this is an address of a program in a process of its own.
pub fn is_of_a_slot(at: usize) -> bool {
    (slot(0).start..slot(SLOTS).start).contains(&at)
}

/// Whether mappings are there before they are asked for.
///
/// # Safety
/// `space` is one that was prepared, or null.
pub unsafe fn is_shared(space: *mut u8) -> bool {
    // SAFETY: the caller's promise.
    !space.is_null() && unsafe { (*space.cast::<Space>()).is_shared }
}

/// The address space of the run; null if it has none.
pub fn space() -> *mut u8 {
    SPACE.get().cast()
}

/// The space that a block belongs to; null if it is libc's.
fn owner(block: *const u8) -> *mut Space {
    let at = block as usize;
    match (BEGIN..BEGIN + (RUNS_MAX + SLOTS) * LEN).contains(&at) {
        true => (at & !(LEN - 1)) as *mut Space,
        false => ptr::null_mut(),
    }
}

/// A block of a program's heap, and whether it is known to be zero. Null if there is no room.
///
/// # Safety
/// `space` is one that was prepared, and nobody else uses it meanwhile.
pub unsafe fn allocate(space: *mut u8, len: usize, align: usize) -> (*mut u8, bool) {
    let space = space.cast::<Space>();
    let extra = if align > 16 { align } else { 0 };
    let Some(wanted) = len
        .checked_add(HEADER + extra)
        .filter(|wanted| *wanted < LEN / 4)
    else {
        return (ptr::null_mut(), false);
    };
    let class = class_of(wanted);
    // SAFETY: the caller's promise: lists hold blocks of this space, each once.
    unsafe {
        let block = (*space).free[class];
        let (block, is_zero) = if block != 0 {
            (*space).free[class] = *(block as *const usize);
            (block, false)
        } else {
            let block = (*space).fresh;
            let next = block + len_of(class).next_multiple_of(16);
            if next > space as usize + LEN / 2 {
                return (ptr::null_mut(), false);
            }
            (*space).fresh = next;
            (block, true)
        };
        let at = (block + HEADER).next_multiple_of(align.max(16));
        let header = (at - HEADER) as *mut usize;
        header.write(class);
        header.add(1).write(at - block);
        (at as *mut u8, is_zero)
    }
}

/// Gives a block back. False if it is libc's.
///
/// # Safety
/// The block is in use, and will not be any more.
pub unsafe fn release(block: *mut u8) -> bool {
    let space = owner(block);
    if space.is_null() {
        return false;
    }
    // SAFETY: the caller's promise; the header lies before it.
    unsafe {
        let header = block.sub(HEADER).cast::<usize>();
        let (class, offset) = (*header, *header.add(1));
        let begin = block as usize - offset;
        (begin as *mut usize).write((*space).free[class]);
        (*space).free[class] = begin;
    }
    true
}

/// How many bytes there is room for in a block; none if it is libc's.
///
/// # Safety
/// The block is in use.
pub unsafe fn room(block: *const u8) -> Option<usize> {
    if owner(block).is_null() {
        return None;
    }
    // SAFETY: the caller's promise; the header lies before it.
    unsafe {
        let header = block.sub(HEADER).cast::<usize>();
        Some(len_of(*header) - *header.add(1))
    }
}

/// An address for a mapping of a program's that it leaves to the kernel; none if the run has no address space.
///
/// # Safety
/// `space` is one that was prepared, or null; nobody else uses it meanwhile.
pub unsafe fn mapping(space: *mut u8, len: usize) -> Option<usize> {
    if space.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let space = unsafe { &mut *space.cast::<Space>() };
    let at = space.mappings;
    // A page between two, that nobody may touch.
    let next = at + len.next_multiple_of(4096) + 4096;
    if next > (ptr::from_mut(space) as usize) + LEN {
        return None;
    }
    space.mappings = next;
    Some(at)
}

/// A mapping of a space shows a file: its program's kernel has to hear of what becomes of it.
///
/// # Safety
/// As [`mapping`].
pub unsafe fn shows_files(space: *mut u8, at: usize, len: usize) {
    // SAFETY: the caller's promise.
    let files = unsafe { &mut (*space.cast::<Space>()).files };
    let begin = if files[0] == 0 { at } else { files[0] };
    *files = [begin.min(at), files[1].max(at + len)];
}

/// Whether there may be mappings here that show files.
///
/// # Safety
/// `space` is one that was prepared, or null.
pub unsafe fn may_show_files(space: *mut u8, at: usize, len: usize) -> bool {
    if space.is_null() {
        return false;
    }
    // SAFETY: the caller's promise.
    let [begin, end] = unsafe { (*space.cast::<Space>()).files };
    at < end && at.saturating_add(len) > begin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_fits_its_class_and_no_smaller_one() {
        for len in (1..5_000).chain([65_535, 65_536, 65_537, 1 << 20, (1 << 30) + 1]) {
            let class = class_of(len);
            assert!(len_of(class) >= len, "{len} in {class}");
            assert!(class == 0 || len_of(class - 1) < len, "{len} in {class}");
        }
        assert!(class_of(LEN / 4) < CLASSES);
    }
}
