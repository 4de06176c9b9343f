//! Whole programs, each in a process of its own.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use squall::{seed::Seed, storm::Plan, trace::text};
use squall_kernel::{Processes, unmodified};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_real as tokio;

static CALLS: AtomicU32 = AtomicU32::new(0);

/// Counts calls in a static variable, on four worker threads.
#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn counter() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:8080").await?;
    println!("{} listens", std::env::var("NAME").expect("it is set"));
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            while stream.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(2)).await;
                let calls = tokio::task::spawn_blocking(|| CALLS.fetch_add(1, Relaxed) + 1);
                let _ = stream.write_u32(calls.await.unwrap_or(0)).await;
            }
        });
    }
}

fn build(sim: &squall::Sim) {
    sim.program("a", counter).env("NAME", "alpha");
    sim.program("b", counter).env("NAME", "beta");
    sim.client(
        "client",
        unmodified(async |client: squall::Client| {
            for n in 1..=5 {
                for server in ["a:8080", "b:8080"] {
                    let call = async {
                        let mut stream = TcpStream::connect(server).await?;
                        stream.write_u8(0).await?;
                        stream.read_u32().await
                    };
                    if let Ok(Ok(calls)) = tokio::time::timeout(Duration::from_secs(1), call).await
                    {
                        client.ok(server, &format!("{calls} in round {n}"));
                        assert!(calls <= n, "{calls} in round {n}");
                    }
                }
            }
        }),
    );
}

#[test]
fn static_variables_are_a_program_s_own() {
    let outcome = squall::storms("counters")
        .plan(Plan::calm())
        .one(Seed(1), build);
    let trace = text::render(
        outcome.trace.as_ref().expect("it is kept"),
        &text::Options::default(),
    );
    assert!(
        outcome.violations.is_empty(),
        "{trace}\n{:?}",
        outcome.violations
    );
    assert!(trace.contains("5 in round 5"), "{trace}");
    assert!(
        trace.contains("alpha listens") && trace.contains("beta listens"),
        "{trace}"
    );
}

#[test]
fn fifty_storms_over_programs_are_repeatable() {
    let run = |seed| {
        let outcome = squall::storms("counters").one(Seed(seed), build);
        assert!(
            outcome.violations.is_empty(),
            "{seed}: {:?}",
            outcome.violations
        );
        outcome.hash
    };
    let first: Vec<_> = (0..50).map(run).collect();
    let second: Vec<_> = (0..50).map(run).collect();
    assert_eq!(first, second);
}

fn aborts() {
    if std::env::var("HOW").as_deref() == Ok("exit") {
        std::process::exit(3);
    }
    std::process::abort();
}

#[test]
fn a_program_that_aborts_or_exits_is_started_again() {
    let outcome = squall::storms("ends")
        .plan(Plan::calm())
        .one(Seed(1), |sim: &squall::Sim| {
            sim.program("aborts", aborts);
            sim.program("exits", aborts).env("HOW", "exit");
            sim.client("waits", async |client: squall::Client| {
                client.sleep(Duration::from_secs(1)).await;
            });
        });
    let trace = text::render(
        outcome.trace.as_ref().expect("it is kept"),
        &text::Options::default(),
    );
    assert!(trace.matches("stops: SIGABRT").count() > 1, "{trace}");
    assert!(trace.matches("exits with status 3").count() > 1, "{trace}");
}
