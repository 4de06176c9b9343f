//! In the place of the simulated kernel on systems where it is not: what needs it says so, and everything else runs.

use std::{
    env::consts::{ARCH, OS},
    fmt,
    future::{Future, pending},
    io,
    pin::Pin,
    sync::Arc,
};

use squall_engine::{
    Client, Node, Sim,
    disk::Snapshot,
    isolation::{Child, End},
};

fn needs() -> String {
    format!("unmodified programs need Linux with glibc on x86-64: this is {OS} on {ARCH}")
}

/// Nodes whose code knows nothing of Squall: not on this system, where a run with one is void.
pub trait Processes {
    /// Adds a node whose process runs `main` on the real tokio.
    fn process<F, T>(
        &self,
        name: &str,
        main: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) -> Process
    where
        F: Future<Output = T> + 'static,
        T: Outcome;

    /// Adds a node whose process runs a whole `main`.
    fn program<T: Outcome>(&self, name: &str, main: fn() -> T) -> Process;

    /// Adds a node whose process runs an executable.
    fn exec<A: Into<String>>(&self, name: &str, arguments: impl IntoIterator<Item = A>) -> Process;
}

/// How a `main` may end.
pub trait Outcome {}

impl Outcome for () {}
impl<T, E: fmt::Debug> Outcome for Result<T, E> {}

/// A process, as a scenario describes it.
#[derive(Clone, Debug, Default)]
pub struct Process(());

impl Process {
    /// Sets an environment variable of the process.
    pub fn env(self, _: impl Into<String>, _: impl Into<String>) -> Self {
        self
    }

    /// What the node's disk holds before its first boot.
    pub fn begins_with(self, _: Arc<Snapshot>) -> Self {
        self
    }

    /// Is told, on the node, how each process of it ended that came to its end by itself.
    pub fn at_end(self, _: impl Fn(&Node, &Result<(), String>) + Send + Sync + 'static) -> Self {
        self
    }
}

fn refuses(sim: &Sim, name: &str) -> Process {
    sim.node(name, async |node: Node| {
        node.void(needs());
        Err::<(), _>(needs())
    });
    Process::default()
}

impl Processes for Sim {
    fn process<F, T>(
        &self,
        name: &str,
        _: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) -> Process
    where
        F: Future<Output = T> + 'static,
        T: Outcome,
    {
        refuses(self, name)
    }

    fn program<T: Outcome>(&self, name: &str, _: fn() -> T) -> Process {
        refuses(self, name)
    }

    fn exec<A: Into<String>>(&self, name: &str, _: impl IntoIterator<Item = A>) -> Process {
        refuses(self, name)
    }
}

/// A client's task whose code is run as a process: not on this system, where a run with one is void.
pub fn unmodified<F>(
    _: impl FnOnce(Client) -> F + Send + 'static,
) -> impl FnOnce(Client) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static
where
    F: Future<Output = ()> + 'static,
{
    |client| {
        client.node().void(needs());
        Box::pin(pending())
    }
}

/// Does work in place: there are no programs that could leave anything behind.
///
/// # Errors
/// None.
pub fn in_child(work: &dyn Fn() -> Vec<u8>) -> io::Result<Child> {
    Ok(Child {
        end: End::Returned(work()),
        cpu: std::time::Duration::ZERO,
        last_turn: None,
        told: Vec::new(),
    })
}

pub(crate) use in_child as forked;
