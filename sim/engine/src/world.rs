//! The simulated world of one run: nodes, their lives, and the storm that comes over them.
//!
//! Owns who is alive and what is still to happen. Does *not* own bytes in flight ([`crate::net`]) or on platters
//! ([`crate::disk`]), nor what is right or wrong ([`crate::check`]).

mod by_hand;
mod checker;
mod effects;
mod event_queue;
mod kernel_calls;
mod life;
mod node;
mod operation;
mod overlap;
mod panics;
mod pct;
mod program;
mod rows;
mod storming;
mod task;
mod unreadable;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::Context,
    time::Duration,
};

use madsim::{
    runtime::Handle,
    time::{Sleep, TimeHandle},
};
use tokio::sync::Notify;

pub(crate) use checker::{Checker, Known};
pub(crate) use event_queue::{EventQueue, Todo};
pub use node::Node;
pub(crate) use node::{Boot, NodeState, StoreReader};
pub use operation::Operation;
pub use panics::panic_text;
pub(crate) use pct::Gate;
pub(crate) use rows::{Occasion, RowReader};
pub use task::Panicked;
pub(crate) use task::silence_service_panics;
pub(crate) use unreadable::Unreadable;

use squall_core::{
    census::About,
    event::{Fate, FaultEvent, Level, Scope, What},
    fault::CustomFault,
    host::{Host, NodeIx, Reached, Verdict},
    seed::Seed,
    site::Kind,
    time::VirtualTime,
};

use crate::{
    net::Net,
    storm::{Injector, Plan},
    timer_watch,
    trace::{Recorder, Sink, current_scope},
};

/// What an old process says is marked so in the trace.
const OF_OLD: &str = "process=old";

thread_local! {
    /// The node whose task is being polled on this thread.
    static RUNNING: RefCell<Option<Arc<NodeState>>> = const { RefCell::new(None) };
}

/// A fault that the scenario brings, or a server of it.
pub(crate) struct OwnFault {
    pub fault: CustomFault,
    /// Begins or ends it: `(amount, begins)`.
    pub handle: Box<dyn FnMut(u64, bool) + Send>,
    /// How often it has touched something.
    pub count: Box<dyn Fn() -> u64 + Send>,
}

impl OwnFault {
    pub fn is(&self, name: &str, node: &str) -> bool {
        self.fault.name == name && self.fault.node == node
    }
}

/// The most turns of tasks for which a run goes on once something is broken. A storm over services has thousands; a
/// system that is in a frenzy has no end of them.
const BROKEN_TURNS_MAX: u64 = 200_000;

/// Everything of one run. Single-threaded in fact; the locks are never contended and never held across a call out.
pub(crate) struct World {
    pub seed: Seed,
    pub runtime: Handle,
    pub time: TimeHandle,
    /// Orders the tasks of the nodes; madsim does by lot where there is none.
    pub gate: Option<Arc<Gate>>,
    pub net: Arc<Net>,
    pub full: bool,
    nodes: Mutex<Vec<Arc<NodeState>>>,
    pub recorder: Mutex<Option<Recorder>>,
    pub injector: Mutex<Injector>,
    /// The burst fault that the network is carrying out: it says with the burst whether it could.
    at_burst: Mutex<Option<usize>>,
    pub queue: EventQueue,
    pub checker: Mutex<Checker>,
    /// Something was inflicted that is in no plan.
    by_hand: AtomicBool,
    /// All is healed, and nothing more is inflicted by hand.
    pub settles: AtomicBool,
    pub own_faults: Mutex<Vec<OwnFault>>,
    /// Names of machines that lead to others.
    pub led: Mutex<BTreeMap<String, String>>,
    /// How rows of nodes are read that announce no commits.
    pub row_readers: Mutex<BTreeMap<String, RowReader>>,
    /// Something happened that the end of the run may depend on.
    pub activity: Notify,
    /// When a fault last began or ended, or a node came back.
    pub disturbed: Mutex<VirtualTime>,
    pub clients: Mutex<usize>,
    /// Clients and operations that the plan leaves out.
    pub without: Vec<String>,
    /// Nodes that come in two builds.
    pub upgrades: Vec<&'static str>,
    /// All timers are sites, whatever the plan aims at.
    every_timer: bool,
    /// Nodes and clients that have run unmodified programs.
    pub programs: Mutex<BTreeSet<String>>,
    /// Turns that tasks have had, and when something was broken.
    turns: AtomicU64,
    turns_until_broken: OnceLock<u64>,
    /// The operations of which clients asked, if anybody wants to know.
    pub operations: Mutex<Vec<Operation>>,
}

/// The world as the network and the disks see it; weak, because the world owns them.
struct HostRef(Weak<World>, TimeHandle, Seed, bool);

impl World {
    pub fn new(
        seed: Seed,
        plan: &Plan,
        recorder: Option<Recorder>,
        full: bool,
        gate: Option<Arc<Gate>>,
        upgrades: Vec<&'static str>,
        every_timer: bool,
    ) -> Arc<World> {
        let (runtime, time) = (Handle::current(), TimeHandle::current());
        Arc::new_cyclic(|world| World {
            seed,
            net: Net::new(Arc::new(HostRef(world.clone(), time.clone(), seed, full))),
            runtime,
            time,
            gate,
            full,
            nodes: Mutex::default(),
            recorder: Mutex::new(recorder),
            injector: Mutex::new(Injector::new(plan)),
            at_burst: Mutex::default(),
            queue: EventQueue::default(),
            checker: Mutex::default(),
            by_hand: AtomicBool::default(),
            settles: AtomicBool::default(),
            own_faults: Mutex::default(),
            led: Mutex::default(),
            row_readers: Mutex::default(),
            activity: Notify::new(),
            disturbed: Mutex::default(),
            clients: Mutex::new(0),
            without: plan.without.clone(),
            upgrades,
            every_timer,
            programs: Mutex::default(),
            turns: AtomicU64::new(0),
            turns_until_broken: OnceLock::new(),
            operations: Mutex::default(),
        })
    }

    pub fn host(self: &Arc<Self>) -> Arc<dyn Host> {
        Arc::new(HostRef(
            Arc::downgrade(self),
            self.time.clone(),
            self.seed,
            self.full,
        ))
    }

    pub fn now(&self) -> VirtualTime {
        VirtualTime::from_start(self.time.elapsed())
    }

    pub fn add(&self, node: NodeState) -> Arc<NodeState> {
        let node = Arc::new(node);
        lock(&self.nodes).push(node.clone());
        self.net.add_node(node.ix);
        node
    }

    pub fn next_ix(&self) -> NodeIx {
        NodeIx(lock(&self.nodes).len() as u16)
    }

    pub fn nodes(&self) -> Vec<Arc<NodeState>> {
        lock(&self.nodes).clone()
    }

    pub fn node(&self, ix: NodeIx) -> Arc<NodeState> {
        lock(&self.nodes)[usize::from(ix.0)].clone()
    }

    /// The node of this name; of two, the successor.
    pub fn find(&self, name: &str) -> Option<Arc<NodeState>> {
        let nodes = lock(&self.nodes);
        nodes.iter().rev().find(|n| *n.name == *name).cloned()
    }

    /// The node that this name leads to.
    pub fn looked_up(&self, name: &str) -> Option<Arc<NodeState>> {
        let led = lock(&self.led).get(name).cloned();
        self.find(led.as_deref().unwrap_or(name))
    }

    /// The node of this name, and the old processes that had it before.
    pub fn find_all(&self, name: &str) -> Vec<Arc<NodeState>> {
        let nodes = lock(&self.nodes);
        nodes.iter().filter(|n| *n.name == *name).cloned().collect()
    }

    /// Whether nothing more is to be seen: the harness is at fault, or what is broken keeps itself busy.
    pub fn is_over(&self) -> bool {
        let checker = lock(&self.checker);
        let is_busy = || {
            let turns = self.turns.load(Relaxed);
            turns - self.turns_until_broken.get_or_init(|| turns) > BROKEN_TURNS_MAX
        };
        checker.is_void() || checker.is_broken() && is_busy()
    }

    /// Whether rolling upgrades concern the node of this name.
    pub fn comes_in_two_builds(&self, node: &str) -> bool {
        self.upgrades.contains(&node)
    }

    pub fn record(&self, node: &str, what: What<'_>) {
        if let Some(recorder) = &mut *lock(&self.recorder) {
            recorder.record(self.now(), node, &current_scope(), what);
        }
    }

    /// A site of `node` is reached. Sets off what is aimed at it; the burst fault, if any, is the caller's to obey.
    fn site(
        self: &Arc<Self>,
        node: &Arc<NodeState>,
        kind: impl FnOnce() -> Kind,
        label: &str,
        about: About<'_>,
    ) -> Verdict {
        let due = lock(&self.injector).reached(&node.name, &kind(), label, about, self.now());
        let mut verdict = Verdict::default();
        for due in due {
            match due.action.at_burst() {
                Some(fault) => {
                    self.announce(&due, FaultEvent::Fires);
                    self.await_burst(&fault);
                    self.disturb();
                    *lock(&self.at_burst) = Some(due.index);
                    verdict.burst = Some(fault);
                }
                None => self.begin(due),
            }
        }
        verdict.dead = !node.is_up();
        verdict
    }

    /// Whether the timers of the service of this name are sites. To be asked before any of its tasks is started.
    pub fn watches_timers(&self, node: &str) -> bool {
        let watches = self.every_timer || lock(&self.injector).aims_at_timers_of(node);
        if watches {
            timer_watch::watch();
        }
        watches
    }

    /// A timer of `node` has run out, and the task that waited for it is about to have a turn.
    fn timer_runs_out(self: &Arc<Self>, node: &Arc<NodeState>, label: &str) {
        if let Some(recorder) = &mut *lock(&self.recorder) {
            recorder.timer_runs_out(self.now(), &node.name, label);
        }
        if lock(&self.injector).watches(&node.name, |kind| *kind == Kind::Timer) {
            self.site(node, || Kind::Timer, label, About::Nothing);
        }
    }

    /// A service reads the wall clock of `node`, and does not know yet what it shows.
    pub(super) fn clock_is_read(self: &Arc<Self>, node: &Arc<NodeState>) {
        if node.is_client || !node.is_up() {
            return;
        }
        let covers = self.every_timer;
        if !covers && !lock(&self.injector).watches(&node.name, |kind| *kind == Kind::Clock) {
            return;
        }
        let scope = current_scope();
        if covers && let Some(recorder) = &mut *lock(&self.recorder) {
            recorder.clock_is_read(self.now(), &node.name, &scope.op);
        }
        if lock(&self.injector).watches(&node.name, |kind| *kind == Kind::Clock) {
            self.site(node, || Kind::Clock, &scope.op, About::Nothing);
        }
    }

    /// A transaction of `node` is durable, its writer does not know yet.
    pub fn committed(
        self: &Arc<Self>,
        node: &Arc<NodeState>,
        file: &str,
        rows: Vec<squall_core::event::Row>,
    ) {
        let scope = current_scope();
        lock(&node.may_return).clear();
        self.record(
            &node.name,
            What::Commit {
                file: file.into(),
                rows: (&rows[..]).into(),
            },
        );
        let about = lock(&self.injector).is_census().then(|| rows.clone());
        let broken = lock(&self.checker).commit(
            self.now(),
            &node.name,
            file,
            rows,
            &scope,
            Known::Acknowledged,
        );
        if broken {
            self.report_violations();
        }
        self.activity.notify_one();
        if lock(&self.injector).watches(&node.name, |kind| *kind == Kind::Commit) {
            let about = about.as_deref().map_or(About::Nothing, About::Rows);
            self.site(node, || Kind::Commit, &scope.op, about);
        }
    }

    /// Something disturbs the world at this instant.
    pub fn disturb(&self) {
        *lock(&self.disturbed) = self.now();
    }

    /// For how long nothing has disturbed the world, and all that was lost on the way has come through; `None` while
    /// something does.
    pub fn calm_for(&self) -> Option<Duration> {
        let is_down = |node: &Arc<NodeState>| !node.is_up() && !node.is_old();
        let goes_on = self.queue.is_stormy()
            || self.nodes().iter().any(is_down)
            || self.net.is_retransmitting();
        let last = (*lock(&self.disturbed)).max(self.net.retransmitted());
        (!goes_on).then(|| self.now().since(last))
    }

    /// Puts violations that were just found into the trace.
    pub fn report_violations(&self) {
        let fresh = lock(&self.checker).take_unreported();
        for violation in fresh {
            let detail = format!(
                "{}: {}: expected {}, found {}",
                violation.tag,
                violation.entities.join(", "),
                violation.expected,
                violation.found
            );
            self.record(
                "squall",
                What::Violation {
                    invariant: violation.invariant.as_str().into(),
                    detail: detail.into(),
                },
            );
        }
        self.activity.notify_one();
    }
}

impl Sink for HostRef {
    fn event(
        &self,
        scope: &Scope,
        level: tracing::Level,
        _target: &str,
        message: &str,
        fields: &str,
    ) {
        let Some(world) = self.0.upgrade() else {
            return;
        };
        if let Some(node) = running() {
            world.says(&node, scope, level, message, fields);
        }
    }
}

fn level_of(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}

impl World {
    /// A service has said something.
    pub(super) fn says(
        self: &Arc<Self>,
        node: &Arc<NodeState>,
        scope: &Scope,
        level: tracing::Level,
        message: &str,
        fields: &str,
    ) {
        if !node.is_up() {
            return;
        }
        let what = What::Log {
            level: level_of(level),
            message: message.into(),
            fields: match node.is_old() {
                true => format!("{fields} {OF_OLD}").trim_start().to_owned().into(),
                false => fields.into(),
            },
        };
        if let Some(recorder) = &mut *lock(&self.recorder) {
            recorder.record(self.now(), &node.name, scope, what);
        }
        lock(&self.checker).said(&node.name, message, scope, fields);
        let is_it = |kind: &Kind| matches!(kind, Kind::Event(m) if m == message);
        if lock(&self.injector).watches(&node.name, is_it) {
            let kind = || Kind::Event(message.to_owned());
            self.site(node, kind, &scope.op, About::Nothing);
        }
    }

    /// A process has written a line: a site too.
    pub(super) fn writes_line(self: &Arc<Self>, node: &Arc<NodeState>, level: Level, line: &str) {
        let what = What::Log {
            level,
            message: line.into(),
            fields: "".into(),
        };
        self.record(&node.name, what);
        let watches = |is: &dyn Fn(&Kind) -> bool| lock(&self.injector).watches(&node.name, is);
        if node.is_up() && watches(&|kind| matches!(kind, Kind::Event(_))) {
            let kind = Kind::said(level, line);
            if watches(&|watched| *watched == kind) {
                self.site(node, || kind, "", About::Nothing);
            }
        }
    }
}

impl World {
    pub fn sink(self: &Arc<Self>) -> Arc<dyn Sink> {
        Arc::new(HostRef(
            Arc::downgrade(self),
            self.time.clone(),
            self.seed,
            self.full,
        ))
    }
}

impl Host for HostRef {
    fn now(&self) -> VirtualTime {
        VirtualTime::from_start(self.1.elapsed())
    }

    fn seed(&self) -> Seed {
        self.2
    }

    fn name(&self, node: NodeIx) -> Arc<str> {
        self.0
            .upgrade()
            .map_or_else(|| "gone".into(), |world| world.node(node).name.clone())
    }

    fn reached(&self, ix: NodeIx, site: Reached<'_>) -> Verdict {
        let Some(world) = self.0.upgrade() else {
            return Verdict {
                dead: true,
                burst: None,
            };
        };
        let node = world.node(ix);
        match site {
            Reached::Send { to, label, bytes } => {
                *lock(&world.at_burst) = None;
                if !lock(&world.injector).watches(&node.name, |kind| matches!(kind, Kind::Send(_)))
                {
                    return Verdict::default();
                }
                let to = world.node(to).name.to_string();
                world.site(&node, || Kind::Send(to), label, About::Burst(bytes))
            }
            Reached::Write | Reached::Sync => {
                let kind = if matches!(site, Reached::Write) {
                    Kind::Write
                } else {
                    Kind::Sync
                };
                if !lock(&world.injector).watches(&node.name, |k| *k == kind) {
                    return Verdict::default();
                }
                world.site(&node, || kind, &current_scope().op, About::Nothing)
            }
        }
    }

    fn wrote(&self, node: NodeIx, inode: u64, offset: u64, bytes: &[u8]) {
        if let Some(world) = self.0.upgrade()
            && let Some(recorder) = &mut *lock(&world.recorder)
        {
            recorder.wrote(node, inode, offset, bytes);
        }
    }

    fn synced(&self, node: NodeIx) {
        if let Some(world) = self.0.upgrade() {
            world.read_rows(&world.node(node), Occasion::Meanwhile);
        }
    }

    fn tracing(&self) -> bool {
        self.3
    }

    fn record(&self, node: NodeIx, what: What<'_>) {
        let Some(world) = self.0.upgrade() else {
            return;
        };
        if let What::Burst { fate, .. } = &what
            && let Some(index) = lock(&world.at_burst).take()
            && !matches!(fate, Fate::Sent | Fate::HeldBack)
        {
            lock(&world.injector).bites(index);
        }
        let node = world.node(node);
        if let (What::Burst { to, .. }, Some(index)) = (&what, node.outlives.get()) {
            world.old_speaks(&node, *index, to);
        }
        world.record(&node.name, what);
    }
}

/// The node whose task is being polled.
pub(crate) fn running() -> Option<Arc<NodeState>> {
    RUNNING.with_borrow(Clone::clone)
}

/// Locks: a panic in a service must not poison the world.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits in virtual time for the machine's sake: no timer of its process runs out at the end.
pub(crate) async fn wait(duration: Duration) {
    if duration.is_zero() {
        return;
    }
    let mut sleep = exact_sleep(duration);
    std::future::poll_fn(|cx| {
        let quiet = timer_watch::quiet(cx.waker());
        let cx = &mut Context::from_waker(quiet.as_ref().unwrap_or(cx.waker()));
        Pin::new(&mut sleep).poll(cx)
    })
    .await;
}

/// Without the 1 ms floor of `tokio::time::sleep`.
fn exact_sleep(duration: Duration) -> Sleep {
    let mut sleep = madsim::time::sleep(duration);
    let deadline = TimeHandle::current().now_instant() + duration;
    Pin::new(&mut sleep).reset(deadline);
    sleep
}
