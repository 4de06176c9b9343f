//! A machine whose process can be killed and started again, over the files of the life before.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use squall_services::ports::Platform;

use super::machine::{Machine, Network};

pub struct Computer {
    network: Network,
    machine: Mutex<Arc<Machine>>,
    lives: AtomicU64,
}

impl Computer {
    pub fn new(network: &Network, name: &str) -> Self {
        Computer {
            network: network.clone(),
            machine: Mutex::new(network.machine(name).1),
            lives: AtomicU64::new(0),
        }
    }

    /// Boots the process anew.
    pub fn boot(&self) -> Platform {
        let life = self.lives.fetch_add(1, SeqCst);
        let (platform, machine) = self.network.successor(&self.machine(), life);
        *self.machine.lock().unwrap() = machine;
        platform
    }

    /// The machine in this life of its process.
    pub fn machine(&self) -> Arc<Machine> {
        self.machine.lock().unwrap().clone()
    }

    /// Kills the process, whatever it is doing.
    pub fn crash(&self) {
        self.machine().kill();
    }

    pub fn failure(&self) -> Option<String> {
        self.machine().failures.lock().unwrap().first().cloned()
    }

    /// Commits of this life.
    pub fn commits(&self) -> usize {
        self.machine().commits()
    }
}
