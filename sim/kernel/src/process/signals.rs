//! Signals: what is on its way, what a process does about it, and calls that wait for it.

use std::collections::{BTreeMap, VecDeque};

use super::{
    Answer, End, Errno, Kernel, State, Thread, Wait,
    object::{Kind, events},
};
use crate::cpu::{Call, Handler, Memory, RESTARTS, Tid};

/// Signals, by bit.
pub(super) type Set = u64;

pub(super) const fn only(signal: i32) -> Set {
    1 << (signal - 1)
}

/// What no process can block, catch or ignore.
const ABSOLUTE: Set = only(libc::SIGKILL) | only(libc::SIGSTOP);

/// The largest signal that is pending at most once.
const SIMPLE_MAX: i32 = 31;

/// The length of a `siginfo_t`.
const INFO_LEN: usize = 128;

/// A signal on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signal {
    pub number: i32,
    /// Why it was sent (`si_code`).
    pub code: i32,
    /// The process that sent it, or that it is about; of a timer its number.
    pub from: Tid,
    pub user: u32,
    /// What was sent along; of a child its status.
    pub value: u64,
}

impl Signal {
    /// One of the kernel's own.
    pub fn of_kernel(number: i32) -> Self {
        Signal {
            number,
            code: libc::SI_KERNEL,
            ..Signal::default()
        }
    }

    fn read(memory: &Memory, at: usize, number: i32) -> Self {
        let info = memory.read(at, 32);
        let int = |from: usize| {
            info[from..from + 4]
                .try_into()
                .map_or(0, i32::from_ne_bytes)
        };
        Signal {
            number,
            code: int(8),
            from: int(16),
            user: int(20) as u32,
            value: info[24..].try_into().map_or(0, u64::from_ne_bytes),
        }
    }

    /// Writes a `siginfo_t`.
    pub fn write(&self, memory: &Memory, at: usize) {
        if at == 0 {
            return;
        }
        let info = memory.slice_mut(at, INFO_LEN);
        info.fill(0);
        info[..4].copy_from_slice(&self.number.to_ne_bytes());
        info[8..12].copy_from_slice(&self.code.to_ne_bytes());
        info[16..20].copy_from_slice(&self.from.to_ne_bytes());
        info[20..24].copy_from_slice(&self.user.to_ne_bytes());
        info[24..32].copy_from_slice(&self.value.to_ne_bytes());
    }

    /// A `signalfd_siginfo`.
    fn told(&self) -> [u8; 128] {
        let mut told = [0; 128];
        let fields = [
            (0, self.number),
            (8, self.code),
            (12, self.from),
            (16, self.user as i32),
            (40, self.value as i32),
            (44, self.value as i32),
        ];
        for (at, field) in fields {
            told[at..at + 4].copy_from_slice(&field.to_ne_bytes());
        }
        told[48..56].copy_from_slice(&self.value.to_ne_bytes());
        told
    }
}

/// Signals that were sent and have not arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    set: Set,
    queue: VecDeque<Signal>,
}

impl Pending {
    fn add(&mut self, signal: Signal) {
        let set = only(signal.number);
        if signal.number <= SIMPLE_MAX && self.set & set != 0 {
            return;
        }
        self.set |= set;
        self.queue.push_back(signal);
    }

    /// The lowest of these.
    fn first(&self, of: Set) -> Option<i32> {
        match self.set & of {
            0 => None,
            some => Some(some.trailing_zeros() as i32 + 1),
        }
    }

    /// Takes out the oldest of the lowest of these.
    fn take(&mut self, of: Set) -> Option<Signal> {
        let number = self.first(of)?;
        let oldest = self.queue.iter().position(|one| one.number == number)?;
        let signal = self.queue.remove(oldest)?;
        if !self.queue.iter().any(|one| one.number == number) {
            self.set &= !only(number);
        }
        Some(signal)
    }

    fn forget(&mut self, of: Set) {
        self.set &= !of;
        self.queue.retain(|one| only(one.number) & of == 0);
    }
}

/// What a process does about a signal, as `rt_sigaction` was given it.
#[derive(Clone, Copy, Debug, Default)]
struct Action {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: Set,
}

impl Action {
    fn has(&self, flag: i32) -> bool {
        self.flags & flag as u32 as u64 != 0
    }
}

/// What is to happen when a signal arrives.
#[derive(Clone, Copy, Debug)]
enum Disposition {
    Ignored,
    Stops,
    Fatal,
    Caught(Action),
}

/// A process's part of signals.
#[derive(Debug, Default)]
pub(super) struct Signals {
    actions: BTreeMap<i32, Action>,
    pending: Pending,
}

impl Signals {
    /// As Rust's start-up leaves it.
    pub fn of_rust() -> Self {
        let ignored = Action {
            handler: libc::SIG_IGN,
            ..Action::default()
        };
        Signals {
            actions: [(libc::SIGPIPE, ignored)].into(),
            pending: Pending::default(),
        }
    }

    /// Those of a child.
    pub fn fork(&self) -> Self {
        Signals {
            actions: self.actions.clone(),
            pending: Pending::default(),
        }
    }

    /// What is left of them with another program: it has no handlers.
    pub fn execute(&mut self) {
        self.actions
            .retain(|_, action| action.handler == libc::SIG_IGN);
    }

    /// Whether the process has installed no handler.
    pub fn are_default(&self) -> bool {
        self.actions.keys().all(|signal| *signal == libc::SIGPIPE)
    }

    fn action(&self, signal: i32) -> Action {
        self.actions.get(&signal).copied().unwrap_or_default()
    }

    fn disposition(&self, signal: i32) -> Disposition {
        let action = self.action(signal);
        match action.handler {
            libc::SIG_IGN => Disposition::Ignored,
            libc::SIG_DFL => match signal {
                libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH | libc::SIGCONT => {
                    Disposition::Ignored
                }
                libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => Disposition::Stops,
                _ => Disposition::Fatal,
            },
            _ => Disposition::Caught(action),
        }
    }

    /// Whether its children leave nothing behind that it would have to wait for.
    pub fn buries_children(&self) -> bool {
        let action = self.action(libc::SIGCHLD);
        action.handler == libc::SIG_IGN || action.has(libc::SA_NOCLDWAIT)
    }
}

/// A thread's part of signals.
#[derive(Clone, Debug, Default)]
pub(super) struct OfThread {
    mask: Set,
    pending: Pending,
    /// The mask that comes back when its present call has ended.
    saved: Option<Set>,
    /// Of each handler that it runs, the mask that there was before.
    handlers: Vec<Set>,
    /// `sigaltstack`: place, length.
    stack: Option<(usize, usize)>,
}

impl OfThread {
    /// Those of a thread that this one makes, and those that stay at an `execve`.
    pub fn inherited(&self) -> Self {
        OfThread {
            mask: self.mask,
            ..OfThread::default()
        }
    }

    /// Whether there are signals that a thread of the process may be disturbed by.
    pub fn may_disturb(&self, process: &Signals) -> bool {
        (self.pending.set | process.pending.set) & !self.mask != 0
    }

    /// The call that changed the mask while it lasts has ended.
    pub fn end_call(&mut self) {
        if let Some(mask) = self.saved.take() {
            self.mask = mask;
        }
    }
}

/// A signal's name.
pub(super) fn name(signal: i32) -> String {
    let known = [
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGALRM, "SIGALRM"),
    ];
    let found = known.iter().find(|(number, _)| *number == signal);
    found.map_or_else(
        || format!("signal {signal}"),
        |(_, name)| (*name).to_owned(),
    )
}

/// Whom a signal is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Process(Tid),
    Thread(Tid),
}

impl Kernel {
    pub(super) fn sigaction(&mut self, call: &Call) -> Result<isize, Errno> {
        let [number, new, old, size, ..] = call.arguments;
        let signal = number as i32;
        let is_known = (1..=64).contains(&signal) && size == 8;
        if !is_known || new != 0 && only(signal) & ABSOLUTE != 0 {
            return Err(Errno(libc::EINVAL));
        }
        let read = (new != 0).then(|| self.memory.read(new, 32));
        let known = self.process.signals.action(signal);
        if old != 0 {
            let words = [
                known.handler as u64,
                known.flags,
                known.restorer as u64,
                known.mask,
            ];
            let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
            self.memory.write(old, &bytes);
        }
        let Some(read) = read else { return Ok(0) };
        let word = |n: usize| {
            read[8 * n..8 * n + 8]
                .try_into()
                .map_or(0, u64::from_ne_bytes)
        };
        let action = Action {
            handler: word(0) as usize,
            flags: word(1),
            restorer: word(2) as usize,
            mask: word(3) & !ABSOLUTE,
        };
        let process = &mut self.process;
        process.signals.actions.insert(signal, action);
        if let Disposition::Ignored = process.signals.disposition(signal) {
            process.signals.pending.forget(only(signal));
            let pid = process.pid;
            for thread in self.threads.values_mut().filter(|one| one.process == pid) {
                thread.signals.pending.forget(only(signal));
            }
        }
        Ok(0)
    }

    /// A signal is sent.
    pub(super) fn raise(&mut self, target: Target, signal: Signal) {
        let (pid, only_thread) = match target {
            Target::Process(pid) => (pid, None),
            Target::Thread(tid) => match self.threads.get(&tid) {
                Some(thread) => (thread.process, Some(tid)),
                None => return,
            },
        };
        let set = only(signal.number);
        let concerned = |tid: &Tid, thread: &Thread| match only_thread {
            Some(only) => *tid == only,
            None => thread.process == pid,
        };
        let mut threads = self.threads.iter();
        let taken = threads.any(|(tid, one)| concerned(tid, one) && one.signals.mask & set == 0);
        let Some(process) = self.process_mut(pid) else {
            return;
        };
        match process.signals.disposition(signal.number) {
            Disposition::Ignored if taken => return,
            Disposition::Stops if taken => {
                self.refuse("stopping a process");
                return;
            }
            Disposition::Fatal if taken => {
                let why = "the process has no handler for it".to_owned();
                self.ends(pid, End::Signal(signal.number, why));
                return;
            }
            _ => {}
        }
        match only_thread {
            None => process.signals.pending.add(signal),
            Some(tid) => {
                if let Some(thread) = self.threads.get_mut(&tid) {
                    thread.signals.pending.add(signal);
                }
            }
        }
        for (tid, thread) in &mut self.threads {
            let State::Waiting(wait) = &thread.state else {
                continue;
            };
            let waits_for_it = wait.signals & set != 0;
            let is_disturbed = thread.signals.mask & set == 0 && !wait.is_deaf;
            if concerned(tid, thread) && (waits_for_it || is_disturbed) {
                thread.state = State::Retry;
                break;
            }
        }
        for id in self.objects.signal_descriptors(set) {
            self.notify(id, events::IN);
        }
    }

    /// A signal that the process has brought about itself.
    pub(super) fn own_signal(&self, number: i32) -> Signal {
        self.user_signal(number, libc::SI_USER)
    }

    fn user_signal(&self, number: i32, code: i32) -> Signal {
        Signal {
            number,
            code,
            from: self.process.pid,
            user: self.process.user.0,
            value: 0,
        }
    }

    /// `kill`.
    pub(super) fn kill(&mut self, to: Tid, number: i32) -> Answer {
        if !(0..=64).contains(&number) {
            return Err(Errno(libc::EINVAL)).into();
        }
        let (own, own_group) = (self.process.pid, self.process.group);
        let group = |group: Tid| {
            let all = self.processes().filter(move |one| one.group == group);
            all.map(|one| one.pid).collect::<Vec<Tid>>()
        };
        let targets = match to {
            1.. => match self.threads.get(&to) {
                Some(thread) => vec![thread.process],
                None if self.remains.contains_key(&to) => return Answer::Done(0),
                None => Vec::new(),
            },
            0 => group(own_group),
            -1 => self
                .others
                .keys()
                .copied()
                .filter(|pid| *pid != own)
                .collect(),
            _ => group(to.wrapping_neg()),
        };
        if targets.is_empty() {
            return Err(Errno(libc::ESRCH)).into();
        }
        let signal = self.user_signal(number, libc::SI_USER);
        for pid in targets {
            if number != 0 {
                self.raise(Target::Process(pid), signal);
            }
        }
        Answer::Done(0)
    }

    /// `tkill`, and `tgkill` with the process that the thread is to be of.
    pub(super) fn kill_thread(&mut self, pid: Option<Tid>, to: Tid, number: i32) -> Answer {
        if !(0..=64).contains(&number) || to <= 0 || pid.is_some_and(|pid| pid <= 0) {
            return Err(Errno(libc::EINVAL)).into();
        }
        match self.threads.get(&to) {
            Some(thread) if pid.is_none_or(|pid| pid == thread.process) => {}
            _ => return Err(Errno(libc::ESRCH)).into(),
        }
        if number != 0 {
            let signal = self.user_signal(number, libc::SI_TKILL);
            self.raise(Target::Thread(to), signal);
        }
        Answer::Done(0)
    }

    /// `rt_sigqueueinfo`, and `rt_tgsigqueueinfo`.
    pub(super) fn queue_signal(&mut self, target: Target, number: i32, info: usize) -> Answer {
        if !(1..=64).contains(&number) {
            return Err(Errno(libc::EINVAL)).into();
        }
        let known = match target {
            Target::Process(pid) => self.process_mut(pid).is_some(),
            Target::Thread(tid) => self.threads.contains_key(&tid),
        };
        if !known {
            return Err(Errno(libc::ESRCH)).into();
        }
        let signal = Signal::read(&self.memory, info, number);
        self.raise(target, signal);
        Answer::Done(0)
    }

    /// The lowest signal that a thread of the process is disturbed by. Those that are ignored are no more.
    fn disturbance(&mut self, tid: Tid) -> Option<(i32, Disposition)> {
        let thread = &mut self.threads.get_mut(&tid)?.signals;
        let signals = &mut self.process.signals;
        loop {
            let open = !thread.mask;
            let own = thread.pending.first(open);
            let number = own.or_else(|| signals.pending.first(open))?;
            match signals.disposition(number) {
                Disposition::Ignored => {
                    thread.pending.forget(only(number));
                    signals.pending.forget(only(number));
                }
                disposition => return Some((number, disposition)),
            }
        }
    }

    /// Takes out a signal of these that has been sent to a thread of the process, or to the process.
    fn take_signal(&mut self, tid: Tid, of: Set) -> Option<Signal> {
        let thread = &mut self.threads.get_mut(&tid)?.signals;
        let own = thread.pending.take(of);
        own.or_else(|| self.process.signals.pending.take(of))
    }

    /// Has a thread run the handlers of what has arrived before it goes on with the answer to its call: what that is then.
    /// None if it does not go on.
    pub(super) fn deliver(&mut self, tid: Tid, mut answer: isize) -> Option<isize> {
        let call = self.threads.get(&tid)?.call.number;
        let (mut is_first, mut repeats) = (true, false);
        while let Some((number, disposition)) = self.disturbance(tid) {
            let signal = self.take_signal(tid, only(number))?;
            let action = match disposition {
                Disposition::Ignored => continue,
                Disposition::Stops => {
                    self.refuse("stopping a process");
                    continue;
                }
                Disposition::Fatal => {
                    let why = "the process has no handler for it".to_owned();
                    self.ends(self.process.pid, End::Signal(number, why));
                    return None;
                }
                Disposition::Caught(action) => action,
            };
            if is_first && answer == RESTARTS {
                repeats = action.has(libc::SA_RESTART);
                if !repeats {
                    answer = -(libc::EINTR as isize);
                }
            }
            let kept = match (is_first, repeats) {
                (true, true) => call as isize,
                (true, false) => answer,
                // It goes on in the handler that was entered last.
                (false, _) => 0,
            };
            self.enter(tid, signal, action, Some(kept), is_first && repeats);
            is_first = false;
        }
        let thread = self.threads.get_mut(&tid)?;
        thread.signals.end_call();
        if is_first && answer == RESTARTS {
            thread.state = State::Retry;
            return None;
        }
        Some(answer)
    }

    /// A thread is about to run a handler.
    fn enter(
        &mut self,
        tid: Tid,
        signal: Signal,
        action: Action,
        answer: Option<isize>,
        repeats: bool,
    ) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let own = &mut thread.signals;
        let mask = own.saved.take().unwrap_or(own.mask);
        own.mask |= action.mask;
        if !action.has(libc::SA_NODEFER) {
            own.mask |= only(signal.number);
        }
        let handler = Handler {
            handler: action.handler,
            restorer: action.restorer,
            signal: signal.number,
            code: signal.code,
            pid: signal.from,
            user: signal.user,
            value: signal.value,
            mask,
            stack: own
                .stack
                .filter(|_| action.has(libc::SA_ONSTACK))
                .unwrap_or_default(),
            answer,
            repeats,
        };
        if action.has(libc::SA_RESETHAND) {
            self.process.signals.actions.remove(&signal.number);
        }
        if !self.process.is_executable {
            own.handlers.push(mask);
        }
        self.process.processor.enter_handler(tid, &handler);
    }

    /// `rt_sigreturn`: a handler has returned.
    pub(super) fn sigreturn(&mut self, tid: Tid) -> Answer {
        let left = self.process.processor.leave_handler(tid);
        let Some(thread) = self.threads.get_mut(&tid) else {
            return Answer::Gone;
        };
        let own = &mut thread.signals;
        let (mask, answer) = match left {
            Some(left) => left,
            None => (own.handlers.pop().unwrap_or(own.mask), 0),
        };
        own.mask = mask & !ABSOLUTE;
        Answer::Done(answer)
    }

    /// The answer to a call that would go on waiting if there were no signal for its thread. None: it does.
    pub(super) fn interrupt(&mut self, tid: Tid, call: &Call, wait: &Wait) -> Option<isize> {
        if wait.is_deaf || self.disturbance(tid).is_none() {
            return None;
        }
        let left = wait
            .until
            .unwrap_or(0)
            .saturating_sub(self.now() + self.ahead());
        let thread = self.threads.get(&tid)?;
        if thread.progress > 0 {
            return Some(thread.progress as isize);
        }
        let [_, second, _, fourth, ..] = call.arguments;
        let remainder = match call.number {
            libc::SYS_nanosleep => second,
            libc::SYS_clock_nanosleep if second as i32 & libc::TIMER_ABSTIME == 0 => fourth,
            _ => 0,
        };
        if remainder != 0 {
            self.put_timespec(remainder, left);
        }
        Some(match self.restarts(call, wait) {
            true => RESTARTS,
            false => -(libc::EINTR as isize),
        })
    }

    /// Whether a call is asked again after a handler with `SA_RESTART`.
    fn restarts(&self, call: &Call, wait: &Wait) -> bool {
        match call.number {
            libc::SYS_read
            | libc::SYS_readv
            | libc::SYS_write
            | libc::SYS_writev
            | libc::SYS_recvfrom
            | libc::SYS_recvmsg
            | libc::SYS_sendto
            | libc::SYS_sendmsg
            | libc::SYS_accept
            | libc::SYS_accept4
            | libc::SYS_connect
            | libc::SYS_futex => wait.until.is_none(),
            libc::SYS_wait4 | libc::SYS_waitid | libc::SYS_flock | libc::SYS_fcntl => true,
            _ => false,
        }
    }

    pub(super) fn sigprocmask(&mut self, tid: Tid, call: &Call) -> Result<isize, Errno> {
        let [how, new, old, size, ..] = call.arguments;
        if size != 8 {
            return Err(Errno(libc::EINVAL));
        }
        let read = (new != 0).then(|| self.memory.read_u64(new) & !ABSOLUTE);
        let Some(thread) = self.threads.get_mut(&tid) else {
            return Err(Errno(libc::ESRCH));
        };
        let own = &mut thread.signals;
        let before = own.mask;
        if let Some(set) = read {
            own.mask = match how as i32 {
                libc::SIG_BLOCK => before | set,
                libc::SIG_UNBLOCK => before & !set,
                libc::SIG_SETMASK => set,
                _ => return Err(Errno(libc::EINVAL)),
            };
        }
        if old != 0 {
            self.memory.write_u64(old, before);
        }
        Ok(0)
    }

    /// From the first attempt of a call to its end, the thread has the mask that lies at this address, if there is one.
    pub(super) fn mask_meanwhile(&mut self, tid: Tid, at: usize) {
        if at == 0 {
            return;
        }
        let mask = self.memory.read_u64(at) & !ABSOLUTE;
        if let Some(thread) = self.threads.get_mut(&tid)
            && thread.signals.saved.is_none()
        {
            thread.signals.saved = Some(std::mem::replace(&mut thread.signals.mask, mask));
        }
    }

    /// `rt_sigsuspend`.
    pub(super) fn sigsuspend(&mut self, tid: Tid, mask: usize) -> Answer {
        self.mask_meanwhile(tid, mask);
        Answer::Wait(Wait::default())
    }

    /// `rt_sigpending`.
    pub(super) fn sigpending(&mut self, tid: Tid, at: usize) -> Answer {
        if let Some(thread) = self.threads.get(&tid) {
            let own = &thread.signals;
            let pending = own.pending.set | self.process.signals.pending.set;
            self.memory.write_u64(at, pending & own.mask);
        }
        Answer::Done(0)
    }

    /// `rt_sigtimedwait`.
    pub(super) fn sigtimedwait(&mut self, tid: Tid, call: &Call) -> Answer {
        let [set, info, timeout, ..] = call.arguments;
        let set = self.memory.read_u64(set) & !ABSOLUTE;
        if let Some(signal) = self.take_signal(tid, set) {
            signal.write(&self.memory, info);
            return Answer::Done(signal.number as isize);
        }
        self.timed(timeout, |kernel, timeout| {
            let until = kernel.until(tid, timeout);
            if until.is_some_and(|until| until <= kernel.now()) {
                return Err(Errno(libc::EAGAIN)).into();
            }
            Answer::Wait(Wait {
                signals: set,
                until,
                ..Wait::default()
            })
        })
    }

    pub(super) fn sigaltstack(&mut self, tid: Tid, new: usize, old: usize) -> Result<isize, Errno> {
        let asked = (new != 0).then(|| self.memory.read(new, 24));
        let is_executable = self.process.is_executable;
        let Some(thread) = self.threads.get_mut(&tid) else {
            return Err(Errno(libc::ESRCH));
        };
        let before = thread.signals.stack;
        if let Some(asked) = asked {
            let word = |at: usize| {
                asked[at..at + 8]
                    .try_into()
                    .map_or(0, |bytes| u64::from_ne_bytes(bytes) as usize)
            };
            let (at, flags, len) = (word(0), word(8) as i32, word(16));
            let is_disabled = flags & libc::SS_DISABLE != 0;
            if !is_disabled && len < libc::MINSIGSTKSZ {
                return Err(Errno(libc::ENOMEM));
            }
            thread.signals.stack = (!is_disabled).then_some((at, len));
        }
        if old != 0 {
            // Handlers of this executable's programs run on the stack that there is: std is spared making one for each
            // thread.
            let none = if is_executable { libc::SS_DISABLE } else { 0 };
            let (at, len) = before.unwrap_or((0, 0));
            let flags = if before.is_some() { 0 } else { none };
            self.memory.write_u64(old, at as u64);
            self.memory.write_u64(old + 8, flags as u64);
            self.memory.write_u64(old + 16, len as u64);
        }
        Ok(0)
    }

    /// `signalfd4`.
    pub(super) fn signalfd(&mut self, call: &Call) -> Result<isize, Errno> {
        let [fd, set, size, flags, ..] = call.arguments;
        let known = libc::SFD_NONBLOCK | libc::SFD_CLOEXEC;
        if size != 8 || flags as i32 & !known != 0 {
            return Err(Errno(libc::EINVAL));
        }
        let set = self.memory.read_u64(set) & !ABSOLUTE;
        if fd as i32 == -1 {
            return self.open_object(Kind::Signals(set), flags as i32);
        }
        let (id, object) = self.by_fd(fd as i32)?;
        match &mut object.kind {
            Kind::Signals(old) => *old = set,
            _ => return Err(Errno(libc::EINVAL)),
        }
        self.notify(id, events::IN);
        Ok(fd as isize)
    }

    /// Which of these signals the thread that has its turn could take.
    pub(super) fn pending(&self, of: Set) -> Set {
        let own = self.threads.get(&self.last);
        let own = own.map_or(0, |thread| thread.signals.pending.set);
        (own | self.process.signals.pending.set) & of
    }

    /// Reads signals from a descriptor of theirs.
    pub(super) fn read_signals(&mut self, of: Set, into: &mut [u8]) -> Result<usize, Errno> {
        if into.len() < INFO_LEN {
            return Err(Errno(libc::EINVAL));
        }
        let mut read = 0;
        for place in into.chunks_exact_mut(INFO_LEN) {
            let Some(signal) = self.take_signal(self.last, of) else {
                break;
            };
            place.copy_from_slice(&signal.told());
            read += INFO_LEN;
        }
        match read {
            0 => Err(Errno(libc::EAGAIN)),
            read => Ok(read),
        }
    }

    /// A fault of a program that is not ours, which may have a handler for it. False if it has none.
    pub(super) fn catches_fault(&mut self, tid: Tid, signal: Signal) -> bool {
        let is_blocked = self
            .threads
            .get(&tid)
            .is_none_or(|thread| thread.signals.mask & only(signal.number) != 0);
        match self.process.signals.disposition(signal.number) {
            Disposition::Caught(action) if !is_blocked && self.process.is_executable => {
                self.enter(tid, signal, action, None, false);
                true
            }
            _ => false,
        }
    }
}
