//! A private copy of a file.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::StorageBackend;

use super::{
    FILE_LEN_MAX,
    image::{BLOCK, Image, split},
};

/// A file as it was at one instant. Writes stay in it: an engine can recover and read without disturbing the run.
/// It shares unwritten blocks with the disk that it was taken from, and no fault reaches it.
#[derive(Debug)]
pub struct ForkedFile(Mutex<Image>);

impl ForkedFile {
    pub(super) fn new(image: Image) -> Self {
        ForkedFile(Mutex::new(image))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let image = self.image();
        let mut bytes = vec![0; image.len() as usize];
        image.read(0, &mut bytes).expect("all of it is there");
        bytes
    }

    fn image(&self) -> MutexGuard<'_, Image> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for ForkedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.image().len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.image().read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        bounded(len)?;
        self.image().set_len(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        bounded(offset.saturating_add(data.len() as u64))?;
        let mut image = self.image();
        let mut offset = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let (ix, within) = split(offset);
            let n = rest.len().min(BLOCK - within);
            image.write_block(ix, within, &rest[..n]);
            rest = &rest[n..];
            offset += n as u64;
        }
        Ok(())
    }
}

fn bounded(end: u64) -> io::Result<()> {
    if end > FILE_LEN_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}
