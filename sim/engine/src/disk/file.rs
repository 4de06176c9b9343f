//! A process's open file.

use std::{
    io,
    ops::{Bound, RangeBounds},
    sync::{Arc, MutexGuard},
};

use redb::{BackendError, StorageBackend};

use squall_core::host::Reached;

use super::{
    Disk, FILE_LEN_MAX, Life, State, dead,
    image::{BLOCK, split},
    inode::Inode,
    loss::{self, Loss},
};

const EIO: i32 = 5;
const EFBIG: i32 = 27;

/// An open file of a [`Disk`]. It becomes inert when its process ends: then all calls fail, and change nothing.
#[derive(Debug)]
pub struct File {
    disk: Arc<Disk>,
    inode: u64,
    handle: u64,
    generation: u64,
}

impl File {
    pub(super) fn new(disk: Arc<Disk>, inode: u64, handle: u64, generation: u64) -> Self {
        File {
            disk,
            inode,
            handle,
            generation,
        }
    }

    fn is_live(&self, state: &State) -> bool {
        state.life == Life::Up && state.generation == self.generation
    }

    /// The state, for reading.
    fn looking(&self) -> io::Result<MutexGuard<'_, State>> {
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

    fn inode<'a>(&self, state: &'a mut State) -> &'a mut Inode {
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
            self.disk.tell("write failed");
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }

    /// One page of a write. A node can die between two of them.
    fn write_page(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.reach(Reached::Write)?;
        let now = self.disk.host.now();
        if offset + data.len() as u64 > FILE_LEN_MAX {
            return Err(io::Error::from_raw_os_error(EFBIG));
        }
        let (page, within) = split(offset);
        let mut state = self.changing()?;
        let full = state.faults.full;
        let result = self
            .inode(&mut state)
            .write_page(page, within, data, full, now);
        match &result {
            Ok(()) => state.counters.bytes += data.len() as u64,
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                state.counters.refused_full += 1;
                drop(state);
                self.disk.tell("disk full");
            }
            Err(_) => {
                state.counters.unreadable += 1;
                drop(state);
                self.disk.tell("sector unreadable");
            }
        }
        result
    }

    fn lock(&self, exclusive: bool) -> io::Result<bool> {
        let mut state = self.looking()?;
        let locks = &mut self.inode(&mut state).locks;
        let conflict = locks
            .iter()
            .any(|(handle, other)| *handle != self.handle && (exclusive || *other));
        if !conflict {
            locks.retain(|(handle, _)| *handle != self.handle);
            locks.push((self.handle, exclusive));
        }
        Ok(!conflict)
    }

    fn unlock(&self) {
        if let Ok(mut state) = self.looking() {
            let handle = self.handle;
            self.inode(&mut state).locks.retain(|(h, _)| *h != handle);
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.unlock();
    }
}

/// Only whole files can be locked, as with `flock`.
fn whole(range: (Bound<u64>, Bound<u64>)) -> Result<(), BackendError> {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Unbounded | Bound::Included(0), Bound::Unbounded) => Ok(()),
        _ => Err(BackendError::Unsupported),
    }
}

impl StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.looking()?;
        Ok(self.inode(&mut state).len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.looking()?;
        let result = self.inode(&mut state).read(offset, out);
        if let Err(error) = &result
            && error.raw_os_error() == Some(EIO)
        {
            state.counters.unreadable += 1;
            drop(state);
            self.disk.tell("sector unreadable");
        }
        result
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.begin_write()?;
        self.disk.reach(Reached::Write)?;
        if len > FILE_LEN_MAX {
            return Err(io::Error::from_raw_os_error(EFBIG));
        }
        let now = self.disk.host.now();
        let mut state = self.changing()?;
        self.inode(&mut state).set_len(len, now);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        drop(self.changing()?);
        self.disk.reach(Reached::Sync)?;
        let mut state = self.changing()?;
        state.counters.syncs += 1;
        if state.faults.fail_sync() {
            state.counters.failed_syncs += 1;
            let (seed, node) = (self.disk.host.seed(), self.disk.node.0.into());
            let loss = Loss::new(
                seed,
                node,
                loss::FAILED_SYNC,
                state.counters.failed_syncs,
                self.inode,
            );
            self.inode(&mut state).sync_fails(&loss);
            drop(state);
            self.disk.tell("sync failed");
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.inode(&mut state).sync();
        state.commit_journal();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
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

    fn close(&self) -> io::Result<()> {
        self.unlock();
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        whole((start, end))?;
        Ok(self.lock(true)?)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        whole((start, end))?;
        Ok(self.lock(false)?)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        whole((start, end))?;
        self.unlock();
        Ok(())
    }
}
