//! Machines on one network, all in memory.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use redb::StorageBackend;
use squall_services::{
    kit::{format, store::Shared},
    ports::{
        BoxFuture, Clock, Connection, Listener, Net, Platform, Process, Random, RowChange, Storage,
    },
};
use tokio::{io::duplex, sync::mpsc};

/// The network that machines share.
#[derive(Clone, Default)]
pub struct Network {
    listeners: Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<Connection>>>>,
    connects: Arc<AtomicU64>,
}

impl Network {
    /// Connections asked for so far, refused ones included.
    pub fn connects(&self) -> u64 {
        self.connects.load(Ordering::SeqCst)
    }

    /// Takes a service off the network: later connects are refused.
    pub fn unplug(&self, name: &str) {
        self.listeners.lock().unwrap().remove(name);
    }

    /// Listens as `name` without a platform, for hand-written servers.
    pub fn listen(&self, name: &str) -> mpsc::UnboundedReceiver<Connection> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners
            .lock()
            .unwrap()
            .insert(name.to_owned(), sender);
        receiver
    }

    /// Opens a raw connection.
    pub fn connect(&self, name: &str) -> io::Result<Connection> {
        self.connects.fetch_add(1, Ordering::SeqCst);
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let (ours, theirs) = duplex(64 << 10);
        let listeners = self.listeners.lock().unwrap();
        let sender = listeners.get(name).ok_or_else(refused)?;
        sender.send(Box::new(theirs)).map_err(|_| refused())?;
        Ok(Box::new(ours))
    }

    /// A machine of this name with its own disk.
    pub fn machine(&self, name: &str) -> (Platform, Arc<Machine>) {
        self.machine_over(name, None)
    }

    /// A machine of this name over a database that it shares.
    pub fn sharing(&self, name: &str, shared: &Shared) -> Platform {
        self.machine_over(name, Some(shared.clone())).0
    }

    fn machine_over(&self, name: &str, shared: Option<Shared>) -> (Platform, Arc<Machine>) {
        let machine = Arc::new(Machine {
            name: name.to_owned(),
            network: self.clone(),
            shared,
            ..Machine::default()
        });
        let platform = Platform {
            name: name.into(),
            net: machine.clone(),
            storage: machine.clone(),
            clock: machine.clone(),
            random: machine.clone(),
            process: machine.clone(),
            build: format::FIRST,
        };
        (platform, machine)
    }
}

/// All ports of one machine.
#[derive(Default)]
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
}

impl Machine {
    /// The file itself: what is written there later shows.
    pub fn file(&self, name: &str) -> Option<MemoryFile> {
        self.files.lock().unwrap().get(name).cloned()
    }

    pub fn put_file(&self, name: &str, bytes: Vec<u8>) {
        let file = MemoryFile {
            bytes: Arc::new(Mutex::new(bytes)),
            fails: self.disk_fails.clone(),
        };
        self.files.lock().unwrap().insert(name.to_owned(), file);
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
                None => std::future::pending().await,
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
    fn shared(&self) -> Option<Shared> {
        self.shared.clone()
    }
    fn readable(&self, table: &str, key: &str) -> io::Result<()> {
        match self.unreadable.lock().unwrap().contains(&key) {
            true => Err(io::Error::other(format!("medium error in {table}/{key}"))),
            false => Ok(()),
        }
    }
    fn execute(&self, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        Box::pin(async move { job() })
    }
    fn committed(&self, _file: &str, changes: &[RowChange]) {
        self.commits.lock().unwrap().push(changes.to_vec());
    }
}

impl Clock for Machine {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }
}

impl Random for Machine {
    fn next_u64(&self) -> u64 {
        let n = self.random.fetch_add(1, Ordering::SeqCst);
        (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

impl Process for Machine {
    #[allow(clippy::disallowed_methods)]
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
    fn fail(&self, reason: &str) {
        self.failures.lock().unwrap().push(reason.to_owned());
    }
    fn boot_id(&self) -> u64 {
        1
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
        match self.fails.load(Ordering::SeqCst) {
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
