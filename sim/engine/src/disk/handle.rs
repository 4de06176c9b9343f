//! A process's hold on the bytes of a file: every read, write and sync of a disk goes through one.

use std::{
    io,
    ops::Range,
    sync::{Arc, MutexGuard},
};

use libc::{EFBIG, EIO};
use squall_core::{event::DiskEvent, host::Reached};

use super::{
    Disk, FILE_LEN_MAX, Life, State, dead,
    image::{BLOCK, split},
    inode::Inode,
    loss::{self, Loss},
    mapped::{ALL, pages},
    names::os,
};

/// An open inode. It becomes inert when its process ends: then all calls fail, and change nothing. A file without a
/// name keeps its space until its last handle is dropped.
#[derive(Debug)]
pub struct Handle {
    pub(super) disk: Arc<Disk>,
    inode: u64,
    generation: u64,
}

impl Handle {
    pub(super) fn new(disk: &Arc<Disk>, state: &mut State, inode: u64) -> Self {
        *state.open.entry(inode).or_default() += 1;
        Handle {
            disk: disk.clone(),
            inode,
            generation: state.generation,
        }
    }

    /// The inode's number.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    fn is_live(&self, state: &State) -> bool {
        state.life == Life::Up && state.generation == self.generation
    }

    /// The state, for reading.
    pub(super) fn looking(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if self.is_live(&state) {
            Ok(state)
        } else {
            Err(dead())
        }
    }

    /// The state, for changing something.
    fn changing(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.disk.state();
        if self.is_live(&state) {
            Ok(state)
        } else {
            state.counters.writes_after_death += 1;
            Err(dead())
        }
    }

    pub(super) fn data<'a>(&self, state: &'a mut State) -> &'a mut Inode {
        state
            .inodes
            .get_mut(&self.inode)
            .expect("a file lives as long as its handles can be used")
    }

    /// Whether the write that begins is to fail.
    fn begin_write(&self) -> io::Result<()> {
        let mut state = self.changing()?;
        state.counters.writes += 1;
        if state.faults.fail_write() {
            state.counters.failed_writes += 1;
            drop(state);
            self.disk.tell(DiskEvent::WriteFailed);
            return Err(os(EIO));
        }
        Ok(())
    }

    /// What processes have written to pages by way of memory is there too.
    fn take_in(&self, state: &mut State, pages: &Range<usize>) {
        if state.has_mappings() {
            state.take_in(self.inode, pages.clone(), self.disk.host.now());
        }
    }

    /// Carries out one change of the content, in these pages, and counts and tells what becomes of it. A node can die before each.
    fn change<T>(
        &self,
        pages: Range<usize>,
        change: impl FnOnce(&Self, &mut State) -> io::Result<T>,
        bytes: usize,
    ) -> io::Result<T> {
        self.disk.reach(Reached::Write)?;
        let mut state = self.changing()?;
        self.take_in(&mut state, &pages);
        let result = change(self, &mut state);
        if state.has_mappings() {
            state.show(self.inode, pages);
        }
        match &result {
            Ok(_) => state.counters.bytes += bytes as u64,
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                state.counters.refused_full += 1;
                drop(state);
                self.disk.tell(DiskEvent::Full);
            }
            Err(error) if error.raw_os_error() == Some(EIO) => {
                state.counters.unreadable += 1;
                drop(state);
                self.disk.tell(DiskEvent::SectorUnreadable);
            }
            Err(_) => {}
        }
        result
    }

    /// One page of a write.
    fn write_page(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (page, within) = split(offset);
        let change = |handle: &Self, state: &mut State| {
            if offset + data.len() as u64 > FILE_LEN_MAX {
                return Err(os(EFBIG));
            }
            let (full, now) = (state.faults.full, handle.disk.host.now());
            let inode = handle.data(state);
            inode.write_page(page, within, data, full, now)
        };
        self.change(page..page + 1, change, data.len())
    }

    /// Writes all of `data`, page by page, each a site of its own. Returns how much was written before anything
    /// failed, and an error if that was nothing.
    pub fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<usize> {
        self.begin_write()?;
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let n = (data.len() - done).min(BLOCK - split(at).1);
            match self.write_page(at, &data[done..done + n]) {
                Ok(()) => done += n,
                Err(error) if done == 0 || self.looking().is_err() => return Err(error),
                Err(_) => break,
            }
        }
        let host = &self.disk.host;
        host.wrote(self.disk.node, self.inode, offset, &data[..done]);
        Ok(done)
    }

    /// Writes all of `data`, or fails, having written a part.
    pub(super) fn write_all(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.begin_write()?;
        let mut offset = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let n = rest.len().min(BLOCK - split(offset).1);
            self.write_page(offset, &rest[..n])?;
            rest = &rest[n..];
            offset += n as u64;
        }
        Ok(())
    }

    /// The file's length in bytes.
    pub fn len(&self) -> io::Result<u64> {
        let mut state = self.looking()?;
        Ok(self.data(&mut state).len())
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `out`; nothing is read unless all of it lies inside of the file.
    pub(super) fn read_exact(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.looking()?;
        let end = offset.saturating_add(out.len() as u64);
        self.take_in(&mut state, &pages(offset..end));
        let result = self.data(&mut state).read(offset, out);
        if let Err(error) = &result
            && error.raw_os_error() == Some(EIO)
        {
            state.counters.unreadable += 1;
            drop(state);
            self.disk.tell(DiskEvent::SectorUnreadable);
        }
        result
    }

    /// Reads what there is. Returns how much was read before the file's end or an unreadable page, and an error if the
    /// first page is one.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut state = self.looking()?;
        let end = offset.saturating_add(out.len() as u64);
        self.take_in(&mut state, &pages(offset..end));
        let data = self.data(&mut state);
        let n = (out.len() as u64).min(data.len().saturating_sub(offset)) as usize;
        if n == 0 || data.read(offset, &mut out[..n]).is_ok() {
            return Ok(n);
        }
        state.counters.unreadable += 1;
        let data = self.data(&mut state);
        let mut done = 0;
        let result = loop {
            let at = offset + done as u64;
            let end = n.min(done + BLOCK - split(at).1);
            match data.read(at, &mut out[done..end]) {
                Ok(()) => done = end,
                Err(error) if done == 0 => break Err(error),
                Err(_) => break Ok(done),
            }
        };
        drop(state);
        self.disk.tell(DiskEvent::SectorUnreadable);
        result
    }

    /// Cuts the file, or grows it with a hole.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        self.begin_write()?;
        let change = |handle: &Self, state: &mut State| {
            if len > FILE_LEN_MAX {
                return Err(os(EFBIG));
            }
            let now = handle.disk.host.now();
            handle.data(state).set_len(len, now);
            Ok(())
        };
        self.change(ALL, change, 0)
    }

    /// Gives space to a range of bytes, and lets the file grow to hold it if `grow`; what lies past the end gets none.
    pub fn allocate(&self, range: Range<u64>, grow: bool) -> io::Result<()> {
        self.begin_write()?;
        let change = |handle: &Self, state: &mut State| {
            if range.end > FILE_LEN_MAX {
                return Err(os(EFBIG));
            }
            let (full, now) = (state.faults.full, handle.disk.host.now());
            let data = handle.data(state);
            if grow && range.end > data.len() {
                data.set_len(range.end, now);
            }
            let end = range.end.div_ceil(BLOCK as u64) as usize;
            data.allocate(split(range.start).0..end, full, now)
        };
        self.change(0..0, change, 0)
    }

    /// Makes a range of bytes zeros, without space where whole pages are. The length stays.
    pub fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.begin_write()?;
        let punched = pages(range.clone());
        let change = |handle: &Self, state: &mut State| {
            let now = handle.disk.host.now();
            let data = handle.data(state);
            let range = match range.end > data.len() {
                true => range.start..data.len().next_multiple_of(BLOCK as u64),
                false => range,
            };
            let mut at = range.start;
            while at < range.end {
                let (page, within) = split(at);
                let next = range.end.min(((page + 1) * BLOCK) as u64);
                // Zeros up to the file's very end: they do not move it.
                let end = next.min(data.len());
                if next - at == BLOCK as u64 {
                    data.punch(page..page + 1, now);
                } else if end > at && data.next_page(page, true) == Some(page) {
                    let zeros = [0; BLOCK];
                    data.write_page(page, within, &zeros[..(end - at) as usize], false, now)?;
                }
                at = next;
            }
            Ok(())
        };
        self.change(punched, change, 0)
    }

    /// The first byte at or after `offset` that takes space (`data`), or that lies in a hole; the file's end is a hole.
    /// None if there is no such byte.
    pub fn next(&self, offset: u64, data: bool) -> io::Result<Option<u64>> {
        let mut state = self.looking()?;
        let inode = self.data(&mut state);
        if offset >= inode.len() {
            return Ok(None);
        }
        let found = inode.next_page(split(offset).0, data);
        let found = found.map(|page| ((page * BLOCK) as u64).max(offset));
        Ok(match data {
            true => found,
            false => Some(found.unwrap_or(u64::MAX).min(inode.len())),
        })
    }

    /// Makes the content durable, and with it, `data_only` or not, the length. All names and times too, unless `data_only`
    /// and the file is neither new nor of another length than at the last commit of the journal.
    pub fn sync(&self, data_only: bool) -> io::Result<()> {
        drop(self.changing()?);
        self.disk.reach(Reached::Sync)?;
        let mut state = self.changing()?;
        self.take_in(&mut state, &ALL);
        state.counters.syncs += 1;
        if state.faults.fail_sync() {
            state.counters.failed_syncs += 1;
            let (seed, node) = (self.disk.host.seed(), self.disk.node.0.into());
            let failed = state.counters.failed_syncs;
            if let Some(data) = state.inodes.get_mut(&self.inode) {
                data.sync_fails(&Loss::new(
                    seed,
                    node,
                    loss::FAILED_SYNC,
                    failed,
                    self.inode,
                ));
            }
            drop(state);
            self.disk.tell(DiskEvent::SyncFailed);
            return Err(os(EIO));
        }
        if state.faults.lies {
            state.counters.lied_syncs += 1;
            return Ok(());
        }
        let mut commits = !data_only || state.names.needs_commit(self.inode);
        if let Some(data) = state.inodes.get_mut(&self.inode) {
            commits |= data.is_len_dirty();
            data.sync();
        }
        if commits {
            state.commit_journal();
        }
        drop(state);
        self.disk.host.synced(self.disk.node);
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.generation != self.generation {
            return;
        }
        if let Some(handles) = state.open.get_mut(&self.inode) {
            *handles -= 1;
            if *handles == 0 {
                state.open.remove(&self.inode);
            }
        }
        // A frozen disk changes no more.
        if state.life == Life::Up {
            state.collect([self.inode]);
        }
    }
}
