//! The services' ports on a simulated machine: the one place where the two meet.

use std::{any::Any, future::Future, io, pin::Pin, sync::Arc};

use redb::StorageBackend;
use squall::{Node, net, trace::Row};
use squall_services::{
    kit::store::Shared,
    ports::{
        BoxFuture, Clock, Connection, Listener, Net, Platform, Process, Random, RowChange, Storage,
    },
};

/// One life of a simulated machine, through the services' ports.
struct Machine(Node, Option<Shared>);

/// The platform of a service on this node.
pub fn platform(node: &Node) -> Platform {
    platform_over(node, None)
}

/// The same, with a database that others share.
pub fn platform_over(node: &Node, shared: Option<Shared>) -> Platform {
    let machine = Arc::new(Machine(node.clone(), shared));
    Platform {
        name: node.name().into(),
        net: machine.clone(),
        storage: machine.clone(),
        clock: machine.clone(),
        random: machine.clone(),
        process: machine,
        build: node.build(),
    }
}

struct Socket(net::Listener);

impl Listener for Socket {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async { Ok(Box::new(self.0.accept().await?) as Connection) })
    }
}

impl Net for Machine {
    fn listen(&self) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let socket = self.0.listen();
        Box::pin(async { Ok(Box::new(Socket(socket?)) as Box<dyn Listener>) })
    }

    fn connect(&self, peer: &str) -> BoxFuture<'static, io::Result<Connection>> {
        let connecting = self.0.connect(peer);
        Box::pin(async { Ok(Box::new(connecting.await?) as Connection) })
    }
}

impl Storage for Machine {
    fn exists(&self, file: &str) -> io::Result<bool> {
        Ok(self.0.disk().exists(file))
    }

    fn open(&self, file: &str) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(self.0.disk().open(file)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.disk().rename(from, to)
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        self.0.disk().remove(file)
    }

    fn is_gone(&self) -> bool {
        !self.0.is_alive()
    }

    fn shared(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.1.clone().map(|shared| Arc::new(shared) as _)
    }

    fn readable(&self, table: &str, key: &str) -> io::Result<()> {
        self.0.readable(table, key)
    }

    fn execute(&self, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        Box::pin(self.0.execute(job))
    }

    fn committing(&self, file: &str, changes: &[RowChange]) {
        let row =
            |change: &RowChange| Row::new(change.table, change.key.clone(), change.after.clone());
        self.0.committing(file, changes.iter().map(row).collect());
    }

    fn committed(&self, _file: &str, _changes: &[RowChange]) {
        self.0.commit_done();
    }
}

impl Clock for Machine {
    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }
}

impl Random for Machine {
    fn next_u64(&self) -> u64 {
        self.0.random()
    }
}

impl Process for Machine {
    fn spawn(&self, name: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn_named(name, task);
    }

    fn fail(&self, reason: &str) {
        self.0.fail(reason);
    }

    fn boot_id(&self) -> u64 {
        self.0.boot_id()
    }
}

/// Reads all rows of a service's database, for the harness.
pub fn read_store(
    backend: Box<dyn StorageBackend>,
) -> Result<Vec<(String, String, Vec<u8>)>, String> {
    squall_services::kit::store::dump(backend).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use squall::run::Verdict;

    use super::*;
    use crate::{conformance, little::Little};

    #[test]
    fn a_simulated_machine_keeps_what_every_store_keeps() {
        let world = Little(|sim: &squall::Sim| {
            sim.read_stores_with(read_store);
            let kept = sim.goal("all is kept");
            sim.node("shop", move |node| {
                let kept = kept.clone();
                async move {
                    conformance::store(&platform(&node)).await;
                    kept.hit();
                    std::future::pending::<io::Result<()>>().await
                }
            });
            sim.client("ann", |client| async move {
                client.sleep(std::time::Duration::from_secs(60)).await;
            });
        });
        let outcome = world.run(&[]);
        assert_eq!(outcome.verdict, Verdict::Survived);
        assert_eq!(outcome.sometimes["all is kept"], 1);
    }
}
