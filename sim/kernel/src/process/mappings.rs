//! Memory that shows files: `mmap` with `MAP_SHARED`.
//!
//! A file has one place in the memory of a process, however often and in whatever parts it is mapped: so all its mappings
//! show the same. What is written there is in the page cache as soon as anybody could tell that it is not: at each call on
//! the file, at `msync`, and when the process ends, unless the machine loses power.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use squall_engine::disk::{BLOCK, Disk, Mapped};
use squall_files::{OpenFile, Operation};

use super::{Answer, Errno, Kernel};
use crate::cpu::{Call, Memory, Tid};

/// The least that is set aside for a file, which may grow.
const WINDOW_MIN: usize = 64 << 20;

/// A file's place in memory.
struct Window {
    memory: Memory,
    at: usize,
    len: usize,
    inode: u64,
    /// The pages that are mapped, once for each mapping.
    mapped: Mutex<Vec<Range<usize>>>,
    is_writable: AtomicBool,
}

impl Window {
    fn mapped(&self) -> MutexGuard<'_, Vec<Range<usize>>> {
        self.mapped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The part of some memory that lies in it, in pages of the file.
    fn part(&self, at: usize, len: usize) -> Option<Range<usize>> {
        let begin = at.max(self.at);
        let end = at.saturating_add(len).min(self.at + self.len);
        (begin < end).then(|| (begin - self.at) / BLOCK..(end - self.at).div_ceil(BLOCK))
    }

    fn place(&self, pages: &Range<usize>) -> (usize, usize) {
        (self.at + pages.start * BLOCK, pages.len() * BLOCK)
    }

    /// Lets the process touch pages, or no longer.
    fn protect(&self, pages: &Range<usize>, protection: i32) {
        let (at, len) = self.place(pages);
        let _ = self.memory.protect(at, len, protection);
    }

    fn allowed(&self) -> i32 {
        match self.is_writable() {
            true => libc::PROT_READ | libc::PROT_WRITE,
            false => libc::PROT_READ,
        }
    }

    /// A mapping ends. Whether there are others.
    fn unmap(&self, pages: &Range<usize>) -> bool {
        let mut mapped = self.mapped();
        match mapped.iter().position(|known| known == pages) {
            Some(whole) => drop(mapped.swap_remove(whole)),
            None => {
                let parts = mapped.drain(..).flat_map(|known| {
                    let before = known.start..known.end.min(pages.start);
                    let after = known.start.max(pages.end)..known.end;
                    [before, after]
                });
                let rest = parts.filter(|part| !part.is_empty()).collect();
                *mapped = rest;
            }
        }
        for page in pages.clone() {
            if !mapped.iter().any(|known| known.contains(&page)) {
                let (at, len) = self.place(&(page..page + 1));
                self.memory.give_up(at, len);
                self.protect(&(page..page + 1), libc::PROT_NONE);
            }
        }
        !mapped.is_empty()
    }
}

impl Mapped for Window {
    fn inode(&self) -> u64 {
        self.inode
    }

    fn pages(&self) -> Vec<Range<usize>> {
        self.mapped().clone()
    }

    fn is_writable(&self) -> bool {
        self.is_writable.load(Relaxed)
    }

    fn read(&self, page: usize, into: &mut [u8; BLOCK]) {
        into.copy_from_slice(self.memory.slice(self.at + page * BLOCK, BLOCK));
    }

    fn show(&self, page: usize, bytes: &[u8; BLOCK]) {
        let pages = page..page + 1;
        self.protect(&pages, libc::PROT_READ | libc::PROT_WRITE);
        self.memory.write(self.at + page * BLOCK, bytes);
        self.protect(&pages, self.allowed());
    }
}

/// The files that the memory of a process shows.
#[derive(Default)]
pub(crate) struct Mappings(Vec<Shown>);

/// A file that memory shows, which keeps it open.
struct Shown {
    file: OpenFile,
    disk: Arc<Disk>,
    window: Arc<Window>,
}

impl Shown {
    fn take_in(&self) {
        let mapped = self.window.pages();
        for pages in mapped {
            self.disk.take_in_pages(self.window.inode, pages);
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.take_in();
        if !self.window.memory.is_apart() {
            let place = [self.window.at, self.window.len, 0, 0, 0, 0];
            self.window.memory.do_own(libc::SYS_munmap, &place);
        }
    }
}

impl Kernel {
    /// `mmap` of a file with `MAP_SHARED`.
    pub(super) fn show_file(&mut self, file: &OpenFile, call: &Call) -> Result<isize, Errno> {
        let [_, len, protection, flags, _, offset] = call.arguments;
        let (flags, protection) = (flags as i32, protection as i32);
        let (disk, inode) = file.on_disk().ok_or(Errno(libc::ENODEV))?;
        let writes = protection & libc::PROT_WRITE != 0;
        if writes && file.flags() & libc::O_ACCMODE != libc::O_RDWR {
            return Err(Errno(libc::EACCES));
        }
        if flags & libc::MAP_FIXED != 0 {
            self.refuse("mappings of files at addresses of a program's choice");
            return Err(Errno(libc::ENODEV));
        }
        let end = offset.checked_add(len).ok_or(Errno(libc::EOVERFLOW))?;
        let fits = |shown: &&Shown| shown.window.inode == inode && end <= shown.window.len;
        let window = match self.process.mappings.0.iter().find(fits) {
            Some(shown) => shown.window.clone(),
            None => {
                let len = (2 * end).next_power_of_two().max(WINDOW_MIN);
                let window = Arc::new(Window {
                    memory: self.memory,
                    at: self.memory.reserve(len)?,
                    len,
                    inode,
                    mapped: Mutex::default(),
                    is_writable: AtomicBool::new(false),
                });
                let mapped: Arc<dyn Mapped> = window.clone();
                disk.map(Arc::downgrade(&mapped));
                self.process.mappings.0.push(Shown {
                    file: file.clone(),
                    disk: disk.clone(),
                    window: window.clone(),
                });
                window
            }
        };
        let pages = offset / BLOCK..end.div_ceil(BLOCK);
        disk.take_in_pages(inode, pages.clone());
        window.is_writable.fetch_or(writes, Relaxed);
        window.mapped().push(pages.clone());
        window.protect(&pages, libc::PROT_READ | libc::PROT_WRITE);
        disk.show_pages(inode, pages);
        Ok((window.at + offset) as isize)
    }

    fn shown(&self, at: usize, len: usize) -> Option<(&Shown, Range<usize>)> {
        let mut all = self.process.mappings.0.iter();
        all.find_map(|shown| Some((shown, shown.window.part(at, len)?)))
    }

    /// `munmap`, where files may be shown.
    pub(super) fn unmap(&mut self, call: &Call) -> Result<isize, Errno> {
        let [at, len, ..] = call.arguments;
        if self.process.is_executable {
            // Done already, but for what it shares.
            let gone = self.memory.unshare(&(at..at + len));
            self.unshare(&gone);
            return Ok(0);
        }
        if at % BLOCK != 0 || len == 0 {
            return Err(Errno(libc::EINVAL));
        }
        let Some((shown, pages)) = self.shown(at, len) else {
            return result(self.memory.do_own(call.number, &call.arguments));
        };
        shown.take_in();
        let window = shown.window.clone();
        if !window.unmap(&pages) {
            let gone = |shown: &Shown| Arc::ptr_eq(&shown.window, &window);
            self.process.mappings.0.retain(|shown| !gone(shown));
        }
        Ok(0)
    }

    /// `mprotect`, `madvise` and `mremap`, where files may be shown.
    pub(super) fn change_mapping(&mut self, call: &Call) -> Result<isize, Errno> {
        let [at, len, third, flags, ..] = call.arguments;
        let Some((shown, pages)) = self.shown(at, len) else {
            return result(self.memory.do_own(call.number, &call.arguments));
        };
        let window = &shown.window;
        match call.number {
            libc::SYS_mprotect => {
                if third as i32 & libc::PROT_WRITE != 0 {
                    if shown.file.flags() & libc::O_ACCMODE != libc::O_RDWR {
                        return Err(Errno(libc::EACCES));
                    }
                    window.is_writable.store(true, Relaxed);
                }
                // What it shows has to be seen by its kernel too.
                window.protect(&pages, third as i32 | libc::PROT_READ);
                Ok(0)
            }
            libc::SYS_mremap => {
                let end = at.saturating_add(third);
                let fits = end <= window.at + window.len;
                if flags as i32 & !libc::MREMAP_MAYMOVE != 0 || third == 0 {
                    return Err(Errno(libc::EINVAL));
                }
                if !fits {
                    return Err(Errno(libc::ENOMEM));
                }
                shown.take_in();
                let new = pages.start..pages.start + third.div_ceil(BLOCK);
                window.mapped().push(new.clone());
                window.unmap(&pages);
                window.protect(&new, libc::PROT_READ | libc::PROT_WRITE);
                shown.disk.show_pages(window.inode, new);
                Ok(at as isize)
            }
            // Whatever is advised: pages stay.
            _ => Ok(0),
        }
    }

    /// `msync`.
    pub(super) fn msync(&mut self, tid: Tid, call: &Call) -> Answer {
        let [at, len, flags, ..] = call.arguments;
        let flags = flags as i32;
        let both = libc::MS_SYNC | libc::MS_ASYNC;
        if at % BLOCK != 0 || flags & !(both | libc::MS_INVALIDATE) != 0 || flags & both == both {
            return Err(Errno(libc::EINVAL)).into();
        }
        let Some((shown, _)) = self.shown(at, len) else {
            // Memory of no file's, or none at all: nothing tells which.
            return Answer::Done(0);
        };
        if flags & libc::MS_SYNC == 0 {
            return Answer::Done(0);
        }
        let file = shown.file.clone();
        if let Some(wait) = self.disk_takes(tid, &file, Operation::Sync) {
            return Answer::Wait(wait);
        }
        file.sync(true).map(|()| 0).map_err(Errno::from).into()
    }
}

fn result(answer: isize) -> Result<isize, Errno> {
    match answer {
        -4095..0 => Err(Errno(-answer as i32)),
        answer => Ok(answer),
    }
}
