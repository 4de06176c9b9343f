//! A world of one disk, for the disk's own tests: a clock that tests set, and a death at the n-th site.

#![allow(dead_code)]

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use squall::{
    disk::Disk,
    host::{Host, NodeIx, Reached, Verdict},
    seed::Seed,
    time::VirtualTime,
    trace::What,
};

/// The host of one disk.
pub struct OneDisk {
    seed: Seed,
    now: AtomicU64,
    /// Sites reached since the last `die_at`.
    sites: AtomicU64,
    /// The site before which the node dies; 0: none.
    fatal: AtomicU64,
    disk: Mutex<Weak<Disk>>,
    told: Mutex<Vec<String>>,
}

/// A booted disk and its host.
pub fn booted(seed: u64) -> (Arc<OneDisk>, Arc<Disk>) {
    let host = Arc::new(OneDisk {
        seed: Seed(seed),
        now: AtomicU64::new(0),
        sites: AtomicU64::new(0),
        fatal: AtomicU64::new(0),
        disk: Mutex::default(),
        told: Mutex::default(),
    });
    let disk = Disk::new(host.clone(), NodeIx(3));
    *host.disk.lock().unwrap() = Arc::downgrade(&disk);
    disk.boot();
    (host, disk)
}

impl OneDisk {
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

impl Host for OneDisk {
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
            let disk = self.disk.lock().unwrap().upgrade();
            disk.expect("the disk that asks is alive").freeze();
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
