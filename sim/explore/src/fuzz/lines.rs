//! Files of JSON lines that survive being killed while they are written.
//!
//! A line counts once its newline is there. What stands behind the last newline was torn by the end of its writer: it is
//! ignored when read and overwritten when writing goes on. Any other line that is not as it should be is an error.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

/// Why a file of lines can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// It could not be read or written.
    #[error("cannot use {path}: {source}; name a place that is there and may be written to")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// What was just done could not be added to it.
    #[error("cannot write {path} on: {source}; make room, and go on with the same command")]
    Lost {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error(
        "{path}, line {line}: {reason}; mend or remove the line, or start again with another file"
    )]
    Bad {
        /// The file.
        path: String,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl LinesError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        LinesError::Io {
            path: path.display().to_string(),
            source,
        }
    }
}

/// Reads all whole lines.
///
/// # Errors
///
/// When there is no such file, or a whole line is not a `T`.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, LinesError> {
    let bytes = fs::read(path).map_err(|source| LinesError::io(path, source))?;
    let whole = &bytes[..whole(&bytes)];
    let lines = whole.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines
        .map(|(at, line)| {
            serde_json::from_slice(line).map_err(|error| LinesError::Bad {
                path: path.display().to_string(),
                line: at + 1,
                reason: error.to_string(),
            })
        })
        .collect()
}

/// How many of the bytes are whole lines.
fn whole(bytes: &[u8]) -> usize {
    let last = bytes.iter().rposition(|byte| *byte == b'\n');
    last.map_or(0, |at| at + 1)
}

/// Adds lines to a file.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
}

impl Writer {
    /// Goes on behind the last whole line of the file, which is made if there is none.
    ///
    /// # Errors
    ///
    /// When the file can't be written.
    pub fn append(path: &Path) -> Result<Self, LinesError> {
        let wrong = |source| LinesError::io(path, source);
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(wrong(error)),
        };
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .append(true)
            .open(path)
            .map_err(wrong)?;
        file.set_len(whole(&bytes) as u64).map_err(wrong)?;
        Ok(Writer {
            path: path.to_owned(),
            file,
        })
    }

    /// Writes a line, all at once, and waits until it is on the disk.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn write(&mut self, line: &impl Serialize) -> Result<(), LinesError> {
        let mut text = serde_json::to_vec(line).expect("lines have only string keys");
        text.push(b'\n');
        self.file
            .write_all(&text)
            .and_then(|()| self.file.sync_data())
            .map_err(|source| LinesError::Lost {
                path: self.path.display().to_string(),
                source,
            })
    }
}
