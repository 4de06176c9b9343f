//! Processes as nodes of a scenario.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use squall_engine::{Client, Node, Sim};
use tokio_real::runtime::{Builder, RngSeed};

use crate::{
    cpu::{Executable, Image, prepare_programs},
    process,
};

/// Nodes whose code knows nothing of Squall.
pub trait Processes {
    /// Adds a node whose process runs `main` on a current-thread runtime of the real tokio, started anew at each boot. Its
    /// system calls are served by the simulation: it listens and connects with `tokio::net` or `std::net`, finds other
    /// nodes by their names, sleeps, reads clocks, and so on, as on Linux.
    ///
    /// When `main` returns, the process ends and is started again with backoff; an error says why it ended.
    ///
    /// Returns what can be said of the process: its environment variables.
    fn process<F, T>(
        &self,
        name: &str,
        main: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) -> Process
    where
        F: Future<Output = T> + 'static,
        T: Outcome;

    /// Adds a node whose process runs a whole `main`, `#[tokio::main]` with its threads, static variables and all: in a
    /// process of its own, forked at each boot, as a real program has it.
    ///
    /// # Panics
    /// The machine refuses to make one.
    fn program<T: Outcome>(&self, name: &str, main: fn() -> T) -> Process;

    /// Adds a node whose process runs an unmodified executable of the real machine, dynamically linked or static, started
    /// anew at each boot: the first of `arguments` is its path, or a name that is looked for in the usual places.
    ///
    /// It sees itself and the libraries of the real machine (read-only), and beyond that the files, the network and the
    /// clocks of its node.
    ///
    /// # Panics
    /// There is no such executable, or the machine refuses to make a process.
    fn exec<A: Into<String>>(&self, name: &str, arguments: impl IntoIterator<Item = A>) -> Process;
}

/// A whole `main`, in the process that was forked for it.
fn launch<T: Outcome>(main: usize) {
    // SAFETY: `program` took the address of a function of this type, in the same executable.
    let main = unsafe { std::mem::transmute::<usize, fn() -> T>(main) };
    if let Some(failure) = main().failure() {
        eprintln!("Error: {failure}");
        std::process::exit(1);
    }
}

/// A process, as a scenario describes it.
#[derive(Clone, Debug, Default)]
pub struct Process(Arc<Mutex<Vec<(String, String)>>>);

impl Process {
    /// Sets an environment variable of the process.
    pub fn env(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let variable = (name.into(), value.into());
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(variable);
        self
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// How an asynchronous `main` may end.
pub trait Outcome {
    /// Why it failed, if it did.
    fn failure(self) -> Option<String>;
}

impl Outcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<T, E: fmt::Debug> Outcome for Result<T, E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| format!("{error:?}"))
    }
}

impl Processes for Sim {
    fn process<F, T>(
        &self,
        name: &str,
        main: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) -> Process
    where
        F: Future<Output = T> + 'static,
        T: Outcome,
    {
        let described = Process::default();
        let process = described.clone();
        self.node(name, move |node: Node| {
            let (main, environment) = (main.clone(), process.environment());
            async move {
                let main = Box::new(move || run(main));
                process::run(node, process::Main::Here(main), &environment).await
            }
        });
        described
    }

    fn program<T: Outcome>(&self, name: &str, main: fn() -> T) -> Process {
        prepare_programs().expect("a process for programs can be made");
        let described = Process::default();
        let process = described.clone();
        let image = Image {
            launch: launch::<T>,
            main: main as usize,
        };
        self.node(name, move |node: Node| {
            let environment = process.environment();
            async move { process::run(node, process::Main::Apart(image), &environment).await }
        });
        described
    }

    fn exec<A: Into<String>>(&self, name: &str, arguments: impl IntoIterator<Item = A>) -> Process {
        prepare_programs().expect("a process for programs can be made");
        let described = Process::default();
        let process = described.clone();
        let arguments: Vec<String> = arguments.into_iter().map(Into::into).collect();
        let program = arguments.first().map_or("", String::as_str);
        let executable = Executable {
            file: process::outside::find(program)
                .unwrap_or_else(|| panic!("{name}: there is no executable {program:?}")),
            arguments: arguments.iter().map(|it| it.clone().into_bytes()).collect(),
            ..Executable::default()
        };
        self.node(name, move |node: Node| {
            let (executable, environment) = (executable.clone(), process.environment());
            async move {
                let main = process::Main::Executable(executable);
                process::run(node, main, &environment).await
            }
        });
        described
    }
}

/// A client's task whose code is run as a process: on the real tokio, with unmodified libraries. For
/// [`Sim::client`], [`Sim::prepare`], [`Sim::late_client`] and the like.
///
/// The [`Client`] is there to record calls and to draw; to wait, and to reach nodes, the code does as it would on Linux.
pub fn unmodified<F>(
    task: impl FnOnce(Client) -> F + Send + 'static,
) -> impl FnOnce(Client) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static
where
    F: Future<Output = ()> + 'static,
{
    move |client| {
        let node = client.node().clone();
        let main = Box::new(move || run(move || task(client)));
        Box::pin(async move {
            if let Err(why) = process::run(node, process::Main::Here(main), &[]).await {
                panic!("{why}");
            }
        })
    }
}

/// Runs an asynchronous `main`, in the process.
fn run<F, T>(main: impl FnOnce() -> F)
where
    F: Future<Output = T>,
    T: Outcome,
{
    let mut seed = [0; 32];
    // It is asked of the simulated kernel: the runtime's own choices follow from the seed too.
    // SAFETY: the buffer is as long as it says.
    unsafe { libc::syscall(libc::SYS_getrandom, seed.as_mut_ptr(), seed.len(), 0) };
    let built = Builder::new_current_thread()
        .enable_all()
        .rng_seed(RngSeed::from_bytes(&seed))
        .build();
    let runtime = match built {
        Ok(runtime) => runtime,
        Err(error) => return fails(&error.to_string()),
    };
    if let Some(failure) = runtime.block_on(main()).failure() {
        fails(&failure);
    }
}

/// The process says why, and ends.
fn fails(why: &str) {
    eprintln!("Error: {why}");
    // Not `std::process::exit`: that is for once in an address space.
    // SAFETY: it ends the process.
    unsafe { libc::syscall(libc::SYS_exit_group, 1, 0, 0, 0, 0, 0) };
}
