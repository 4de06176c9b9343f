//! One list of operations, carried out by Linux in a temporary folder and by the simulated file system.

#![allow(dead_code)]

use std::{
    collections::BTreeMap,
    fmt::Debug,
    fs::{File, TryLockError},
    io,
    os::fd::{AsFd, OwnedFd},
};

use libc::{O_CREAT, O_RDWR, SEEK_SET};
use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{self, AtFlags, FallocateFlags, FcntlArg, OFlag, RenameFlags},
    sys::{
        stat::{self, FileStat, Mode, SFlag, UtimensatFlags},
        statfs,
        time::TimeSpec,
        uio,
    },
    unistd::{self, AccessFlags, LinkatFlags, UnlinkatFlags, Whence},
};
use proptest::prelude::*;
use squall_files::{Lock, LockKind, OpenFile, SetTime, Stat};
use tempfile::TempDir;

use crate::machine::{Booted, booted};

/// A system call. Paths are relative to an empty folder, files are known by numbers.
#[derive(Clone, Debug)]
pub enum Op {
    Open(u8, String, i32, u32),
    OpenAt(u8, u8, String, i32),
    Dup(u8, u8),
    Close(u8),
    Read(u8, usize),
    Pread(u8, usize, i64),
    Write(u8, usize, u8),
    Pwrite(u8, usize, u8, i64),
    Seek(u8, i64, i32),
    Cut(u8, i64),
    Truncate(String, i64),
    Allocate(u8, i32, i64, i64),
    Sync(u8, bool),
    Copy(u8, Option<i64>, u8, Option<i64>, usize),
    Fstat(u8),
    /// Which times of a file are later than when it was last asked.
    Times(String),
    SetTimes(String, u64, u64),
    Stat(String),
    Lstat(String),
    Access(String, i32),
    Chmod(String, u32),
    Fchmod(u8, u32),
    Mkdir(String, u32),
    Mkfifo(String),
    Rmdir(String),
    Unlink(String),
    Rename(String, String, u32),
    Link(String, String, bool),
    Symlink(String, String),
    Readlink(String),
    List(String),
    /// Tries to lock a whole file: exclusively, shared, or not any more.
    Flock(u8, Option<bool>),
    /// `F_OFD_SETLK`: kind, start, length.
    SetLock(u8, i32, i64, i64),
    /// `F_OFD_GETLK`.
    GetLock(u8, i32, i64, i64),
}

/// What a call shows.
pub type Shown = String;

fn shown<T: Debug>(result: Result<T, Errno>) -> Shown {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(errno) => format!("{errno:?}"),
    }
}

/// What is the same on any file system of a `stat`: type and mode, names, and of a file its length and space.
fn stat_shown(mode: u32, nlink: u64, size: u64, blocks: u64) -> String {
    match mode & libc::S_IFMT {
        libc::S_IFREG => format!("{mode:o} {nlink} {size} {blocks}"),
        libc::S_IFLNK => format!("{mode:o} {nlink} {size}"),
        _ => format!("{mode:o} {nlink}"),
    }
}

/// Bytes, shortly: runs of the same byte.
fn bytes_shown(bytes: &[u8]) -> String {
    let runs = bytes.chunk_by(|a, b| a == b);
    let runs: Vec<String> = runs
        .map(|run| format!("{}*{}", run.len(), run[0]))
        .collect();
    format!("[{}]", runs.join(" "))
}

/// Linux.
pub struct Real {
    folder: TempDir,
    root: OwnedFd,
    files: BTreeMap<u8, File>,
    times: BTreeMap<String, [i64; 3]>,
}

impl Real {
    pub fn new() -> Real {
        stat::umask(Mode::from_bits_retain(0o022));
        let folder = TempDir::new().unwrap();
        // A folder around it: links may lead one up.
        std::fs::create_dir_all(folder.path().join("around/work")).unwrap();
        let root = File::open(folder.path().join("around/work"))
            .unwrap()
            .into();
        Real {
            folder,
            root,
            files: BTreeMap::new(),
            times: BTreeMap::new(),
        }
    }

    fn file(&self, number: u8) -> Result<&File, Errno> {
        self.files.get(&number).ok_or(Errno::EBADF)
    }

    fn stat_of(told: &FileStat) -> String {
        stat_shown(
            told.st_mode,
            told.st_nlink,
            told.st_size as u64,
            told.st_blocks as u64,
        )
    }

    fn stat(&self, path: &str, follow: bool) -> Result<FileStat, Errno> {
        let flags = if follow {
            AtFlags::empty()
        } else {
            AtFlags::AT_SYMLINK_NOFOLLOW
        };
        stat::fstatat(&self.root, path, flags)
    }

    fn open(&self, dir: impl AsFd, path: &str, flags: i32, mode: u32) -> Result<File, Errno> {
        let (flags, mode) = (OFlag::from_bits_retain(flags), Mode::from_bits_retain(mode));
        fcntl::openat(dir, path, flags | OFlag::O_CLOEXEC, mode).map(File::from)
    }

    /// Waits until a file that changes has another time than before.
    fn wait_for_a_tick(&self) -> Result<(), Errno> {
        let clock = self.open(&self.root, "../clock", NEW, 0o644)?;
        let tick = || {
            unistd::write(&clock, b"tick")?;
            let told = stat::fstat(&clock)?;
            Ok((told.st_mtime, told.st_mtime_nsec))
        };
        let before = tick()?;
        while tick()? == before {}
        Ok(())
    }

    pub fn run(&mut self, op: &Op) -> Shown {
        self.try_run(op)
            .unwrap_or_else(|errno| format!("{errno:?}"))
    }

    fn try_run(&mut self, op: &Op) -> Result<Shown, Errno> {
        let root = &self.root;
        Ok(match op {
            Op::Open(number, path, flags, mode) => {
                let file = self.open(root, path, *flags, *mode)?;
                self.files.insert(*number, file);
                "opened".to_owned()
            }
            Op::OpenAt(number, dir, path, flags) => {
                let file = self.open(self.file(*dir)?, path, *flags, 0o644)?;
                self.files.insert(*number, file);
                "opened".to_owned()
            }
            Op::Dup(from, to) => {
                let file = self.file(*from)?.try_clone().unwrap();
                self.files.insert(*to, file);
                "duplicated".to_owned()
            }
            Op::Close(number) => shown(self.files.remove(number).map(|_| ()).ok_or(Errno::EBADF)),
            Op::Read(number, n) => {
                let mut bytes = vec![0; *n];
                let n = unistd::read(self.file(*number)?, &mut bytes)?;
                bytes_shown(&bytes[..n])
            }
            Op::Pread(number, n, offset) => {
                let mut bytes = vec![0; *n];
                let n = uio::pread(self.file(*number)?, &mut bytes, *offset)?;
                bytes_shown(&bytes[..n])
            }
            Op::Write(number, n, byte) => {
                shown(unistd::write(self.file(*number)?, &vec![*byte; *n]))
            }
            Op::Pwrite(number, n, byte, offset) => {
                shown(uio::pwrite(self.file(*number)?, &vec![*byte; *n], *offset))
            }
            Op::Seek(number, offset, whence) => {
                let whence = match *whence {
                    libc::SEEK_SET => Whence::SeekSet,
                    libc::SEEK_CUR => Whence::SeekCur,
                    libc::SEEK_END => Whence::SeekEnd,
                    libc::SEEK_DATA => Whence::SeekData,
                    _ => Whence::SeekHole,
                };
                shown(unistd::lseek(self.file(*number)?, *offset, whence))
            }
            Op::Cut(number, len) => shown(unistd::ftruncate(self.file(*number)?, *len)),
            Op::Truncate(path, len) => shown(unistd::truncate(
                &self.folder.path().join("around/work").join(path),
                *len,
            )),
            Op::Allocate(number, mode, offset, len) => {
                let mode = FallocateFlags::from_bits_retain(*mode);
                shown(fcntl::fallocate(self.file(*number)?, mode, *offset, *len))
            }
            Op::Sync(number, true) => shown(unistd::fdatasync(self.file(*number)?)),
            Op::Sync(number, false) => shown(unistd::fsync(self.file(*number)?)),
            Op::Copy(from, at, to, to_at, n) => {
                let (mut at, mut to_at) = (*at, *to_at);
                let (from, to) = (self.file(*from)?, self.file(*to)?);
                let n = fcntl::copy_file_range(from, at.as_mut(), to, to_at.as_mut(), *n)?;
                format!("{n} {at:?} {to_at:?}")
            }
            Op::Fstat(number) => Self::stat_of(&stat::fstat(self.file(*number)?)?),
            Op::Times(path) => {
                let told = self.stat(path, false)?;
                self.wait_for_a_tick()?;
                let now = [
                    told.st_atime * 1_000_000_000 + told.st_atime_nsec,
                    told.st_mtime * 1_000_000_000 + told.st_mtime_nsec,
                    told.st_ctime * 1_000_000_000 + told.st_ctime_nsec,
                ];
                times_shown(&mut self.times, path, now)
            }
            Op::SetTimes(path, accessed, modified) => {
                let time = |ns: &u64| {
                    TimeSpec::new((ns / 1_000_000_000) as i64, (ns % 1_000_000_000) as i64)
                };
                let how = UtimensatFlags::FollowSymlink;
                stat::utimensat(root, path.as_str(), &time(accessed), &time(modified), how)?;
                let told = self.stat(path, true)?;
                format!(
                    "{} {} {} {}",
                    told.st_atime, told.st_atime_nsec, told.st_mtime, told.st_mtime_nsec
                )
            }
            Op::Stat(path) => Self::stat_of(&self.stat(path, true)?),
            Op::Lstat(path) => Self::stat_of(&self.stat(path, false)?),
            Op::Access(path, mode) => {
                let mode = AccessFlags::from_bits_retain(*mode);
                shown(unistd::faccessat(
                    root,
                    path.as_str(),
                    mode,
                    AtFlags::empty(),
                ))
            }
            Op::Chmod(path, mode) => {
                let mode = Mode::from_bits_retain(*mode);
                let how = stat::FchmodatFlags::FollowSymlink;
                shown(stat::fchmodat(root, path.as_str(), mode, how))
            }
            Op::Fchmod(number, mode) => shown(stat::fchmod(
                self.file(*number)?,
                Mode::from_bits_retain(*mode),
            )),
            Op::Mkdir(path, mode) => shown(stat::mkdirat(
                root,
                path.as_str(),
                Mode::from_bits_retain(*mode),
            )),
            Op::Mkfifo(path) => {
                let mode = Mode::from_bits_retain(0o644);
                shown(stat::mknodat(root, path.as_str(), SFlag::S_IFIFO, mode, 0))
            }
            Op::Rmdir(path) => shown(unistd::unlinkat(
                root,
                path.as_str(),
                UnlinkatFlags::RemoveDir,
            )),
            Op::Unlink(path) => shown(unistd::unlinkat(
                root,
                path.as_str(),
                UnlinkatFlags::NoRemoveDir,
            )),
            Op::Rename(from, to, flags) => {
                let flags = RenameFlags::from_bits_retain(*flags);
                shown(fcntl::renameat2(
                    root,
                    from.as_str(),
                    root,
                    to.as_str(),
                    flags,
                ))
            }
            Op::Link(from, to, follow) => {
                let flags = match follow {
                    true => LinkatFlags::AT_SYMLINK_FOLLOW,
                    false => LinkatFlags::empty(),
                };
                shown(unistd::linkat(
                    root,
                    from.as_str(),
                    root,
                    to.as_str(),
                    flags,
                ))
            }
            Op::Symlink(target, path) => {
                shown(unistd::symlinkat(target.as_str(), root, path.as_str()))
            }
            Op::Readlink(path) => shown(fcntl::readlinkat(root, path.as_str())),
            Op::List(path) => {
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
                let mut dir = Dir::openat(root, path.as_str(), flags, Mode::empty())?;
                let mut names: Vec<String> = dir
                    .iter()
                    .map(|entry| {
                        let entry = entry.unwrap();
                        format!("{:?} {:?}", entry.file_name(), entry.file_type())
                    })
                    .collect();
                names.sort();
                names.join(", ")
            }
            Op::Flock(number, how) => {
                let file = self.file(*number)?;
                let code = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap());
                let tried = |result| match result {
                    Ok(()) => Ok(()),
                    Err(TryLockError::WouldBlock) => Err(Errno::EAGAIN),
                    Err(TryLockError::Error(error)) => Err(code(error)),
                };
                shown(match how {
                    Some(true) => tried(file.try_lock()),
                    Some(false) => tried(file.try_lock_shared()),
                    None => file.unlock().map_err(code),
                })
            }
            Op::SetLock(number, kind, start, len) => {
                let lock = flock(*kind, *start, *len);
                shown(fcntl::fcntl(
                    self.file(*number)?,
                    FcntlArg::F_OFD_SETLK(&lock),
                ))
            }
            Op::GetLock(number, kind, start, len) => {
                let mut lock = flock(*kind, *start, *len);
                fcntl::fcntl(self.file(*number)?, FcntlArg::F_OFD_GETLK(&mut lock))?;
                format!(
                    "{} {} {} {} {}",
                    lock.l_type, lock.l_whence, lock.l_start, lock.l_len, lock.l_pid
                )
            }
        })
    }
}

fn flock(kind: i32, start: i64, len: i64) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: SEEK_SET as i16,
        l_start: start,
        l_len: len,
        l_pid: 0,
    }
}

fn times_shown(known: &mut BTreeMap<String, [i64; 3]>, path: &str, now: [i64; 3]) -> Shown {
    let before = known.insert(path.to_owned(), now).unwrap_or(now);
    let later = ["accessed", "modified", "changed"]
        .into_iter()
        .zip(before.into_iter().zip(now));
    let later: Vec<&str> = later
        .filter(|(_, (before, now))| before != now)
        .map(|(name, _)| name)
        .collect();
    later.join(" ")
}

/// The simulation.
pub struct Simulated {
    pub machine: Booted,
    files: BTreeMap<u8, OpenFile>,
    times: BTreeMap<String, [i64; 3]>,
}

impl From<squall_files::Errno> for Simulation {
    fn from(squall_files::Errno(code): squall_files::Errno) -> Self {
        Simulation(Errno::from_raw(code))
    }
}

/// An error of the simulation, by its name.
pub struct Simulation(Errno);

fn done(result: squall_files::Result<()>) -> Result<Shown, Simulation> {
    Ok(result.map(|()| "()".to_owned())?)
}

fn number<T: Debug>(result: squall_files::Result<T>) -> Result<Shown, Simulation> {
    Ok(result.map(|value| format!("{value:?}"))?)
}

impl Simulated {
    pub fn new() -> Simulated {
        let machine = booted(1);
        machine.process.mkdir(None, b"/around", 0o755).unwrap();
        machine.process.mkdir(None, b"/around/work", 0o755).unwrap();
        machine.process.chdir(b"/around/work").unwrap();
        Simulated {
            machine,
            files: BTreeMap::new(),
            times: BTreeMap::new(),
        }
    }

    /// Closes all files.
    pub fn close_all(&mut self) {
        self.files.clear();
    }

    fn file(&self, number: u8) -> squall_files::Result<&OpenFile> {
        self.files
            .get(&number)
            .ok_or(squall_files::Errno(libc::EBADF))
    }

    fn stat_of(told: &Stat) -> String {
        stat_shown(told.mode, told.nlink.into(), told.size, told.blocks)
    }

    pub fn run(&mut self, op: &Op) -> Shown {
        self.try_run(op)
            .unwrap_or_else(|Simulation(errno)| format!("{errno:?}"))
    }

    fn try_run(&mut self, op: &Op) -> Result<Shown, Simulation> {
        let process = &self.machine.process;
        Ok(match op {
            Op::Open(number, path, flags, mode) => {
                let file = process.open(None, path.as_bytes(), *flags, *mode)?;
                self.files.insert(*number, file);
                "opened".to_owned()
            }
            Op::OpenAt(number, dir, path, flags) => {
                let file = process.open(Some(self.file(*dir)?), path.as_bytes(), *flags, 0o644)?;
                self.files.insert(*number, file);
                "opened".to_owned()
            }
            Op::Dup(from, to) => {
                let file = self.file(*from)?.clone();
                self.files.insert(*to, file);
                "duplicated".to_owned()
            }
            Op::Close(number) => {
                self.file(*number)?;
                process.close(self.files.remove(number).unwrap());
                "()".to_owned()
            }
            Op::Read(number, n) => {
                let mut bytes = vec![0; *n];
                let n = self.file(*number)?.read(&mut bytes)?;
                bytes_shown(&bytes[..n])
            }
            Op::Pread(number, n, offset) => {
                let mut bytes = vec![0; *n];
                let n = self.file(*number)?.pread(&mut bytes, *offset)?;
                bytes_shown(&bytes[..n])
            }
            Op::Write(file, n, byte) => number(self.file(*file)?.write(&vec![*byte; *n]))?,
            Op::Pwrite(file, n, byte, offset) => {
                number(self.file(*file)?.pwrite(&vec![*byte; *n], *offset))?
            }
            Op::Seek(file, offset, whence) => number(self.file(*file)?.lseek(*offset, *whence))?,
            Op::Cut(file, len) => done(self.file(*file)?.truncate(*len))?,
            Op::Truncate(path, len) => done(process.truncate(path.as_bytes(), *len))?,
            Op::Allocate(file, mode, offset, len) => {
                done(self.file(*file)?.allocate(*mode, *offset, *len))?
            }
            Op::Sync(file, data_only) => done(self.file(*file)?.sync(*data_only))?,
            Op::Copy(from, at, to, to_at, n) => {
                let (mut at, mut to_at) = (*at, *to_at);
                let (from, to) = (self.file(*from)?, self.file(*to)?);
                let n = from.copy_range(at.as_mut(), to, to_at.as_mut(), *n, 0)?;
                format!("{n} {at:?} {to_at:?}")
            }
            Op::Fstat(number) => Self::stat_of(&self.file(*number)?.stat()?),
            Op::Times(path) => {
                let told = process.stat(None, path.as_bytes(), false)?;
                self.machine
                    .world
                    .pass(std::time::Duration::from_millis(10));
                let now = [told.atime_ns, told.mtime_ns, told.ctime_ns].map(|ns| ns as i64);
                times_shown(&mut self.times, path, now)
            }
            Op::SetTimes(path, accessed, modified) => {
                let times = [SetTime::At(*accessed), SetTime::At(*modified)];
                process.utimens(None, path.as_bytes(), true, times)?;
                let told = process.stat(None, path.as_bytes(), true)?;
                let of = |ns: u64| format!("{} {}", ns / 1_000_000_000, ns % 1_000_000_000);
                format!("{} {}", of(told.atime_ns), of(told.mtime_ns))
            }
            Op::Stat(path) => Self::stat_of(&process.stat(None, path.as_bytes(), true)?),
            Op::Lstat(path) => Self::stat_of(&process.stat(None, path.as_bytes(), false)?),
            Op::Access(path, mode) => done(process.access(None, path.as_bytes(), *mode))?,
            Op::Chmod(path, mode) => done(process.chmod(None, path.as_bytes(), *mode))?,
            Op::Fchmod(file, mode) => done(self.file(*file)?.chmod(*mode))?,
            Op::Mkdir(path, mode) => done(process.mkdir(None, path.as_bytes(), *mode))?,
            Op::Mkfifo(path) => done(process.mknod(None, path.as_bytes(), libc::S_IFIFO | 0o644))?,
            Op::Rmdir(path) => done(process.rmdir(None, path.as_bytes()))?,
            Op::Unlink(path) => done(process.unlink(None, path.as_bytes()))?,
            Op::Rename(from, to, flags) => {
                done(process.rename(None, from.as_bytes(), None, to.as_bytes(), *flags))?
            }
            Op::Link(from, to, follow) => {
                done(process.link(None, from.as_bytes(), *follow, None, to.as_bytes()))?
            }
            Op::Symlink(target, path) => {
                done(process.symlink(target.as_bytes(), None, path.as_bytes()))?
            }
            Op::Readlink(path) => {
                let target = process.readlink(None, path.as_bytes())?;
                format!("{:?}", String::from_utf8(target).unwrap())
            }
            Op::List(path) => {
                let flags = libc::O_RDONLY | libc::O_DIRECTORY;
                let dir = process.open(None, path.as_bytes(), flags, 0)?;
                let mut names = Vec::new();
                while let Some(entry) = dir.next_entry()? {
                    let name = std::ffi::CString::new(entry.name).unwrap();
                    let kind = match entry.kind {
                        libc::DT_REG => nix::dir::Type::File,
                        libc::DT_DIR => nix::dir::Type::Directory,
                        libc::DT_LNK => nix::dir::Type::Symlink,
                        libc::DT_FIFO => nix::dir::Type::Fifo,
                        other => panic!("{name:?} is a {other}"),
                    };
                    names.push(format!("{name:?} {:?}", Some(kind)));
                }
                names.sort();
                names.join(", ")
            }
            Op::Flock(file, how) => done(self.file(*file)?.flock(match how {
                Some(true) => libc::LOCK_EX | libc::LOCK_NB,
                Some(false) => libc::LOCK_SH | libc::LOCK_NB,
                None => libc::LOCK_UN,
            }))?,
            Op::SetLock(file, kind, start, len) => {
                self.file(*file)?
                    .set_lock(&lock(*kind, *start, *len), None)?;
                "0".to_owned()
            }
            Op::GetLock(file, kind, start, len) => {
                let lock = self
                    .file(*file)?
                    .get_lock(&lock(*kind, *start, *len), None)?;
                let kind = match lock.kind {
                    LockKind::Shared => libc::F_RDLCK,
                    LockKind::Exclusive => libc::F_WRLCK,
                    LockKind::None => libc::F_UNLCK,
                };
                format!(
                    "{kind} {} {} {} {}",
                    lock.whence, lock.start, lock.len, lock.pid
                )
            }
        })
    }
}

fn lock(kind: i32, start: i64, len: i64) -> Lock {
    let kind = match kind {
        libc::F_RDLCK => LockKind::Shared,
        libc::F_WRLCK => LockKind::Exclusive,
        _ => LockKind::None,
    };
    Lock {
        kind,
        whence: SEEK_SET,
        start,
        len,
        pid: 0,
    }
}

/// Carries out all operations on both. Returns the first that shows something else, with both. The real folder has to be
/// on ext4: others count space, or seek in directories, in ways of their own.
pub fn first_difference(ops: &[Op]) -> Option<String> {
    let (mut real, mut simulated) = (Real::new(), Simulated::new());
    let kind = statfs::fstatfs(&real.root).unwrap().filesystem_type();
    if kind != statfs::EXT4_SUPER_MAGIC {
        eprintln!("nothing to compare with: the temporary folder is not on ext4");
        return None;
    }
    ops.iter().enumerate().find_map(|(n, op)| {
        let (real, simulated) = (real.run(op), simulated.run(op));
        (real != simulated)
            .then(|| format!("{n}: {op:?}\n  Linux      {real}\n  simulation {simulated}"))
    })
}

/// The usual way to make a file.
pub const NEW: i32 = O_RDWR | O_CREAT;

/// Paths in a small tree.
pub fn path() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b"), Just("c"), Just("."), Just("..")];
    // Not out of the folder.
    prop_oneof![
        3 => prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(str::to_owned),
        3 => (prop_oneof![Just("a"), Just("b")], name).prop_map(|(dir, name)| format!("{dir}/{name}")),
        1 => Just(str::to_owned("a/b/c")),
        1 => Just(str::to_owned("b/")),
        1 => Just(str::to_owned("c/")),
    ]
}

/// Calls that change names.
pub fn names() -> impl Strategy<Value = Op> {
    let flags = prop_oneof![4 => Just(0u32), 1 => Just(libc::RENAME_NOREPLACE), 1 => Just(libc::RENAME_EXCHANGE)];
    prop_oneof![
        (path(), Just(0o755)).prop_map(|(path, mode)| Op::Mkdir(path, mode)),
        path().prop_map(Op::Rmdir),
        path().prop_map(Op::Unlink),
        (path(), path(), flags).prop_map(|(from, to, flags)| Op::Rename(from, to, flags)),
        (path(), path(), any::<bool>()).prop_map(|(from, to, follow)| Op::Link(from, to, follow)),
        (
            prop_oneof![Just("a"), Just("b"), Just("../c"), Just("c/")],
            path()
        )
            .prop_map(|(target, path)| Op::Symlink(target.to_owned(), path)),
    ]
}
