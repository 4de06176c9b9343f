//! One life of a process: its tasks die together, its files remain.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use squall_services::ports::{BoxFuture, Clock, Platform, Process};
use tokio::{task::JoinHandle, time::Instant};

use crate::machine::{Machine, Network};

/// A machine whose process can be killed and started again.
pub struct Computer {
    network: Network,
    name: String,
    file: String,
    machine: Mutex<Arc<Machine>>,
    lives: AtomicU64,
    born: Instant,
    life: Mutex<Arc<Life>>,
}

struct Life {
    number: u64,
    born: Instant,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    failure: Mutex<Option<String>>,
}

impl Computer {
    pub fn new(network: &Network, name: &str, file: &str) -> Self {
        let born = Instant::now();
        Computer {
            network: network.clone(),
            name: name.to_owned(),
            file: file.to_owned(),
            machine: Mutex::new(network.machine(name).1),
            lives: AtomicU64::new(0),
            born,
            life: Mutex::new(Life::new(0, born)),
        }
    }

    /// Boots the process anew, over the files of the life before.
    pub fn boot(&self) -> Platform {
        let (mut platform, machine) = self.network.machine(&self.name);
        let before = std::mem::replace(&mut *self.machine.lock().unwrap(), machine.clone());
        if let Some(file) = before.file(&self.file) {
            machine.put_file(&self.file, file.bytes.lock().unwrap().clone());
        }
        let number = self.lives.fetch_add(1, Ordering::SeqCst);
        let life = Life::new(number, self.born);
        *self.life.lock().unwrap() = life.clone();
        for _ in 0..number * 10_000 {
            // Another life draws other ids.
            platform.random.next_u64();
        }
        platform.clock = life.clone();
        platform.process = life;
        platform
    }

    /// Kills the process, whatever it is doing.
    pub fn crash(&self) {
        self.network.unplug(&self.name);
        for task in self.life.lock().unwrap().tasks.lock().unwrap().drain(..) {
            task.abort();
        }
    }

    pub fn failure(&self) -> Option<String> {
        self.life.lock().unwrap().failure.lock().unwrap().clone()
    }

    /// Commits of this life.
    pub fn commits(&self) -> usize {
        self.machine.lock().unwrap().commits.lock().unwrap().len()
    }
}

impl Life {
    fn new(number: u64, born: Instant) -> Arc<Self> {
        Arc::new(Life {
            number,
            born,
            tasks: Mutex::default(),
            failure: Mutex::default(),
        })
    }
}

impl Process for Life {
    #[allow(clippy::disallowed_methods)]
    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        self.tasks.lock().unwrap().push(tokio::spawn(task));
    }
    fn fail(&self, reason: &str) {
        *self.failure.lock().unwrap() = Some(reason.to_owned());
    }
    fn boot_id(&self) -> u64 {
        self.number
    }
}

impl Clock for Life {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000 + self.born.elapsed().as_millis() as u64
    }
}
