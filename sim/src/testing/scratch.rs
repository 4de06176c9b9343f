//! A directory of a test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

/// Made empty, and gone when it is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// `name` must be the test's own.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("squall-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the temporary directory can be written");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
