//! The memory of a program.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
    ptr::NonNull,
};

use super::{context::real, exec::rest_of, heap, remote::Remote};

/// The memory of a program: the world's own address space, or that of a process which shares a part of it.
///
/// Addresses come from a program that Linux would believe too; where Linux answers `EFAULT`, a wrong one is a fault of
/// the program here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory(Option<NonNull<Apart>>);

// SAFETY: a run has one thread of the operating system, and what it points to is used by that alone.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// The memory of a process of its own.
#[derive(Debug)]
pub struct Apart {
    /// What the world sees too.
    shared: Range<usize>,
    processor: *mut Remote,
    /// Copies of what it does not see, until the program goes on.
    copies: RefCell<Vec<Box<[u8]>>>,
    /// Of these, those that were written to, and where they belong.
    changed: RefCell<Vec<(usize, usize)>>,
    /// Something was asked for that is not there.
    missed: Cell<bool>,
    /// What it shares with other processes: where, and from where on in what is shared.
    regions: RefCell<Vec<(Range<usize>, u64)>>,
}

impl Apart {
    /// The memory of the program that a processor runs.
    pub fn of(processor: *mut Remote, shared: Range<usize>) -> Self {
        Apart {
            shared,
            processor,
            copies: RefCell::default(),
            changed: RefCell::default(),
            missed: Cell::default(),
            regions: RefCell::default(),
        }
    }

    /// It shares what another process shares, of which it is a copy.
    pub fn shares_as(&self, other: &Apart) {
        self.regions.replace(other.regions.borrow().clone());
    }

    /// It shares this, from `offset` on.
    pub fn shares(&self, place: Range<usize>, offset: u64) {
        let mut regions = self.regions.borrow_mut();
        regions.retain(|(other, _)| !overlap(other, &place));
        regions.push((place, offset));
    }

    fn sees(&self, at: usize, len: usize) -> bool {
        self.shared.contains(&at) && at + len <= self.shared.end
    }

    /// A copy of what lies there, and its ordinal. What was written to earlier copies of it is part of it, and will not be
    /// written once more.
    fn copy(&self, from: usize, len: usize) -> (*mut [u8], usize) {
        let copies = self.copies.borrow();
        let overlaps = |(ordinal, at): &mut (usize, usize)| {
            overlap(&(*at..*at + copies[*ordinal].len()), &(from..from + len))
        };
        let mut changed = self.changed.borrow_mut();
        for (ordinal, to) in changed.extract_if(.., overlaps) {
            // SAFETY: as below.
            unsafe { (*self.processor).write(to, &copies[ordinal]) };
        }
        drop((copies, changed));
        let mut copy = vec![0; len].into_boxed_slice();
        // SAFETY: the processor is there as long as its program's memory, and the program stands still.
        let is_there = unsafe { (*self.processor).read(from, &mut copy) };
        self.missed.set(self.missed.get() || !is_there);
        let mut copies = self.copies.borrow_mut();
        let place: *mut [u8] = &raw mut *copy;
        copies.push(copy);
        (place, copies.len() - 1)
    }

    /// The program is about to go on: what was written to copies of its memory is written there.
    pub fn settle(&self) {
        let copies = self.copies.take();
        for (ordinal, to) in self.changed.take() {
            // SAFETY: as in `copy`. That it is there was seen when it was copied.
            unsafe { (*self.processor).write(to, &copies[ordinal]) };
        }
    }
}

impl Memory {
    /// The memory of a process of its own.
    pub fn apart(apart: &Apart) -> Self {
        Memory(Some(NonNull::from(apart)))
    }

    /// The process that the world has to ask for what lies there.
    fn asks(&self, at: usize, len: usize) -> Option<&Apart> {
        // SAFETY: it is there as long as the processor, which outlives the calls of its program.
        let apart = unsafe { self.0?.as_ref() };
        (!apart.sees(at, len)).then_some(apart)
    }

    /// Whether the program has a process of its own.
    pub fn is_apart(&self) -> bool {
        self.0.is_some()
    }

    /// Whether, since this was asked last, the program was asked for memory that it does not have (`EFAULT`).
    pub fn take_missed(&self) -> bool {
        // SAFETY: as in `asks`.
        self.0
            .is_some_and(|apart| unsafe { apart.as_ref() }.missed.take())
    }

    /// What is shared with other processes at an address: where it is in all that is shared.
    pub fn shared_key(&self, at: usize) -> Option<u64> {
        // SAFETY: as in `asks`.
        let regions = unsafe { self.0?.as_ref() }.regions.borrow();
        let found = regions.iter().find(|(place, _)| place.contains(&at));
        found.map(|(place, offset)| offset + (at - place.start) as u64)
    }

    /// Where the regions begin that it shares with other processes.
    pub fn regions(&self) -> Vec<u64> {
        // SAFETY: as in `asks`.
        let apart = self.0.map(|apart| unsafe { apart.as_ref() });
        let regions = apart.map(|apart| apart.regions.borrow());
        let all = regions.iter().flat_map(|regions| regions.iter());
        all.map(|(_, offset)| *offset).collect()
    }

    /// A part of it is no longer shared with other processes: the regions that were there, from their offsets on.
    pub fn unshare(&self, gone: &Range<usize>) -> Vec<u64> {
        let Some(apart) = self.0 else {
            return Vec::new();
        };
        // SAFETY: as in `asks`.
        let mut regions = unsafe { apart.as_ref() }.regions.borrow_mut();
        let touched = regions.extract_if(.., |(place, _)| overlap(place, gone));
        let touched: Vec<_> = touched.collect();
        let mut ended = Vec::new();
        for (place, offset) in touched {
            let mut rest = rest_of(&place, gone).peekable();
            if rest.peek().is_none() {
                ended.push(offset);
            }
            regions.extend(rest.map(|part| {
                let at = offset + (part.start - place.start) as u64;
                (part, at)
            }));
        }
        ended
    }

    /// What was written to copies of it is written there, for others that share it to see.
    pub fn settle(&self) {
        if let Some(apart) = self.0 {
            // SAFETY: as in `asks`; nobody has a part of it any more.
            unsafe { apart.as_ref() }.settle();
        }
    }

    /// Copies bytes out of the program.
    pub fn read(&self, from: usize, len: usize) -> Vec<u8> {
        self.slice(from, len).to_vec()
    }

    /// Bytes of the program, in place, until it goes on.
    pub fn slice(&self, from: usize, len: usize) -> &[u8] {
        if len == 0 {
            return &[];
        }
        if let Some(apart) = self.asks(from, len) {
            // SAFETY: the copy stays until the program goes on.
            return unsafe { &*apart.copy(from, len).0 };
        }
        // SAFETY: the program says that so much lies there; it stands still meanwhile.
        unsafe { std::slice::from_raw_parts(from as *const u8, len) }
    }

    /// Room in the program, to be written to until it goes on.
    #[allow(clippy::mut_from_ref)]
    pub fn slice_mut(&self, at: usize, len: usize) -> &mut [u8] {
        if len == 0 {
            return &mut [];
        }
        if let Some(apart) = self.asks(at, len) {
            let (place, ordinal) = apart.copy(at, len);
            apart.changed.borrow_mut().push((ordinal, at));
            // SAFETY: the copy stays until the program goes on, and is handed out once.
            return unsafe { &mut *place };
        }
        // SAFETY: the program says that so much room is there; it stands still meanwhile.
        unsafe { std::slice::from_raw_parts_mut(at as *mut u8, len) }
    }

    /// Copies bytes into the program.
    pub fn write(&self, to: usize, bytes: &[u8]) {
        self.slice_mut(to, bytes.len()).copy_from_slice(bytes);
    }

    /// A text that ends with a zero.
    pub fn text(&self, from: usize) -> Vec<u8> {
        let mut text = Vec::new();
        loop {
            // Up to the end of the page: the next one may not be there.
            let at = from + text.len();
            let part = self.slice(at, 4096 - at % 4096);
            match part.iter().position(|byte| *byte == 0) {
                Some(end) => {
                    text.extend_from_slice(&part[..end]);
                    return text;
                }
                None => text.extend_from_slice(part),
            }
        }
    }

    /// A word of four bytes.
    pub fn read_u32(&self, from: usize) -> u32 {
        self.slice(from, 4).try_into().map_or(0, u32::from_ne_bytes)
    }

    /// A word of eight bytes.
    pub fn read_u64(&self, from: usize) -> u64 {
        self.slice(from, 8).try_into().map_or(0, u64::from_ne_bytes)
    }

    /// Writes a word of four bytes, if there is a place for it.
    pub fn write_u32(&self, to: usize, value: u32) {
        if to != 0 {
            self.write(to, &value.to_ne_bytes());
        }
    }

    /// Writes a word of eight bytes, if there is a place for it.
    pub fn write_u64(&self, to: usize, value: u64) {
        if to != 0 {
            self.write(to, &value.to_ne_bytes());
        }
    }
}

impl Memory {
    /// Fresh memory of the program's, readable and writable, at an address of its choice if it insists.
    ///
    /// # Errors
    /// What the real kernel says.
    pub fn map(&self, at: usize, len: usize, fixed: i32) -> std::io::Result<usize> {
        if let (Some(apart), 0) = (self.0, fixed) {
            // SAFETY: the program's space, which begins what is shared with it, lives as long as this, and it stands still.
            let place = unsafe { heap::mapping(apart.as_ref().shared.start as *mut u8, len) };
            return place.ok_or_else(|| std::io::Error::from_raw_os_error(libc::ENOMEM));
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | fixed;
        let arguments = [at, len, protection as usize, flags as usize, usize::MAX, 0];
        // SAFETY: memory that nobody has, or that the program wants to be replaced.
        checked(unsafe { real(libc::SYS_mmap, arguments) })
    }

    /// Changes what may be done with memory of the program's.
    ///
    /// # Errors
    /// What the real kernel says.
    pub fn protect(&self, at: usize, len: usize, protection: i32) -> std::io::Result<()> {
        if self.0.is_some() {
            // What is shared with a process stays as it is there.
            return Ok(());
        }
        // SAFETY: memory of the program's own, as it asks.
        checked(unsafe { real(libc::SYS_mprotect, [at, len, protection as usize, 0, 0, 0]) })?;
        Ok(())
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Mappings that show files.
impl Memory {
    fn space(&self) -> *mut u8 {
        match self.0 {
            None => heap::space(),
            // SAFETY: it is there as long as the processor, which outlives the calls of its program.
            Some(apart) => unsafe { apart.as_ref().shared.start as *mut u8 },
        }
    }

    /// A place for a file, of which nothing can be touched yet where the program shares the world's address space.
    ///
    /// # Errors
    /// There is no room.
    pub fn reserve(&self, len: usize) -> std::io::Result<usize> {
        let space = self.space();
        // SAFETY: the program's space; it stands still.
        let place = unsafe { heap::mapping(space, len) };
        let at = place.ok_or_else(|| std::io::Error::from_raw_os_error(libc::ENOMEM))?;
        if self.0.is_none() {
            let flags = libc::MAP_PRIVATE
                | libc::MAP_ANONYMOUS
                | libc::MAP_NORESERVE
                | libc::MAP_FIXED_NOREPLACE;
            let protection = libc::PROT_NONE as usize;
            let arguments = [at, len, protection, flags as usize, usize::MAX, 0];
            // SAFETY: memory that nobody has.
            checked(unsafe { real(libc::SYS_mmap, arguments) })?;
        }
        // SAFETY: as above.
        unsafe { heap::shows_files(space, at, len) };
        Ok(at)
    }

    /// What was at this place is forgotten.
    pub fn give_up(&self, at: usize, len: usize) {
        let advice = match self.0 {
            None => libc::MADV_DONTNEED,
            Some(_) => libc::MADV_REMOVE,
        };
        // SAFETY: pages that show files, and will not any more.
        unsafe { real(libc::SYS_madvise, [at, len, advice as usize, 0, 0, 0]) };
    }

    /// Does what a program asks of its own memory (`own`) in its place.
    pub fn do_own(&self, number: libc::c_long, arguments: &[usize; 6]) -> isize {
        // SAFETY: the program's own arguments; it stands still.
        unsafe {
            match self.0 {
                None => real(number, *arguments),
                Some(_) => of_shared(number, arguments).unwrap_or(0),
            }
        }
    }
}

fn checked(answer: isize) -> std::io::Result<usize> {
    match answer {
        -4095..0 => Err(std::io::Error::from_raw_os_error(-answer as i32)),
        answer => Ok(answer as usize),
    }
}

/// A new mapping, at an address that follows from the program's own doings.
fn map_anonymous(space: *mut u8, mut arguments: [usize; 6]) -> isize {
    // SAFETY: the space is that of the program that asks, which stands still; the mapping is at a place that nobody has,
    // or wherever the real kernel likes.
    unsafe {
        let is_fixed = arguments[3] as i32
            & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE | libc::MAP_32BIT)
            != 0;
        if !is_fixed && let Some(at) = heap::mapping(space, arguments[1]) {
            if heap::is_shared(space) {
                let usual = (libc::PROT_READ | libc::PROT_WRITE) as usize;
                if arguments[2] != usual {
                    real(
                        libc::SYS_mprotect,
                        [at, arguments[1], arguments[2], 0, 0, 0],
                    );
                }
                return at as isize;
            }
            arguments[0] = at;
            arguments[3] |= libc::MAP_FIXED_NOREPLACE as usize;
        }
        real(libc::SYS_mmap, arguments)
    }
}

/// Calls that concern the program's own memory alone are the real kernel's: anonymous memory, which is nobody else's. What
/// may concern a mapping that shows a file is for the program's kernel.
pub fn own(space: *mut u8, number: libc::c_long, arguments: &[usize; 6]) -> Option<isize> {
    let is_own = match number {
        libc::SYS_mmap => arguments[3] as i32 & libc::MAP_ANONYMOUS != 0,
        libc::SYS_munmap
        | libc::SYS_mprotect
        | libc::SYS_madvise
        | libc::SYS_brk
        | libc::SYS_mremap => true,
        _ => false,
    };
    if !is_own {
        return None;
    }
    let concerns_files = match number {
        libc::SYS_munmap | libc::SYS_madvise | libc::SYS_mremap => true,
        // In a process of its own, memory is protected there.
        // SAFETY: the program's space.
        libc::SYS_mprotect => unsafe { !heap::is_shared(space) },
        _ => false,
    };
    // SAFETY: as above.
    if concerns_files && unsafe { heap::may_show_files(space, arguments[0], arguments[1]) } {
        return None;
    }
    // SAFETY: the program's own arguments, and its own space.
    unsafe {
        if heap::is_shared(space)
            && let Some(answer) = of_shared(number, arguments)
        {
            return Some(answer);
        }
        Some(match number {
            libc::SYS_mmap if arguments[0] == 0 => map_anonymous(space, *arguments),
            _ => real(number, *arguments),
        })
    }
}

/// The same for a program whose memory the world sees: it is mapped once and for all, whatever the program believes. None
/// if the call is for the real kernel.
///
/// # Safety
/// The arguments are the program's own.
unsafe fn of_shared(number: libc::c_long, arguments: &[usize; 6]) -> Option<isize> {
    let [at, len, third, ..] = *arguments;
    if !heap::is_of_a_slot(at) {
        return (number == libc::SYS_mremap).then_some(-(libc::ENOMEM as isize));
    }
    // SAFETY: pages that the program gives up are zero when they are touched next.
    let give_up = || unsafe {
        real(
            libc::SYS_madvise,
            [at, len, libc::MADV_REMOVE as usize, 0, 0, 0],
        );
    };
    match number {
        libc::SYS_mmap => {
            give_up();
            // SAFETY: the program's own pages.
            unsafe { real(libc::SYS_mprotect, [at, len, third, 0, 0, 0]) };
            Some(at as isize)
        }
        libc::SYS_munmap if len == 0 => Some(-(libc::EINVAL as isize)),
        libc::SYS_munmap => {
            give_up();
            Some(0)
        }
        libc::SYS_madvise => {
            if matches!(third as i32, libc::MADV_DONTNEED | libc::MADV_FREE) {
                give_up();
            }
            Some(0)
        }
        libc::SYS_mremap => Some(-(libc::ENOMEM as isize)),
        _ => None,
    }
}
