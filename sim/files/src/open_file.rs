//! An open file description: what descriptors and their duplicates stand for.

use std::{
    fmt,
    io::{IoSlice, IoSliceMut},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, Ordering::Relaxed},
    },
    time::Duration,
};

use libc::{
    EBADF, EFBIG, EINVAL, EISDIR, ENODEV, ENOSPC, ENOTDIR, ENXIO, EOPNOTSUPP, EOVERFLOW, EROFS,
    FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, O_ACCMODE, O_APPEND, O_DSYNC, O_NONBLOCK, O_RDONLY,
    O_SYNC, O_WRONLY, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET,
};
use squall_engine::disk::{Disk, FILE_LEN_MAX, Handle, Touch};

use crate::{
    context::{Context, Place},
    errno::{Errno, Result, fail},
    file_system::FileSystem,
    locks::{self, Owner},
    pseudo::Device,
    stat::{Stat, StatFs, shown_above},
};

/// Bytes that one call reads or writes at most.
const COUNT_MAX: usize = 0x7fff_f000;
/// Bytes that `copy_file_range` copies at most.
const COPY_MAX: usize = 1 << 20;
/// `relatime`: the time of the last read is written again after a day.
const DAY_NS: u64 = 24 * 60 * 60 * 1_000_000_000;
/// What `fcntl(F_SETFL)` can change.
const SETTABLE: i32 = O_APPEND | O_NONBLOCK | libc::O_NOATIME | libc::O_DIRECT;

/// What an operation is that takes time on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `fsync`, `fdatasync`, `sync`.
    Sync,
    /// Any form of `write`.
    Write,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its inode.
    pub ino: u64,
    /// Where the directory is read on after it.
    pub next: i64,
    /// Its type: `DT_*`.
    pub kind: u8,
    /// Its name.
    pub name: Vec<u8>,
}

/// Of which kind a range lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// `F_RDLCK`.
    Shared,
    /// `F_WRLCK`.
    Exclusive,
    /// `F_UNLCK`.
    None,
}

/// A range lock, as `struct flock` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Its kind.
    pub kind: LockKind,
    /// What `start` counts from: `SEEK_SET`, `SEEK_CUR` or `SEEK_END`.
    pub whence: i32,
    /// Its first byte.
    pub start: i64,
    /// How many bytes; 0: up to the end however far it moves; less than 0: that many before `start`.
    pub len: i64,
    /// Who holds it, where that was asked: a process, or -1 for an open file description.
    pub pid: i32,
}

/// An open file description. A clone is what `dup` makes: it shares offset, flags and locks. Without any left, its `flock`
/// and `F_OFD_*` locks end.
#[derive(Clone)]
pub struct OpenFile(Arc<Description>);

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, flags) = (&self.0.place, self.flags());
        write!(f, "{place:?}, flags {flags:#o}")
    }
}

pub(crate) enum Object {
    File(Handle),
    /// The handle keeps a directory of the disk there, if only for itself.
    Directory(Option<Handle>),
    /// Bytes that were there when it was opened.
    Bytes(Arc<[u8]>),
    /// A file of the real machine.
    Outside,
    Device(Device),
    /// `O_PATH`. What it keeps there is the reason for the handle.
    Path {
        _kept: Option<Handle>,
    },
}

struct Description {
    context: Arc<Context>,
    object: Object,
    place: Place,
    /// Of what is not on the disk, as it was when it was opened.
    stat: Stat,
    flags: AtomicI32,
    id: u64,
    state: Mutex<Reading>,
}

/// Where a description is.
#[derive(Default)]
struct Reading {
    offset: u64,
    /// The directory as it was when its reading began.
    listing: Option<Vec<(Vec<u8>, u64, u8)>>,
}

impl OpenFile {
    pub(crate) fn new(
        context: &Arc<Context>,
        object: Object,
        place: Place,
        flags: i32,
    ) -> Result<OpenFile> {
        let stat = context.stat(&place)?;
        Ok(OpenFile(Arc::new(Description {
            context: context.clone(),
            object,
            place,
            stat,
            flags: AtomicI32::new(flags),
            id: context.fs.next_description(),
            state: Mutex::default(),
        })))
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    fn fs(&self) -> &FileSystem {
        &self.0.context.fs
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ns(&self) -> u64 {
        self.fs().machine.now_ns()
    }

    /// The status flags and the access mode: `fcntl(F_GETFL)`.
    pub fn flags(&self) -> i32 {
        self.0.flags.load(Relaxed)
    }

    /// `fcntl(F_SETFL)`.
    pub fn set_flags(&self, flags: i32) {
        let kept = self.flags() & !SETTABLE;
        self.0.flags.store(kept | flags & SETTABLE, Relaxed);
    }

    /// Whether two are one description, duplicates of each other.
    pub fn is_duplicate_of(&self, other: &OpenFile) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether it is a regular file or a directory, which are always ready and are nothing for `epoll`.
    pub fn is_device(&self) -> bool {
        matches!(self.0.object, Object::Device(_))
    }

    /// The disk and the inode of a regular file, whose pages memory can show.
    pub fn on_disk(&self) -> Option<(&Arc<Disk>, u64)> {
        match &self.0.object {
            Object::File(handle) => Some((&self.fs().disk, handle.inode())),
            _ => None,
        }
    }

    /// The same file opened anew, as through `/proc/self/fd`: with flags and an offset of its own.
    pub fn reopen(&self, flags: i32) -> Result<OpenFile> {
        let disk = &self.fs().disk;
        let open = |handle: &Handle| disk.open_inode(handle.inode());
        let writes = flags & O_ACCMODE != O_RDONLY;
        let object = match &self.0.object {
            Object::Directory(_) if writes => return fail(EISDIR),
            Object::File(handle) => Object::File(open(handle)?),
            Object::Directory(handle) => Object::Directory(handle.as_ref().map(open).transpose()?),
            Object::Bytes(_) | Object::Outside if writes => return fail(EROFS),
            Object::Outside => Object::Outside,
            Object::Bytes(bytes) => Object::Bytes(bytes.clone()),
            Object::Device(device) => Object::Device(*device),
            Object::Path { .. } => return fail(ENXIO),
        };
        OpenFile::new(&self.0.context, object, self.0.place.clone(), flags)
    }

    /// The path of the file of the real machine that it is, if it is one.
    pub fn real_path(&self) -> Option<&[u8]> {
        match (&self.0.object, &self.0.place) {
            (Object::Outside, Place::Above(path)) => Some(path),
            _ => None,
        }
    }

    fn is_path(&self) -> bool {
        matches!(self.0.object, Object::Path { .. })
    }

    fn reads(&self) -> Result<()> {
        match self.is_path() || self.flags() & O_ACCMODE == O_WRONLY {
            true => fail(EBADF),
            false => Ok(()),
        }
    }

    fn writes(&self) -> Result<()> {
        match self.is_path() || self.flags() & O_ACCMODE == O_RDONLY {
            true => fail(EBADF),
            false => Ok(()),
        }
    }

    /// `read`.
    pub fn read(&self, out: &mut [u8]) -> Result<usize> {
        let mut reading = self.reading();
        let n = self.read_at(reading.offset, out)?;
        reading.offset += n as u64;
        Ok(n)
    }

    /// `pread`.
    pub fn pread(&self, out: &mut [u8], offset: i64) -> Result<usize> {
        self.read_at(positive(offset)?, out)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<usize> {
        self.reads()?;
        let len = out.len().min(COUNT_MAX);
        let out = &mut out[..len];
        match &self.0.object {
            Object::File(handle) => {
                let n = handle.read_at(offset, out)?;
                if !out.is_empty() && self.flags() & libc::O_NOATIME == 0 {
                    self.accessed(handle)?;
                }
                Ok(n)
            }
            Object::Directory(_) => fail(EISDIR),
            Object::Bytes(bytes) => {
                let rest = &bytes[bytes.len().min(offset as usize)..];
                let n = rest.len().min(out.len());
                out[..n].copy_from_slice(&rest[..n]);
                Ok(n)
            }
            Object::Outside => match &self.0.place {
                Place::Above(path) => self.0.context.read_outside(path, offset, out),
                Place::Disk(_) => fail(libc::EIO),
            },
            Object::Device(Device::Null) => Ok(0),
            Object::Device(Device::Zero | Device::Full) => {
                out.fill(0);
                Ok(out.len())
            }
            Object::Device(Device::Random | Device::Urandom) => {
                self.fs().machine.random(out);
                Ok(out.len())
            }
            Object::Path { .. } => fail(EBADF),
        }
    }

    /// Notes the time of a read as `relatime` does: if the file has changed since the last, or after a day.
    fn accessed(&self, handle: &Handle) -> Result<()> {
        let (disk, now_ns) = (&self.fs().disk, self.now_ns());
        let told = disk.attributes(handle.inode())?;
        let is_due = told.accessed <= told.modified
            || told.accessed <= told.changed
            || now_ns.saturating_sub(told.accessed) >= DAY_NS;
        if is_due && told.accessed != now_ns {
            let accessed = Some(now_ns);
            disk.touch(
                handle.inode(),
                Touch {
                    accessed,
                    ..Touch::default()
                },
            )?;
        }
        Ok(())
    }

    fn modified(&self, handle: &Handle) -> Result<()> {
        let now_ns = Some(self.now_ns());
        let (modified, changed) = (now_ns, now_ns);
        let touch = Touch {
            modified,
            changed,
            ..Touch::default()
        };
        Ok(self.fs().disk.touch(handle.inode(), touch)?)
    }

    /// `write`.
    pub fn write(&self, data: &[u8]) -> Result<usize> {
        let mut reading = self.reading();
        let (n, end) = self.write_at(reading.offset, data)?;
        reading.offset = end;
        Ok(n)
    }

    /// `pwrite`. With `O_APPEND` it appends all the same, as on Linux.
    pub fn pwrite(&self, data: &[u8], offset: i64) -> Result<usize> {
        Ok(self.write_at(positive(offset)?, data)?.0)
    }

    /// Returns how much was written, and where that ends.
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(usize, u64)> {
        self.writes()?;
        let data = &data[..data.len().min(COUNT_MAX)];
        match &self.0.object {
            Object::File(_) if data.is_empty() => Ok((0, offset)),
            Object::File(handle) => {
                let append = self.flags() & O_APPEND != 0;
                let offset = if append { handle.len()? } else { offset };
                if offset >= FILE_LEN_MAX {
                    return fail(EFBIG);
                }
                let room = (FILE_LEN_MAX - offset).min(data.len() as u64) as usize;
                let n = handle.write_at(offset, &data[..room])?;
                self.modified(handle)?;
                if self.flags() & O_DSYNC != 0 {
                    handle.sync(self.flags() & O_SYNC != O_SYNC)?;
                }
                Ok((n, offset + n as u64))
            }
            Object::Device(Device::Full) if !data.is_empty() => fail(ENOSPC),
            Object::Device(_) => Ok((data.len(), offset)),
            _ => fail(EBADF),
        }
    }

    /// `readv`.
    pub fn readv(&self, out: &mut [IoSliceMut<'_>]) -> Result<usize> {
        scattered(out, |bytes| self.read(bytes))
    }

    /// `preadv`.
    pub fn preadv(&self, out: &mut [IoSliceMut<'_>], offset: i64) -> Result<usize> {
        scattered(out, |bytes| self.pread(bytes, offset))
    }

    /// `writev`.
    pub fn writev(&self, data: &[IoSlice<'_>]) -> Result<usize> {
        self.write(&gathered(data))
    }

    /// `pwritev`.
    pub fn pwritev(&self, data: &[IoSlice<'_>], offset: i64) -> Result<usize> {
        self.pwrite(&gathered(data), offset)
    }

    /// `lseek`.
    pub fn lseek(&self, offset: i64, whence: i32) -> Result<u64> {
        let mut reading = self.reading();
        let at = match (&self.0.object, whence) {
            (Object::Path { .. }, _) => return fail(EBADF),
            (Object::Device(_), _) => 0,
            (_, SEEK_SET) => positive(offset)?,
            (_, SEEK_CUR) => moved(reading.offset, offset)?,
            (Object::Directory(_), SEEK_END) => moved(i64::MAX as u64, offset)?,
            (_, SEEK_END) => moved(self.len()?, offset)?,
            (Object::Directory(_), SEEK_DATA) => positive(offset).or(fail(ENXIO))?,
            (Object::Directory(_), SEEK_HOLE) => {
                positive(offset).map(|_| i64::MAX as u64).or(fail(ENXIO))?
            }
            (object, SEEK_DATA | SEEK_HOLE) => {
                let (offset, data) = (positive(offset).or(fail(ENXIO))?, whence == SEEK_DATA);
                let found = match object {
                    Object::File(handle) => handle.next(offset, data)?,
                    _ => {
                        let len = self.len()?;
                        (offset < len).then_some(if data { offset } else { len })
                    }
                };
                found.ok_or(Errno(ENXIO))?
            }
            _ => return fail(EINVAL),
        };
        if matches!(self.0.object, Object::File(_)) && at > FILE_LEN_MAX {
            return fail(EINVAL);
        }
        reading.offset = at;
        if at == 0 {
            reading.listing = None;
        }
        Ok(at)
    }

    fn len(&self) -> Result<u64> {
        match &self.0.object {
            Object::File(handle) => Ok(handle.len()?),
            Object::Bytes(bytes) => Ok(bytes.len() as u64),
            _ => Ok(0),
        }
    }

    /// How long this operation takes. To be asked once for each, before it is carried out.
    pub fn latency(&self, operation: Operation) -> Duration {
        let waits = match (&self.0.object, operation) {
            (Object::File(_) | Object::Directory(Some(_)), Operation::Sync) => true,
            (Object::File(_), Operation::Write) => self.flags() & O_DSYNC != 0,
            _ => false,
        };
        match waits {
            true => self.fs().sync_latency(),
            false => Duration::ZERO,
        }
    }

    /// `fsync`, or `fdatasync` if `data_only`.
    pub fn sync(&self, data_only: bool) -> Result<()> {
        match &self.0.object {
            Object::File(handle) | Object::Directory(Some(handle)) => Ok(handle.sync(data_only)?),
            Object::Directory(None) | Object::Bytes(_) | Object::Outside => Ok(()),
            Object::Device(_) => fail(EINVAL),
            Object::Path { .. } => fail(EBADF),
        }
    }

    /// `ftruncate`.
    pub fn truncate(&self, len: i64) -> Result<()> {
        if self.is_path() {
            return fail(EBADF);
        }
        let len = positive(len)?;
        let Object::File(handle) = &self.0.object else {
            return fail(EINVAL);
        };
        self.writes().or(fail(EINVAL))?;
        handle.set_len(len)?;
        self.modified(handle)
    }

    /// `O_TRUNC`, which asks for no right to write.
    pub(crate) fn cut(&self) -> Result<()> {
        let Object::File(handle) = &self.0.object else {
            return Ok(());
        };
        if !handle.is_empty()? {
            handle.set_len(0)?;
        }
        self.modified(handle)
    }

    /// `fallocate`: mode 0, `FALLOC_FL_KEEP_SIZE`, and with that `FALLOC_FL_PUNCH_HOLE`.
    pub fn allocate(&self, mode: i32, offset: i64, len: i64) -> Result<()> {
        self.writes()?;
        if offset < 0 || len <= 0 {
            return fail(EINVAL);
        }
        let known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
        if mode & !known != 0 || mode == FALLOC_FL_PUNCH_HOLE {
            return fail(EOPNOTSUPP);
        }
        let handle = match &self.0.object {
            Object::File(handle) => handle,
            Object::Device(_) => return fail(ENODEV),
            _ => return fail(EBADF),
        };
        let end = offset.checked_add(len).ok_or(Errno(EFBIG))?;
        let range = offset as u64..end as u64;
        match mode & FALLOC_FL_PUNCH_HOLE != 0 {
            true => handle.punch(range)?,
            false => handle.allocate(range, mode & FALLOC_FL_KEEP_SIZE == 0)?,
        }
        self.modified(handle)
    }

    /// `copy_file_range`. An offset that is given is moved on in place of the description's own. May copy less than it is
    /// asked to.
    pub fn copy_range(
        &self,
        from: Option<&mut i64>,
        to: &OpenFile,
        to_offset: Option<&mut i64>,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        if flags != 0 {
            return fail(EINVAL);
        }
        for file in [self, to] {
            match &file.0.object {
                Object::File(_) => {}
                Object::Directory(_) => return fail(EISDIR),
                Object::Path { .. } => return fail(EBADF),
                _ => return fail(EINVAL),
            }
        }
        self.reads()?;
        to.writes()?;
        if to.flags() & O_APPEND != 0 {
            return fail(EBADF);
        }
        let start = match &from {
            Some(offset) => positive(**offset).or(fail(EOVERFLOW))?,
            None => self.reading().offset,
        };
        let target = match &to_offset {
            Some(offset) => positive(**offset).or(fail(EOVERFLOW))?,
            None => to.reading().offset,
        };
        let left = self.len()?.saturating_sub(start);
        let len = len.min(COPY_MAX).min(left as usize);
        let overlap = start < target + len as u64 && target < start + len as u64;
        if self.0.place == to.0.place && overlap {
            return fail(EINVAL);
        }
        let mut bytes = vec![0; len];
        let n = self.read_at(start, &mut bytes)?;
        let (n, _) = to.write_at(target, &bytes[..n])?;
        match from {
            Some(offset) => *offset += n as i64,
            None => self.reading().offset += n as u64,
        }
        match to_offset {
            Some(offset) => *offset += n as i64,
            None => to.reading().offset += n as u64,
        }
        Ok(n)
    }

    /// `fstat`.
    pub fn stat(&self) -> Result<Stat> {
        match self.0.place {
            Place::Disk(_) => self.0.context.stat(&self.0.place),
            Place::Above(_) => Ok(self.0.stat),
        }
    }

    /// `fstatfs`.
    pub fn statfs(&self) -> StatFs {
        self.fs().statfs()
    }

    /// `fchmod`.
    pub fn chmod(&self, mode: u32) -> Result<()> {
        if self.is_path() {
            return fail(EBADF);
        }
        let Place::Disk(inode) = self.0.place else {
            return fail(EROFS);
        };
        let (mode, changed) = (Some(mode & 0o7777), Some(self.now_ns()));
        let touch = Touch {
            mode,
            changed,
            ..Touch::default()
        };
        Ok(self.fs().disk.touch(inode, touch)?)
    }

    /// The next entry of a directory; none at its end.
    pub fn next_entry(&self) -> Result<Option<Entry>> {
        let entry = self.entry()?;
        if let Some(entry) = &entry {
            self.reading().offset = entry.next as u64;
        }
        Ok(entry)
    }

    fn entry(&self) -> Result<Option<Entry>> {
        match self.0.object {
            Object::Directory(_) => {}
            Object::Path { .. } => return fail(EBADF),
            _ => return fail(ENOTDIR),
        }
        let mut reading = self.reading();
        if reading.listing.is_none() {
            reading.listing = Some(self.0.context.list(&self.0.place)?);
        }
        let at = usize::try_from(reading.offset).unwrap_or(usize::MAX);
        let found = reading.listing.iter().flatten().nth(at);
        Ok(found.map(|(name, ino, kind)| Entry {
            ino: *ino,
            next: at as i64 + 1,
            kind: *kind,
            name: name.clone(),
        }))
    }

    /// `getdents64`: fills `out` with as many `struct linux_dirent64` as fit. Returns their bytes; 0 at the end.
    pub fn getdents(&self, out: &mut [u8]) -> Result<usize> {
        let mut at = 0;
        while let Some(entry) = self.entry()? {
            let bytes = encoded(&entry);
            let Some(room) = out.get_mut(at..at + bytes.len()) else {
                return if at == 0 { fail(EINVAL) } else { Ok(at) };
            };
            room.copy_from_slice(&bytes);
            at += bytes.len();
            self.reading().offset = entry.next as u64;
        }
        Ok(at)
    }

    /// `flock`: `LOCK_SH`, `LOCK_EX` or `LOCK_UN`. Never waits: `EAGAIN` means that somebody else has it, whether or not
    /// `LOCK_NB` is given.
    pub fn flock(&self, operation: i32) -> Result<()> {
        if self.is_path() {
            return fail(EBADF);
        }
        let exclusive = match operation & !libc::LOCK_NB {
            libc::LOCK_EX => Some(true),
            libc::LOCK_SH => Some(false),
            libc::LOCK_UN => None,
            _ => return fail(EINVAL),
        };
        let (inode, id) = (lock_key(&self.0.place), self.0.id);
        self.with_locks(|locks| match exclusive {
            Some(exclusive) => locks.lock_file(inode, id, exclusive),
            None => {
                locks.unlock_file(inode, id);
                Ok(())
            }
        })
    }

    fn with_locks<T>(&self, locked: impl FnOnce(&mut locks::Locks) -> Result<T>) -> Result<T> {
        let context = &self.0.context;
        let done = context.fs.with_locks(context.generation, locked);
        done.unwrap_or(fail(libc::EIO))
    }

    /// `fcntl(F_SETLK)` of a process, or `F_OFD_SETLK` if `pid` is none. Never waits: `EAGAIN` means that somebody else
    /// has a part of it.
    pub fn set_lock(&self, lock: &Lock, pid: Option<i32>) -> Result<()> {
        let range = self.range(lock, pid)?;
        match lock.kind {
            LockKind::Shared => self.reads()?,
            LockKind::Exclusive => self.writes()?,
            LockKind::None => {}
        }
        let inode = lock_key(&self.0.place);
        self.with_locks(|locks| match lock.kind {
            LockKind::None => {
                locks.unlock_range(inode, &range);
                Ok(())
            }
            _ => locks.lock_range(inode, range),
        })
    }

    /// `fcntl(F_GETLK)` of a process, or `F_OFD_GETLK` if `pid` is none: a lock that is in the way, or `lock` as none.
    /// A description that asks about `F_UNLCK` is told what it has itself.
    pub fn get_lock(&self, lock: &Lock, pid: Option<i32>) -> Result<Lock> {
        let asks_own = lock.kind == LockKind::None;
        if asks_own && pid.is_some() {
            return fail(EINVAL);
        }
        let range = self.range(lock, pid)?;
        let inode = lock_key(&self.0.place);
        let found = self.with_locks(|locks| {
            Ok(match asks_own {
                true => locks.own(inode, &range),
                false => locks.conflict(inode, &range),
            })
        })?;
        let Some(found) = found else {
            return Ok(Lock {
                kind: LockKind::None,
                ..*lock
            });
        };
        let endless = found.last == i64::MAX as u64;
        Ok(Lock {
            kind: match found.exclusive {
                true => LockKind::Exclusive,
                false => LockKind::Shared,
            },
            whence: SEEK_SET,
            start: found.first as i64,
            len: match endless {
                true => 0,
                false => (found.last - found.first + 1) as i64,
            },
            pid: match found.owner {
                Owner::Process(pid) => pid,
                Owner::Description(_) => -1,
            },
        })
    }

    fn range(&self, lock: &Lock, pid: Option<i32>) -> Result<locks::Range> {
        if self.is_path() {
            return fail(EBADF);
        }
        if pid.is_none() && lock.pid != 0 {
            return fail(EINVAL);
        }
        let base = match lock.whence {
            SEEK_SET => 0,
            SEEK_CUR => self.reading().offset,
            SEEK_END => self.stat()?.size,
            _ => return fail(EINVAL),
        };
        let start = (base as i64)
            .checked_add(lock.start)
            .ok_or(Errno(EOVERFLOW))?;
        let (first, last) = match lock.len {
            0 => (start, i64::MAX),
            len if len > 0 => (start, start.checked_add(len - 1).ok_or(Errno(EOVERFLOW))?),
            len => (start.checked_add(len).ok_or(Errno(EINVAL))?, start - 1),
        };
        if first < 0 {
            return fail(EINVAL);
        }
        Ok(locks::Range {
            owner: pid.map_or(Owner::Description(self.0.id), Owner::Process),
            exclusive: lock.kind == LockKind::Exclusive,
            first: first as u64,
            last: last as u64,
        })
    }

    /// Ends the range locks that a process has on this file, as closing any of its descriptors does.
    pub(crate) fn end_locks_of(&self, pid: i32) {
        let inode = lock_key(&self.0.place);
        let context = &self.0.context;
        context.fs.with_locks(context.generation, |locks| {
            locks.release(Owner::Process(pid), Some(inode));
        });
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        let inode = lock_key(&self.place);
        self.context
            .fs
            .with_locks(self.context.generation, |locks| {
                locks.unlock_file(inode, self.id);
                locks.release(Owner::Description(self.id), Some(inode));
            });
    }
}

/// What locks are kept by: inodes, and what stands for them of files that are not on the disk.
fn lock_key(place: &Place) -> u64 {
    match place {
        Place::Disk(inode) => *inode,
        Place::Above(path) => u64::MAX ^ shown_above(path),
    }
}

/// An offset, which is not less than 0.
fn positive(offset: i64) -> Result<u64> {
    u64::try_from(offset).or(fail(EINVAL))
}

fn moved(base: u64, by: i64) -> Result<u64> {
    positive((base as i64).checked_add(by).ok_or(Errno(EINVAL))?)
}

fn gathered(data: &[IoSlice<'_>]) -> Vec<u8> {
    data.iter().flat_map(|part| part.iter().copied()).collect()
}

fn scattered(
    out: &mut [IoSliceMut<'_>],
    read: impl FnOnce(&mut [u8]) -> Result<usize>,
) -> Result<usize> {
    let mut bytes = vec![0; out.iter().map(|part| part.len()).sum()];
    let n = read(&mut bytes)?;
    let mut rest = &bytes[..n];
    for part in out {
        let (now, later) = rest.split_at(rest.len().min(part.len()));
        part[..now.len()].copy_from_slice(now);
        rest = later;
    }
    Ok(n)
}

/// `struct linux_dirent64`.
fn encoded(entry: &Entry) -> Vec<u8> {
    let len = (19 + entry.name.len() + 1).next_multiple_of(8);
    let mut bytes = Vec::with_capacity(len);
    bytes.extend(entry.ino.to_ne_bytes());
    bytes.extend(entry.next.to_ne_bytes());
    bytes.extend((len as u16).to_ne_bytes());
    bytes.push(entry.kind);
    bytes.extend(&entry.name);
    bytes.resize(len, 0);
    bytes
}
