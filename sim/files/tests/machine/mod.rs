//! A machine of one disk: a clock that tests set, and a death at the n-th site.

#![allow(dead_code)]

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use squall_core::{
    event::What,
    host::{Host, NodeIx, Reached, Verdict},
    seed::Seed,
    time::VirtualTime,
};
use squall_engine::disk::Disk;
use squall_files::{FileSystem, Machine, OpenFile, Outside, Process, Program, Seen};

/// The wall clock at the start of time.
pub const EPOCH_NS: u64 = 1_700_000_000_000_000_000;

/// The world of the machine.
pub struct World {
    seed: Seed,
    now: AtomicU64,
    sites: AtomicU64,
    /// The site before which the node dies; 0: none.
    fatal: AtomicU64,
    disk: Mutex<Weak<Disk>>,
    told: Mutex<Vec<String>>,
}

impl World {
    /// Lets virtual time pass.
    pub fn pass(&self, time: Duration) {
        self.now.fetch_add(time.as_nanos() as u64, Relaxed);
    }

    /// Freezes the disk before the `n`-th site from now, counted from 1.
    pub fn die_at(&self, n: u64) {
        self.sites.store(0, Relaxed);
        self.fatal.store(n, Relaxed);
    }

    /// No death from now on. Returns how many sites were reached since `die_at`.
    pub fn live_on(&self) -> u64 {
        self.fatal.store(0, Relaxed);
        self.sites.load(Relaxed)
    }

    /// What the disk told so far.
    pub fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

impl Host for World {
    fn now(&self) -> VirtualTime {
        VirtualTime(self.now.load(Relaxed))
    }

    fn seed(&self) -> Seed {
        self.seed
    }

    fn name(&self, node: NodeIx) -> Arc<str> {
        format!("node-{}", node.0).into()
    }

    fn reached(&self, _: NodeIx, _: Reached<'_>) -> Verdict {
        let site = self.sites.fetch_add(1, Relaxed) + 1;
        let dead = site == self.fatal.load(Relaxed);
        if dead {
            self.disk.lock().unwrap().upgrade().unwrap().freeze();
        }
        Verdict { dead, burst: None }
    }

    fn tracing(&self) -> bool {
        true
    }

    fn record(&self, _: NodeIx, what: What<'_>) {
        if let What::Disk { event } = what {
            self.told.lock().unwrap().push(event.into_owned());
        }
    }
}

struct Around(Arc<World>);

impl Machine for Around {
    fn now_ns(&self) -> u64 {
        EPOCH_NS + self.0.now.load(Relaxed)
    }

    fn random(&self, out: &mut [u8]) {
        out.fill(7);
    }

    fn hostname(&self) -> String {
        "orders".to_owned()
    }

    fn hosts(&self) -> Vec<(String, String)> {
        vec![("10.0.0.4".to_owned(), "orders".to_owned())]
    }

    fn processors(&self) -> usize {
        4
    }

    fn outside(&self) -> Option<&dyn Outside> {
        Some(&Zones)
    }
}

/// One time zone.
struct Zones;

impl Outside for Zones {
    fn look(&self, path: &[u8]) -> Option<Seen> {
        match path {
            b"/usr" | b"/usr/share" | b"/usr/share/zoneinfo" => Some(Seen::Directory),
            b"/usr/share/zoneinfo/UTC" => Some(Seen::File {
                len: 4,
                mode: 0o644,
            }),
            b"/etc/localtime" => Some(Seen::Link(b"/usr/share/zoneinfo/UTC".to_vec())),
            _ => None,
        }
    }

    fn list(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let name: &[u8] = match path {
            b"/" => b"usr",
            b"/usr" => b"share",
            b"/usr/share" => b"zoneinfo",
            b"/usr/share/zoneinfo" => b"UTC",
            b"/etc" => b"localtime",
            _ => return Vec::new(),
        };
        vec![name.to_vec()]
    }

    fn read(&self, path: &[u8]) -> Option<Arc<[u8]>> {
        let is_there = path == b"/usr/share/zoneinfo/UTC";
        is_there.then(|| Arc::from(&b"TZif"[..]))
    }
}

/// A program of which nothing but its number is known.
pub struct Numbered(pub i32);

impl Program for Numbered {
    fn pid(&self) -> i32 {
        self.0
    }

    fn descriptors(&self) -> Vec<(i32, Vec<u8>)> {
        vec![(0, b"/dev/null".to_vec()), (3, b"socket:[1]".to_vec())]
    }
}

/// A machine that is up, with one process (number 7) on it.
pub struct Booted {
    pub world: Arc<World>,
    pub disk: Arc<Disk>,
    pub fs: Arc<FileSystem>,
    pub process: Process,
}

pub fn booted(seed: u64) -> Booted {
    let world = Arc::new(World {
        seed: Seed(seed),
        now: AtomicU64::new(0),
        sites: AtomicU64::new(0),
        fatal: AtomicU64::new(0),
        disk: Mutex::default(),
        told: Mutex::default(),
    });
    let disk = Disk::new(world.clone(), NodeIx(3));
    *world.disk.lock().unwrap() = Arc::downgrade(&disk);
    let fs = FileSystem::new(disk.clone(), Arc::new(Around(world.clone())));
    disk.boot();
    let process = Process::new(&fs, Arc::new(Numbered(7)));
    Booted {
        world,
        disk,
        fs,
        process,
    }
}

impl Booted {
    /// The process ends as this has it, and the next one starts.
    pub fn end(&mut self, how: fn(&Disk)) {
        how(&self.disk);
        self.disk.boot();
        self.process = Process::new(&self.fs, Arc::new(Numbered(7)));
    }

    /// Opens a file, which is made if there is none.
    pub fn open(&self, path: &str) -> OpenFile {
        let flags = libc::O_RDWR | libc::O_CREAT;
        self.process
            .open(None, path.as_bytes(), flags, 0o644)
            .unwrap()
    }

    /// What is in a file.
    pub fn content(&self, path: &str) -> Vec<u8> {
        let file = self
            .process
            .open(None, path.as_bytes(), libc::O_RDONLY, 0)
            .unwrap();
        let mut bytes = vec![0; file.stat().unwrap().size as usize];
        assert_eq!(file.pread(&mut bytes, 0).unwrap(), bytes.len());
        bytes
    }

    /// Whether there is something of this name.
    pub fn has(&self, path: &str) -> bool {
        self.process.stat(None, path.as_bytes(), false).is_ok()
    }
}
