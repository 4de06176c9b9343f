//! Which system call is which.

use super::{
    Answer, End, Errno, Kernel, MONOTONIC_BEGIN, PROCESSORS, Wait, descriptors::DESCRIPTORS_MAX,
    epoll::Epoll, object::Kind, signals::Target, udp,
};
use crate::cpu::{Call, Clone as CloneCall, Said, Tid, own};

const MS: u64 = 1_000_000;
const F_SETSIG: i32 = 10;
const F_GETSIG: i32 = 11;

/// A timeout of milliseconds; below zero stands for none.
fn milliseconds(timeout: usize) -> Option<u64> {
    u64::try_from(timeout as i32).ok().map(|ms| ms * MS)
}

impl Kernel {
    /// Answers a call, or says what it waits for.
    pub(super) fn serve(&mut self, tid: Tid, call: &Call) -> Answer {
        let [a, b, c, d, e, f] = call.arguments;
        let fd = a as i32;
        match call.number {
            own::ENDED => self.ended(),
            own::SAYS => {
                // SAFETY: the thread stands in this very call.
                let said = unsafe { Said::at(a) };
                let Said {
                    scope,
                    level,
                    message,
                    fields,
                } = said;
                self.node.logs(scope, *level, message, fields);
                Answer::Done(0)
            }
            own::DIED => self.died(call),
            own::FAULT => self.fault(tid, call),
            own::RESOLVE => self.resolve(tid, call),
            own::SPINS => self.pass_time(tid, MS / 2),

            number if udp::concerns(number) && self.is_udp(fd) => self.serve_udp(tid, call),
            libc::SYS_read => self.read(tid, fd, &[(b, c)]),
            libc::SYS_readv => {
                let parts = self.parts(b, c);
                self.read(tid, fd, &parts)
            }
            libc::SYS_write => self.write(tid, fd, &[(b, c)]),
            libc::SYS_writev => {
                let parts = self.parts(b, c);
                self.write(tid, fd, &parts)
            }
            libc::SYS_recvfrom => {
                let answer = self.receive_from(tid, fd, &[(b, c)], d as i32);
                self.put_sender(e, f);
                answer
            }
            libc::SYS_recvmsg => self.receive_message(tid, fd, b, c as i32),
            libc::SYS_sendto => match self.address_of_datagram(fd, e, f) {
                Ok(addressee) => {
                    self.addressee = addressee;
                    self.send_to(tid, fd, &[(b, c)], d as i32)
                }
                Err(error) => Err(error).into(),
            },
            libc::SYS_sendmsg => self.send_message(tid, fd, b, c as i32),
            libc::SYS_close => self.close(fd).into(),
            libc::SYS_close_range => self.close_range(a, b, c as u32).into(),
            libc::SYS_dup => self.dup(fd, 0, 0).into(),
            libc::SYS_dup2 => self.dup_to(fd, b as i32, 0).into(),
            libc::SYS_dup3 if a == b || c as i32 & !libc::O_CLOEXEC != 0 => {
                Err(Errno(libc::EINVAL)).into()
            }
            libc::SYS_dup3 => self.dup_to(fd, b as i32, c as i32).into(),
            libc::SYS_fcntl => match self.range_lock(call) {
                Some(answer) => answer,
                None => self.fcntl(fd, b as i32, c).into(),
            },
            libc::SYS_ioctl => self.ioctl(fd, b as u64, c).into(),

            libc::SYS_socket => self.socket(a as i32, b as i32, c as i32).into(),
            libc::SYS_socketpair => self.pair(a as i32, b as i32, d).into(),
            libc::SYS_bind if self.is_unix(fd) => self.bind_unix(call).into(),
            libc::SYS_listen if self.is_unix(fd) => self.listen_unix(fd, b as i32).into(),
            libc::SYS_connect if self.is_unix(fd) => self.connect_unix(tid, call),
            libc::SYS_getsockname if self.is_unix(fd) => self.name_of_unix(call, false).into(),
            libc::SYS_getpeername if self.is_unix(fd) => self.name_of_unix(call, true).into(),
            libc::SYS_bind => self.bind(call).into(),
            libc::SYS_listen => self.listen(fd, b as i32).into(),
            libc::SYS_accept => self.accept(tid, call, 0),
            libc::SYS_accept4 => self.accept(tid, call, d as i32),
            libc::SYS_connect => self.connect(tid, call),
            libc::SYS_shutdown => self.shutdown(fd, b as i32).into(),
            libc::SYS_getsockname => self.name_of(call, false).into(),
            libc::SYS_getpeername => self.name_of(call, true).into(),
            libc::SYS_getsockopt => self.option(call).into(),
            libc::SYS_setsockopt => self.set_option(call).into(),

            libc::SYS_epoll_create if fd <= 0 => Err(Errno(libc::EINVAL)).into(),
            libc::SYS_epoll_create1 if fd & !libc::O_CLOEXEC != 0 => {
                Err(Errno(libc::EINVAL)).into()
            }
            libc::SYS_epoll_create => self.open_object(Kind::Epoll(Epoll::default()), 0).into(),
            libc::SYS_epoll_create1 => self
                .open_object(Kind::Epoll(Epoll::default()), a as i32)
                .into(),
            libc::SYS_epoll_ctl => self.epoll_ctl(call).into(),
            libc::SYS_epoll_wait => self.epoll_wait(tid, call, milliseconds(d)),
            libc::SYS_epoll_pwait => {
                self.mask_meanwhile(tid, e);
                self.epoll_wait(tid, call, milliseconds(d))
            }
            libc::SYS_epoll_pwait2 => {
                self.mask_meanwhile(tid, e);
                self.timed(d, |process, timeout| process.epoll_wait(tid, call, timeout))
            }
            libc::SYS_poll => self.poll_fds(tid, call, milliseconds(c)),
            libc::SYS_ppoll => {
                self.mask_meanwhile(tid, d);
                self.timed(c, |process, timeout| process.poll_fds(tid, call, timeout))
            }
            libc::SYS_select if e != 0 && (self.memory.read_u64(e) as i64) < 0 => {
                Err(Errno(libc::EINVAL)).into()
            }
            libc::SYS_select => {
                let timeout = (e != 0).then(|| {
                    let seconds = self.memory.read_u64(e).saturating_mul(1_000 * MS);
                    seconds.saturating_add(self.memory.read_u64(e + 8).saturating_mul(1_000))
                });
                self.select(tid, call, timeout)
            }
            libc::SYS_pselect6 => {
                if f != 0 {
                    self.mask_meanwhile(tid, self.memory.read_u64(f) as usize);
                }
                self.timed(e, |process, timeout| process.select(tid, call, timeout))
            }
            libc::SYS_eventfd => self.eventfd(a, 0).into(),
            libc::SYS_eventfd2 => self.eventfd(a, b as i32).into(),
            libc::SYS_pipe => self.pipe(a, 0).into(),
            libc::SYS_pipe2 => self.pipe(a, b as i32).into(),
            libc::SYS_timerfd_create => self.timer_create(a as i32, b as i32).into(),
            libc::SYS_timerfd_gettime => self.timer_gettime(fd, b).into(),
            libc::SYS_timerfd_settime => self.timer_settime(call).into(),

            libc::SYS_clock_gettime => self.clock_gettime(a as i32, b).into(),
            libc::SYS_clock_getres => {
                if b != 0 {
                    self.memory.write_u64(b, 0);
                    self.memory.write_u64(b + 8, 1);
                }
                Answer::Done(0)
            }
            libc::SYS_time => {
                let seconds = self.clock(libc::CLOCK_REALTIME) / 1_000_000_000;
                self.memory.write_u64(a, seconds);
                Answer::Done(seconds as isize)
            }
            libc::SYS_gettimeofday => {
                let now = self.clock(libc::CLOCK_REALTIME);
                self.memory.write_u64(a, now / 1_000_000_000);
                if a != 0 {
                    self.memory.write_u64(a + 8, now % 1_000_000_000 / 1_000);
                }
                Answer::Done(0)
            }
            libc::SYS_times => {
                let ticks = self.now() / (10 * MS);
                if a != 0 {
                    self.memory.slice_mut(a, 32).fill(0);
                    self.memory.write_u64(a, ticks);
                }
                Answer::Done((MONOTONIC_BEGIN / (10 * MS) + ticks) as isize)
            }
            libc::SYS_alarm => self.alarm(a as u32),
            libc::SYS_setitimer => self.setitimer(a as i32, b, c),
            libc::SYS_getitimer => self.getitimer(a as i32, b),
            libc::SYS_timer_create => self.make_alarm(call).into(),
            libc::SYS_timer_settime => self.set_alarm(call).into(),
            libc::SYS_timer_gettime => self.show_alarm(a, b).into(),
            libc::SYS_timer_getoverrun => Answer::Done(0),
            libc::SYS_timer_delete => self.drop_alarm(a).into(),
            libc::SYS_nanosleep => self.nanosleep(tid, libc::CLOCK_MONOTONIC, 0, a),
            libc::SYS_clock_nanosleep => self.nanosleep(tid, a as i32, b as i32, c),
            libc::SYS_sched_yield => self.pass_time(tid, 1_000),

            libc::SYS_futex => self.futex(tid, call),
            libc::SYS_clone | libc::SYS_clone3 => match CloneCall::read(call, &self.memory) {
                Some(ask) if ask.flags & libc::CLONE_THREAD as u64 != 0 => {
                    self.clone_thread(tid, &ask).into()
                }
                Some(ask) => self.fork(tid, &ask),
                None => Err(Errno(libc::EINVAL)).into(),
            },
            libc::SYS_fork | libc::SYS_vfork => {
                let vfork = match call.number {
                    libc::SYS_vfork => libc::CLONE_VM | libc::CLONE_VFORK,
                    _ => 0,
                };
                let ask = CloneCall {
                    flags: (vfork | libc::SIGCHLD) as u64,
                    ..CloneCall::default()
                };
                self.fork(tid, &ask)
            }
            libc::SYS_execve => self.execute(None, a, b, c),
            libc::SYS_execveat => match self.directory(fd) {
                Ok(dir) => self.execute(dir, b, c, d),
                Err(error) => Err(error).into(),
            },
            libc::SYS_wait4 => self.wait(call),
            libc::SYS_waitid => self.waitid(call),
            libc::SYS_exit => self.exit_thread(tid, a as i32),
            libc::SYS_exit_group => {
                self.ends(self.process.pid, End::Exit(a as i32));
                Answer::Gone
            }
            // So does std wait in `process::exit` for a thread that was there before; here that was another process of the
            // same address space.
            libc::SYS_pause
                if !self.process.is_executable && self.process.signals.are_default() =>
            {
                self.ends(self.process.pid, End::Exit(1));
                Answer::Gone
            }
            libc::SYS_pause => Answer::Wait(Wait::default()),
            libc::SYS_gettid => Answer::Done(tid as isize),
            libc::SYS_getpid => Answer::Done(self.process.pid as isize),
            libc::SYS_getppid => Answer::Done(self.process.parent as isize),
            libc::SYS_getpgrp => self.getpgid(0).into(),
            libc::SYS_getpgid => self.getpgid(a).into(),
            libc::SYS_setpgid => self.setpgid(a, b).into(),
            libc::SYS_getsid => self.getsid(a).into(),
            libc::SYS_setsid => self.setsid().into(),
            libc::SYS_set_tid_address => {
                if let Some(thread) = self.threads.get_mut(&tid) {
                    thread.clear_tid = a;
                }
                Answer::Done(tid as isize)
            }
            libc::SYS_getuid | libc::SYS_geteuid => Answer::Done(self.process.user.0 as isize),
            libc::SYS_getgid | libc::SYS_getegid => Answer::Done(self.process.user.1 as isize),
            libc::SYS_getresuid | libc::SYS_getresgid => {
                let (user, group) = self.process.user;
                let id = if call.number == libc::SYS_getresuid {
                    user
                } else {
                    group
                };
                for place in [a, b, c] {
                    self.memory.write_u32(place, id);
                }
                Answer::Done(0)
            }
            libc::SYS_setuid => self.set_user(&[a], false).into(),
            libc::SYS_setreuid => self.set_user(&[a, b], false).into(),
            libc::SYS_setresuid => self.set_user(&[a, b, c], false).into(),
            libc::SYS_setgid => self.set_user(&[a], true).into(),
            libc::SYS_setregid => self.set_user(&[a, b], true).into(),
            libc::SYS_setresgid => self.set_user(&[a, b, c], true).into(),
            libc::SYS_getgroups => {
                if b != 0 && a >= 1 {
                    self.memory.write_u32(b, self.process.user.1);
                }
                Answer::Done(1)
            }
            libc::SYS_setgroups if self.process.user.0 != 0 => Err(Errno(libc::EPERM)).into(),
            libc::SYS_setgroups => Answer::Done(0),
            libc::SYS_getrandom if c > 7 => Err(Errno(libc::EINVAL)).into(),
            libc::SYS_getrandom => {
                let len = b.min(1 << 20);
                self.random_bytes(a, len);
                Answer::Done(len as isize)
            }
            libc::SYS_rt_sigaction => self.sigaction(call).into(),
            libc::SYS_rt_sigprocmask => self.sigprocmask(tid, call).into(),
            libc::SYS_rt_sigreturn => self.sigreturn(tid),
            libc::SYS_rt_sigsuspend => self.sigsuspend(tid, a),
            libc::SYS_rt_sigpending => self.sigpending(tid, a),
            libc::SYS_rt_sigtimedwait => self.sigtimedwait(tid, call),
            libc::SYS_rt_sigqueueinfo => self.queue_signal(Target::Process(a as Tid), b as i32, c),
            libc::SYS_rt_tgsigqueueinfo => self.queue_signal(Target::Thread(b as Tid), c as i32, d),
            libc::SYS_sigaltstack => self.sigaltstack(tid, a, b).into(),
            libc::SYS_signalfd => {
                let mut call = *call;
                call.arguments[3] = 0;
                self.signalfd(&call).into()
            }
            libc::SYS_signalfd4 => self.signalfd(call).into(),
            libc::SYS_kill => self.kill(a as Tid, b as i32),
            libc::SYS_tkill => self.kill_thread(None, a as Tid, b as i32),
            libc::SYS_tgkill => self.kill_thread(Some(a as Tid), b as Tid, c as i32),
            libc::SYS_set_robust_list | libc::SYS_membarrier => Answer::Done(0),
            // All threads are on processor 0, and no sequence is ever interrupted.
            libc::SYS_rseq => {
                self.memory.write_u64(a, 0);
                Answer::Done(0)
            }
            libc::SYS_getcpu => {
                self.memory.write_u32(a, 0);
                self.memory.write_u32(b, 0);
                Answer::Done(0)
            }
            libc::SYS_sched_getaffinity => {
                let len = b.min(8);
                self.memory.slice_mut(c, len).fill(0);
                self.memory.write(c, &[(1 << PROCESSORS) - 1][..len.min(1)]);
                Answer::Done(len as isize)
            }
            libc::SYS_sched_setaffinity
            | libc::SYS_sched_setscheduler
            | libc::SYS_setpriority
            | libc::SYS_sched_getscheduler => Answer::Done(0),
            libc::SYS_getpriority => Answer::Done(20),
            libc::SYS_sched_getparam => {
                self.memory.write_u32(b, 0);
                Answer::Done(0)
            }
            libc::SYS_sched_setparam | libc::SYS_ioprio_set | libc::SYS_ioprio_get => {
                Answer::Done(0)
            }
            libc::SYS_sched_get_priority_max | libc::SYS_sched_get_priority_min => {
                let is_real_time = [libc::SCHED_FIFO, libc::SCHED_RR].contains(&(a as i32));
                let least = call.number == libc::SYS_sched_get_priority_min;
                Answer::Done(match (is_real_time, least) {
                    (false, _) => 0,
                    (true, true) => 1,
                    (true, false) => 99,
                })
            }
            libc::SYS_personality => Answer::Done(0),
            libc::SYS_capget => {
                if b != 0 {
                    self.memory.slice_mut(b, 24).fill(0);
                }
                Answer::Done(0)
            }
            libc::SYS_capset => Answer::Done(0),
            libc::SYS_mlockall | libc::SYS_munlockall => Answer::Done(0),
            libc::SYS_mincore => Err(Errno(libc::EINVAL)).into(),
            // Programs do without what older kernels do not have.
            libc::SYS_pidfd_open
            | libc::SYS_pidfd_send_signal
            | libc::SYS_get_mempolicy
            | libc::SYS_set_mempolicy
            | libc::SYS_mbind
            | libc::SYS_landlock_create_ruleset
            | libc::SYS_openat2
            | libc::SYS_process_madvise
            | libc::SYS_mseal
            | libc::SYS_pkey_alloc => Err(Errno(libc::ENOSYS)).into(),
            libc::SYS_prctl => self.prctl(a as i32).into(),
            libc::SYS_prlimit64 => self.limit(b as i32, d).into(),
            libc::SYS_getrlimit => self.limit(a as i32, b).into(),
            libc::SYS_uname => self.uname(a).into(),
            libc::SYS_sysinfo => {
                self.memory.slice_mut(a, 112).fill(0);
                self.memory.write_u64(a, self.now() / 1_000_000_000 + 1_000);
                self.memory.write_u64(a + 32, 8 << 30);
                self.memory.write_u64(a + 40, 4 << 30);
                self.memory.write_u32(a + 104, 1);
                Answer::Done(0)
            }
            libc::SYS_getrusage => {
                self.memory.slice_mut(b, 144).fill(0);
                let micros = self.now() / 1_000;
                self.memory.write_u64(b, micros / 1_000_000);
                self.memory.write_u64(b + 8, micros % 1_000_000);
                Answer::Done(0)
            }
            libc::SYS_mmap => self.map(call).into(),
            libc::SYS_shmget => self.shmget(a as i32, b, c as i32).into(),
            libc::SYS_shmat => self.shmat(a as i32, b, c as i32).into(),
            libc::SYS_shmdt => self.shmdt(a).into(),
            libc::SYS_shmctl => self.shmctl(a as i32, b as i32, c),
            libc::SYS_memfd_create => self.memfd(b as u32).into(),
            libc::SYS_munmap => self.unmap(call).into(),
            libc::SYS_mprotect | libc::SYS_madvise | libc::SYS_mremap => {
                self.change_mapping(call).into()
            }
            libc::SYS_msync => self.msync(tid, call),
            _ => match self.serve_files(tid, call) {
                Some(answer) => answer,
                None => self.unknown(call).into(),
            },
        }
    }

    fn unknown(&mut self, call: &Call) -> Result<isize, Errno> {
        Err(self.refuse(&call.name()))
    }

    fn eventfd(&mut self, initial: usize, flags: i32) -> Result<isize, Errno> {
        let known = libc::EFD_SEMAPHORE | libc::EFD_NONBLOCK | libc::EFD_CLOEXEC;
        if flags & !known != 0 {
            return Err(Errno(libc::EINVAL));
        }
        let kind = Kind::Event {
            count: initial as u32 as u64,
            semaphore: flags & libc::EFD_SEMAPHORE != 0,
        };
        self.open_object(kind, flags)
    }

    fn random_bytes(&mut self, at: usize, len: usize) {
        let memory = self.memory;
        for chunk in memory.slice_mut(at, len).chunks_mut(8) {
            let bits = self.entropy.bits().to_ne_bytes();
            chunk.copy_from_slice(&bits[..chunk.len()]);
        }
    }

    fn fcntl(&mut self, fd: i32, command: i32, argument: usize) -> Result<isize, Errno> {
        match command {
            libc::F_DUPFD | libc::F_DUPFD_CLOEXEC if argument >= DESCRIPTORS_MAX => {
                self.object(fd)?;
                Err(Errno(libc::EINVAL))
            }
            libc::F_DUPFD => self.dup(fd, argument as i32, 0),
            libc::F_DUPFD_CLOEXEC => self.dup(fd, argument as i32, libc::O_CLOEXEC),
            libc::F_GETFD => {
                let descriptor = self.process.descriptors.descriptor_mut(fd)?;
                Ok(isize::from(descriptor.close_on_exec))
            }
            libc::F_SETFD => {
                let descriptor = self.process.descriptors.descriptor_mut(fd)?;
                descriptor.close_on_exec = argument as i32 & libc::FD_CLOEXEC != 0;
                Ok(0)
            }
            libc::F_GETFL => {
                let (_, object) = self.by_fd(fd)?;
                let access = match &object.kind {
                    Kind::Input => libc::O_RDONLY,
                    Kind::Output { .. } => libc::O_WRONLY,
                    Kind::Pipe(end) => end.access(),
                    Kind::File(file) => return Ok(file.flags() as isize),
                    _ => libc::O_RDWR,
                };
                let blocking = if object.nonblocking {
                    libc::O_NONBLOCK
                } else {
                    0
                };
                Ok((access | blocking) as isize)
            }
            libc::F_SETFL => {
                let (_, object) = self.by_fd(fd)?;
                if let Kind::File(file) = &object.kind {
                    file.set_flags(argument as i32);
                    return Ok(0);
                }
                object.nonblocking = argument as i32 & libc::O_NONBLOCK != 0;
                Ok(0)
            }
            libc::F_SETOWN | libc::F_GETOWN | F_SETSIG | F_GETSIG => Ok(0),
            libc::F_GETPIPE_SZ => match &self.by_fd(fd)?.1.kind {
                Kind::Pipe(end) if !end.is_socket => Ok(super::pipe::CAPACITY as isize),
                _ => Err(Errno(libc::EBADF)),
            },
            _ => {
                self.object(fd)?;
                Err(Errno(libc::EINVAL))
            }
        }
    }

    fn ioctl(&mut self, fd: i32, request: u64, argument: usize) -> Result<isize, Errno> {
        let memory = self.memory;
        let (_, object) = self.by_fd(fd)?;
        match request {
            libc::FIONBIO => {
                object.nonblocking = memory.read_u32(argument) != 0;
                Ok(0)
            }
            libc::FIONREAD => {
                let unread = match &object.kind {
                    Kind::Socket(socket) => socket.unread(),
                    Kind::Udp(udp) => udp.unread(),
                    Kind::Pipe(end) => end.unread(),
                    Kind::File(file) => {
                        let (len, at) = (file.stat()?.size as i64, file.lseek(0, libc::SEEK_CUR)?);
                        (len - at as i64) as usize
                    }
                    _ => return Err(Errno(libc::ENOTTY)),
                };
                self.memory.write_u32(argument, unread as u32);
                Ok(0)
            }
            // Nobody is told of news by a signal.
            libc::FIOASYNC => Ok(0),
            libc::FIOCLEX => {
                self.process.descriptors.descriptor_mut(fd)?.close_on_exec = true;
                Ok(0)
            }
            // Whether it is a terminal: nothing is.
            _ => Err(Errno(libc::ENOTTY)),
        }
    }

    fn prctl(&mut self, what: i32) -> Result<isize, Errno> {
        match what {
            libc::PR_SET_NAME
            | libc::PR_SET_PDEATHSIG
            | libc::PR_SET_DUMPABLE
            | libc::PR_SET_NO_NEW_PRIVS
            // The name of a piece of anonymous memory.
            | 0x5356_4d41 => Ok(0),
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    fn limit(&mut self, resource: i32, at: usize) -> Result<isize, Errno> {
        let most = match resource as u32 {
            libc::RLIMIT_NOFILE => DESCRIPTORS_MAX as u64,
            libc::RLIMIT_STACK => 8 << 20,
            libc::RLIMIT_CORE => 0,
            _ => u64::MAX,
        };
        if at != 0 {
            self.memory.write_u64(at, most);
            self.memory.write_u64(at + 8, most);
        }
        Ok(0)
    }

    fn uname(&mut self, at: usize) -> Result<isize, Errno> {
        let name = self.node.name().to_owned();
        let fields = ["Linux", &name, "6.18.0", "#1 SMP", "x86_64", "(none)"];
        for (ordinal, field) in fields.iter().enumerate() {
            let place = self.memory.slice_mut(at + 65 * ordinal, 65);
            place.fill(0);
            let len = field.len().min(64);
            place[..len].copy_from_slice(&field.as_bytes()[..len]);
        }
        Ok(0)
    }
}
