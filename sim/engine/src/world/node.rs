//! Nodes: a machine with a process on it, in its present life.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use madsim::task::NodeId;

use squall_core::{
    clock::WallClock,
    event::{Level, Life, Row, Scope},
    host::NodeIx,
    seed::Stream as Rng,
    time::VirtualTime,
};

use super::{Unreadable, World, exact_sleep, lock, program::ProgramFaults, wait};
use crate::{
    check::{Findings, Truth},
    disk::Disk,
    net::{DatagramSocket, Listener, Stream},
    trace::current_scope,
};

/// Starts a node's process; what it returns is why the process ended.
pub(crate) type Boot =
    Arc<dyn Fn(Node) -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;
/// Reads all rows of a database file: (table, key, value).
pub(crate) type StoreReader =
    fn(Box<dyn redb::StorageBackend>) -> Result<Vec<(String, String, Vec<u8>)>, String>;

/// The port on which a node's service listens.
const SERVICE_PORT: u16 = 80;

/// What every node's wall clock shows when a run begins: 2026-01-01T00:00:00Z, in milliseconds.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// A machine, through all its lives.
pub(crate) struct NodeState {
    pub ix: NodeIx,
    pub name: Arc<str>,
    pub id: NodeId,
    pub disk: Arc<Disk>,
    pub clock: WallClock,
    /// How the clock was read: clock faults that nobody saw touched nothing.
    pub clock_reads: AtomicU64,
    pub is_client: bool,
    /// Its timers are sites in this run.
    pub watches_timers: bool,
    /// None for a client, and when the run is over.
    pub boot: Mutex<Option<Boot>>,
    pub reader: Option<StoreReader>,
    /// Counts lives; a handle of an earlier one is inert.
    pub life: AtomicU32,
    pub up: AtomicBool,
    /// It died in the middle of a poll: network and disk are frozen, the task still runs.
    pub doomed: Mutex<Option<Death>>,
    pub unreadable: Unreadable,
    pub program: ProgramFaults,
    /// Wait before each turn of its tasks.
    pub slow_ms: AtomicU64,
    pub slowed: AtomicU64,
    /// Its tasks stand still, in this life.
    pub paused: AtomicBool,
    /// When its present life began, in nanoseconds of virtual time.
    pub booted: AtomicU64,
    /// Deaths in quick succession, for the supervisor's backoff.
    pub failures: AtomicU32,
    /// The transaction that is being committed, or whose writer could not tell how that ended: should the node die now,
    /// its disk may hold it, whole or not at all.
    pub in_flight: Mutex<Option<InFlight>>,
    /// Its rows as they were before transactions that nobody acknowledged and an outage found in the page cache. Until
    /// the next acknowledged commit has synced them, a power loss may bring these rows back.
    pub may_return: Mutex<Vec<Truth>>,
    /// Its rows must be read again before it boots.
    pub stale: AtomicBool,
    pub ids: Mutex<Rng>,
    /// It comes in two builds.
    pub builds: bool,
    /// The build of its present life: 0, or 1 for the next one.
    pub build: AtomicU32,
    /// The build of its next boot, and the fault that installed it if that is another one.
    pub installed: Mutex<(u32, Option<usize>)>,
    /// Its process is an old one, whose successor has a slot of its own and the name: since this fault of the plan.
    pub outlives: OnceLock<usize>,
}

/// How a node dies.
#[derive(Clone, Debug)]
pub(crate) struct Death {
    pub power: bool,
    /// Until it boots again; `None` leaves that to another entry of the event queue.
    pub down: Duration,
    pub event: Life,
    pub detail: String,
}

/// A transaction that its store is about to commit.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    /// On whose behalf.
    pub scope: Arc<Scope>,
    pub file: String,
    pub rows: Vec<Row>,
}

impl NodeState {
    /// A machine that is switched off, and not yet among the world's nodes. A client has no `boot`; `life` counts those
    /// that its name had before; `installed` is the build of its first boot, and the fault that put it there.
    pub fn new(
        world: &Arc<World>,
        name: &str,
        boot: Option<Boot>,
        watches_timers: bool,
        reader: Option<StoreReader>,
        life: u32,
        installed: (u32, Option<usize>),
    ) -> Self {
        let ix = world.next_ix();
        let machine = world.runtime.create_node().name(name).build();
        let clock = match life {
            0 => format!("clock of {name}"),
            before => format!("clock of {name} after life {before}"),
        };
        NodeState {
            ix,
            name: name.into(),
            id: machine.id(),
            disk: Disk::new(world.host(), ix),
            clock: WallClock::new(EPOCH_MS, &mut world.seed.stream(&clock)),
            clock_reads: AtomicU64::new(0),
            is_client: boot.is_none(),
            watches_timers,
            boot: Mutex::new(boot),
            reader,
            life: AtomicU32::new(life),
            up: AtomicBool::new(false),
            doomed: Mutex::default(),
            unreadable: Unreadable::default(),
            program: ProgramFaults::default(),
            slow_ms: AtomicU64::new(0),
            slowed: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            booted: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            in_flight: Mutex::default(),
            may_return: Mutex::default(),
            stale: AtomicBool::new(false),
            ids: Mutex::new(world.seed.stream(name)),
            builds: world.comes_in_two_builds(name),
            build: AtomicU32::new(installed.0),
            installed: Mutex::new(installed),
            outlives: OnceLock::new(),
        }
    }

    /// Whether its successor has taken its name.
    pub fn is_old(&self) -> bool {
        self.outlives.get().is_some()
    }

    /// Alive, and not about to die at the end of the present poll.
    pub fn is_up(&self) -> bool {
        self.up.load(Relaxed) && lock(&self.doomed).is_none()
    }

    /// From its next boot on, its process is of the build that it would not be of: which that is.
    pub fn install_other(&self, fault: usize) -> u32 {
        let mut installed = lock(&self.installed);
        let other = 1 - installed.0;
        let is_new = other != self.build.load(Relaxed);
        *installed = (other, is_new.then_some(fault));
        other
    }

    /// Its process boots as what is installed: the fault that changed its build, if any did.
    pub fn boot_installed(&self) -> Option<usize> {
        let (build, fault) = &mut *lock(&self.installed);
        self.build.store(*build, Relaxed);
        fault.take()
    }
}

/// A node's handle to itself, for one life of its process: network, disk, clock, ids, tasks.
///
/// Once that life is over the handle is inert: connects fail, commits never return, tasks don't start.
#[derive(Clone)]
pub struct Node {
    pub(super) world: Arc<World>,
    pub(super) state: Arc<NodeState>,
    pub(super) life: u32,
    build: u32,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.state.name)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl Node {
    pub(crate) fn of(world: &Arc<World>, state: &Arc<NodeState>) -> Self {
        Node {
            world: world.clone(),
            state: state.clone(),
            life: state.life.load(Relaxed),
            build: state.build.load(Relaxed),
        }
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// The build of this life of the process: 0, or 1 for the next one. Only nodes that the scenario's
    /// [`Profile::upgrades`](crate::storm::Profile::upgrades) lists have two: a storm upgrades them and rolls them back, and in
    /// some worlds they begin with the next one.
    pub fn build(&self) -> u32 {
        self.build
    }

    /// Whether this life of the process goes on.
    pub fn is_alive(&self) -> bool {
        self.state.life.load(Relaxed) == self.life && self.state.is_up()
    }

    /// Listens on the node's service port.
    pub fn listen(&self) -> io::Result<Listener> {
        self.alive()?;
        self.world.net.listen(self.state.ix, SERVICE_PORT)
    }

    /// Listens on a port of one's own choice, with a backlog.
    ///
    /// # Errors
    /// As [`Net::listen`](crate::net::Net::listen).
    pub fn listen_on(&self, port: u16, backlog: usize) -> io::Result<Listener> {
        self.alive()?;
        let net = &self.world.net;
        net.listen_with_backlog(self.state.ix, port, backlog)
    }

    /// Opens a connection to a port of a machine, which need not exist.
    pub fn connect_to(
        &self,
        peer: NodeIx,
        port: u16,
    ) -> impl Future<Output = io::Result<Stream>> + Send + 'static {
        let connecting = self
            .alive()
            .map(|()| self.world.net.connect(self.state.ix, peer, port));
        async move { connecting?.await }
    }

    /// Binds a socket for datagrams.
    ///
    /// # Errors
    /// As [`Net::bind_datagrams`](crate::net::Net::bind_datagrams).
    pub fn bind_datagrams(&self, local: SocketAddr, shares: bool) -> io::Result<DatagramSocket> {
        self.alive()?;
        let net = &self.world.net;
        net.bind_datagrams(self.state.ix, local, shares)
    }

    /// The machine's number.
    pub fn ix(&self) -> NodeIx {
        self.state.ix
    }

    /// The number of the machine that a name leads to at present.
    pub fn find(&self, name: &str) -> Option<NodeIx> {
        self.world.looked_up(name).map(|node| node.ix)
    }

    /// From now on the name of a machine leads to another one.
    pub fn lead(&self, name: &str, to: &str) {
        lock(&self.world.led).insert(name.to_owned(), to.to_owned());
    }

    /// All machines, by number and name.
    pub fn machines(&self) -> Vec<(NodeIx, String)> {
        let nodes = self.world.nodes().into_iter();
        nodes.map(|node| (node.ix, node.name.to_string())).collect()
    }

    /// Whether there is a machine of this number.
    pub fn has_machine(&self, machine: NodeIx) -> bool {
        self.world.nodes().iter().any(|node| node.ix == machine)
    }

    /// Virtual time: the same everywhere.
    pub fn now(&self) -> VirtualTime {
        self.world.now()
    }

    /// The node's wall clock, in nanoseconds since the Unix epoch. Whoever shows it to a process says so
    /// ([`clock_was_read`](Self::clock_was_read)).
    pub fn wall_ns(&self) -> u64 {
        self.state.clock.now_ns(self.world.now())
    }

    /// The process has read its wall clock.
    pub fn clock_was_read(&self) {
        self.state.clock_reads.fetch_add(1, Relaxed);
        self.world.clock_is_read(&self.state);
    }

    /// Its process is an unmodified program.
    pub fn runs_a_program(&self) {
        lock(&self.world.programs).insert(self.name().to_owned());
    }

    /// The run is void: it can't be carried out as the scenario wants.
    pub fn void(&self, why: impl Into<String>) {
        lock(&self.world.checker).harness = Some(why.into());
        self.world.activity.notify_one();
    }

    /// The process has said something by a `tracing` event: a site, and news for checks.
    pub fn logs(&self, scope: &Scope, level: tracing::Level, message: &str, fields: &str) {
        if self.is_alive() {
            let (world, state) = (&self.world, &self.state);
            world.says(state, scope, level, message, fields);
        }
    }

    /// The process has written a line.
    pub fn says(&self, level: Level, line: &str) {
        self.world.writes_line(&self.state, level, line);
    }

    /// Something is wrong with the process that no fault can excuse.
    pub fn broken(
        &self,
        invariant: impl Into<String>,
        tag: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        let mut findings = Findings {
            now: self.world.now(),
            ..Findings::default()
        };
        findings.broken_as(invariant, tag, &[self.name()], expected, found);
        for violation in findings.list {
            lock(&self.world.checker).broken(violation);
        }
        self.world.report_violations();
    }

    /// A stream of random numbers of this life of the process, for one concern.
    pub fn stream(&self, concern: &str) -> Rng {
        let name = format!("{concern} of {} in life {}", self.name(), self.life);
        self.world.seed.stream(&name)
    }

    /// Opens a connection to the service of the node called `peer`, or to the port of a `peer:port`. `NotFound` if there is
    /// no such node.
    pub fn connect(&self, peer: &str) -> impl Future<Output = io::Result<Stream>> + Send + 'static {
        let port = peer.rsplit_once(':');
        let (name, port) = port
            .and_then(|(name, port)| Some((name, port.parse().ok()?)))
            .unwrap_or((peer, SERVICE_PORT));
        let target = self.alive().and_then(|()| {
            self.world.looked_up(name).ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("no node \"{name}\""))
            })
        });
        let connecting = target.map(|peer| self.world.net.connect(self.state.ix, peer.ix, port));
        async move { connecting?.await }
    }

    /// The node's disk.
    pub fn disk(&self) -> &Arc<Disk> {
        &self.state.disk
    }

    /// The node's wall clock: milliseconds since the Unix epoch. It may jump and drift.
    pub fn now_ms(&self) -> u64 {
        self.state.clock_reads.fetch_add(1, Relaxed);
        let shown = self.state.clock.now_ms(self.world.now());
        self.world.clock_is_read(&self.state);
        shown
    }

    /// Whether a row of the node's databases can be read at present. To be asked about each row that a transaction
    /// meets, whatever cache it comes from.
    ///
    /// # Errors
    ///
    /// A storm has made it unreadable for a while.
    pub fn readable(&self, table: &str, key: &str) -> io::Result<()> {
        self.state.unreadable.check(table, key)
    }

    /// 64 random bits, of a stream that is this node's and this life's alone.
    pub fn random(&self) -> u64 {
        lock(&self.state.ids).bits()
    }

    /// A number that no other life of this node has.
    pub fn boot_id(&self) -> u64 {
        self.world
            .seed
            .keyed(&[0xb007, u64::from(self.state.ix.0), u64::from(self.life)])
    }

    /// The process ends because it cannot go on; its supervisor starts it again, later and later if that recurs.
    pub fn fail(&self, reason: &str) {
        if self.is_alive() {
            self.world.process_ends(&self.state, Life::Stops, reason);
        }
    }

    /// Runs a whole transaction, after the time that the disk takes for it, in one poll, whether or not anybody waits for
    /// its end. Never returns in a dead node.
    ///
    /// A job that commits says so [before](Self::committing) and [after](Self::committed). Nobody knows the outcome of a
    /// commit that failed: a job that meets an I/O error has to [`fail`](Self::fail) the node before it returns.
    pub fn execute(
        &self,
        job: Box<dyn FnOnce() + Send>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (done, ended) = tokio::sync::oneshot::channel::<()>();
        let node = self.clone();
        // A task of its own: as on a real thread, it goes on when whoever asked for it is dropped.
        self.spawn(async move {
            wait(node.state.disk.latency()).await;
            if node.is_alive() {
                job();
            }
            if node.is_alive() {
                let _ = done.send(());
            }
        });
        async move {
            if ended.await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// To be called right before each commit, with the rows that it will change. Should the process die in it, its disk
    /// may hold either all of them or none, and nothing else that was not committed.
    pub fn committing(&self, file: &str, rows: Vec<Row>) {
        if self.is_alive() {
            *lock(&self.state.in_flight) = Some(InFlight {
                scope: current_scope(),
                file: file.to_owned(),
                rows,
            });
        }
    }

    /// To be called at once after each commit, with the rows that it changed.
    pub fn committed(&self, file: &str, rows: Vec<Row>) {
        if self.is_alive() {
            lock(&self.state.in_flight).take();
            self.world.committed(&self.state, file, rows);
        }
    }

    /// The same for the commit that was [announced](Self::committing) last.
    pub fn commit_done(&self) {
        if self.is_alive()
            && let Some(InFlight { file, rows, .. }) = lock(&self.state.in_flight).take()
        {
            self.world.committed(&self.state, &file, rows);
        }
    }

    /// Waits in virtual time, as with a timer of the process.
    pub async fn sleep(&self, duration: Duration) {
        if !duration.is_zero() {
            exact_sleep(duration).await;
        }
    }

    fn alive(&self) -> io::Result<()> {
        if self.is_alive() {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the process is dead",
            ))
        }
    }
}
