//! All files of a node at one instant.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{Disk, ForkedFile};

/// A node's files as its next process would find them if the present one died now. Whoever reads them, or recovers a
/// database in them, works on copies: the node notices nothing, and no fault reaches them.
#[derive(Debug)]
pub struct Files<'a>(&'a Disk);

impl<'a> Files<'a> {
    pub(crate) fn of(disk: &'a Disk) -> Self {
        Files(disk)
    }

    /// The paths of all regular files, in order and without a leading slash.
    pub fn files(&self) -> Vec<String> {
        self.0.files()
    }

    /// One of them, as a [`redb::StorageBackend`].
    ///
    /// # Errors
    /// There is no such file.
    pub fn open(&self, path: &str) -> io::Result<ForkedFile> {
        self.0.fork(path)
    }

    /// All of them in a folder of this machine, which goes with the value returned: for what opens paths, as SQLite does.
    ///
    /// # Errors
    /// The machine refuses.
    pub fn unpack(&self) -> io::Result<Unpacked> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Relaxed));
        // In memory, where there is such a folder: databases sync.
        let around = Path::new("/dev/shm");
        let around = match around.is_dir() {
            true => around.to_owned(),
            false => std::env::temp_dir(),
        };
        let folder = Unpacked(around.join(format!("squall-{process}-{count}")));
        fs::create_dir_all(&folder.0)?;
        for file in self.files() {
            let path = folder.path(&file);
            if let Some(around) = path.parent() {
                fs::create_dir_all(around)?;
            }
            fs::write(path, self.open(&file)?.bytes())?;
        }
        Ok(folder)
    }
}

/// Copies of a node's files, in a folder of this machine.
#[derive(Debug)]
pub struct Unpacked(PathBuf);

impl Unpacked {
    /// Where the copy of this file of the node is.
    pub fn path(&self, file: impl AsRef<Path>) -> PathBuf {
        let file = file.as_ref();
        self.0.join(file.strip_prefix("/").unwrap_or(file))
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
