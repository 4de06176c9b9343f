//! A failure that was just found, after it was made small and written down.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::shrink::Shrunk;

/// A failure that was made small.
pub struct Kept {
    /// The smallest run that still shows it.
    pub shrunk: Shrunk,
    /// What happens in that run, in one sentence.
    pub sentence: String,
    /// Where it was written, or why it could not be; none if that was not wanted.
    pub file: Option<io::Result<PathBuf>>,
}

impl Kept {
    /// The file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref()?.as_deref().ok()
    }
}
