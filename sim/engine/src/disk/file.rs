//! A file that a ported service opens by its name.

use std::{
    io,
    ops::{Bound, RangeBounds},
};

use redb::{BackendError, StorageBackend};

use super::handle::Handle;

/// An open file of a [`Disk`](super::Disk). It becomes inert when its process ends: then all calls fail, and change
/// nothing.
#[derive(Debug)]
pub struct File {
    handle: Handle,
    /// What it holds locks by.
    lock: u64,
}

impl File {
    pub(super) fn new(handle: Handle, lock: u64) -> Self {
        File { handle, lock }
    }

    fn lock(&self, exclusive: bool) -> io::Result<bool> {
        let mut state = self.handle.looking()?;
        let locks = &mut self.handle.data(&mut state).locks;
        let conflict = locks
            .iter()
            .any(|(lock, other)| *lock != self.lock && (exclusive || *other));
        if !conflict {
            locks.retain(|(lock, _)| *lock != self.lock);
            locks.push((self.lock, exclusive));
        }
        Ok(!conflict)
    }

    fn unlock(&self) {
        if let Ok(mut state) = self.handle.looking() {
            let locks = &mut self.handle.data(&mut state).locks;
            locks.retain(|(lock, _)| *lock != self.lock);
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
        self.handle.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.handle.read_exact(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.handle.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.handle.sync(false)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.handle.write_all(offset, data)
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
