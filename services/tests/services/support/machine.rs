//! Machines on one network, all in memory.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    future::pending,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::Router;
use redb::StorageBackend;
use serde::de::DeserializeOwned;
use squall_services::{
    kit::{Table, format, http, store::Shared},
    ports::{
        BoxFuture, Clock, Connection, Listener, Net, Platform, Process, Random, RowChange, Storage,
    },
};
use tokio::{
    io::duplex,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// The network that machines share, and their wall clock.
#[derive(Clone)]
pub struct Network {
    listeners: Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<Connection>>>>,
    connects: Arc<AtomicU64>,
    began: Instant,
    /// The wall clock's jumps so far.
    ahead_ms: Arc<AtomicI64>,
    /// What a transaction takes.
    disk_takes: Duration,
}

impl Default for Network {
    fn default() -> Self {
        Network::with_disks_that_take(Duration::ZERO)
    }
}

impl Network {
    pub fn with_disks_that_take(time: Duration) -> Self {
        Network {
            listeners: Arc::default(),
            connects: Arc::default(),
            began: Instant::now(),
            ahead_ms: Arc::default(),
            disk_takes: time,
        }
    }

    /// Connections asked for so far, refused ones included.
    pub fn connects(&self) -> u64 {
        self.connects.load(SeqCst)
    }

    /// Takes a service off the network: later connects are refused.
    pub fn unplug(&self, name: &str) {
        self.listeners.lock().unwrap().remove(name);
    }

    /// Listens as `name` without a platform, for hand-written servers.
    pub fn listen(&self, name: &str) -> mpsc::UnboundedReceiver<Connection> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut listeners = self.listeners.lock().unwrap();
        listeners.insert(name.to_owned(), sender);
        receiver
    }

    /// Opens a raw connection.
    pub fn connect(&self, name: &str) -> io::Result<Connection> {
        self.connects.fetch_add(1, SeqCst);
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let (ours, theirs) = duplex(64 << 10);
        let listeners = self.listeners.lock().unwrap();
        let sender = listeners.get(name).ok_or_else(refused)?;
        sender.send(Box::new(theirs)).map_err(|_| refused())?;
        Ok(Box::new(ours))
    }

    /// Milliseconds since the Unix epoch on every machine.
    pub fn now_ms(&self) -> u64 {
        let passed = 1_700_000_000_000 + self.began.elapsed().as_millis() as u64;
        passed.saturating_add_signed(self.ahead_ms.load(SeqCst))
    }

    /// Moves the wall clocks; no timer notices.
    pub fn jump(&self, by_ms: i64) {
        self.ahead_ms.fetch_add(by_ms, SeqCst);
    }

    /// A machine of this name with its own disk.
    pub fn machine(&self, name: &str) -> (Platform, Arc<Machine>) {
        self.install(Machine::new(self, name))
    }

    /// A machine of this name over a database that it shares.
    pub fn sharing(&self, name: &str, shared: &Shared) -> Platform {
        let machine = Machine::new(self, name);
        let shared = Some(shared.clone());
        self.install(Machine { shared, ..machine }).0
    }

    /// A machine of this name that finds the files of an earlier one.
    pub fn successor(&self, earlier: &Machine, boot_id: u64) -> (Platform, Arc<Machine>) {
        let machine = Machine::new(self, &earlier.name);
        for (name, file) in &*earlier.files.lock().unwrap() {
            machine.put_file(name, file.bytes.lock().unwrap().clone());
        }
        self.install(Machine {
            // Another life draws other ids.
            random: AtomicU64::new(boot_id * 10_000),
            boot_id,
            ..machine
        })
    }

    fn install(&self, machine: Machine) -> (Platform, Arc<Machine>) {
        let machine = Arc::new(machine);
        let platform = Platform {
            name: machine.name.as_str().into(),
            net: machine.clone(),
            storage: machine.clone(),
            clock: machine.clone(),
            random: machine.clone(),
            process: machine.clone(),
            build: format::FIRST,
        };
        (platform, machine)
    }

    /// A service on a machine of its name.
    pub fn serve<F>(&self, name: &str, run: impl FnOnce(Platform) -> F) -> Arc<Machine>
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let (platform, machine) = self.machine(name);
        start(&platform, run);
        machine
    }

    /// A stand-in for a service.
    pub fn stand_in(&self, name: &str, router: Router) {
        self.serve(name, |platform| async move {
            http::serve(&platform, router).await
        });
    }
}

/// Starts a service there.
pub fn start<F>(platform: &Platform, run: impl FnOnce(Platform) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let (name, served) = (platform.name.clone(), run(platform.clone()));
    platform.spawn("service", async move {
        let ended = served.await;
        panic!("{name} ended: {ended:?}");
    });
}

/// All ports of one machine, for one life of its process.
pub struct Machine {
    name: String,
    network: Network,
    shared: Option<Shared>,
    files: Mutex<BTreeMap<String, MemoryFile>>,
    pub commits: Mutex<Vec<Vec<RowChange>>>,
    pub disk_fails: Arc<AtomicBool>,
    /// Keys of rows that cannot be read.
    pub unreadable: Mutex<Vec<&'static str>>,
    pub failures: Mutex<Vec<String>>,
    random: AtomicU64,
    boot_id: u64,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// The process stands still after so many commits: nothing that follows the last one happens.
    pub freezes_after: AtomicUsize,
}

impl Machine {
    fn new(network: &Network, name: &str) -> Self {
        Machine {
            name: name.to_owned(),
            network: network.clone(),
            shared: None,
            files: Mutex::default(),
            commits: Mutex::default(),
            disk_fails: Arc::default(),
            unreadable: Mutex::default(),
            failures: Mutex::default(),
            random: AtomicU64::default(),
            boot_id: 1,
            tasks: Mutex::default(),
            freezes_after: AtomicUsize::new(usize::MAX),
        }
    }

    /// The file itself: what is written there later shows.
    pub fn file(&self, name: &str) -> Option<MemoryFile> {
        self.files.lock().unwrap().get(name).cloned()
    }

    /// What is in a file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let file = self.files.lock().unwrap()[name].clone();
        let bytes = file.bytes.lock().unwrap();
        bytes.clone()
    }

    pub fn put_file(&self, name: &str, bytes: Vec<u8>) {
        let file = MemoryFile {
            bytes: Arc::new(Mutex::new(bytes)),
            fails: self.disk_fails.clone(),
        };
        self.files.lock().unwrap().insert(name.to_owned(), file);
    }

    /// The commits so far.
    pub fn commits(&self) -> usize {
        self.commits.lock().unwrap().len()
    }

    /// The row as the last commit that touched it left it.
    pub fn row<V: DeserializeOwned>(&self, table: &Table<V>, key: &str) -> Option<V> {
        let commits = self.commits.lock().unwrap();
        let mut changes = commits.iter().flatten();
        let last = changes.rfind(|change| change.table == table.name && change.key == key)?;
        last.after.as_ref().map(|row| table.decode(row).unwrap())
    }

    /// Ends the process wherever it is.
    pub fn kill(&self) {
        self.network.unplug(&self.name);
        for task in self.tasks.lock().unwrap().drain(..) {
            task.abort();
        }
    }

    pub fn is_frozen(&self) -> bool {
        self.commits() >= self.freezes_after.load(SeqCst)
    }
}

impl Net for Machine {
    fn listen(&self) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let receiver = self.network.listen(&self.name);
        Box::pin(async move { Ok(Box::new(Accepting(receiver)) as Box<dyn Listener>) })
    }
    fn connect(&self, peer: &str) -> BoxFuture<'static, io::Result<Connection>> {
        let connection = self.network.connect(peer);
        Box::pin(async move { connection })
    }
}

struct Accepting(mpsc::UnboundedReceiver<Connection>);

impl Listener for Accepting {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async {
            match self.0.recv().await {
                Some(connection) => Ok(connection),
                None => pending().await,
            }
        })
    }
}

impl Storage for Machine {
    fn exists(&self, file: &str) -> io::Result<bool> {
        Ok(self.files.lock().unwrap().contains_key(file))
    }
    fn open(&self, file: &str) -> io::Result<Box<dyn StorageBackend>> {
        if self.file(file).is_none() {
            self.put_file(file, Vec::new());
        }
        Ok(Box::new(self.file(file).expect("just made")))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }
    fn remove(&self, file: &str) -> io::Result<()> {
        self.files.lock().unwrap().remove(file);
        Ok(())
    }
    fn shared(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.shared.clone().map(|shared| Arc::new(shared) as _)
    }
    fn readable(&self, table: &str, key: &str) -> io::Result<()> {
        match self.unreadable.lock().unwrap().contains(&key) {
            true => Err(io::Error::other(format!("medium error in {table}/{key}"))),
            false => Ok(()),
        }
    }
    fn execute(&self, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        if self.is_frozen() {
            return Box::pin(pending());
        }
        if !self.network.disk_takes.is_zero() {
            let time = self.network.disk_takes;
            return Box::pin(async move {
                sleep(time).await;
                job();
            });
        }
        job();
        match self.is_frozen() {
            true => Box::pin(pending()),
            false => Box::pin(async {}),
        }
    }
    fn committed(&self, _file: &str, changes: &[RowChange]) {
        self.commits.lock().unwrap().push(changes.to_vec());
    }
}

impl Clock for Machine {
    fn now_ms(&self) -> u64 {
        self.network.now_ms()
    }
}

impl Random for Machine {
    fn next_u64(&self) -> u64 {
        let n = self.random.fetch_add(1, SeqCst);
        (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

impl Process for Machine {
    #[allow(clippy::disallowed_methods)]
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        let mut tasks = self.tasks.lock().unwrap();
        tasks.retain(|task| !task.is_finished());
        tasks.push(tokio::spawn(task));
    }
    fn fail(&self, reason: &str) {
        self.failures.lock().unwrap().push(reason.to_owned());
    }
    fn boot_id(&self) -> u64 {
        self.boot_id
    }
}

/// A file in memory that can refuse everything.
#[derive(Clone)]
pub struct MemoryFile {
    pub bytes: Arc<Mutex<Vec<u8>>>,
    fails: Arc<AtomicBool>,
}

impl MemoryFile {
    fn bytes(&self) -> io::Result<std::sync::MutexGuard<'_, Vec<u8>>> {
        match self.fails.load(SeqCst) {
            true => Err(io::Error::other("medium error")),
            false => Ok(self.bytes.lock().unwrap()),
        }
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryFile")
    }
}

impl StorageBackend for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes()?.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = offset as usize;
        out.copy_from_slice(&self.bytes()?[at..at + out.len()]);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes()?.resize(len as usize, 0);
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        self.bytes().map(drop)
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = offset as usize;
        self.bytes()?[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
}
