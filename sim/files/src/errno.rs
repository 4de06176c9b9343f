//! Errors as system calls tell them.

use std::{fmt, io};

/// A number of `errno.h`. What a call tells that comes from a process which is no more is `EIO`: nobody is there to
/// hear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

/// What a call returns.
pub type Result<T> = std::result::Result<T, Errno>;

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from(*self).fmt(f)
    }
}

impl std::error::Error for Errno {}

impl From<Errno> for io::Error {
    fn from(Errno(code): Errno) -> Self {
        io::Error::from_raw_os_error(code)
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// Fails with this error.
pub(crate) fn fail<T>(code: i32) -> Result<T> {
    Err(Errno(code))
}
