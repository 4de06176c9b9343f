//! Files of the real machine that are looked at where they lie.

use std::{fs::File, io, os::fd::AsRawFd, path::Path, ptr};

/// The bytes of a file, which stay until the process ends and take memory only as far as they are looked at. Nobody may
/// change the file; to replace it by another one of its name is no change.
///
/// # Errors
/// It cannot be opened or mapped.
pub fn map_file(path: &Path) -> io::Result<&'static [u8]> {
    let file = File::open(path)?;
    let len = file.metadata()?.len() as usize;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: new memory, never unmapped, of a file that the caller says nobody changes.
    unsafe {
        let (access, fd) = (libc::PROT_READ, file.as_raw_fd());
        let at = libc::mmap(ptr::null_mut(), len, access, libc::MAP_PRIVATE, fd, 0);
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(std::slice::from_raw_parts(at.cast(), len))
    }
}
