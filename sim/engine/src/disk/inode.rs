//! One file: what the page cache shows of it, what the platter holds of it, and how the two come together or apart.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    time::Duration,
};

use libc::{EIO, ENOSPC};
use squall_core::time::VirtualTime;

use super::{
    image::{BLOCK, Image, SECTOR, SECTORS, split},
    loss::{Loss, Sector},
    names::os,
};

/// Dirty pages that have waited this long are on the platter: Linux's dirty_expire (30 s), one more round of its
/// writeback (5 s) and one journal commit (5 s).
pub const WRITEBACK: Duration = Duration::from_secs(40);

#[derive(Clone, Debug, Default)]
pub struct Inode {
    /// What processes read.
    cached: Image,
    /// What the platter holds.
    durable: Image,
    /// Pages that differ because they wait to be written, with the instant since when.
    dirty: BTreeMap<usize, VirtualTime>,
    /// Since when the length waits to be written.
    len_dirty: Option<VirtualTime>,
    /// Pages that a failed sync marked clean: the cache shows them, the platter never got them.
    given_up: BTreeSet<usize>,
    /// Sectors that cannot be read from the platter.
    unreadable: BTreeSet<u64>,
    /// Who holds the file's advisory lock: (handle, exclusively).
    pub locks: Vec<(u64, bool)>,
}

impl Inode {
    /// A file that is on the platter already.
    pub fn of_image(image: Image) -> Self {
        Inode {
            durable: image.clone(),
            cached: image,
            ..Inode::default()
        }
    }

    pub fn len(&self) -> u64 {
        self.cached.len()
    }

    /// What processes see of a page; zeros past the file's end.
    pub fn block(&self, page: usize) -> &[u8; BLOCK] {
        self.cached.block(page)
    }

    /// Reads through the page cache: a dirty page is served from memory, so a bad sector under it does not show.
    pub fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if !self.unreadable.is_empty() && !out.is_empty() {
            let first = offset / SECTOR as u64;
            let last = (offset + out.len() as u64 - 1) / SECTOR as u64;
            if self
                .unreadable
                .range(first..=last)
                .any(|s| !self.dirty.contains_key(&page_of(*s)))
            {
                return Err(os(EIO));
            }
        }
        self.cached.read(offset, out)
    }

    /// Writes inside of one page. Part of a page needs the rest of it, which may be unreadable; on a full disk a hole
    /// cannot be filled.
    pub fn write_page(
        &mut self,
        page: usize,
        within: usize,
        data: &[u8],
        full: bool,
        now: VirtualTime,
    ) -> io::Result<()> {
        if full && !self.cached.is_stored(page) && !self.durable.is_stored(page) {
            return Err(os(ENOSPC));
        }
        if data.len() < BLOCK && !self.dirty.contains_key(&page) && self.is_unreadable(page) {
            return Err(os(EIO));
        }
        let len = self.cached.len();
        self.cached.write_block(page, within, data);
        self.dirty.entry(page).or_insert(now);
        self.given_up.remove(&page);
        if self.cached.len() != len {
            self.len_dirty.get_or_insert(now);
        }
        Ok(())
    }

    pub fn set_len(&mut self, len: u64, now: VirtualTime) {
        if len == self.cached.len() {
            return;
        }
        if len < self.cached.len() {
            let first = split(len).0;
            for page in self.cached.stored().filter(|page| *page >= first) {
                self.dirty.entry(page).or_insert(now);
                self.given_up.remove(&page);
            }
        }
        self.cached.set_len(len);
        self.len_dirty.get_or_insert(now);
    }

    /// Gives space to the pages from `first` up to `end` that have none; they read as zeros.
    pub fn allocate(
        &mut self,
        pages: Range<usize>,
        full: bool,
        now: VirtualTime,
    ) -> io::Result<()> {
        let end = self.cached.len().div_ceil(BLOCK as u64) as usize;
        for page in pages.start..pages.end.min(end) {
            if !self.cached.is_stored(page) {
                self.write_page(page, 0, &[], full, now)?;
            }
        }
        Ok(())
    }

    /// Takes their space from whole pages; they read as zeros.
    pub fn punch(&mut self, pages: Range<usize>, now: VirtualTime) {
        for page in pages {
            if self.cached.is_stored(page) {
                self.cached.clear_block(page);
                self.dirty.entry(page).or_insert(now);
                self.given_up.remove(&page);
            }
        }
    }

    /// The first page at or after `page` that takes space in the cache, or that takes none.
    pub fn next_page(&self, mut page: usize, stored: bool) -> Option<usize> {
        let end = self.cached.len().div_ceil(BLOCK as u64) as usize;
        while page < end && self.cached.is_stored(page) != stored {
            page += 1;
        }
        (page < end).then_some(page)
    }

    /// Pages that take space, by what processes see.
    pub fn pages(&self) -> usize {
        self.cached.taken()
    }

    /// Whether the length waits to be written.
    pub fn is_len_dirty(&self) -> bool {
        self.len_dirty.is_some()
    }

    /// Writes everything out.
    pub fn sync(&mut self) {
        self.durable.set_len(self.cached.len());
        self.len_dirty = None;
        for page in std::mem::take(&mut self.dirty).into_keys() {
            self.write_out(page);
        }
    }

    /// A sync that fails: half of the pages were written, the others are given up and nobody will write them again
    /// unless they change (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020, of ext4).
    /// True if a page was given up.
    pub fn sync_fails(&mut self, loss: &Loss) -> bool {
        let mut bit = false;
        for page in std::mem::take(&mut self.dirty).into_keys() {
            if loss.page_written(page) {
                let end = ((page + 1) * BLOCK) as u64;
                if self.durable.len() < end.min(self.cached.len()) {
                    self.durable.set_len(self.cached.len());
                }
                self.write_out(page);
            } else {
                self.given_up.insert(page);
                bit = true;
            }
        }
        bit
    }

    /// The cache forgets the pages that were given up: from here on reads show what the platter holds.
    pub fn evict_given_up(&mut self) {
        for page in std::mem::take(&mut self.given_up) {
            self.cached.take_block(page, &self.durable);
        }
    }

    /// The machine loses power: the cache shows what the platter holds, and each unsynced sector has reached the platter, or not, or in part.
    pub fn power_loss(&mut self, loss: &mut Loss, now: VirtualTime) {
        let old = |since: VirtualTime| now.since(since) >= WRITEBACK;
        if self.cached.len() != self.durable.len()
            && (self.len_dirty.is_some_and(old) || loss.len_written())
        {
            self.durable.set_len(self.cached.len());
        }
        for (page, since) in std::mem::take(&mut self.dirty) {
            if old(since) {
                self.write_out(page);
            } else {
                self.tear(page, loss);
            }
        }
        self.cached = self.durable.clone();
        self.len_dirty = None;
    }

    fn tear(&mut self, page: usize, loss: &mut Loss) {
        let old = self.durable.block(page);
        let new = self.cached.block(page);
        let past_end = (page * BLOCK) as u64 >= self.durable.len();
        let mut result = *old;
        for sector in 0..SECTORS {
            let at = sector * SECTOR..(sector + 1) * SECTOR;
            if old[at.clone()] == new[at.clone()] {
                continue;
            }
            if past_end {
                loss.lost += 1;
                continue;
            }
            let within = match loss.sector(page, sector) {
                Sector::Written => at,
                Sector::Lost => {
                    loss.lost += 1;
                    continue;
                }
                Sector::Head(n) => {
                    loss.torn += 1;
                    at.start..at.start + n
                }
                Sector::Tail(n) => {
                    loss.torn += 1;
                    at.end - n..at.end
                }
            };
            result[within.clone()].copy_from_slice(&new[within]);
            self.unreadable.remove(&((page * SECTORS + sector) as u64));
        }
        if result != *old {
            self.durable.put_block(page, &result);
        }
    }

    fn write_out(&mut self, page: usize) {
        self.durable.take_block(page, &self.cached);
        if !self.unreadable.is_empty() {
            let first = (page * SECTORS) as u64;
            for sector in first..first + SECTORS as u64 {
                self.unreadable.remove(&sector);
            }
        }
    }

    fn is_unreadable(&self, page: usize) -> bool {
        let first = (page * SECTORS) as u64;
        self.unreadable
            .range(first..first + SECTORS as u64)
            .next()
            .is_some()
    }

    /// The pages that take space on the platter.
    pub fn stored(&self) -> impl Iterator<Item = usize> {
        self.durable.stored()
    }

    /// Makes a sector unreadable until it is written again.
    pub fn spoil(&mut self, sector: u64) {
        self.unreadable.insert(sector);
    }

    /// Makes all sectors readable.
    pub fn unspoil(&mut self) {
        self.unreadable.clear();
    }

    /// Changes bytes behind everybody's back, on the platter and in the cache.
    pub fn rot(&mut self, page: usize, at: usize, mask: u8) {
        for image in [&mut self.durable, &mut self.cached] {
            let mut bytes = *image.block(page);
            bytes[at] ^= mask;
            image.put_block(page, &bytes);
        }
    }

    /// As the next boot after a process crash sees it.
    pub fn after_crash(&self) -> Image {
        let mut image = self.cached.clone();
        for page in &self.given_up {
            image.take_block(*page, &self.durable);
        }
        image
    }

    /// As the next boot sees it if power fails and nothing unsynced reached the platter.
    pub fn after_power_loss(&self) -> Image {
        self.durable.clone()
    }
}

fn page_of(sector: u64) -> usize {
    (sector / SECTORS as u64) as usize
}
