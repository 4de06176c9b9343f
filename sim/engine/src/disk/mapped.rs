//! Memory of processes that shows files (`mmap` with `MAP_SHARED`): what is written to it is written to the page cache
//! whenever anybody could tell the difference.

use std::{fmt, ops::Range, sync::Weak};

use squall_core::time::VirtualTime;

use super::{Disk, Life, State, image::BLOCK};

/// Memory that shows pages of a file.
pub trait Mapped: Send + Sync {
    /// The file's inode.
    fn inode(&self) -> u64;
    /// The pages that it shows, by their numbers; some may be there twice.
    fn pages(&self) -> Vec<Range<usize>>;
    /// Whether the process may write to it.
    fn is_writable(&self) -> bool;
    /// What it shows of a page.
    fn read(&self, page: usize, into: &mut [u8; BLOCK]);
    /// Shows this of a page from now on.
    fn show(&self, page: usize, bytes: &[u8; BLOCK]);
}

/// All such memory of the running processes.
#[derive(Default)]
pub struct Mappings(Vec<Weak<dyn Mapped>>);

impl fmt::Debug for Mappings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mappings", self.0.len())
    }
}

/// All pages of a file.
pub const ALL: Range<usize> = 0..usize::MAX;

/// The pages in which these bytes lie.
pub fn pages(bytes: Range<u64>) -> Range<usize> {
    let block = BLOCK as u64;
    (bytes.start / block) as usize..bytes.end.div_ceil(block) as usize
}

impl State {
    /// Takes what processes have written to pages of a file by way of memory into the page cache.
    pub(super) fn take_in(&mut self, inode: u64, pages: Range<usize>, now: VirtualTime) {
        let Some(data) = self.inodes.get_mut(&inode) else {
            return;
        };
        let all = self.mappings.0.iter().filter_map(Weak::upgrade);
        let all: Vec<_> = all.filter(|mapped| mapped.inode() == inode).collect();
        let mut shown: Vec<usize> = all
            .iter()
            .filter(|mapped| mapped.is_writable())
            .flat_map(|mapped| mapped.pages())
            .flat_map(|range| range.start.max(pages.start)..range.end.min(pages.end))
            .collect();
        shown.sort_unstable();
        shown.dedup();
        for page in shown {
            let Some(len) = data.len().checked_sub((page * BLOCK) as u64) else {
                break;
            };
            let len = len.min(BLOCK as u64) as usize;
            let old = *data.block(page);
            let (mut new, mut seen) = (old, [0; BLOCK]);
            for mapped in all
                .iter()
                .filter(|mapped| mapped.is_writable() && shows(&***mapped, page))
            {
                mapped.read(page, &mut seen);
                for at in (0..len).filter(|at| seen[*at] != old[*at]) {
                    new[at] = seen[at];
                }
            }
            if new != old {
                // Neither a full disk nor a bad sector keeps memory from being written to.
                let _ = data.write_page(page, 0, &new[..len], false, now);
                for mapped in all.iter().filter(|mapped| shows(&***mapped, page)) {
                    mapped.show(page, &new);
                }
            }
        }
    }

    /// The page cache has changed: memory shows it.
    pub(super) fn show(&mut self, inode: u64, pages: Range<usize>) {
        let all = self.mappings.0.iter().filter_map(Weak::upgrade);
        for mapped in all.filter(|mapped| mapped.inode() == inode) {
            for range in mapped.pages() {
                for page in range.start.max(pages.start)..range.end.min(pages.end) {
                    if let Some(data) = self.inodes.get(&inode) {
                        mapped.show(page, data.block(page));
                    }
                }
            }
        }
    }

    pub(super) fn has_mappings(&self) -> bool {
        !self.mappings.0.is_empty()
    }

    /// The processes are no more, and with them their memory.
    pub(super) fn forget_mappings(&mut self) {
        self.mappings.0.clear();
    }
}

fn shows(mapped: &dyn Mapped, page: usize) -> bool {
    mapped.pages().iter().any(|range| range.contains(&page))
}

impl Disk {
    /// From now on, memory shows a file for as long as it is there.
    pub fn map(&self, mapped: Weak<dyn Mapped>) {
        let mut state = self.state();
        if state.life == Life::Up {
            state.mappings.0.retain(|known| known.strong_count() > 0);
            state.mappings.0.push(mapped);
        }
    }

    /// Memory shows these pages of a file, be they new to it or not.
    pub fn show_pages(&self, inode: u64, pages: Range<usize>) {
        let mut state = self.state();
        if state.life == Life::Up {
            state.show(inode, pages);
        }
    }

    /// Takes what was written to memory that shows a file into the page cache.
    pub fn take_in_pages(&self, inode: u64, pages: Range<usize>) {
        let now = self.host.now();
        let mut state = self.state();
        if state.life == Life::Up && state.has_mappings() {
            state.take_in(inode, pages, now);
        }
    }

    /// The same for all files.
    pub(super) fn take_in_all(&self) {
        let mut state = self.state();
        if state.life != Life::Up || !state.has_mappings() {
            return;
        }
        let now = self.host.now();
        let all = state.mappings.0.iter().filter_map(Weak::upgrade);
        let mut inodes: Vec<u64> = all.map(|mapped| mapped.inode()).collect();
        inodes.sort_unstable();
        inodes.dedup();
        for inode in inodes {
            state.take_in(inode, ALL, now);
        }
    }
}
