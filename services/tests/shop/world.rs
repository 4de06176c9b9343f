//! Services on one network, a client, and a wall clock that tests move.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::Router;
use redb::StorageBackend;
use serde_json::Value;
use squall_services::{
    kit::{self, Context, Peer, PeerPolicy, Table},
    ports::{BoxFuture, Clock, Platform, RowChange, Storage},
};

use super::machine::{Machine, Network};

pub struct World {
    pub network: Network,
    pub now_ms: Arc<AtomicU64>,
    client: Platform,
}

/// A status and the body's `code`, or the body.
pub type Answer = (u16, Value);

impl World {
    pub fn new() -> Self {
        let network = Network::default();
        let (client, _) = network.machine("client");
        World {
            network,
            now_ms: Arc::new(AtomicU64::new(1_700_000_000_000)),
            client,
        }
    }

    /// A machine whose transactions take 5 ms and whose clock is the world's.
    pub fn machine(&self, name: &str) -> (Platform, Arc<Machine>) {
        let (mut platform, machine) = self.network.machine(name);
        platform.clock = Arc::new(WallClock(self.now_ms.clone()));
        platform.storage = Arc::new(SlowDisk(machine.clone()));
        (platform, machine)
    }

    /// Serves a stand-in for another service.
    pub fn stand_in(&self, name: &str, router: Router) {
        let (platform, _) = self.network.machine(name);
        let served = platform.clone();
        platform.spawn("stand-in", async move {
            kit::http::serve(&served, router).await.unwrap();
        });
    }

    /// Lets virtual time and the wall clocks go on.
    pub async fn pass(&self, time: Duration) {
        self.now_ms
            .fetch_add(time.as_millis() as u64, Ordering::SeqCst);
        tokio::time::sleep(time).await;
    }

    /// Sets the wall clocks back.
    pub fn set_back(&self, time: Duration) {
        self.now_ms
            .fetch_sub(time.as_millis() as u64, Ordering::SeqCst);
    }

    pub fn peer(&self, name: &str) -> Peer {
        let policy = PeerPolicy {
            attempts: 1,
            timeout: Duration::from_secs(120),
            ..PeerPolicy::internal()
        };
        Peer::new(&self.client, name, policy)
    }

    pub async fn ask(
        &self,
        service: &str,
        request: &str,
        key: Option<&str>,
        body: Value,
    ) -> Answer {
        let (method, path) = request.split_once(' ').unwrap();
        let context = Context::fresh(&self.client, "test");
        let peer = self.peer(service);
        let asked = peer.call(&context, method, path, key, &body);
        let Ok(reply) = asked.await else {
            return unanswered();
        };
        match reply.body.get("code") {
            Some(code) => (reply.status, code.clone()),
            None => (reply.status, reply.body),
        }
    }
}

/// What becomes of a 5xx, or of a key that is in flight.
pub fn unanswered() -> Answer {
    (503, Value::Null)
}

pub fn code(status: u16, code: &str) -> Answer {
    (status, Value::from(code))
}

/// The row as the last commit that touched it left it.
pub fn row<V: serde::de::DeserializeOwned>(
    machine: &Machine,
    table: &Table<V>,
    key: &str,
) -> Option<V> {
    let commits = machine.commits.lock().unwrap();
    let last = commits
        .iter()
        .flatten()
        .rfind(|change| change.table == table.name && change.key == key)?;
    last.after.as_ref().map(|row| table.decode(row).unwrap())
}

struct WallClock(Arc<AtomicU64>);

impl Clock for WallClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

struct SlowDisk(Arc<Machine>);

impl Storage for SlowDisk {
    fn exists(&self, file: &str) -> io::Result<bool> {
        self.0.exists(file)
    }
    fn open(&self, file: &str) -> io::Result<Box<dyn StorageBackend>> {
        self.0.open(file)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, file: &str) -> io::Result<()> {
        self.0.remove(file)
    }
    fn execute(&self, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            job();
        })
    }
    fn committing(&self, file: &str, changes: &[RowChange]) {
        self.0.committing(file, changes);
    }
    fn committed(&self, file: &str, changes: &[RowChange]) {
        self.0.committed(file, changes);
    }
}
