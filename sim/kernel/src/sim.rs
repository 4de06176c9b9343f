//! Processes as nodes of a scenario.

use std::{
    fmt,
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use squall_engine::{Client, Node, Sim, disk::Snapshot};
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
    let failure = main().failure();
    if let Some(failure) = &failure {
        eprintln!("Error: {failure}");
    }
    // As at the end of a real program: what was printed is written.
    std::process::exit(failure.is_some().into())
}

/// A process, as a scenario describes it.
#[derive(Clone, Default)]
pub struct Process(Arc<Mutex<Described>>);

#[derive(Clone, Default)]
struct Described {
    environment: Vec<(String, String)>,
    begins_with: Option<Arc<Snapshot>>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}

impl Process {
    /// Sets an environment variable of the process.
    pub fn env(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.described()
            .environment
            .push((name.into(), value.into()));
        self
    }

    /// What the node's disk holds before its first boot.
    pub fn begins_with(self, snapshot: Arc<Snapshot>) -> Self {
        self.described().begins_with = Some(snapshot);
        self
    }

    fn described(&self) -> MutexGuard<'_, Described> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs it on its node until it ends; what it returns is why.
    async fn run(self, node: Node, main: process::Main) -> Result<(), String> {
        let snapshot = self.described().begins_with.take();
        if let Some(snapshot) = snapshot {
            node.disk().begin_with(&snapshot);
        }
        let environment = self.described().environment.clone();
        process::run(node, main, &environment).await
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
            let main = main.clone();
            let main = Box::new(move || run(main));
            process.clone().run(node, process::Main::Here(main))
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
            process.clone().run(node, process::Main::Apart(image))
        });
        described
    }

    fn exec<A: Into<String>>(&self, name: &str, arguments: impl IntoIterator<Item = A>) -> Process {
        prepare_programs().expect("a process for programs can be made");
        let described = Process::default();
        let process = described.clone();
        let mut arguments = arguments.into_iter().map(Into::into);
        let program = arguments.next().unwrap_or_default();
        let command = Command::new(program).arguments(arguments);
        let executable = command
            .executable()
            .unwrap_or_else(|why| panic!("{name}: {why}"));
        self.node(name, move |node: Node| {
            let main = process::Main::Executable(executable.clone(), None);
            process.clone().run(node, main)
        });
        described
    }
}

/// Executables run as an ordinary user: some servers refuse to be root.
const USER: u32 = 1000;

/// An unmodified executable of the real machine, to be run on a node.
#[derive(Clone)]
pub struct Command {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    installed: Vec<PathBuf>,
    hears: Option<process::Hears>,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}

impl Command {
    /// An executable by its path, or by a name that is looked for in the usual places.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Command {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            installed: Vec::new(),
            hears: None,
        }
    }

    /// It sees this executable too, with what belongs to it, wherever that lies on the real machine.
    pub fn sees(mut self, executable: &Path) -> Self {
        self.installed
            .extend(process::outside::installation(executable));
        self
    }

    /// Its arguments, without its own name.
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Tells what its node sends by the network: to which machine, and bytes in their order.
    pub fn heard_by(mut self, hears: impl Fn(&str, &[u8]) + Send + Sync + 'static) -> Self {
        self.hears = Some(Arc::new(hears));
        self
    }

    /// Runs it as the process of a node until it ends. [`prepare_programs`] has to be called when the node is added.
    ///
    /// # Errors
    /// Why it ended, unless by itself and with success.
    pub async fn run(self, node: Node) -> Result<(), String> {
        let main = process::Main::Executable(self.executable()?, self.hears);
        process::run(node, main, &self.environment).await
    }

    fn executable(&self) -> Result<Executable, String> {
        let name = self.program.to_string_lossy();
        let file = process::outside::find(&name).and_then(|found| found.canonicalize().ok());
        let file = file.ok_or_else(|| format!("there is no executable {name:?}"))?;
        let own = [&*name].into_iter();
        let arguments = own.chain(self.arguments.iter().map(String::as_str));
        Ok(Executable {
            installed: [
                process::outside::installation(&file),
                self.installed.clone(),
            ]
            .concat(),
            file,
            arguments: arguments.map(|it| it.as_bytes().to_vec()).collect(),
            user: USER,
            ..Executable::default()
        })
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
