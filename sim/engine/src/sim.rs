//! The world as a scenario builds it.

mod by_hand;
mod weather;

use std::{
    fmt,
    future::Future,
    io,
    sync::{Arc, Mutex, Weak, atomic::Ordering::Relaxed},
    time::Duration,
};

pub use weather::Weather;

use squall_core::{
    event::{Phase, Scope, What},
    fault::CustomFault,
    interned::interned,
    seed::{Seed, Stream},
    time::VirtualTime,
};

use crate::{
    check::{Commit, Findings, Goal, Truth},
    disk::Files,
    world::{Boot, Node, NodeState, Operation, OwnFault, RowReader, StoreReader, World, lock},
};

/// The client that prepares the world before the storm.
pub const SETUP: &str = "setup";

/// Clients whose names begin so only look at the system for the harness: storms over a closure's world leave their links
/// alone.
pub const OBSERVER: &str = "checks of ";

/// The world under construction, and while it runs. Cheap to clone.
#[derive(Clone)]
pub struct Sim {
    pub(crate) world: Arc<World>,
    pub(crate) parts: Arc<Mutex<Parts>>,
    is_calm: bool,
}

/// A client and what it does.
pub(crate) struct Role {
    pub client: Client,
    pub task: Task,
}

/// Who plays a part in the run, by when they come.
#[derive(Default)]
pub(crate) struct Cast {
    /// Before the storm.
    pub prepare: Option<Role>,
    /// With the storm; the run waits for their end.
    pub clients: Vec<Role>,
    /// With the storm.
    pub operators: Vec<Role>,
    /// Once the storm is over.
    pub after_storm: Vec<Role>,
    /// Once all is settled; the run waits for their end.
    pub late: Vec<Role>,
}

pub(crate) type Task =
    Box<dyn FnOnce(Client) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send>;
pub(crate) type OnceComplete = Box<dyn FnOnce(&Sim) + Send>;
pub(crate) type AtEnd = Box<dyn FnOnce(&Truth) -> Vec<(String, u64)> + Send>;

/// What a scenario has asked for, for the run to start at its time.
#[derive(Default)]
pub(crate) struct Parts {
    pub reader: Option<StoreReader>,
    pub cast: Cast,
    pub once_complete: Vec<OnceComplete>,
    pub at_end: Vec<AtEnd>,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.world.seed)
            .finish_non_exhaustive()
    }
}

impl Sim {
    pub(crate) fn new(world: Arc<World>, is_calm: bool) -> Self {
        Sim {
            world,
            parts: Arc::default(),
            is_calm,
        }
    }

    /// Whether this run has no fault at all. For checks of what only a calm run promises; nothing else may depend on it.
    pub fn is_calm(&self) -> bool {
        self.is_calm && !self.world.was_by_hand()
    }

    /// What disturbs this run, for checks.
    pub fn weather(&self) -> Weather {
        Weather::new(&self.world, self.is_calm)
    }

    /// The run's seed.
    pub fn seed(&self) -> Seed {
        self.world.seed
    }

    /// The nodes that were added so far, by name; clients are none of them.
    pub fn services(&self) -> Vec<String> {
        let nodes = self.world.nodes().into_iter();
        let services = nodes.filter(|node| !node.is_client);
        services.map(|node| node.name.to_string()).collect()
    }

    /// The names of the clients that come [once all is settled](Self::late_client), so far.
    pub fn late_clients(&self) -> Vec<String> {
        let parts = lock(&self.parts);
        let late = parts.cast.late.iter();
        late.map(|role| role.client.name().to_owned()).collect()
    }

    /// States that clients assert what must hold: a panic of one is then a finding about the system, rather than a fault
    /// of the scenario that makes the run void.
    pub fn clients_assert(&self) {
        lock(&self.world.checker).clients_assert = true;
    }

    /// How the harness reads all rows of a database file: (table, key, value). To be told before the nodes are added,
    /// by scenarios whose services keep databases. Each transaction has to be announced then ([`Node::committing`]), or
    /// one that a node dies in and that turns out durable is a finding.
    pub fn read_stores_with(&self, reader: StoreReader) {
        lock(&self.parts).reader = Some(reader);
    }

    /// How the harness reads all rows of a node that announces no commits, as unmodified programs do: (table, key, value),
    /// from a copy of the node's files. They are read whenever the node has synced a file, when all is to be judged, and at
    /// the end; what has changed since the last time is a [`Commit`], which [`always`](Self::always) is told of. What the
    /// node does and meets is the same with and without.
    ///
    /// An error says that there are no rows to be read yet; at the run's end it is a finding.
    ///
    /// ```
    /// # fn shop(sim: &squall_engine::Sim) {
    /// sim.read_rows("stock", |files| {
    ///     let database = redb::Builder::new().create_with_backend(files.open("stock.redb")?)?;
    ///     # drop(database);
    ///     Ok::<_, Box<dyn std::error::Error>>(Vec::new())
    /// });
    /// # }
    /// ```
    pub fn read_rows<E: fmt::Display>(
        &self,
        node: impl Into<String>,
        reader: impl Fn(&Files<'_>) -> Result<Vec<(String, String, Vec<u8>)>, E> + Send + Sync + 'static,
    ) {
        let reader: RowReader = Arc::new(move |files| reader(files).map_err(|e| e.to_string()));
        lock(&self.world.row_readers).insert(node.into(), reader);
    }

    /// Adds a node. `boot` is called at each start of its process; when the future ends, so does the process, and it
    /// is started again with backoff.
    pub fn node<E, F>(&self, name: &str, boot: impl Fn(Node) -> F + Send + Sync + 'static)
    where
        E: fmt::Display,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let boot: Boot = Arc::new(move |node| {
            let process = boot(node);
            Box::pin(async move {
                match process.await {
                    Ok(()) => "the process ended".to_owned(),
                    Err(error) => error.to_string(),
                }
            })
        });
        self.add(name, Some(boot));
    }

    /// Adds a client with a machine of its own, which no storm kills. It starts once every node is up and
    /// [`prepare`](Sim::prepare) is done; the run ends only after all clients have. A plan may do without it: then its
    /// machine exists, but runs nothing.
    pub fn client<F>(&self, name: &str, task: impl FnOnce(Client) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(role) = self.role(name, task) {
            lock(&self.parts).cast.clients.push(role);
        }
    }

    /// Adds a client that begins with the storm, and whose end the run does not wait for: an operator who looks after
    /// the system while it lasts, for ever. A plan may do without it.
    pub fn operator<F>(&self, name: &str, task: impl FnOnce(Client) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(role) = self.role(name, task) {
            lock(&self.parts).cast.operators.push(role);
        }
    }

    /// Adds a client that comes once the storm is over and all is settled: no *finally* invariant is open, and all is
    /// quiet, or the last bound has passed. No fault disturbs it, so it may demand prompt answers, and true ones;
    /// [operators](Self::operator) that have not ended go on. The run waits until all of these have ended, and then
    /// settles once more, with the *finally* invariants' bounds counted from there. A plan may do without it.
    pub fn late_client<F>(&self, name: &str, task: impl FnOnce(Client) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(role) = self.role(name, task) {
            lock(&self.parts).cast.late.push(role);
        }
    }

    /// Work to be done before the storm begins: filling the shelves.
    pub fn prepare<F>(&self, task: impl FnOnce(Client) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let client = self.new_client(SETUP);
        let task: Task = Box::new(move |client| Box::pin(task(client)));
        lock(&self.parts).cast.prepare = Some(Role { client, task });
    }

    /// Work that begins when the storm is over (an operator who redrives dead letters) and may go on until the run
    /// ends.
    pub fn after_storm<F>(&self, name: &str, task: impl FnOnce(Client) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let client = self.new_client(name);
        let task: Task = Box::new(move |client| Box::pin(task(client)));
        let role = Role { client, task };
        lock(&self.parts).cast.after_storm.push(role);
    }

    /// Sets how fast the links between two nodes are, both ways. Links are those of a data centre unless told otherwise.
    ///
    /// # Panics
    ///
    /// If there is no node of one of the names.
    pub fn link(&self, a: &str, b: &str, latency: crate::net::Latency) {
        let find = |name: &str| {
            self.world
                .find(name)
                .unwrap_or_else(|| panic!("no node is called \"{name}\""))
        };
        let (a, b) = (find(a).ix, find(b).ix);
        self.world.net.set_link(a, b, latency);
        self.world.net.set_link(b, a, latency);
    }

    /// Adds an invariant that must hold after each commit. It sees the rows that the commit changed.
    pub fn always(
        &self,
        name: impl AsRef<str>,
        check: impl FnMut(&Commit<'_>, &mut Findings) + Send + 'static,
    ) {
        lock(&self.world.checker)
            .checks
            .always
            .push((interned(name), Box::new(check)));
    }

    /// Adds an invariant that must hold at the latest `bound` (virtual time) after the storm. It sees all rows.
    pub fn finally(
        &self,
        name: impl AsRef<str>,
        bound: Duration,
        check: impl FnMut(&Truth, &mut Findings) + Send + 'static,
    ) {
        lock(&self.world.checker)
            .checks
            .finally
            .push((interned(name), bound, Box::new(check)));
    }

    /// States that the invariant of this name looks into a service: it knows how that keeps what it keeps, and a sound
    /// one might keep it otherwise. What breaks it is reported behind what does damage ([`Class::Inside`](crate::check::Class)).
    pub fn inside(&self, name: impl AsRef<str>) {
        lock(&self.world.checker).insides.insert(interned(name));
    }

    /// States that something should sometimes happen. It has when `happens` says so of a commit; the invariants have
    /// seen that commit before. A campaign tells which of these things never happened.
    pub fn sometimes(
        &self,
        name: impl AsRef<str>,
        happens: impl FnMut(&Commit<'_>) -> bool + Send + 'static,
    ) {
        lock(&self.world.checker)
            .goals
            .on_commit(interned(name), Box::new(happens));
    }

    /// States that something should sometimes happen. It has when the node logs this `tracing` event (its message).
    pub fn sometimes_logged(
        &self,
        name: impl AsRef<str>,
        node: impl AsRef<str>,
        message: impl AsRef<str>,
    ) {
        self.sometimes_logged_where(name, node, message, |_, _| true);
    }

    /// The same, where `happens` says so of the event's scope and fields (`name=value name2="two words"`).
    pub fn sometimes_logged_where(
        &self,
        name: impl AsRef<str>,
        node: impl AsRef<str>,
        message: impl AsRef<str>,
        happens: impl FnMut(&Scope, &str) -> bool + Send + 'static,
    ) {
        lock(&self.world.checker).goals.on_log(
            interned(name),
            interned(node),
            interned(message),
            Box::new(happens),
        );
    }

    /// Has a check told of each `tracing` event of this message that the node logs, with its scope and fields
    /// (`name=value name2="two words"`).
    pub fn hear(
        &self,
        node: impl AsRef<str>,
        message: impl AsRef<str>,
        hear: impl FnMut(&Scope, &str) + Send + 'static,
    ) {
        lock(&self.world.checker)
            .goals
            .hear(interned(node), interned(message), hear);
    }

    /// States that an old process of `node` should sometimes send something to `peer` while its successor is up: see
    /// [`Overlap`](squall_core::fault::Overlap).
    pub fn sometimes_outlived(
        &self,
        name: impl AsRef<str>,
        node: impl AsRef<str>,
        peer: impl AsRef<str>,
    ) {
        lock(&self.world.checker)
            .goals
            .on_outlived(interned(name), interned(node), interned(peer));
    }

    /// States that something should sometimes happen; the handle says when it does.
    pub fn goal(&self, name: impl AsRef<str>) -> Goal {
        lock(&self.world.checker).goals.goal(interned(name))
    }

    /// Tells which build each node runs. For goals: what must hold does not depend on it.
    pub fn builds(&self) -> Builds {
        Builds(Arc::downgrade(&self.world))
    }

    /// Brings a fault of one's own, which storms draw beside the others: `handle(amount, begins)` begins or ends it, `count`
    /// says how often it has touched something. It may begin anew before it has ended. A scenario that says itself what
    /// storms may do lists it in [`Profile::custom`](squall_core::fault::Profile::custom).
    ///
    /// # Panics
    ///
    /// If the node has one of this name.
    pub fn own_fault(
        &self,
        fault: CustomFault,
        handle: impl FnMut(u64, bool) + Send + 'static,
        count: impl Fn() -> u64 + Send + 'static,
    ) {
        let mut own = lock(&self.world.own_faults);
        assert!(
            !own.iter().any(|known| known.is(fault.name, fault.node)),
            "two faults of {} are called \"{}\"",
            fault.node,
            fault.name
        );
        own.push(OwnFault {
            fault,
            handle: Box::new(handle),
            count: Box::new(count),
        });
    }

    /// The faults of its own that the scenario brings so far.
    pub fn own_faults(&self) -> Vec<CustomFault> {
        let own = lock(&self.world.own_faults);
        own.iter().map(|own| own.fault.clone()).collect()
    }

    /// Does something once the scenario has described everything: what a server needs beside its node depends on what is
    /// said of it.
    pub fn once_complete(&self, task: impl FnOnce(&Sim) + Send + 'static) {
        lock(&self.parts).once_complete.push(Box::new(task));
    }

    /// The scenario has described everything.
    pub fn complete(&self) {
        let tasks = std::mem::take(&mut lock(&self.parts).once_complete);
        tasks.into_iter().for_each(|task| task(self));
    }

    /// Counts to be reported with the run's outcome, taken from all rows at its end.
    pub fn at_end<N: Into<String>>(
        &self,
        count: impl FnOnce(&Truth) -> Vec<(N, u64)> + Send + 'static,
    ) {
        let count = |truth: &Truth| {
            let counts = count(truth).into_iter();
            counts.map(|(name, n)| (name.into(), n)).collect()
        };
        lock(&self.parts).at_end.push(Box::new(count));
    }

    /// A client's part, unless the plan does without it: then its machine exists, but runs nothing.
    fn role<F>(&self, name: &str, task: impl FnOnce(Client) -> F + Send + 'static) -> Option<Role>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let client = self.new_client(name);
        let task: Task = Box::new(move |client| Box::pin(task(client)));
        let is_left_out = self.world.without.iter().any(|gone| gone == name);
        (!is_left_out).then_some(Role { client, task })
    }

    fn new_client(&self, name: &str) -> Client {
        let state = self.add(name, None);
        self.world.boot(&state);
        Client {
            node: Node::of(&self.world, &state),
            stream: Arc::new(Mutex::new(self.seed().stream(name))),
        }
    }

    fn add(&self, name: &str, boot: Option<Boot>) -> Arc<NodeState> {
        assert!(
            self.world.find(name).is_none(),
            "two nodes are called \"{name}\""
        );
        let watches_timers = boot.is_some() && self.world.watches_timers(name);
        let reader = lock(&self.parts).reader;
        let build = match self.world.comes_in_two_builds(name) {
            true => first_build(self.seed(), name),
            false => 0,
        };
        let node = NodeState::new(
            &self.world,
            name,
            boot,
            watches_timers,
            reader,
            0,
            (build, None),
        );
        self.world.add(node)
    }
}

/// Tells which build each node runs. Cheap to clone; it does not keep the world.
#[derive(Clone)]
pub struct Builds(Weak<World>);

impl fmt::Debug for Builds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builds").finish_non_exhaustive()
    }
}

impl Builds {
    /// The build that a node runs, or ran last; `None` of one that does not come in two.
    pub fn of(&self, node: &str) -> Option<u32> {
        build_of(&*self.0.upgrade()?, node)
    }
}

fn build_of(world: &World, node: &str) -> Option<u32> {
    let node = world.find(node).filter(|node| node.builds)?;
    Some(node.build.load(Relaxed))
}

/// Of which build a node is when the world begins, where there are two: mostly the old one; in some worlds all nodes are
/// of the next one, and in some they differ.
fn first_build(seed: Seed, name: &str) -> u32 {
    match seed.stream("builds").below(10) {
        0..6 => 0,
        6..8 => 1,
        _ => seed.stream(&format!("build of {name}")).below(2) as u32,
    }
}

/// A client of the system: a machine of its own, a stream of random numbers, and the record of its calls.
#[derive(Clone)]
pub struct Client {
    node: Node,
    stream: Arc<Mutex<Stream>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// The client's name.
    pub fn name(&self) -> &str {
        self.node.name()
    }

    /// Its machine.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The present instant.
    pub fn now(&self) -> VirtualTime {
        self.node.world().now()
    }

    /// Waits this long, in virtual time.
    pub async fn sleep(&self, duration: Duration) {
        self.node.sleep(duration).await;
    }

    /// Connects to the service of a node, as [`Node::connect`].
    pub fn connect(
        &self,
        peer: &str,
    ) -> impl Future<Output = io::Result<crate::net::Stream>> + Send + 'static {
        self.node.connect(peer)
    }

    /// For how long no fault has been in force and every node has been up; since the run began if there never was any.
    /// `None` while a fault lasts (or lies in wait, as a sync that is to fail), or a node is down.
    pub fn calm_for(&self) -> Option<Duration> {
        self.node.world().calm_for()
    }

    /// The build that a node runs, or ran last; `None` of one that does not come in two. For goals, as
    /// [`Sim::builds`].
    pub fn build_of(&self, node: &str) -> Option<u32> {
        build_of(self.node.world(), node)
    }

    /// Draws from the client's own stream.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Stream) -> T) -> T {
        draw(&mut lock(&self.stream))
    }

    /// Whether the operation of this label is to happen. To be asked before each operation that a smaller workload can
    /// do without, and after everything that it draws: the others must not notice.
    pub fn does(&self, op: &str) -> bool {
        let world = self.node.world();
        if world.full || !world.without.is_empty() {
            let mut operations = lock(&world.operations);
            if !operations.iter().any(|known| known.name == op) {
                operations.push(Operation {
                    name: op.to_owned(),
                    client: self.name().to_owned(),
                });
            }
        }
        !world.without.iter().any(|name| name == op)
    }

    /// Records that a call begins.
    pub fn invoked(&self, op: &str, detail: &str) {
        self.record(op, Phase::Invoked, detail);
    }

    /// Records that a call was answered as hoped.
    pub fn ok(&self, op: &str, detail: &str) {
        self.record(op, Phase::Ok, detail);
    }

    /// Records that a call was refused: it certainly had no effect.
    pub fn failed(&self, op: &str, detail: &str) {
        self.record(op, Phase::Failed, detail);
    }

    /// Records that it is unknown whether the call had an effect.
    pub fn unknown(&self, op: &str, detail: &str) {
        self.record(op, Phase::Unknown, detail);
    }

    /// The client itself sees that an invariant is broken, now.
    pub fn broken(
        &self,
        invariant: impl Into<String>,
        tag: impl Into<String>,
        entities: &[&str],
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        let world = self.node.world();
        let mut findings = Findings {
            now: world.now(),
            ..Findings::default()
        };
        findings.broken_as(invariant, tag, entities, expected, found);
        for violation in findings.list {
            lock(&world.checker).broken(violation);
        }
        world.report_violations();
    }

    /// The client sees that something happened that should sometimes happen.
    pub fn reached(&self, name: impl AsRef<str>) {
        let name = interned(name);
        lock(&self.node.world().checker).goals.goal(name).hit();
    }

    fn record(&self, op: &str, phase: Phase, detail: &str) {
        let what = What::Client {
            op: op.into(),
            phase,
            detail: detail.into(),
        };
        self.node.world().record(self.name(), what);
        *lock(&self.node.world().checker)
            .counts
            .entry(format!("calls {phase}"))
            .or_insert(0) += 1;
    }
}
