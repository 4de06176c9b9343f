//! What a service is told by its environment, and how it is run.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal},
    str::FromStr,
};

use anyhow::{Result, anyhow};
use tokio::runtime::Builder;

/// The value of an environment variable, or what stands in for it.
///
/// # Errors
///
/// The variable has a value that means nothing.
pub fn var<T: FromStr<Err: Display>>(name: &str, default: &str) -> Result<T> {
    let text = env::var(name).unwrap_or_else(|_| default.to_owned());
    let value = text.parse();
    value.map_err(|error| anyhow!("{name}={text}: {error}"))
}

/// Runs a service as a program: it logs to its standard error, and has two threads.
///
/// # Errors
///
/// Those of the service; or the system has no more to give, of which `#[tokio::main]` would make a panic.
pub fn program(service: impl Future<Output = Result<()>>) -> Result<()> {
    let coloured = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_ansi(coloured);
    log.with_writer(io::stderr).init();
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build()?;
    runtime.block_on(service)
}
