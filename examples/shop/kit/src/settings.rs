//! What a service is told by its environment.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal},
    str::FromStr,
};

use anyhow::{Result, anyhow};

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

/// Writes what the service logs to its standard error.
pub fn log_to_stderr() {
    let coloured = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_ansi(coloured);
    log.with_writer(io::stderr).init();
}
