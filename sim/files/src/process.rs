//! The calls of a process that take a path.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use libc::{
    EACCES, EBUSY, EEXIST, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY, ENXIO,
    EPERM, EROFS, EXDEV, O_ACCMODE, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY,
    O_TMPFILE, O_TRUNC, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK, X_OK,
};
use squall_engine::disk::{Content, Onto, ROOT, Touch};

use crate::{
    context::{Context, Found, Last, Place},
    errno::{Errno, Result, fail},
    file_system::FileSystem,
    locks::Owner,
    machine::Program,
    open_file::{Object, OpenFile},
    pseudo::Pseudo,
    stat::{Stat, StatFs},
};

/// Flags that only say how a file is opened, and are not kept.
const OPENING: i32 = O_CREAT | O_EXCL | libc::O_NOCTTY | O_TRUNC | libc::O_CLOEXEC;

/// A time that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The present one (`UTIME_NOW`).
    Now,
    /// It stays (`UTIME_OMIT`).
    Omit,
    /// This one, in nanoseconds since the Unix epoch.
    At(u64),
}

/// What a process has of its machine's file system. With it end the range locks that it holds; its files are the kernel's
/// to close.
///
/// Where a call takes `dir`, relative paths begin there; none stands for the current directory.
pub struct Process {
    context: Arc<Context>,
    umask: AtomicU32,
}

impl Process {
    /// A process that starts on the machine, in its root directory.
    pub fn new(fs: &Arc<FileSystem>, program: Arc<dyn Program>) -> Process {
        Process {
            context: Context::new(fs.clone(), program, Place::Disk(ROOT)),
            umask: AtomicU32::new(0o022),
        }
    }

    /// A child: in the same directory, with the same umask, without locks.
    pub fn fork(&self, program: Arc<dyn Program>) -> Process {
        let directory = self.context.directory();
        Process {
            context: Context::new(self.context.fs.clone(), program, directory),
            umask: AtomicU32::new(self.umask.load(Relaxed)),
        }
    }

    /// Whose files it sees.
    pub fn file_system(&self) -> &Arc<FileSystem> {
        &self.context.fs
    }

    fn fs(&self) -> &FileSystem {
        &self.context.fs
    }

    fn now_ns(&self) -> u64 {
        self.fs().machine.now_ns()
    }

    fn resolve(&self, dir: Option<&OpenFile>, path: &[u8], last: Last) -> Result<Found> {
        let found = self.follow(dir, path, last)?;
        match &found.place {
            Some(place) if found.slash && !self.context.stat(place)?.is_directory() => {
                fail(ENOTDIR)
            }
            _ => Ok(found),
        }
    }

    /// As [`resolve`](Self::resolve), of a path that may end with a slash after something else than a directory.
    fn follow(&self, dir: Option<&OpenFile>, path: &[u8], last: Last) -> Result<Found> {
        self.context.alive()?;
        let start = match dir {
            Some(dir) if !path.starts_with(b"/") => {
                if !path.is_empty() && !dir.stat()?.is_directory() {
                    return fail(ENOTDIR);
                }
                dir.place().clone()
            }
            _ => self.context.directory(),
        };
        self.context.resolve(&start, path, last)
    }

    /// A name that is to be made, of a directory or of something else.
    fn vacant(&self, dir: Option<&OpenFile>, path: &[u8], directory: bool) -> Result<Found> {
        let found = self.follow(dir, path, Last::Name)?;
        match found.place {
            Some(_) => fail(EEXIST),
            None if found.slash && !directory => fail(ENOENT),
            None => Ok(found),
        }
    }

    fn place(&self, dir: Option<&OpenFile>, path: &[u8], follow: bool) -> Result<Place> {
        let last = if follow { Last::Followed } else { Last::Kept };
        self.resolve(dir, path, last)?.existing()
    }

    /// `umask`. Returns the one before.
    pub fn set_umask(&self, mask: u32) -> u32 {
        self.umask.swap(mask & 0o777, Relaxed)
    }

    fn masked(&self, mode: u32) -> u32 {
        mode & 0o7777 & !self.umask.load(Relaxed)
    }

    /// `openat`.
    pub fn open(
        &self,
        dir: Option<&OpenFile>,
        path: &[u8],
        flags: i32,
        mode: u32,
    ) -> Result<OpenFile> {
        if flags & O_PATH != 0 {
            let found = self.resolve(dir, path, last(flags & O_NOFOLLOW == 0))?;
            let place = found.existing()?;
            if flags & O_DIRECTORY != 0 && !self.context.stat(&place)?.is_directory() {
                return fail(ENOTDIR);
            }
            let _kept = match place {
                Place::Disk(inode) => Some(self.fs().disk.open_inode(inode)?),
                Place::Above(_) => None,
            };
            let object = Object::Path { _kept };
            return OpenFile::new(&self.context, object, place, flags & !OPENING);
        }
        let writes = flags & O_ACCMODE != O_RDONLY;
        if flags & O_TMPFILE == O_TMPFILE {
            return self.open_nameless(dir, path, flags, mode);
        }
        if flags & O_CREAT != 0 && flags & O_DIRECTORY != 0 {
            return fail(EINVAL);
        }
        let exclusive = flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL;
        let creates = flags & O_CREAT != 0;
        let last = match flags & O_NOFOLLOW == 0 {
            true if creates && !exclusive => Last::Created,
            true if !creates => Last::Followed,
            false if !creates => Last::Kept,
            _ => Last::Name,
        };
        let found = match creates {
            true => self.follow(dir, path, last)?,
            false => self.resolve(dir, path, last)?,
        };
        if creates && found.slash {
            return fail(EISDIR);
        }
        let Some(place) = found.place.clone() else {
            if !creates {
                return fail(ENOENT);
            }
            let (parent, name) = found.name()?;
            let (mode, now_ns) = (self.masked(mode), self.now_ns());
            let disk = &self.fs().disk;
            let inode = disk.make(parent, Some(name), Content::File, mode, now_ns)?;
            return self.opened(Place::Disk(inode), flags);
        };
        if exclusive {
            return fail(EEXIST);
        }
        let format = self.context.stat(&place)?.format();
        match format {
            libc::S_IFDIR if writes || flags & (O_CREAT | O_TRUNC) != 0 => fail(EISDIR),
            libc::S_IFDIR => self.opened(place, flags),
            _ if flags & O_DIRECTORY != 0 => fail(ENOTDIR),
            S_IFLNK => fail(ELOOP),
            S_IFIFO | S_IFSOCK => fail(ENXIO),
            _ => {
                let file = self.opened(place, flags)?;
                if flags & O_TRUNC != 0 && format == S_IFREG {
                    file.cut()?;
                }
                Ok(file)
            }
        }
    }

    fn opened(&self, place: Place, flags: i32) -> Result<OpenFile> {
        let writes = flags & O_ACCMODE != O_RDONLY;
        let is_directory = self.context.stat(&place)?.is_directory();
        let object = match &place {
            Place::Disk(inode) => {
                let handle = self.fs().disk.open_inode(*inode)?;
                match is_directory {
                    true => Object::Directory(Some(handle)),
                    false => Object::File(handle),
                }
            }
            Place::Above(_) if is_directory => Object::Directory(None),
            Place::Above(path) => match self.context.pseudo(path) {
                Some(Pseudo::Device(device)) => Object::Device(device),
                _ if writes => return fail(EROFS),
                Some(Pseudo::Text(bytes)) => Object::Bytes(bytes),
                _ => Object::Outside,
            },
        };
        OpenFile::new(&self.context, object, place, flags & !OPENING)
    }

    fn open_nameless(
        &self,
        dir: Option<&OpenFile>,
        path: &[u8],
        flags: i32,
        mode: u32,
    ) -> Result<OpenFile> {
        if flags & O_ACCMODE == O_RDONLY {
            return fail(EINVAL);
        }
        let Place::Disk(parent) = self.place(dir, path, true)? else {
            return fail(EROFS);
        };
        let disk = &self.fs().disk;
        disk.parent(parent)?;
        let (mode, now_ns) = (self.masked(mode), self.now_ns());
        let inode = disk.make(parent, None, Content::File, mode, now_ns)?;
        self.opened(Place::Disk(inode), flags & !(O_TMPFILE & !O_DIRECTORY))
    }

    /// Closes a descriptor, which ends the range locks of this process on its file, whatever other descriptors it has of
    /// it.
    pub fn close(&self, file: OpenFile) {
        file.end_locks_of(self.context.program.pid());
    }

    /// `stat`, or `lstat` unless `follow`.
    pub fn stat(&self, dir: Option<&OpenFile>, path: &[u8], follow: bool) -> Result<Stat> {
        let place = self.place(dir, path, follow)?;
        self.context.stat(&place)
    }

    /// `statfs`.
    pub fn statfs(&self, path: &[u8]) -> Result<StatFs> {
        self.place(None, path, true)?;
        Ok(self.fs().statfs())
    }

    /// `faccessat`: `F_OK`, or `R_OK`, `W_OK`, `X_OK` in any mixture.
    pub fn access(&self, dir: Option<&OpenFile>, path: &[u8], mode: i32) -> Result<()> {
        if mode & !0o7 != 0 {
            return fail(EINVAL);
        }
        let place = self.place(dir, path, true)?;
        let stat = self.context.stat(&place)?;
        let is_written = mode & libc::W_OK != 0 && stat.format() != libc::S_IFCHR;
        match place {
            Place::Above(_) if is_written => fail(EROFS),
            _ if mode & X_OK != 0 && !stat.is_directory() && stat.mode & 0o111 == 0 => fail(EACCES),
            _ => Ok(()),
        }
    }

    /// `mkdirat`.
    pub fn mkdir(&self, dir: Option<&OpenFile>, path: &[u8], mode: u32) -> Result<()> {
        let found = self.vacant(dir, path, true)?;
        let (parent, name) = found.name()?;
        let (mode, now_ns) = (self.masked(mode) & 0o1777, self.now_ns());
        let disk = &self.fs().disk;
        disk.make(parent, Some(name), Content::directory(), mode, now_ns)?;
        Ok(())
    }

    /// `mknodat`: an empty file, a pipe or a socket, by the `S_IFMT` bits of `mode`.
    pub fn mknod(&self, dir: Option<&OpenFile>, path: &[u8], mode: u32) -> Result<()> {
        let content = match mode & S_IFMT {
            0 | S_IFREG => Content::File,
            S_IFIFO | S_IFSOCK => Content::Special(mode & S_IFMT),
            _ => return fail(EPERM),
        };
        self.make(dir, path, content, self.masked(mode))
    }

    /// `symlinkat`.
    pub fn symlink(&self, target: &[u8], dir: Option<&OpenFile>, path: &[u8]) -> Result<()> {
        if target.is_empty() {
            return fail(ENOENT);
        }
        if target.len() >= 4096 {
            return fail(ENAMETOOLONG);
        }
        self.make(dir, path, Content::Link(target.to_vec()), 0o777)
    }

    fn make(&self, dir: Option<&OpenFile>, path: &[u8], content: Content, mode: u32) -> Result<()> {
        let found = self.vacant(dir, path, false)?;
        let (parent, name) = found.name()?;
        let now_ns = self.now_ns();
        self.fs()
            .disk
            .make(parent, Some(name), content, mode, now_ns)?;
        Ok(())
    }

    /// `linkat`; a link at the end of `path` is followed if `follow` (`AT_SYMLINK_FOLLOW`).
    pub fn link(
        &self,
        dir: Option<&OpenFile>,
        path: &[u8],
        follow: bool,
        new_dir: Option<&OpenFile>,
        new: &[u8],
    ) -> Result<()> {
        let place = self.place(dir, path, follow)?;
        self.link_place(&place, new_dir, new)
    }

    /// `linkat` of an open file (`AT_EMPTY_PATH`, or by its name in `/proc/self/fd`): gives one that has no name its
    /// first.
    pub fn link_file(&self, file: &OpenFile, dir: Option<&OpenFile>, path: &[u8]) -> Result<()> {
        self.link_place(file.place(), dir, path)
    }

    fn link_place(&self, place: &Place, dir: Option<&OpenFile>, path: &[u8]) -> Result<()> {
        let found = self.vacant(dir, path, false)?;
        let Place::Disk(inode) = place else {
            return fail(EXDEV);
        };
        let (parent, name) = found.name()?;
        Ok(self.fs().disk.link(*inode, parent, name, self.now_ns())?)
    }

    /// `unlinkat`.
    pub fn unlink(&self, dir: Option<&OpenFile>, path: &[u8]) -> Result<()> {
        let found = self.resolve(dir, path, Last::Name)?;
        if found.is_dots() {
            return fail(EISDIR);
        }
        self.remove(&found, false)
    }

    /// `unlinkat(AT_REMOVEDIR)`.
    pub fn rmdir(&self, dir: Option<&OpenFile>, path: &[u8]) -> Result<()> {
        let found = self.resolve(dir, path, Last::Name)?;
        match found.name.as_slice() {
            b"." if found.place == Some(Place::Disk(ROOT)) => fail(EBUSY),
            b"." => fail(EINVAL),
            b".." => fail(ENOTEMPTY),
            _ => self.remove(&found, true),
        }
    }

    fn remove(&self, found: &Found, directory: bool) -> Result<()> {
        if found.place.is_none() {
            return fail(ENOENT);
        }
        let (parent, name) = found.name()?;
        Ok(self
            .fs()
            .disk
            .unlink(parent, name, directory, self.now_ns())?)
    }

    /// `renameat2`: 0, `RENAME_NOREPLACE` or `RENAME_EXCHANGE`.
    pub fn rename(
        &self,
        dir: Option<&OpenFile>,
        path: &[u8],
        new_dir: Option<&OpenFile>,
        new: &[u8],
        flags: u32,
    ) -> Result<()> {
        let onto = match flags {
            0 => Onto::Replace,
            libc::RENAME_NOREPLACE => Onto::Nothing,
            libc::RENAME_EXCHANGE => Onto::Exchange,
            _ => return fail(EINVAL),
        };
        let from = self.follow(dir, path, Last::Name)?;
        let to = self.follow(new_dir, new, Last::Name)?;
        if from.is_dots() {
            return fail(EBUSY);
        }
        if to.is_dots() {
            return fail(if onto == Onto::Nothing { EEXIST } else { EBUSY });
        }
        let Some(place) = &from.place else {
            return fail(ENOENT);
        };
        match (&to.place, onto) {
            (Some(_), Onto::Nothing) => return fail(EEXIST),
            (None, Onto::Exchange) => return fail(ENOENT),
            (Some(other), Onto::Exchange)
                if to.slash && !self.context.stat(other)?.is_directory() =>
            {
                return fail(ENOTDIR);
            }
            _ => {}
        }
        let slash = from.slash || to.slash && onto != Onto::Exchange;
        if slash && !self.context.stat(place)?.is_directory() {
            return fail(ENOTDIR);
        }
        let (from, to) = (from.name()?, to.name()?);
        Ok(self.fs().disk.relocate(from, to, onto, self.now_ns())?)
    }

    /// `readlinkat`.
    pub fn readlink(&self, dir: Option<&OpenFile>, path: &[u8]) -> Result<Vec<u8>> {
        let place = match (dir, path) {
            (Some(file), b"") => file.place().clone(),
            _ => self.place(dir, path, false)?,
        };
        self.context.link_target(&place)
    }

    /// `fchmodat`.
    pub fn chmod(&self, dir: Option<&OpenFile>, path: &[u8], mode: u32) -> Result<()> {
        let (mode, changed) = (Some(mode & 0o7777), Some(self.now_ns()));
        self.touch(
            dir,
            path,
            true,
            Touch {
                mode,
                changed,
                ..Touch::default()
            },
        )
    }

    /// `utimensat`: the times of the last read and of the last change.
    pub fn utimens(
        &self,
        dir: Option<&OpenFile>,
        path: &[u8],
        follow: bool,
        times: [SetTime; 2],
    ) -> Result<()> {
        self.touch(dir, path, follow, self.times(times))
    }

    /// `futimens`.
    pub fn futimens(&self, file: &OpenFile, times: [SetTime; 2]) -> Result<()> {
        self.touch_place(file.place(), self.times(times))
    }

    fn times(&self, times: [SetTime; 2]) -> Touch {
        let now_ns = self.now_ns();
        let set = |time| match time {
            SetTime::Now => Some(now_ns),
            SetTime::Omit => None,
            SetTime::At(ns) => Some(ns),
        };
        let [accessed, modified] = times.map(set);
        let changed = accessed.or(modified).map(|_| now_ns);
        Touch {
            mode: None,
            accessed,
            modified,
            changed,
        }
    }

    fn touch(&self, dir: Option<&OpenFile>, path: &[u8], follow: bool, touch: Touch) -> Result<()> {
        let place = self.place(dir, path, follow)?;
        self.touch_place(&place, touch)
    }

    fn touch_place(&self, place: &Place, touch: Touch) -> Result<()> {
        match place {
            _ if touch == Touch::default() => Ok(()),
            Place::Disk(inode) => Ok(self.fs().disk.touch(*inode, touch)?),
            Place::Above(_) => fail(EROFS),
        }
    }

    /// `truncate`.
    pub fn truncate(&self, path: &[u8], len: i64) -> Result<()> {
        if len < 0 {
            return fail(EINVAL);
        }
        match self.open(None, path, libc::O_WRONLY, 0) {
            Ok(file) => file.truncate(len),
            Err(Errno(ENXIO)) => fail(EINVAL),
            Err(error) => Err(error),
        }
    }

    /// `chdir`.
    pub fn chdir(&self, path: &[u8]) -> Result<()> {
        let place = self.place(None, path, true)?;
        self.enter(place)
    }

    /// `fchdir`.
    pub fn fchdir(&self, dir: &OpenFile) -> Result<()> {
        self.context.alive()?;
        self.enter(dir.place().clone())
    }

    fn enter(&self, place: Place) -> Result<()> {
        if !self.context.stat(&place)?.is_directory() {
            return fail(ENOTDIR);
        }
        self.context.set_directory(place);
        Ok(())
    }

    /// `getcwd`.
    pub fn getcwd(&self) -> Result<Vec<u8>> {
        self.context.alive()?;
        let path = self.context.path_of(&self.context.directory());
        path.ok_or(Errno(ENOENT))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let (context, pid) = (&self.context, self.context.program.pid());
        context.fs.with_locks(context.generation, |locks| {
            locks.release(Owner::Process(pid), None);
        });
    }
}

fn last(follow: bool) -> Last {
    if follow { Last::Followed } else { Last::Kept }
}
