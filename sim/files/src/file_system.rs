//! The file system of a node.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use squall_engine::disk::Disk;

use crate::{errno::Result, locks::Locks, machine::Machine, stat::StatFs};

/// The directories that programs take for granted, with their modes.
const FOLDERS: [(&str, u32); 10] = [
    ("dev/shm", 0o1777),
    ("etc", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("tmp", 0o1777),
    ("var/lib", 0o755),
    ("var/tmp", 0o1777),
];

/// The file system of a node, over its disk. There is one, whatever processes come and go: locks of different ones meet
/// in it.
pub struct FileSystem {
    pub(crate) disk: Arc<Disk>,
    pub(crate) machine: Arc<dyn Machine>,
    kernel: Mutex<Kernel>,
}

/// What is in memory of one life of the node, and ends with it.
#[derive(Default)]
struct Kernel {
    generation: u64,
    locks: Locks,
    descriptions: u64,
}

impl FileSystem {
    /// The file system on this disk. The usual directories are made if they are missing, durably.
    pub fn new(disk: Arc<Disk>, machine: Arc<dyn Machine>) -> Arc<FileSystem> {
        for (path, mode) in FOLDERS {
            disk.put_directory(path, mode)
                .expect("nothing but directories is in the place of the usual ones");
        }
        Arc::new(FileSystem {
            disk,
            machine,
            kernel: Mutex::default(),
        })
    }

    /// Puts a file of the machine's image on the disk: durable, as if it had always been there. Directories on the way
    /// are made.
    ///
    /// # Errors
    ///
    /// Something else than a regular file is in its place, or than a directory on its way.
    pub fn put(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        Ok(self.disk.put(path, bytes, mode)?)
    }

    /// The disk below.
    pub fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }

    /// How much there is and how much is left.
    pub fn statfs(&self) -> StatFs {
        StatFs::of(self.disk.usage())
    }

    /// `sync`: writes everything out.
    pub fn sync(&self) -> Result<()> {
        Ok(self.disk.sync_all()?)
    }

    /// How long the next sync takes. To be asked once for each, before it is carried out.
    pub fn sync_latency(&self) -> Duration {
        self.disk.latency()
    }

    /// A number that grows whenever a lock is given back: what failed with `EAGAIN` is worth another try then.
    pub fn lock_releases(&self) -> u64 {
        self.with_locks(self.disk.generation(), |locks| locks.releases)
            .unwrap_or_default()
    }

    /// The locks of this life of the node; none if it is over.
    pub(crate) fn with_locks<T>(
        &self,
        generation: u64,
        locked: impl FnOnce(&mut Locks) -> T,
    ) -> Option<T> {
        let running = self.disk.generation();
        let mut kernel = self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        if kernel.generation != running {
            let releases = kernel.locks.releases + 1;
            kernel.generation = running;
            kernel.locks = Locks::default();
            kernel.locks.releases = releases;
        }
        (generation == running).then(|| locked(&mut kernel.locks))
    }

    /// A number that no other description has.
    pub(crate) fn next_description(&self) -> u64 {
        let mut kernel = self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        kernel.descriptions += 1;
        kernel.descriptions
    }
}
