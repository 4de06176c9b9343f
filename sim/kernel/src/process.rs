//! The kernel of a node: its processes and their threads, what they wait for, and what they hold.

mod address;
mod alarms;
mod calls;
mod console;
mod descriptors;
mod epoll;
mod files;
mod futex;
mod inherited;
mod mappings;
mod names;
mod object;
pub(crate) mod outside;
mod pipe;
mod schedule;
mod shared;
mod signals;
mod socket;
mod time;
mod transfer;
mod tree;
mod udp;
mod unix;
mod vectors;
mod wakes;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::Duration,
};

use squall_core::seed::Stream as Rng;
use squall_engine::{Node, world::Panicked};

use crate::cpu::{self, Call, Clone as CloneCall, Executable, Image, Memory, Processor, Tid, own};
use crate::fork;
use console::Console;
use descriptors::Descriptors;
use mappings::Mappings;
use object::{ObjectId, Objects};
use schedule::Schedule;
use shared::Regions;
use signals::{Set, Signal, Signals, Target};
use tree::Remains;
use wakes::Wakes;

/// An error number of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub i32);

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        Errno(match error.kind() {
            std::io::ErrorKind::WouldBlock => libc::EAGAIN,
            _ => error.raw_os_error().unwrap_or(libc::EIO),
        })
    }
}

/// What a call comes to.
pub(crate) enum Answer {
    /// It returns.
    Done(isize),
    /// It is asked again when what it waits for has happened.
    Wait(Wait),
    /// Its thread is no more.
    Gone,
    /// Its process has another thread in its place, which has asked for nothing yet.
    Anew,
}

impl From<Result<isize, Errno>> for Answer {
    fn from(result: Result<isize, Errno>) -> Self {
        Answer::Done(result.unwrap_or_else(|Errno(number)| -(number as isize)))
    }
}

/// What a thread waits for: whichever comes first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wait {
    /// News of one of these.
    on: Vec<ObjectId>,
    /// This instant of virtual time, in nanoseconds.
    until: Option<u64>,
    /// One of these signals.
    signals: Set,
    /// The end of a child.
    child: bool,
    /// That this child runs a program of its own, or ends (`vfork`).
    spawned: Option<Tid>,
    /// No signal ends it.
    is_deaf: bool,
}

enum State {
    /// Its call has this answer.
    Ready(isize),
    /// Its call is to be looked at again.
    Retry,
    Waiting(Wait),
}

struct Thread {
    /// The number of its process.
    process: Tid,
    state: State,
    call: Call,
    /// When its present call gives up: known from its first attempt on.
    until: Option<Option<u64>>,
    /// Where its number is taken away at its end, and who waits there is woken.
    clear_tid: usize,
    /// What its present call has transferred already: some wait until it is all.
    progress: usize,
    /// The futex that its present call waits at, and for which bits.
    futex: Option<(futex::Key, u32)>,
    /// The end of a named pipe for whose other end its present call waits.
    opening: Option<ObjectId>,
    /// The answer of its present call, which it gets later.
    late: Option<isize>,
    signals: signals::OfThread,
}

impl Thread {
    /// One that has asked for nothing yet.
    fn new(process: Tid, signals: signals::OfThread) -> Self {
        Thread {
            process,
            state: State::Ready(0),
            call: Call::default(),
            until: None,
            clear_tid: 0,
            progress: 0,
            futex: None,
            opening: None,
            late: None,
            signals,
        }
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Exit(i32),
    /// Its first function panicked.
    Panic(Panicked),
    /// By a signal.
    Signal(i32, String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exit(status) => write!(f, "the process exits with status {status}"),
            End::Panic(panic) => write!(f, "panic: {}", panic.message),
            End::Signal(signal, why) => write!(f, "{}: {why}", signals::name(*signal)),
        }
    }
}

/// How many processors a program sees. Its threads take turns whatever it is.
const PROCESSORS: usize = 4;
/// The monotonic clock shows this when virtual time begins: programs subtract from it.
const MONOTONIC_BEGIN: u64 = 1_000_000_000_000;
/// A program that is told to end has so long.
const PATIENCE_NS: u64 = 10_000_000_000;
/// What an executable sends to its own machine has arrived when the call returns: so long.
const ARRIVES_NS: u64 = 40_000;
/// A system call takes this long.
const CALL_NS: u64 = 200;
/// A process that is this far ahead of virtual time stands still until it is caught up with.
const AHEAD_MAX: u64 = 1_000_000;

/// Each system call is told, for a debugger: `SQUALL_STRACE=1`.
static TELLS_CALLS: LazyLock<bool> = LazyLock::new(|| std::env::var_os("SQUALL_STRACE").is_some());

thread_local! {
    /// The next number for a process or thread of this thread's run.
    static NEXT_TID: Cell<Tid> = const { Cell::new(1000) };
}

fn next_tid() -> Tid {
    NEXT_TID.replace(NEXT_TID.get() + 1)
}

/// Ends at an instant of virtual time.
type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A process, as far as it is not shared with others of its node.
struct Process {
    /// They show files in memory that ends with the processor.
    mappings: Mappings,
    pid: Tid,
    parent: Tid,
    /// Its process group, and session.
    group: Tid,
    session: Tid,
    /// Its user, and group of users.
    user: (u32, u32),
    /// The signal that its parent gets at its end; 0: none.
    end_signal: i32,
    processor: Processor,
    descriptors: Descriptors,
    files: squall_files::Process,
    signals: Signals,
    /// It runs an executable, of which nothing was compiled here.
    is_executable: bool,
    executable: Option<Arc<Executable>>,
}

/// The kernel of a node, for as long as its first process lives.
pub(crate) struct Kernel {
    node: Node,
    /// The process whose thread has its turn: calls are asked by it.
    process: Box<Process>,
    /// Its memory.
    memory: Memory,
    /// The others, by number.
    others: BTreeMap<Tid, Box<Process>>,
    /// The node's first process.
    first: Tid,
    /// Processes whose end is at hand, and how they end.
    ending: Vec<(Tid, End)>,
    /// What is left of processes that have ended, until their parents ask for it.
    remains: BTreeMap<Tid, Remains>,
    /// The threads of all.
    threads: BTreeMap<Tid, Thread>,
    /// The thread that had the last turn.
    last: Tid,
    objects: Objects,
    /// Unix sockets that have a name.
    unix_names: BTreeMap<unix::Key, ObjectId>,
    /// Pipes with a name.
    fifos: pipe::Fifos,
    /// The present call has its answer, and gets it so many nanoseconds later.
    answered_late: Option<u64>,
    /// Objects that the present call sends along with bytes, and those that came along with what it has read.
    sending: Vec<ObjectId>,
    received: Vec<ObjectId>,
    /// To whom the present call sends a datagram, and whose it has received.
    addressee: Option<unix::Name>,
    sender: Option<unix::Name>,
    /// Memory that processes share.
    regions: Regions,
    /// Timers of processes.
    alarms: BTreeMap<alarms::Key, alarms::Alarm>,
    wakes: Arc<Wakes>,
    console: Console,
    schedule: Schedule,
    /// Draws which thread goes on, and which descriptor is reported first.
    order: Rng,
    entropy: Rng,
    /// The node's first process has ended.
    end: Option<End>,
    /// What was asked for that is not simulated.
    refused: BTreeSet<String>,
    timer: Option<(u64, Timer)>,
    /// Virtual time in nanoseconds, as of the node's turn: it stands still meanwhile.
    now: u64,
    /// What the monotonic clock shows.
    clock: u64,
    next_port: u16,
    /// The first process was told to end, and the node is killed then.
    ends_by: Option<u64>,
    /// Is told what it sends.
    hears: Option<Hears>,
}

/// What a process runs.
pub(crate) enum Main {
    /// A function, in the world's own address space.
    Here(Box<dyn FnOnce() + Send>),
    /// A program, in a process forked for it.
    Apart(Image),
    /// An executable, likewise, and who hears what it sends.
    Executable(Executable, Option<Hears>),
}

/// Hears what a node sends: to which machine, and the bytes.
pub(crate) type Hears = Arc<dyn Fn(&str, &[u8]) + Send + Sync>;

/// Runs a process on a node until it ends; what it returns is why.
pub(crate) async fn run(
    node: Node,
    main: Main,
    environment: &[(String, String)],
) -> Result<(), String> {
    node.runs_a_program();
    if fork::is_wanted() && !fork::is_child() {
        node.void(NOT_ISOLATED);
        return Err(NOT_ISOLATED.to_owned());
    }
    if let Err(missing) = cpu::prepare() {
        node.broken(
            "programs can be simulated",
            "machine",
            "a Linux that allows it",
            missing.to_string(),
        );
        return Err(missing.to_string());
    }
    // Of other errors the executable itself is the cause: it is none, or has too many arguments.
    let is_machines = |error: &std::io::Error| {
        matches!(
            error.raw_os_error(),
            None | Some(libc::EAGAIN | libc::ENOMEM)
        )
    };
    let mut kernel = Kernel::start(node.clone(), main, environment).map_err(|error| {
        if is_machines(&error) {
            node.void(format!("{} cannot be started: {error}", node.name()));
        }
        error.to_string()
    })?;
    let end = std::future::poll_fn(|cx| kernel.poll(cx)).await;
    match end {
        End::Exit(0) => Ok(()),
        End::Panic(panic) => panic.resume(),
        end => Err(end.to_string()),
    }
}

const NOT_ISOLATED: &str = "unmodified programs take part in a scenario that does not say so: return \
    Some(squall::in_child) from Scenario::isolation, or set SQUALL_FORK=0 to run a single storm";

impl Kernel {
    fn start(node: Node, main: Main, environment: &[(String, String)]) -> std::io::Result<Self> {
        let pid = next_tid();
        let is_apart = !matches!(main, Main::Here(_));
        let inherits = matches!(main, Main::Apart(_));
        let mut entropy = node.stream("entropy");
        let (mut executable, mut hears) = (None, None);
        let processor = match main {
            Main::Here(main) => Processor::start(main, pid, environment)?,
            Main::Apart(image) => Processor::start_apart(image, pid, environment)?,
            Main::Executable(mut started, heard_by) => {
                hears = heard_by;
                let variable = |(name, value): &(String, String)| format!("{name}={value}").into();
                started.environment.extend(environment.iter().map(variable));
                for chunk in started.random.chunks_mut(8) {
                    chunk.copy_from_slice(&entropy.bits().to_ne_bytes());
                }
                Processor::start_exec(executable.insert(Arc::new(started)), pid)?
            }
        };
        let mut objects = Objects::default();
        let process = Process {
            mappings: Mappings::default(),
            pid,
            parent: 1,
            group: pid,
            session: pid,
            user: executable.as_ref().map_or((0, 0), |it| (it.user, it.user)),
            end_signal: 0,
            is_executable: executable.is_some(),
            descriptors: Descriptors::new(&mut objects, is_apart),
            files: files::of_process(&node, pid, executable.clone()),
            signals: match executable {
                None => Signals::of_rust(),
                Some(_) => Signals::default(),
            },
            executable,
            processor,
        };
        let mut kernel = Kernel {
            memory: process.processor.memory(),
            process: Box::new(process),
            others: BTreeMap::new(),
            first: pid,
            ending: Vec::new(),
            remains: BTreeMap::new(),
            threads: [(pid, Thread::new(pid, signals::OfThread::default()))].into(),
            last: pid,
            objects,
            unix_names: BTreeMap::new(),
            fifos: pipe::Fifos::default(),
            answered_late: None,
            sending: Vec::new(),
            received: Vec::new(),
            addressee: None,
            sender: None,
            regions: Regions::default(),
            alarms: BTreeMap::new(),
            wakes: Arc::default(),
            console: Console::default(),
            schedule: Schedule::of(&node),
            order: node.stream("order of threads and descriptors"),
            entropy,
            end: None,
            refused: BTreeSet::new(),
            timer: None,
            now: node.now().0,
            clock: 0,
            next_port: 0,
            ends_by: None,
            hears,
            node,
        };
        if inherits {
            kernel.inherit();
        }
        Ok(kernel)
    }

    /// Virtual time in nanoseconds.
    fn now(&self) -> u64 {
        self.now
    }

    /// Lets the process go on as far as it can at this instant.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.now = self.node.now().0;
        self.wakes.attend(cx.waker());
        loop {
            self.hear_orders(cx);
            self.hear_news();
            self.expire();
            while self.end.is_none()
                && let Some(tid) = self.choose()
            {
                self.turn(tid);
                if !self.node.is_alive() {
                    return Poll::Pending;
                }
            }
            if let Some(end) = self.end.take() {
                self.console.flush(&self.node);
                return Poll::Ready(end);
            }
            if self.wakes.is_empty() && self.sleep(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// It is told to end, and killed if it does not.
    fn hear_orders(&mut self, cx: &mut Context<'_>) {
        let now = self.now();
        if self.node.told_to_end(cx.waker()) && self.ends_by.is_none() {
            self.ends_by = Some(now + PATIENCE_NS);
            let signal = Signal::of_kernel(libc::SIGTERM);
            self.raise(Target::Process(self.first), signal);
            self.bury();
        }
        if let Some(nth) = self.node.told_to_kill() {
            let processes: Vec<Tid> = self
                .others
                .keys()
                .copied()
                .chain([self.process.pid])
                .collect();
            let mut oldest_first = processes;
            oldest_first.sort_unstable();
            let killed = oldest_first[(nth % oldest_first.len() as u64) as usize];
            self.raise(Target::Process(killed), Signal::of_kernel(libc::SIGKILL));
            self.bury();
        }
        if self.ends_by.is_some_and(|by| by <= now) {
            let why = "it did not end when it was told to".to_owned();
            self.end = Some(End::Signal(libc::SIGKILL, why));
        }
    }

    /// How far its own time is ahead of the world's.
    fn ahead(&self) -> u64 {
        self.clock.saturating_sub(MONOTONIC_BEGIN + self.now())
    }

    /// The thread that goes on.
    fn choose(&mut self) -> Option<Tid> {
        if self.ahead() > AHEAD_MAX {
            return None;
        }
        let runs = |thread: &Thread| !matches!(thread.state, State::Waiting(_));
        let last = self.threads.get(&self.last).filter(|last| runs(last));
        let last = last.map(|_| self.last);
        let threads = self.threads.iter().filter(|(_, thread)| runs(thread));
        let able = threads.map(|(tid, _)| *tid);
        self.schedule.next(&mut self.order, last, able)
    }

    /// A thread goes on to its next call, which is answered if it can be.
    fn turn(&mut self, tid: Tid) {
        self.last = tid;
        let Some(mut thread) = self.threads.get_mut(&tid) else {
            return;
        };
        if thread.process != self.process.pid {
            let process = thread.process;
            self.switch_to(process);
            match self.threads.get_mut(&tid) {
                Some(same) => thread = same,
                None => return,
            }
        }
        let call = match std::mem::replace(&mut thread.state, State::Retry) {
            State::Ready(answer) => {
                thread.until = None;
                thread.progress = 0;
                thread.futex = None;
                let is_disturbed = thread.signals.may_disturb(&self.process.signals);
                if let Some(id) = thread.opening.take() {
                    self.give_up(id);
                }
                let answer = match is_disturbed {
                    true => match self.deliver(tid, answer) {
                        Some(answer) => answer,
                        None => return self.bury(),
                    },
                    false => answer,
                };
                self.show_time();
                fork::turn_begins(self.node.name(), self.now());
                let call = self.process.processor.resume(tid, answer);
                fork::turn_ends();
                self.look_at_clock();
                if let Some(thread) = self.threads.get_mut(&tid) {
                    thread.call = call;
                }
                call
            }
            State::Retry | State::Waiting(_) => {
                if let Some(answer) = thread.late.take() {
                    thread.state = State::Ready(answer);
                    return;
                }
                thread.call
            }
        };
        let mut answer = self.serve(tid, &call);
        if self.memory.take_missed() && matches!(answer, Answer::Done(_)) {
            answer = Err(Errno(libc::EFAULT)).into();
        }
        if *TELLS_CALLS {
            self.tell_call(tid, &call, &answer);
        }
        let interrupted = match &answer {
            Answer::Wait(wait) => self.interrupt(tid, &call, wait),
            _ => None,
        };
        let (late, now) = (self.answered_late.take(), self.now());
        if let Some(thread) = self.threads.get_mut(&tid) {
            match (answer, interrupted) {
                (_, Some(result)) => thread.state = State::Ready(result),
                (Answer::Done(result), _) => {
                    thread.signals.end_call();
                    thread.state = match late {
                        Some(late) => {
                            thread.late = Some(result);
                            State::Waiting(Wait {
                                until: Some(now + late),
                                is_deaf: true,
                                ..Wait::default()
                            })
                        }
                        None => State::Ready(result),
                    };
                }
                (Answer::Anew, _) => {}
                (Answer::Wait(wait), _) => thread.state = State::Waiting(wait),
                (Answer::Gone, _) => {
                    self.threads.remove(&tid);
                    self.process.processor.forget(tid);
                }
            }
        }
        self.memory.settle();
        self.bury();
    }

    /// As `strace` would, on the harness's own standard error.
    fn tell_call(&self, tid: Tid, call: &Call, answer: &Answer) {
        let result = match answer {
            Answer::Done(result) => format!("{result}"),
            Answer::Wait(wait) => format!("waits for {wait:?}"),
            Answer::Gone => "ends".to_owned(),
            Answer::Anew => "0".to_owned(),
        };
        let arguments = call.arguments.map(|argument| match argument as isize {
            small @ -65_536..=1_000_000 => small.to_string(),
            _ => format!("{argument:#x}"),
        });
        let (at, node, pid) = (self.node.now(), self.node.name(), self.process.pid);
        eprintln!(
            "{at} {node}/{pid}/{tid} {}({}) = {result}",
            call.name(),
            arguments.join(", ")
        );
    }

    /// What the process will see of time.
    fn show_time(&mut self) {
        let now = MONOTONIC_BEGIN + self.now();
        self.clock = self.clock.max(now) + CALL_NS;
        let clock = self.process.processor.clock();
        clock.monotonic.set(self.clock);
        clock
            .wall_offset
            .set(self.node.wall_ns() as i64 - now as i64);
    }

    fn look_at_clock(&mut self) {
        let clock = self.process.processor.clock();
        self.clock = clock.monotonic.get();
        if clock.wall_reads.take() > 0 {
            self.node.clock_was_read();
        }
    }

    /// Something has happened to what it holds.
    fn hear_news(&mut self) {
        while let Some((object, news)) = self.wakes.next() {
            self.on_wake(object, news);
        }
    }

    /// Threads that have waited long enough go on.
    fn expire(&mut self) {
        self.ring_timers();
        self.ring_alarms();
        self.bury();
        let now = self.now();
        for thread in self.threads.values_mut() {
            if let State::Waiting(wait) = &thread.state
                && wait.until.is_some_and(|until| until <= now)
            {
                thread.state = State::Retry;
            }
        }
    }

    /// Waits for the next deadline. Ready if there is something to do now.
    fn sleep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.now();
        let waits = self
            .threads
            .values()
            .filter_map(|thread| match &thread.state {
                State::Waiting(wait) => wait.until,
                _ => None,
            });
        let ahead = self.ahead();
        let caught_up = (ahead > AHEAD_MAX).then_some(now + ahead);
        let next = waits
            .chain(self.ends_by)
            .chain(self.objects.next_expiry())
            .chain(self.alarms.values().filter_map(alarms::Alarm::next))
            .chain(caught_up)
            .min();
        let Some(next) = next else {
            self.timer = None;
            return Poll::Pending;
        };
        if next <= now {
            self.timer = None;
            return Poll::Ready(());
        }
        if self.timer.as_ref().is_none_or(|(at, _)| *at != next) {
            let node = self.node.clone();
            let wait = Duration::from_nanos(next - now);
            self.timer = Some((next, Box::pin(async move { node.sleep(wait).await })));
        }
        let ended = self
            .timer
            .as_mut()
            .is_some_and(|(_, timer)| timer.as_mut().poll(cx).is_ready());
        if ended {
            self.timer = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// When a call gives up that waits for so long at most, by the clock that the process sees; the same at each attempt.
    fn until(&mut self, tid: Tid, timeout: Option<u64>) -> Option<u64> {
        let now = match timeout {
            Some(1..) => self.now() + self.ahead(),
            _ => self.now(),
        };
        match self.threads.get_mut(&tid) {
            Some(thread) => *thread
                .until
                .get_or_insert_with(|| timeout.map(|timeout| now.saturating_add(timeout))),
            None => None,
        }
    }

    /// Threads that wait for news of an object look again.
    fn retry_waiters(&mut self, object: ObjectId) {
        for thread in self.threads.values_mut() {
            if let State::Waiting(wait) = &thread.state
                && wait.on.contains(&object)
            {
                thread.state = State::Retry;
            }
        }
    }

    /// A new thread, as its maker asks.
    fn clone_thread(&mut self, maker: Tid, ask: &CloneCall) -> Result<isize, Errno> {
        let tid = next_tid();
        if !self.process.processor.clone_thread(maker, tid, ask) {
            return Err(Errno(libc::EAGAIN));
        }
        if ask.flags & libc::CLONE_PARENT_SETTID as u64 != 0 {
            self.memory.write_u32(ask.parent_tid, tid as u32);
        }
        if ask.flags & libc::CLONE_CHILD_SETTID as u64 != 0 {
            self.memory.write_u32(ask.child_tid, tid as u32);
        }
        let clears = ask.flags & libc::CLONE_CHILD_CLEARTID as u64 != 0;
        let signals = self.threads.get(&maker).map(|one| one.signals.inherited());
        let mut thread = Thread::new(self.process.pid, signals.unwrap_or_default());
        thread.clear_tid = if clears { ask.child_tid } else { 0 };
        self.threads.insert(tid, thread);
        Ok(tid as isize)
    }

    /// A thread ends.
    fn exit_thread(&mut self, tid: Tid, status: i32) -> Answer {
        let clear = self.threads.get(&tid).map_or(0, |thread| thread.clear_tid);
        if clear != 0 {
            self.memory.write_u32(clear, 0);
            let key = self.futex_key(clear, false);
            self.futex_wake(key, i32::MAX, u32::MAX);
        }
        let pid = self.process.pid;
        let of_process = self.threads.values().filter(|one| one.process == pid);
        if of_process.count() == 1 {
            self.ends(pid, End::Exit(status));
        }
        Answer::Gone
    }

    /// Something that is not simulated: a finding, and an error for the process.
    fn refuse(&mut self, what: &str) -> Errno {
        if self.refused.insert(what.to_owned()) {
            self.node.broken(
                "processes ask for nothing that is not simulated",
                what,
                "a system call that the simulated kernel serves",
                format!("{what} (refused with ENOSYS)"),
            );
        }
        Errno(libc::ENOSYS)
    }

    /// The call by which the first function says how it ended.
    fn ended(&mut self) -> Answer {
        let end = match self.process.processor.take_panic() {
            None => End::Exit(0),
            Some(panic) => End::Panic(panic),
        };
        self.ends(self.process.pid, end);
        Answer::Gone
    }

    /// The process that was forked for it has died.
    fn died(&mut self, call: &Call) -> Answer {
        let status = call.arguments[0] as i32;
        let end = match libc::WIFSIGNALED(status) {
            true => End::Signal(libc::WTERMSIG(status), "the program's process died".into()),
            false => End::Exit(libc::WEXITSTATUS(status)),
        };
        self.ends(self.process.pid, end);
        Answer::Gone
    }

    fn fault(&mut self, tid: Tid, call: &Call) -> Answer {
        debug_assert_eq!(call.number, own::FAULT);
        let [number, address, at, code, ..] = call.arguments;
        let signal = Signal {
            number: number as i32,
            code: code as i32,
            value: address as u64,
            ..Signal::default()
        };
        if self.catches_fault(tid, signal) {
            return Answer::Done(0);
        }
        let why = format!("at address {address:#x}, by the instruction at {at:#x}");
        self.ends(self.process.pid, End::Signal(number as i32, why));
        Answer::Gone
    }
}
