//! Processes of a node: how they are made, what they become, how they end, and who waits for that.

use std::{os::unix::ffi::OsStrExt, path::Path, sync::Arc};

use squall_core::event::Level;
use squall_files::OpenFile;

use super::{
    Answer, End, Errno, Kernel, Process, State, Thread, Wait, files,
    signals::{Signal, Target},
};
use crate::cpu::{Call, Clone as CloneCall, Executable, Processor, Tid};

/// The machine itself, to which processes belong that have lost their parent.
pub(super) const INIT: Tid = 1;

/// Scripts that are run by scripts, at most.
const SCRIPTS_MAX: usize = 5;

/// What is left of a process that has ended, until its parent asks for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remains {
    parent: Tid,
    group: Tid,
    user: u32,
    /// As `wait4` tells it.
    status: i32,
}

impl Remains {
    /// What the parent hears of it.
    fn news(&self, pid: Tid, number: i32) -> Signal {
        let (code, value) = match libc::WIFEXITED(self.status) {
            true => (libc::CLD_EXITED, libc::WEXITSTATUS(self.status)),
            false => (libc::CLD_KILLED, libc::WTERMSIG(self.status)),
        };
        Signal {
            number,
            code,
            from: pid,
            user: self.user,
            value: value as u64,
        }
    }
}

/// For which children a process waits.
#[derive(Clone, Copy, Debug)]
enum Which {
    All,
    One(Tid),
    Group(Tid),
}

impl Which {
    fn includes(self, pid: Tid, group: Tid) -> bool {
        match self {
            Which::All => true,
            Which::One(one) => one == pid,
            Which::Group(wanted) => wanted == group,
        }
    }
}

impl Kernel {
    /// All processes: the one that has its turn, and the others.
    pub(super) fn processes(&self) -> impl Iterator<Item = &Process> {
        std::iter::once(&*self.process).chain(self.others.values().map(|process| &**process))
    }

    pub(super) fn process_mut(&mut self, pid: Tid) -> Option<&mut Process> {
        match self.process.pid == pid {
            true => Some(&mut self.process),
            false => self.others.get_mut(&pid).map(|process| &mut **process),
        }
    }

    /// Calls are those of this process from here on.
    pub(super) fn switch_to(&mut self, pid: Tid) {
        if self.process.pid == pid {
            return;
        }
        if let Some(mut process) = self.others.remove(&pid) {
            std::mem::swap(&mut self.process, &mut process);
            self.others.insert(process.pid, process);
            self.memory = self.process.processor.memory();
        }
    }

    /// `fork`, `vfork`, and `clone` of a process.
    pub(super) fn fork(&mut self, maker: Tid, ask: &CloneCall) -> Answer {
        let has = |flag: i32| ask.flags & flag as u32 as u64 != 0;
        if has(libc::CLONE_VM) && !has(libc::CLONE_VFORK) {
            return Err(self.refuse("processes that share their memory")).into();
        }
        if has(libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWNS) {
            return Err(Errno(libc::EPERM)).into();
        }
        if !self.process.is_executable {
            let what = "fork: a process can have threads, but no children";
            return Err(self.refuse(what)).into();
        }
        let pid = super::next_tid();
        let pointer = has(libc::CLONE_SETTLS).then_some(ask.thread_pointer);
        let own = &mut *self.process;
        let processor = match own.processor.fork(maker, pid, ask.stack, pointer) {
            Ok(processor) => processor,
            Err(error) => return Err(Errno::from(error)).into(),
        };
        if has(libc::CLONE_CHILD_SETTID) {
            processor.memory().write_u32(ask.child_tid, pid as u32);
        }
        let about = files::This {
            pid,
            executable: own.executable.clone(),
        };
        let child = Process {
            mappings: Default::default(),
            pid,
            parent: own.pid,
            group: own.group,
            session: own.session,
            user: own.user,
            end_signal: (ask.flags & 0xff) as i32,
            is_executable: own.is_executable,
            executable: own.executable.clone(),
            descriptors: own.descriptors.fork(&mut self.objects),
            files: own.files.fork(Arc::new(about)),
            signals: own.signals.fork(),
            processor,
        };
        let shares = child.processor.memory().regions();
        self.share_copied(&shares);
        self.others.insert(pid, Box::new(child));
        if has(libc::CLONE_PARENT_SETTID) {
            self.memory.write_u32(ask.parent_tid, pid as u32);
        }
        let signals = self.threads.get(&maker).map(|one| one.signals.inherited());
        let mut thread = Thread::new(pid, signals.unwrap_or_default());
        if has(libc::CLONE_CHILD_CLEARTID) {
            thread.clear_tid = ask.child_tid;
        }
        self.threads.insert(pid, thread);
        match has(libc::CLONE_VFORK) {
            true => Answer::Wait(Wait {
                spawned: Some(pid),
                is_deaf: true,
                ..Wait::default()
            }),
            false => Answer::Done(pid as isize),
        }
    }

    /// The child for which a thread waits in `vfork` goes its own way.
    fn has_spawned(&mut self, pid: Tid) {
        for thread in self.threads.values_mut() {
            if let State::Waiting(wait) = &thread.state
                && wait.spawned == Some(pid)
            {
                thread.state = State::Ready(pid as isize);
            }
        }
    }

    /// A list of texts, which a zero ends.
    fn texts(&self, at: usize) -> Vec<Vec<u8>> {
        const PAGE: usize = 4096;
        let mut texts = Vec::new();
        let mut place = at;
        while place != 0 {
            let part = self.memory.slice(place, PAGE - place % PAGE);
            for word in part.chunks_exact(8) {
                match word.try_into().map_or(0, usize::from_ne_bytes) {
                    0 => return texts,
                    text => texts.push(self.memory.text(text)),
                }
            }
            place += part.len();
        }
        texts
    }

    /// `execve`, with the directory that a relative path begins in.
    pub(super) fn execute(
        &mut self,
        dir: Option<OpenFile>,
        path: usize,
        arguments: usize,
        environment: usize,
    ) -> Answer {
        let path = self.memory.text(path);
        let (arguments, environment) = (self.texts(arguments), self.texts(environment));
        match self.try_execute(dir, path, arguments, environment) {
            Ok(()) => Answer::Anew,
            Err(error) => Err(error).into(),
        }
    }

    fn try_execute(
        &mut self,
        mut dir: Option<OpenFile>,
        mut path: Vec<u8>,
        mut arguments: Vec<Vec<u8>>,
        environment: Vec<Vec<u8>>,
    ) -> Result<(), Errno> {
        for _ in 0..SCRIPTS_MAX {
            let flags = libc::O_RDONLY;
            let file = self.process.files.open(dir.as_ref(), &path, flags, 0)?;
            let stat = file.stat()?;
            if stat.mode & libc::S_IFMT != libc::S_IFREG || stat.mode & 0o111 == 0 {
                return Err(Errno(libc::EACCES));
            }
            let mut start = [0; 256];
            let len = file.pread(&mut start, 0)?;
            if let Some(script) = start[..len].strip_prefix(b"#!") {
                let line = script.split(|byte| *byte == b'\n').next();
                let line = line.unwrap_or_default().trim_ascii();
                let end = line.iter().position(u8::is_ascii_whitespace);
                let (program, argument) = line.split_at(end.unwrap_or(line.len()));
                let argument = argument.trim_ascii();
                let mut whole = vec![program.to_vec()];
                whole.extend((!argument.is_empty()).then(|| argument.to_vec()));
                whole.push(path);
                whole.extend(arguments.into_iter().skip(1));
                (dir, path, arguments) = (None, program.to_vec(), whole);
                continue;
            }
            let Some(real) = file.real_path() else {
                if start.starts_with(b"\x7fELF") {
                    self.refuse("executables on the simulated disk");
                }
                return Err(Errno(libc::ENOEXEC));
            };
            let mut random = [0; 16];
            for chunk in random.chunks_mut(8) {
                chunk.copy_from_slice(&self.entropy.bits().to_ne_bytes());
            }
            let executable = Executable {
                file: Path::new(std::ffi::OsStr::from_bytes(real)).to_owned(),
                arguments,
                environment,
                random,
                user: self.process.user.0,
                // What the node's first process sees, all see.
                installed: Vec::new(),
            };
            return self.become_anew(executable);
        }
        Err(Errno(libc::ELOOP))
    }

    /// The process runs another program from here on.
    fn become_anew(&mut self, executable: Executable) -> Result<(), Errno> {
        let pid = self.process.pid;
        let processor = Processor::start_exec(&executable, pid)?;
        let gone = self.memory.unshare(&(0..usize::MAX));
        self.unshare(&gone);
        let executable = Arc::new(executable);
        let about = files::This {
            pid,
            executable: Some(executable.clone()),
        };
        let process = &mut *self.process;
        process.processor = processor;
        process.is_executable = true;
        process.files = process.files.fork(Arc::new(about));
        process.executable = Some(executable);
        process.signals.execute();
        self.memory = process.processor.memory();
        let signals = self
            .threads
            .get(&self.last)
            .map(|one| one.signals.inherited());
        self.threads.retain(|_, thread| thread.process != pid);
        let thread = Thread::new(pid, signals.unwrap_or_default());
        self.threads.insert(pid, thread);
        self.last = pid;
        for fd in self.process.descriptors.closed_on_exec() {
            self.close(fd)?;
        }
        self.drop_alarms(pid, false);
        self.has_spawned(pid);
        Ok(())
    }

    /// A process is to end, once its call has been looked at.
    pub(super) fn ends(&mut self, pid: Tid, end: End) {
        if self.ending.iter().all(|(known, _)| *known != pid) {
            self.ending.push((pid, end));
        }
    }

    /// Ends the processes that are to end.
    pub(super) fn bury(&mut self) {
        while let Some((pid, end)) = self.ending.pop() {
            if pid == self.first {
                self.end.get_or_insert(end);
            } else {
                self.bury_one(pid, end);
            }
        }
    }

    fn bury_one(&mut self, pid: Tid, end: End) {
        if self.process.pid == pid {
            self.switch_to(self.first);
        }
        let Some(process) = self.others.remove(&pid) else {
            return;
        };
        let status = match &end {
            End::Exit(status) => (status & 0xff) << 8,
            End::Signal(signal, _) => *signal,
            End::Panic(_) => 101 << 8,
        };
        if let End::Signal(
            libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE | libc::SIGABRT,
            why,
        ) = &end
        {
            let text = format!(
                "process {pid} ends: {end}",
                end = End::Signal(status, why.clone())
            );
            self.node.says(Level::Err, &text);
        }
        let own = self.threads.values().filter(|one| one.process == pid);
        let opening: Vec<_> = own.filter_map(|one| one.opening).collect();
        for id in opening {
            self.give_up(id);
        }
        self.threads.retain(|_, thread| thread.process != pid);
        let gone = process.processor.memory().unshare(&(0..usize::MAX));
        self.unshare(&gone);
        self.drop_alarms(pid, true);
        self.close_all(&process);
        self.has_spawned(pid);
        self.remains.retain(|_, remains| remains.parent != pid);
        for other in std::iter::once(&mut self.process).chain(self.others.values_mut()) {
            if other.parent == pid {
                other.parent = INIT;
            }
        }
        let remains = Remains {
            parent: process.parent,
            group: process.group,
            user: process.user.0,
            status,
        };
        let (parent, end_signal) = (process.parent, process.end_signal);
        drop(process);
        let Some(waiting) = self.process_mut(parent) else {
            return;
        };
        let leaves_nothing = end_signal == libc::SIGCHLD && waiting.signals.buries_children();
        if !leaves_nothing {
            self.remains.insert(pid, remains);
        }
        for thread in self.threads.values_mut() {
            if let State::Waiting(wait) = &thread.state
                && wait.child
                && thread.process == parent
            {
                thread.state = State::Retry;
            }
        }
        if end_signal != 0 {
            self.raise(Target::Process(parent), remains.news(pid, end_signal));
        }
    }

    /// The first child of these that has ended; or what the call comes to.
    fn ended_child(&mut self, which: Which, options: i32) -> Result<(Tid, Remains), Answer> {
        let own = self.process.pid;
        let mut remains = self.remains.iter();
        let found = remains
            .find(|(pid, one)| one.parent == own && which.includes(**pid, one.group))
            .map(|(pid, one)| (*pid, *one));
        if let Some((pid, one)) = found {
            if options & libc::WNOWAIT == 0 {
                self.remains.remove(&pid);
            }
            return Ok((pid, one));
        }
        let mut others = self.others.values();
        let is_child =
            |other: &Process| other.parent == own && which.includes(other.pid, other.group);
        Err(match others.any(|other| is_child(other)) {
            false => Err(Errno(libc::ECHILD)).into(),
            true if options & libc::WNOHANG != 0 => Answer::Done(0),
            true => Answer::Wait(Wait {
                child: true,
                ..Wait::default()
            }),
        })
    }

    /// `wait4`.
    pub(super) fn wait(&mut self, call: &Call) -> Answer {
        let [pid, status, options, usage, ..] = call.arguments;
        let known = libc::WNOHANG
            | libc::WUNTRACED
            | libc::WCONTINUED
            | libc::__WALL
            | libc::__WCLONE
            | libc::__WNOTHREAD;
        if options as i32 & !known != 0 {
            return Err(Errno(libc::EINVAL)).into();
        }
        let which = match pid as Tid {
            -1 => Which::All,
            0 => Which::Group(self.process.group),
            pid @ 1.. => Which::One(pid),
            group => Which::Group(group.wrapping_neg()),
        };
        let (pid, remains) = match self.ended_child(which, options as i32) {
            Ok(found) => found,
            Err(answer) => return answer,
        };
        self.memory.write_u32(status, remains.status as u32);
        self.no_usage(usage);
        Answer::Done(pid as isize)
    }

    /// `waitid`.
    pub(super) fn waitid(&mut self, call: &Call) -> Answer {
        let [kind, id, info, options, usage, _] = call.arguments;
        let (id, options) = (id as Tid, options as i32);
        let which = match kind as u32 {
            libc::P_ALL => Which::All,
            libc::P_PID if id > 0 => Which::One(id),
            libc::P_PGID if id > 0 => Which::Group(id),
            libc::P_PGID => Which::Group(self.process.group),
            _ => return Err(Errno(libc::EINVAL)).into(),
        };
        if options & (libc::WEXITED | libc::WSTOPPED | libc::WCONTINUED) == 0 {
            return Err(Errno(libc::EINVAL)).into();
        }
        let news = match self.ended_child(which, options) {
            Ok((pid, remains)) => remains.news(pid, libc::SIGCHLD),
            Err(Answer::Done(0)) => Signal::default(),
            Err(answer) => return answer,
        };
        news.write(&self.memory, info);
        self.no_usage(usage);
        Answer::Done(0)
    }

    /// What children have used of the machine: nothing is counted.
    fn no_usage(&self, at: usize) {
        if at != 0 {
            self.memory.slice_mut(at, size_of::<libc::rusage>()).fill(0);
        }
    }

    /// The process of this number; 0 stands for the one that asks.
    fn process_of(&self, pid: usize) -> Result<&Process, Errno> {
        let pid = pid as Tid;
        let mut all = self.processes();
        let found = match pid {
            0 => Some(&*self.process),
            pid => all.find(|process| process.pid == pid),
        };
        found.ok_or(Errno(libc::ESRCH))
    }

    pub(super) fn getpgid(&self, pid: usize) -> Result<isize, Errno> {
        Ok(self.process_of(pid)?.group as isize)
    }

    pub(super) fn getsid(&self, pid: usize) -> Result<isize, Errno> {
        Ok(self.process_of(pid)?.session as isize)
    }

    pub(super) fn setpgid(&mut self, pid: usize, group: usize) -> Result<isize, Errno> {
        let (own, session) = (self.process.pid, self.process.session);
        let (pid, other) = {
            let process = self.process_of(pid)?;
            if process.pid != own && process.parent != own {
                return Err(Errno(libc::ESRCH));
            }
            if process.session != session || process.session == process.pid {
                return Err(Errno(libc::EPERM));
            }
            (process.pid, process.session)
        };
        let group = match group as Tid {
            0 => pid,
            ..0 => return Err(Errno(libc::EINVAL)),
            group => group,
        };
        let is_there = |one: &Process| one.group == group && one.session == other;
        if group != pid && !self.processes().any(is_there) {
            return Err(Errno(libc::EPERM));
        }
        if let Some(process) = self.process_mut(pid) {
            process.group = group;
        }
        Ok(0)
    }

    pub(super) fn setsid(&mut self) -> Result<isize, Errno> {
        let pid = self.process.pid;
        if self.processes().any(|process| process.group == pid) {
            return Err(Errno(libc::EPERM));
        }
        let process = &mut self.process;
        (process.group, process.session) = (pid, pid);
        Ok(pid as isize)
    }

    /// A call that makes the process another user's, or gives it another group: root may.
    pub(super) fn set_user(&mut self, wanted: &[usize], is_group: bool) -> Result<isize, Errno> {
        const KEPT: u32 = u32::MAX;
        let is_root = self.process.user.0 == 0;
        let own = match is_group {
            true => &mut self.process.user.1,
            false => &mut self.process.user.0,
        };
        let wanted = wanted.iter().map(|id| *id as u32).filter(|id| *id != KEPT);
        for id in wanted {
            if id != *own && !is_root {
                return Err(Errno(libc::EPERM));
            }
            *own = id;
        }
        Ok(0)
    }
}
