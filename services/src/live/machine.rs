//! Clock, randomness and the process.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    panic::AssertUnwindSafe,
    process::exit,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use futures_util::FutureExt;

use crate::ports::{BoxFuture, Clock, Process, Random};

/// The exit code of a process that gave itself up; its supervisor is to start it again.
pub const EXIT_FAILED: i32 = 70;

pub(super) struct Machine {
    name: String,
    /// Keyed from the operating system's randomness; a keyed hash of a counter is as hard to guess as its key.
    keyed: RandomState,
    drawn: AtomicU64,
    boot_id: u64,
}

impl Machine {
    pub(super) fn new(name: &str) -> Self {
        let keyed = RandomState::new();
        Machine {
            name: name.to_owned(),
            boot_id: keyed.hash_one("boot"),
            keyed,
            drawn: AtomicU64::new(0),
        }
    }
}

impl Clock for Machine {
    fn now_ms(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        since_epoch.map_or(0, |time| time.as_millis() as u64)
    }
}

impl Random for Machine {
    fn next_u64(&self) -> u64 {
        self.keyed
            .hash_one(self.drawn.fetch_add(1, Ordering::Relaxed))
    }
}

impl Process for Machine {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        let service = self.name.clone();
        tokio::spawn(async move {
            // The panic itself was printed by the panic hook.
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                eprintln!("{service}: the task {name} panicked; the process ends, start it again");
                exit(EXIT_FAILED);
            }
        });
    }

    fn fail(&self, reason: &str) {
        eprintln!("{}: {reason}; the process ends, start it again", self.name);
        exit(EXIT_FAILED);
    }

    fn boot_id(&self) -> u64 {
        self.boot_id
    }
}
