//! Processes as nodes of a scenario.

use std::{fmt, future::Future, sync::Arc};

use squall_engine::{Node, Sim};
use tokio_real::runtime::{Builder, RngSeed};

use crate::process;

/// Nodes whose code knows nothing of Squall.
pub trait Processes {
    /// Adds a node whose process runs `main` on a current-thread runtime of the real tokio, started anew at each boot. Its
    /// system calls are served by the simulation: it listens and connects with `tokio::net` or `std::net`, finds other
    /// nodes by their names, sleeps, reads clocks, and so on, as on Linux.
    ///
    /// When `main` returns, the process ends and is started again with backoff; an error says why it ended.
    fn process<F, T>(&self, name: &str, main: impl Fn() -> F + Clone + Send + Sync + 'static)
    where
        F: Future<Output = T> + 'static,
        T: Outcome;
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

impl<T, E: fmt::Display> Outcome for Result<T, E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

impl Processes for Sim {
    fn process<F, T>(&self, name: &str, main: impl Fn() -> F + Clone + Send + Sync + 'static)
    where
        F: Future<Output = T> + 'static,
        T: Outcome,
    {
        let environment = Arc::new(Vec::new());
        self.node(name, move |node: Node| {
            let main = main.clone();
            let run = move || {
                let mut seed = [0; 32];
                // It is asked of the simulated kernel: the runtime's own choices follow from the seed too.
                getrandom(&mut seed);
                let runtime = Builder::new_current_thread()
                    .enable_all()
                    .rng_seed(RngSeed::from_bytes(&seed))
                    .build()
                    .expect("a runtime needs an epoll and an eventfd");
                if let Some(failure) = runtime.block_on(main()).failure() {
                    eprintln!("Error: {failure}");
                    std::process::exit(1);
                }
            };
            process::run(node, Box::new(run), environment.clone())
        });
    }
}

fn getrandom(bytes: &mut [u8]) {
    // SAFETY: the buffer is as long as it says.
    unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), bytes.len(), 0) };
}
