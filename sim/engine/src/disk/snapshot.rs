//! All that is on a disk, for other disks to begin with.

use std::{
    collections::BTreeMap,
    io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path},
};

use squall_core::time::VirtualTime;
use tar::{Archive, Builder, EntryType, Header};

use super::{
    Content, Disk, Inode, ROOT,
    image::Image,
    names::{Names, os},
};

/// All that is on a disk. Disks that begin with one share its bytes until they write to them.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    names: Names,
    files: BTreeMap<u64, Image>,
}

/// Everything was made at this instant.
const WHEN: VirtualTime = VirtualTime(0);

impl Snapshot {
    /// Reads what [`to_tar`](Self::to_tar) wrote, or another archive of directories, regular files and symbolic links.
    ///
    /// # Errors
    /// It is no such archive, or two entries have one name.
    pub fn from_tar(archive: &'static [u8]) -> io::Result<Self> {
        let mut snapshot = Snapshot::default();
        for entry in Archive::new(archive).entries()? {
            let entry = entry?;
            let path = entry.path()?.into_owned();
            let mode = entry.header().mode()? & 0o7777;
            match entry.header().entry_type() {
                EntryType::Directory => snapshot.make(&path, Content::directory(), mode)?,
                EntryType::Symlink => {
                    let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                    snapshot.make(&path, Content::Link(target), mode)?
                }
                EntryType::Regular => {
                    let begin = entry.raw_file_position() as usize;
                    let bytes = archive.get(begin..begin + entry.size() as usize);
                    let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
                    snapshot.add(&path, bytes, mode)?
                }
                other => {
                    let what = format!("{}: {other:?} is nothing for a disk", path.display());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
            };
        }
        snapshot.names.commit();
        Ok(snapshot)
    }

    /// A disk that holds these files alone: path, bytes, permission bits.
    ///
    /// # Errors
    /// Two have one name.
    pub fn of_files(files: &[(&str, &'static [u8], u32)]) -> io::Result<Self> {
        let mut snapshot = Snapshot::default();
        for (path, bytes, mode) in files {
            snapshot.put(path, bytes, *mode)?;
        }
        Ok(snapshot)
    }

    /// Adds a file: path, bytes, permission bits.
    ///
    /// # Errors
    /// There is something of this name.
    pub fn put(&mut self, path: &str, bytes: &'static [u8], mode: u32) -> io::Result<()> {
        self.add(Path::new(path), bytes, mode)?;
        self.names.commit();
        Ok(())
    }

    fn add(&mut self, path: &Path, bytes: &'static [u8], mode: u32) -> io::Result<u64> {
        let inode = self.make(path, Content::File, mode)?;
        self.files.insert(inode, Image::fixed(bytes));
        Ok(inode)
    }

    fn make(&mut self, path: &Path, content: Content, mode: u32) -> io::Result<u64> {
        let mut dir = ROOT;
        let around = path.parent().into_iter().flat_map(Path::components);
        for part in around {
            let name = match part {
                Component::Normal(name) => name.as_bytes(),
                Component::RootDir | Component::CurDir => continue,
                Component::ParentDir | Component::Prefix(_) => return Err(os(libc::EINVAL)),
            };
            dir = match self.names.lookup(dir, name)? {
                Some(inode) => inode,
                None => {
                    let directory = Content::directory();
                    self.names.make(dir, name, directory, 0o755, WHEN, 0)?
                }
            };
        }
        let name = path.file_name().ok_or_else(|| os(libc::EINVAL))?.as_bytes();
        self.names.make(dir, name, content, mode, WHEN, 0)
    }

    /// As a `tar` archive: the same bytes for the same content.
    ///
    /// # Errors
    /// A name is too long for one.
    pub fn to_tar(&self) -> io::Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        self.append(&mut archive, ROOT, Path::new(""))?;
        archive.into_inner()
    }

    fn append(&self, archive: &mut Builder<Vec<u8>>, dir: u64, at: &Path) -> io::Result<()> {
        for (name, inode) in self.names.entries(dir)? {
            let path = at.join(std::ffi::OsStr::from_bytes(name));
            let meta = self.names.get(*inode)?;
            let mut header = Header::new_gnu();
            header.set_mode(meta.mode);
            header.set_size(0);
            match &meta.content {
                Content::Directory { .. } => {
                    header.set_entry_type(EntryType::Directory);
                    archive.append_data(&mut header, &path, io::empty())?;
                    self.append(archive, *inode, &path)?;
                }
                Content::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    let target = Path::new(std::ffi::OsStr::from_bytes(target));
                    archive.append_link(&mut header, &path, target)?;
                }
                Content::File => {
                    let image = self.files.get(inode).cloned().unwrap_or_default();
                    let mut bytes = vec![0; image.len() as usize];
                    image.read(0, &mut bytes)?;
                    header.set_size(image.len());
                    archive.append_data(&mut header, &path, &*bytes)?;
                }
                // A socket is nothing without its process.
                Content::Special(_) => {}
            }
        }
        Ok(())
    }
}

impl Disk {
    /// What processes see of it at this instant.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state();
        let images = state.inodes.iter();
        let mut names = state.names.clone();
        names.commit();
        Snapshot {
            names,
            files: images
                .map(|(inode, data)| (*inode, data.after_crash()))
                .collect(),
        }
    }

    /// Puts everything of a snapshot on it, in place of what it held, as if it had always been there.
    pub fn begin_with(&self, snapshot: &Snapshot) {
        let mut state = self.state();
        state.names = snapshot.names.clone();
        let files = snapshot.files.iter();
        let inode = |(inode, image): (&u64, &Image)| (*inode, Inode::of_image(image.clone()));
        state.inodes = files.map(inode).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_of_a_snapshot_is_read_as_it_was() {
        let mut builder = Builder::new(Vec::new());
        let mut file = |path: &str, bytes: &[u8]| {
            let mut header = Header::new_gnu();
            header.set_mode(0o600);
            header.set_size(bytes.len() as u64);
            builder
                .append_data(&mut header, path, bytes)
                .expect("it is added");
        };
        file("data/base/1", &[7; 10_000]);
        file("data/PG_VERSION", b"15\n");
        file("empty", b"");
        let archive = builder.into_inner().expect("it is whole").leak();
        let first = Snapshot::from_tar(archive).expect("it is read");
        let written: &[u8] = first.to_tar().expect("it is written").leak();
        let second = Snapshot::from_tar(written).expect("it is read");
        assert_eq!(second.to_tar().expect("it is written"), written);
        let inode = second.names.find("data/base/1").expect("it is there");
        let mut bytes = vec![0; 10_000];
        second.files[&inode]
            .read(0, &mut bytes)
            .expect("it is so long");
        assert_eq!(bytes, [7; 10_000]);
    }

    #[test]
    fn absolute_and_relative_paths_lead_to_the_same_files() {
        let mut snapshot = Snapshot::of_files(&[("/data/a", b"1", 0o600)]).expect("it is made");
        snapshot.put("data/b", b"2", 0o600).expect("it is put");
        for path in ["data/a", "data/b"] {
            assert!(snapshot.names.find(path).is_some(), "{path}");
        }
        assert!(snapshot.put("data/../c", b"3", 0o600).is_err());
    }

    #[test]
    fn something_that_is_no_archive_is_refused() {
        assert!(Snapshot::from_tar(&[1; 2000]).is_err());
    }
}
