//! A system as processes: each service is one, and is started again whenever it ends.

use std::{io, process::Stdio, time::Duration};

use tokio::{
    process::{Child, Command},
    sync::mpsc,
    time::{Instant, sleep},
};

use super::options::{Options, STORE};

/// Wait before the first restart; it doubles with each.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// The longest wait before a restart.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A process that lived so long is well: what it ends of is no part of a series.
const WELL_AFTER: Duration = Duration::from_secs(10);

/// The exit code of one that cannot be started as it was asked to.
const CANNOT_START: i32 = 2;

/// Runs the services of these names, each in a process, until one of them cannot be started at all. When this is
/// dropped, they are killed; if this process itself is, they hear that nobody holds their standard input any more.
pub(super) async fn run(options: &Options, names: Vec<String>) -> io::Result<()> {
    let (refused, mut first) = mpsc::unbounded_channel();
    let mut kept = tokio::task::JoinSet::new();
    for name in names {
        let arguments = options.of_one(&name);
        let store = options.store.as_ref().map(ToString::to_string);
        let refused = refused.clone();
        kept.spawn(async move {
            let error = keep(&name, &arguments, store.as_deref()).await;
            refused.send(io::Error::new(error.kind(), format!("{name}: {error}")))
        });
    }
    first.recv().await.map_or(Ok(()), Err)
}

/// Keeps a process going. Returns only if it cannot be started.
async fn keep(name: &str, arguments: &[String], store: Option<&str>) -> io::Error {
    let mut pause = PAUSE_FIRST;
    let mut lives = 0u64;
    loop {
        lives += 1;
        let began = Instant::now();
        let mut process = match start(arguments, store) {
            Ok(process) => process,
            Err(error) => return error,
        };
        // Held while it lives: waiting for it would close it.
        let _input = process.stdin.take();
        let ended = match process.wait().await {
            Ok(ended) => ended,
            Err(error) => return error,
        };
        let was_well = began.elapsed() >= WELL_AFTER;
        if lives == 1 && !was_well && ended.code() == Some(CANNOT_START) {
            return io::Error::other("it could not be started");
        }
        if was_well {
            pause = PAUSE_FIRST;
        }
        tracing::warn!(name, %ended, again_in = ?pause, "a service ended");
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn start(arguments: &[String], store: Option<&str>) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    if let Some(store) = store {
        command.env(STORE, store);
    }
    command.spawn()
}
