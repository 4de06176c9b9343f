//! Files, over the file system of the node.

use std::{io::IoSlice, os::unix::ffi::OsStrExt, sync::Arc, time::Duration};

use squall_core::seed::Stream as Rng;
use squall_engine::Node;
use squall_files::{
    FileSystem, Lock, LockKind, Machine, OpenFile, Operation, Outside, Process as Files, Program,
    SetTime, Stat, StatFs,
};

use super::{Answer, Errno, Kernel, Wait, address, object::Kind, outside::RealMachine};
use crate::cpu::{Call, Executable, Mapping, Tid};

impl From<squall_files::Errno> for Errno {
    fn from(error: squall_files::Errno) -> Self {
        Errno(error.0)
    }
}

/// What the file system asks of the node.
struct Here {
    node: Node,
    entropy: std::sync::Mutex<Rng>,
    /// Executables see themselves, their libraries and what belongs to them.
    outside: Option<RealMachine>,
    /// Whose the files are.
    owner: (u32, u32),
}

impl Machine for Here {
    fn now_ns(&self) -> u64 {
        self.node.wall_ns()
    }

    fn random(&self, out: &mut [u8]) {
        let mut entropy = self
            .entropy
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&entropy.bits().to_ne_bytes()[..chunk.len()]);
        }
    }

    fn hostname(&self) -> String {
        self.node.name().to_owned()
    }

    fn hosts(&self) -> Vec<(String, String)> {
        let names = self.node.machines().into_iter().map(|(_, name)| name);
        // One of several words would be several names.
        let names = names.filter(|name| !name.contains(char::is_whitespace));
        let with_address = |name: String| {
            let machine = self.node.find(&name)?;
            Some((address::of_node(machine).to_string(), name))
        };
        names.filter_map(with_address).collect()
    }

    fn processors(&self) -> usize {
        super::PROCESSORS
    }

    fn owner(&self) -> (u32, u32) {
        self.owner
    }

    fn outside(&self) -> Option<&dyn Outside> {
        let outside = self.outside.as_ref();
        outside.map(|machine| machine as &dyn Outside)
    }
}

/// What `/proc/self` tells of a process.
pub(super) struct This {
    pub pid: i32,
    pub executable: Option<Arc<Executable>>,
}

impl Program for This {
    fn pid(&self) -> i32 {
        self.pid
    }

    fn exe(&self) -> Vec<u8> {
        match &self.executable {
            Some(executable) => executable.file.as_os_str().as_bytes().to_vec(),
            None => b"/usr/bin/program".to_vec(),
        }
    }

    fn args(&self) -> Vec<Vec<u8>> {
        match &self.executable {
            Some(executable) => executable.arguments.clone(),
            None => vec![self.exe()],
        }
    }

    fn environment(&self) -> Vec<Vec<u8>> {
        let executable = self.executable.as_ref();
        executable
            .map(|it| it.environment.clone())
            .unwrap_or_default()
    }
}

/// A process's view of its node's files.
pub(super) fn of_process(node: &Node, pid: i32, executable: Option<Arc<Executable>>) -> Files {
    let machine = Here {
        node: node.clone(),
        entropy: node.stream("entropy of devices").into(),
        outside: executable.as_ref().map(|it| RealMachine {
            installed: it.installed.clone(),
        }),
        owner: executable.as_ref().map_or((0, 0), |it| (it.user, it.user)),
    };
    let files = FileSystem::new(node.disk().clone(), Arc::new(machine));
    Files::new(&files, Arc::new(This { pid, executable }))
}

/// Anywhere on the way from one path to another, this stands for the current directory.
const HERE: i32 = libc::AT_FDCWD;

impl Kernel {
    pub(super) fn file(&mut self, fd: i32) -> Result<OpenFile, Errno> {
        match &self.by_fd(fd)?.1.kind {
            Kind::File(file) => Ok(file.clone()),
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    /// The directory in which relative paths begin.
    pub(super) fn directory(&mut self, fd: i32) -> Result<Option<OpenFile>, Errno> {
        match fd {
            HERE => Ok(None),
            fd => match &self.by_fd(fd)?.1.kind {
                Kind::File(file) => Ok(Some(file.clone())),
                _ => Err(Errno(libc::ENOTDIR)),
            },
        }
    }

    /// Whether a call concerns files. None: it is another one's.
    pub(super) fn serve_files(&mut self, tid: Tid, call: &Call) -> Option<Answer> {
        let [a, b, c, d, e, _] = call.arguments;
        let fd = a as i32;
        let here = HERE as usize;
        let result = match call.number {
            libc::SYS_open => return Some(self.open(tid, HERE, a, b as i32, c)),
            libc::SYS_creat => {
                let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
                return Some(self.open(tid, HERE, a, flags, b));
            }
            libc::SYS_openat => return Some(self.open(tid, fd, b, c as i32, d)),
            libc::SYS_lseek => match self.file(fd) {
                Ok(file) => file
                    .lseek(b as i64, c as i32)
                    .map(|at| at as isize)
                    .map_err(Errno::from),
                Err(Errno(libc::EINVAL)) => match self.by_fd(fd).map(|(_, o)| &o.kind) {
                    Ok(Kind::Event { .. } | Kind::Timer(_) | Kind::Epoll(_) | Kind::Signals(_)) => {
                        Ok(0)
                    }
                    _ => Err(Errno(libc::ESPIPE)),
                },
                Err(error) => Err(error),
            },
            libc::SYS_pread64 => {
                let memory = self.memory;
                self.at_offset(fd, |file| file.pread(memory.slice_mut(b, c), d as i64))
            }
            libc::SYS_pwrite64 => return Some(self.write_at(tid, fd, &[(b, c)], d as i64)),
            libc::SYS_preadv | libc::SYS_preadv2 | libc::SYS_pwritev | libc::SYS_pwritev2 => {
                return Some(self.vectored(tid, call));
            }
            libc::SYS_fsync => return Some(self.sync(tid, fd, false)),
            libc::SYS_fdatasync => return Some(self.sync(tid, fd, true)),
            // It begins to write out what a power loss may take all the same.
            libc::SYS_sync_file_range => self.file(fd).map(|_| 0),
            libc::SYS_syncfs => match self.file(fd) {
                Ok(_) => return Some(self.sync_all(tid)),
                Err(error) => Err(error),
            },
            libc::SYS_sync => return Some(self.sync_all(tid)),
            libc::SYS_ftruncate => self.file(fd).and_then(|file| {
                file.truncate(b as i64)?;
                Ok(0)
            }),
            libc::SYS_truncate => {
                let path = self.memory.text(a);
                self.done(|files| files.truncate(&path, b as i64))
            }
            libc::SYS_fallocate => self.at_offset(fd, |file| {
                file.allocate(b as i32, c as i64, d as i64).map(|()| 0)
            }),
            libc::SYS_fadvise64 | libc::SYS_readahead => self.file(fd).map(|_| 0),
            libc::SYS_copy_file_range => self.copy_range(call),
            libc::SYS_sendfile => return Some(self.sendfile(tid, call)),
            libc::SYS_splice => Err(Errno(libc::EINVAL)),
            libc::SYS_stat => self.stat(HERE, a, b, 0),
            libc::SYS_lstat => self.stat(HERE, a, b, libc::AT_SYMLINK_NOFOLLOW),
            libc::SYS_fstat => self.stat_of(fd).map(|stat| self.put_stat(&stat, b)),
            libc::SYS_newfstatat => self.stat(fd, b, c, d as i32),
            libc::SYS_statx => self.statx(call),
            libc::SYS_access => self.access(HERE, a, b as i32),
            libc::SYS_faccessat | libc::SYS_faccessat2 => self.access(fd, b, c as i32),
            libc::SYS_mkdir => {
                self.with_path(HERE, a, |files, dir, path| files.mkdir(dir, path, b as u32))
            }
            libc::SYS_mkdirat => {
                self.with_path(fd, b, |files, dir, path| files.mkdir(dir, path, c as u32))
            }
            libc::SYS_rmdir => self.with_path(HERE, a, Files::rmdir),
            libc::SYS_unlink => self.with_path(HERE, a, Files::unlink),
            libc::SYS_unlinkat if c as i32 & libc::AT_REMOVEDIR != 0 => {
                self.with_path(fd, b, Files::rmdir)
            }
            libc::SYS_unlinkat => self.with_path(fd, b, Files::unlink),
            libc::SYS_rename => self.rename([here, a, here, b], 0),
            libc::SYS_renameat => self.rename([a, b, c, d], 0),
            libc::SYS_renameat2 => self.rename([a, b, c, d], e as u32),
            libc::SYS_link => self.link([here, a, here, b], 0),
            libc::SYS_linkat => self.link([a, b, c, d], e as i32),
            libc::SYS_symlink => self.symlink(a, HERE, b),
            libc::SYS_symlinkat => self.symlink(a, b as i32, c),
            libc::SYS_readlink => self.readlink(HERE, a, b, c),
            libc::SYS_readlinkat => self.readlink(fd, b, c, d),
            libc::SYS_chmod => {
                self.with_path(HERE, a, |files, dir, path| files.chmod(dir, path, b as u32))
            }
            libc::SYS_fchmodat => {
                self.with_path(fd, b, |files, dir, path| files.chmod(dir, path, c as u32))
            }
            libc::SYS_fchmod => self.at_offset(fd, |file| file.chmod(b as u32).map(|()| 0)),
            libc::SYS_chown | libc::SYS_lchown | libc::SYS_fchown | libc::SYS_fchownat => Ok(0),
            libc::SYS_utimensat => self.utimens(call),
            libc::SYS_getdents64 => {
                let memory = self.memory;
                self.at_offset(fd, |file| file.getdents(memory.slice_mut(b, c)))
            }
            libc::SYS_getcwd => self.getcwd(a, b),
            libc::SYS_chdir => {
                let path = self.memory.text(a);
                self.done(|files| files.chdir(&path))
            }
            libc::SYS_fchdir => match self.file(fd) {
                Ok(dir) => self.done(|files| files.fchdir(&dir)),
                Err(Errno(libc::EINVAL)) => Err(Errno(libc::ENOTDIR)),
                Err(error) => Err(error),
            },
            libc::SYS_mknod => {
                self.with_path(HERE, a, |files, dir, path| files.mknod(dir, path, b as u32))
            }
            libc::SYS_mknodat => {
                self.with_path(fd, b, |files, dir, path| files.mknod(dir, path, c as u32))
            }
            libc::SYS_umask => Ok(self.process.files.set_umask(a as u32) as isize),
            libc::SYS_statfs => {
                let path = self.memory.text(a);
                match self.process.files.statfs(&path) {
                    Ok(told) => Ok(self.put_statfs(&told, b)),
                    Err(error) => Err(error.into()),
                }
            }
            libc::SYS_fstatfs => match self.file(fd) {
                Ok(file) => Ok(self.put_statfs(&file.statfs(), b)),
                Err(error) => Err(error),
            },
            libc::SYS_flock => return Some(self.flock(fd, b as i32)),
            // The file system has no extended attributes.
            libc::SYS_getxattr
            | libc::SYS_lgetxattr
            | libc::SYS_fgetxattr
            | libc::SYS_listxattr
            | libc::SYS_llistxattr
            | libc::SYS_flistxattr
            | libc::SYS_setxattr
            | libc::SYS_lsetxattr
            | libc::SYS_fsetxattr => Err(Errno(libc::EOPNOTSUPP)),
            _ => return None,
        };
        Some(result.into())
    }

    fn done(
        &mut self,
        work: impl FnOnce(&Files) -> squall_files::Result<()>,
    ) -> Result<isize, Errno> {
        work(&self.process.files)?;
        Ok(0)
    }

    fn with_path(
        &mut self,
        dir: i32,
        path: usize,
        work: impl FnOnce(&Files, Option<&OpenFile>, &[u8]) -> squall_files::Result<()>,
    ) -> Result<isize, Errno> {
        let (dir, path) = (self.directory(dir)?, self.memory.text(path));
        work(&self.process.files, dir.as_ref(), &path)?;
        Ok(0)
    }

    fn open(&mut self, tid: Tid, dir: i32, path: usize, flags: i32, mode: usize) -> Answer {
        let opened = self.try_open(dir, path, flags, mode);
        if let Err(Errno(libc::ENXIO)) = opened
            && let Ok(dir) = self.directory(dir)
            && let path = self.memory.text(path)
            && let Ok(stat) = self.process.files.stat(dir.as_ref(), &path, true)
            && stat.mode & libc::S_IFMT == libc::S_IFIFO
        {
            return self.open_fifo(tid, stat.ino, flags);
        }
        opened.into()
    }

    fn try_open(&mut self, dir: i32, path: usize, flags: i32, mode: usize) -> Result<isize, Errno> {
        self.may_open()?;
        let (dir, path) = (self.directory(dir)?, self.memory.text(path));
        let file = self
            .process
            .files
            .open(dir.as_ref(), &path, flags, mode as u32)?;
        if self.process.is_executable && path.starts_with(b"/dev/shm/") {
            self.opens_shared(&file);
        }
        let id = self.objects.add(Kind::File(file), false);
        self.install(id, flags)
    }

    fn at_offset(
        &mut self,
        fd: i32,
        work: impl FnOnce(&OpenFile) -> squall_files::Result<usize>,
    ) -> Result<isize, Errno> {
        let file = match self.file(fd) {
            Err(Errno(libc::EINVAL)) => return Err(Errno(libc::ESPIPE)),
            file => file?,
        };
        Ok(work(&file)? as isize)
    }

    pub(super) fn read_at(
        &mut self,
        fd: i32,
        parts: &[(usize, usize)],
        offset: i64,
    ) -> Result<isize, Errno> {
        let memory = self.memory;
        let mut all = 0;
        for &(at, len) in parts {
            let read = self.at_offset(fd, |file| match offset {
                -1 => file.read(memory.slice_mut(at, len)),
                offset => file.pread(memory.slice_mut(at, len), offset + all as i64),
            })?;
            all += read as usize;
            if (read as usize) < len {
                break;
            }
        }
        Ok(all as isize)
    }

    /// `pwrite`; with an offset of -1 `write`.
    pub(super) fn write_at(
        &mut self,
        tid: Tid,
        fd: i32,
        parts: &[(usize, usize)],
        offset: i64,
    ) -> Answer {
        let file = match self.file(fd) {
            Err(Errno(libc::EINVAL)) => return Err(Errno(libc::ESPIPE)).into(),
            Err(error) => return Err(error).into(),
            Ok(file) => file,
        };
        if let Some(wait) = self.disk_takes(tid, &file, Operation::Write) {
            return Answer::Wait(wait);
        }
        let mut all = 0;
        for &(at, len) in parts {
            let bytes = self.memory.slice(at, len);
            let written = match offset {
                -1 => file.write(bytes),
                offset => file.pwrite(bytes, offset + all as i64),
            };
            match written {
                Ok(written) => {
                    all += written;
                    if written < len {
                        break;
                    }
                }
                Err(error) if all == 0 => return Err(Errno::from(error)).into(),
                Err(_) => break,
            }
        }
        Answer::Done(all as isize)
    }

    /// The wait for the disk, before the operation is carried out; none if that time has passed.
    pub(super) fn disk_takes(
        &mut self,
        tid: Tid,
        file: &OpenFile,
        operation: Operation,
    ) -> Option<Wait> {
        self.takes(tid, || file.latency(operation))
    }

    /// A call takes so long, which is asked for once.
    fn takes(&mut self, tid: Tid, latency: impl FnOnce() -> Duration) -> Option<Wait> {
        let thread = self.threads.get(&tid);
        let begun = thread.is_some_and(|thread| thread.until.is_some());
        let latency = match begun {
            true => 0,
            false => latency().as_nanos() as u64,
        };
        let until = self.until(tid, Some(latency))?;
        (until > self.now()).then_some(Wait {
            until: Some(until),
            is_deaf: true,
            ..Wait::default()
        })
    }

    fn sync(&mut self, tid: Tid, fd: i32, data_only: bool) -> Answer {
        let file = match self.file(fd) {
            Ok(file) => file,
            Err(error) => return Err(error).into(),
        };
        if let Some(wait) = self.disk_takes(tid, &file, Operation::Sync) {
            return Answer::Wait(wait);
        }
        file.sync(data_only).map(|()| 0).map_err(Errno::from).into()
    }

    /// Everything on the node's disk.
    fn sync_all(&mut self, tid: Tid) -> Answer {
        let files = self.process.files.file_system().clone();
        if let Some(wait) = self.takes(tid, || files.sync_latency()) {
            return Answer::Wait(wait);
        }
        files.sync().map(|()| 0).map_err(Errno::from).into()
    }

    fn copy_range(&mut self, call: &Call) -> Result<isize, Errno> {
        let [from, from_at, to, to_at, len, _] = call.arguments;
        let (from, to) = (self.file(from as i32)?, self.file(to as i32)?);
        let mut offsets =
            [from_at, to_at].map(|at| (at != 0).then(|| self.memory.read_u64(at) as i64));
        let [from_offset, to_offset] = &mut offsets;
        let copied = from.copy_range(
            from_offset.as_mut(),
            &to,
            to_offset.as_mut(),
            len,
            call.arguments[5] as u32,
        )?;
        for (at, offset) in [from_at, to_at].into_iter().zip(offsets) {
            if let Some(offset) = offset {
                self.memory.write_u64(at, offset as u64);
            }
        }
        Ok(copied as isize)
    }

    /// `sendfile`: as much at once as a pipe holds.
    fn sendfile(&mut self, tid: Tid, call: &Call) -> Answer {
        let [to, from, place, count, ..] = call.arguments;
        let to = to as i32;
        match self.send_from_file(to, from as i32, place, count) {
            Err(Errno(libc::EAGAIN)) => self.blocks(tid, to, true, Errno(libc::EAGAIN)),
            result => self.told_of_broken_pipe(tid, result.into(), 0),
        }
    }

    fn send_from_file(
        &mut self,
        to: i32,
        from: i32,
        place: usize,
        count: usize,
    ) -> Result<isize, Errno> {
        let file = self.file(from)?;
        let offset = match place {
            0 => file.lseek(0, libc::SEEK_CUR)? as i64,
            place => self.memory.read_u64(place) as i64,
        };
        let mut bytes = vec![0; count.min(super::pipe::CAPACITY)];
        let len = file.pread(&mut bytes, offset)?;
        let sent = match &self.by_fd(to)?.1.kind {
            _ if len == 0 => 0,
            Kind::Socket(_) => self.send(to, &[IoSlice::new(&bytes[..len])])?,
            Kind::Pipe(end) => {
                let end = end.clone();
                self.write_pipe(&end, &bytes[..len])?
            }
            Kind::File(other) => other.write(&bytes[..len])?,
            _ => return Err(Errno(libc::EINVAL)),
        };
        let next = offset + sent as i64;
        match place {
            0 => {
                file.lseek(next, libc::SEEK_SET)?;
            }
            place => self.memory.write_u64(place, next as u64),
        }
        Ok(sent as isize)
    }

    fn stat_of(&mut self, fd: i32) -> Result<Stat, Errno> {
        let pid = self.process.pid;
        let (id, object) = self.by_fd(fd)?;
        let format = match &object.kind {
            Kind::File(file) => return Ok(file.stat()?),
            Kind::Input | Kind::Output { .. } => libc::S_IFCHR | 0o620,
            Kind::Socket(_) | Kind::Unix(_) | Kind::Udp(_) => libc::S_IFSOCK | 0o777,
            Kind::Pipe(end) if end.is_socket => libc::S_IFSOCK | 0o777,
            Kind::Pipe(_) => libc::S_IFIFO | 0o600,
            Kind::Event { .. } | Kind::Timer(_) | Kind::Epoll(_) | Kind::Signals(_) => 0o600,
        };
        Ok(Stat {
            dev: 14,
            ino: ((pid as u64) << 32) + id.0,
            mode: format,
            nlink: 1,
            blksize: 4096,
            ..Stat::default()
        })
    }

    fn stat_at(&mut self, dir: i32, path: usize, flags: i32) -> Result<Stat, Errno> {
        let name = if path == 0 {
            Vec::new()
        } else {
            self.memory.text(path)
        };
        if name.is_empty() && flags & libc::AT_EMPTY_PATH != 0 && dir != HERE {
            return self.stat_of(dir);
        }
        let dir = self.directory(dir)?;
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        Ok(self.process.files.stat(dir.as_ref(), &name, follow)?)
    }

    fn stat(&mut self, dir: i32, path: usize, place: usize, flags: i32) -> Result<isize, Errno> {
        let stat = self.stat_at(dir, path, flags)?;
        Ok(self.put_stat(&stat, place))
    }

    /// Writes a `struct stat`.
    fn put_stat(&self, stat: &Stat, at: usize) -> isize {
        const NS: u64 = 1_000_000_000;
        self.memory.slice_mut(at, 144).fill(0);
        let words = [
            (0, stat.dev),
            (8, stat.ino),
            (16, stat.nlink.into()),
            (24, u64::from(stat.mode) | u64::from(stat.uid) << 32),
            (32, stat.gid.into()),
            (40, stat.rdev),
            (48, stat.size),
            (56, stat.blksize.into()),
            (64, stat.blocks),
            (72, stat.atime_ns / NS),
            (80, stat.atime_ns % NS),
            (88, stat.mtime_ns / NS),
            (96, stat.mtime_ns % NS),
            (104, stat.ctime_ns / NS),
            (112, stat.ctime_ns % NS),
        ];
        for (offset, word) in words {
            self.memory.write_u64(at + offset, word);
        }
        0
    }

    /// Writes a `struct statx`.
    fn statx(&mut self, call: &Call) -> Result<isize, Errno> {
        let [dir, path, flags, _, at, _] = call.arguments;
        let stat = self.stat_at(dir as i32, path, flags as i32)?;
        const NS: u64 = 1_000_000_000;
        self.memory.slice_mut(at, 256).fill(0);
        let basic_and_birth = 0xfff;
        let words32 = [
            (0, basic_and_birth),
            (4, stat.blksize),
            (16, stat.nlink),
            (20, stat.uid),
            (24, stat.gid),
            (28, stat.mode & 0xffff),
            (128, libc::major(stat.rdev)),
            (132, libc::minor(stat.rdev)),
            (136, libc::major(stat.dev)),
            (140, libc::minor(stat.dev)),
        ];
        for (offset, word) in words32 {
            self.memory.write_u32(at + offset, word);
        }
        for (offset, word) in [(32, stat.ino), (40, stat.size), (48, stat.blocks)] {
            self.memory.write_u64(at + offset, word);
        }
        let times = [
            (64, stat.atime_ns),
            (80, stat.btime_ns),
            (96, stat.ctime_ns),
            (112, stat.mtime_ns),
        ];
        for (offset, ns) in times {
            self.memory.write_u64(at + offset, ns / NS);
            self.memory.write_u32(at + offset + 8, (ns % NS) as u32);
        }
        Ok(0)
    }

    fn put_statfs(&self, told: &StatFs, at: usize) -> isize {
        self.memory.slice_mut(at, 120).fill(0);
        let words = [
            (0, told.magic as u64),
            (8, told.block_size),
            (16, told.blocks),
            (24, told.free),
            (32, told.free),
            (40, told.inodes),
            (48, told.inodes_free),
            (64, told.name_max),
            (72, told.block_size),
        ];
        for (offset, word) in words {
            self.memory.write_u64(at + offset, word);
        }
        0
    }

    fn access(&mut self, dir: i32, path: usize, mode: i32) -> Result<isize, Errno> {
        self.with_path(dir, path, |files, dir, path| files.access(dir, path, mode))
    }

    fn rename(
        &mut self,
        [dir, path, new_dir, new]: [usize; 4],
        flags: u32,
    ) -> Result<isize, Errno> {
        let (dir, new_dir) = (self.directory(dir as i32)?, self.directory(new_dir as i32)?);
        let (path, new) = (self.memory.text(path), self.memory.text(new));
        self.done(|files| files.rename(dir.as_ref(), &path, new_dir.as_ref(), &new, flags))
    }

    fn link(&mut self, [dir, path, new_dir, new]: [usize; 4], flags: i32) -> Result<isize, Errno> {
        let (dir, new_dir) = (self.directory(dir as i32)?, self.directory(new_dir as i32)?);
        let (path, new) = (self.memory.text(path), self.memory.text(new));
        if let (true, true, Some(file)) = (path.is_empty(), flags & libc::AT_EMPTY_PATH != 0, &dir)
        {
            return self.done(|files| files.link_file(file, new_dir.as_ref(), &new));
        }
        let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
        self.done(|files| files.link(dir.as_ref(), &path, follow, new_dir.as_ref(), &new))
    }

    fn symlink(&mut self, target: usize, dir: i32, path: usize) -> Result<isize, Errno> {
        let target = self.memory.text(target);
        self.with_path(dir, path, |files, dir, path| {
            files.symlink(&target, dir, path)
        })
    }

    fn readlink(&mut self, dir: i32, path: usize, at: usize, len: usize) -> Result<isize, Errno> {
        let (dir, path) = (self.directory(dir)?, self.memory.text(path));
        let target = self.process.files.readlink(dir.as_ref(), &path)?;
        let len = target.len().min(len);
        self.memory.write(at, &target[..len]);
        Ok(len as isize)
    }

    fn getcwd(&mut self, at: usize, room: usize) -> Result<isize, Errno> {
        let mut path = self.process.files.getcwd()?;
        path.push(0);
        if path.len() > room {
            return Err(Errno(libc::ERANGE));
        }
        self.memory.write(at, &path);
        Ok(path.len() as isize)
    }

    fn utimens(&mut self, call: &Call) -> Result<isize, Errno> {
        let [dir, path, times, flags, ..] = call.arguments;
        let time = |ordinal: usize| {
            if times == 0 {
                return SetTime::Now;
            }
            let at = times + 16 * ordinal;
            match self.memory.read_u64(at + 8) as i64 {
                libc::UTIME_NOW => SetTime::Now,
                libc::UTIME_OMIT => SetTime::Omit,
                ns => SetTime::At(self.memory.read_u64(at) * 1_000_000_000 + ns as u64),
            }
        };
        let times = [time(0), time(1)];
        if path == 0 {
            let file = self.file(dir as i32)?;
            return self.done(|files| files.futimens(&file, times));
        }
        let follow = flags as i32 & libc::AT_SYMLINK_NOFOLLOW == 0;
        self.with_path(dir as i32, path, |files, dir, path| {
            files.utimens(dir, path, follow, times)
        })
    }

    /// A lock that cannot be had: whoever waits for it looks again now and then.
    fn lock_is_taken(&self, waits: bool) -> Answer {
        const LOOK_AGAIN_NS: u64 = 1_000_000;
        match waits {
            false => Err(Errno(libc::EAGAIN)).into(),
            true => Answer::Wait(Wait {
                until: Some(self.now() + LOOK_AGAIN_NS),
                ..Wait::default()
            }),
        }
    }

    fn flock(&mut self, fd: i32, operation: i32) -> Answer {
        let file = match self.file(fd) {
            Ok(file) => file,
            Err(error) => return Err(error).into(),
        };
        match file.flock(operation) {
            Err(squall_files::Errno(libc::EAGAIN)) => {
                self.lock_is_taken(operation & libc::LOCK_NB == 0)
            }
            result => result.map(|()| 0).map_err(Errno::from).into(),
        }
    }

    /// `fcntl` with a `struct flock`. None: it is another command.
    pub(super) fn range_lock(&mut self, call: &Call) -> Option<Answer> {
        let [fd, command, at, ..] = call.arguments;
        let (asks, waits, pid) = match command as i32 {
            libc::F_GETLK => (true, false, Some(self.process.pid)),
            libc::F_SETLK => (false, false, Some(self.process.pid)),
            libc::F_SETLKW => (false, true, Some(self.process.pid)),
            libc::F_OFD_GETLK => (true, false, None),
            libc::F_OFD_SETLK => (false, false, None),
            libc::F_OFD_SETLKW => (false, true, None),
            _ => return None,
        };
        let file = match self.file(fd as i32) {
            Ok(file) => file,
            Err(error) => return Some(Err(error).into()),
        };
        let words = self.memory.read(at, 4);
        let kind = match i32::from(i16::from_ne_bytes([words[0], words[1]])) {
            libc::F_RDLCK => LockKind::Shared,
            libc::F_WRLCK => LockKind::Exclusive,
            libc::F_UNLCK => LockKind::None,
            _ => return Some(Err(Errno(libc::EINVAL)).into()),
        };
        let lock = Lock {
            kind,
            whence: i16::from_ne_bytes([words[2], words[3]]).into(),
            start: self.memory.read_u64(at + 8) as i64,
            len: self.memory.read_u64(at + 16) as i64,
            pid: 0,
        };
        if asks {
            return Some(match file.get_lock(&lock, pid) {
                Ok(found) => {
                    self.put_lock(&found, at);
                    Answer::Done(0)
                }
                Err(error) => Err(Errno::from(error)).into(),
            });
        }
        Some(match file.set_lock(&lock, pid) {
            Err(squall_files::Errno(libc::EAGAIN)) => self.lock_is_taken(waits),
            result => result.map(|()| 0).map_err(Errno::from).into(),
        })
    }

    fn put_lock(&self, lock: &Lock, at: usize) {
        let kind = match lock.kind {
            LockKind::Shared => libc::F_RDLCK,
            LockKind::Exclusive => libc::F_WRLCK,
            LockKind::None => libc::F_UNLCK,
        };
        self.memory.write(at, &(kind as i16).to_ne_bytes());
        self.memory
            .write(at + 2, &(lock.whence as i16).to_ne_bytes());
        self.memory.write_u64(at + 8, lock.start as u64);
        self.memory.write_u64(at + 16, lock.len as u64);
        self.memory.write_u32(at + 24, lock.pid as u32);
    }

    /// Maps a file into memory: a copy that is the process's own. Memory that is no file's never arrives here.
    pub(super) fn map(&mut self, call: &Call) -> Result<isize, Errno> {
        let [address, len, protection, flags, fd, offset] = call.arguments;
        if self.process.is_executable {
            return self.map_of_executable(call);
        }
        let file = match self.file(fd as i32) {
            Err(Errno(libc::EINVAL)) => return Err(Errno(libc::ENODEV)),
            file => file?,
        };
        if len == 0 || offset % 4096 != 0 {
            return Err(Errno(libc::EINVAL));
        }
        if file.flags() & libc::O_ACCMODE == libc::O_WRONLY {
            return Err(Errno(libc::EACCES));
        }
        let (flags, protection) = (flags as i32, protection as i32);
        if flags & libc::MAP_TYPE != libc::MAP_PRIVATE {
            return self.show_file(&file, call);
        }
        if flags & libc::MAP_FIXED != 0 && self.memory.is_apart() {
            self.refuse("mappings of files at addresses of a program's choice");
            return Err(Errno(libc::ENODEV));
        }
        let place = self.memory.map(address, len, flags & libc::MAP_FIXED)?;
        let mut done = 0;
        while done < len {
            let into = self.memory.slice_mut(place + done, len - done);
            match file.pread(into, (offset + done) as i64)? {
                0 => break,
                read => done += read,
            }
        }
        self.memory.protect(place, len, protection)?;
        Ok(place as isize)
    }

    /// The same for an executable, whose process maps what it is told.
    fn map_of_executable(&mut self, call: &Call) -> Result<isize, Errno> {
        let [at, len, protection, flags, fd, offset] = call.arguments;
        let mut mapping = Mapping {
            path: None,
            at,
            len,
            protection: protection as i32,
            flags: flags as i32,
            offset: offset as u64,
        };
        if mapping.flags & libc::MAP_ANONYMOUS != 0 {
            return self.map_shared(mapping, None);
        }
        let file = match self.file(fd as i32) {
            Err(Errno(libc::EINVAL)) => return Err(Errno(libc::ENODEV)),
            file => file?,
        };
        if len == 0 || offset % 4096 != 0 {
            return Err(Errno(libc::EINVAL));
        }
        if let Some(path) = file.real_path() {
            mapping.path = Some(path.to_vec());
            return Ok(self.process.processor.map(&mapping)? as isize);
        }
        if mapping.flags & libc::MAP_TYPE != libc::MAP_PRIVATE {
            return self.map_shared(mapping, Some(&file));
        }
        // Zeros, to be written over.
        mapping.path = Some(b"/dev/zero".to_vec());
        mapping.offset = 0;
        mapping.protection |= libc::PROT_READ | libc::PROT_WRITE;
        let place = self.process.processor.map(&mapping)?;
        let mut bytes = vec![0; len];
        let mut done = 0;
        while done < len {
            match file.pread(&mut bytes[done..], (offset + done) as i64)? {
                0 => break,
                read => done += read,
            }
        }
        self.memory.write(place, &bytes[..done]);
        Ok(place as isize)
    }
}
