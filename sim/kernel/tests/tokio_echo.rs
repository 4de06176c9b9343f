//! Unmodified tokio code as nodes.

use std::time::Duration;

use squall::{seed::Seed, storm::Plan, trace::text};
use squall_kernel::{Processes, unmodified};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_real as tokio;

async fn server() -> std::io::Result<()> {
    let port = std::env::var("PORT").expect("it is set");
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (mut stream, peer) = listener.accept().await?;
        println!("{peer} connects");
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                tokio::time::sleep(Duration::from_millis(3)).await;
                let doubled = tokio::task::spawn_blocking(move || n * 2)
                    .await
                    .unwrap_or(0);
                let _ = stream.write_all(format!("{doubled}").as_bytes()).await;
            }
        });
    }
}

fn build(sim: &squall::Sim) {
    sim.process("server", server).env("PORT", "8080");
    sim.client(
        "client",
        unmodified(async |client: squall::Client| {
            let began = std::time::Instant::now();
            for i in 0..5 {
                client.invoked("echo", "");
                let mut stream = TcpStream::connect("server:8080").await.expect("it listens");
                stream.write_all(b"hello").await.expect("it goes");
                let mut buffer = [0; 64];
                let n = stream.read(&mut buffer).await.expect("it answers");
                assert_eq!(&buffer[..n], b"10");
                client.ok("echo", &format!("{i} after {:?}", began.elapsed()));
            }
        }),
    );
}

#[test]
fn a_client_and_a_server_talk() {
    let outcome = squall::storms("echo")
        .plan(Plan::calm())
        .one(Seed(3), build);
    eprintln!(
        "{}",
        text::render(
            outcome.trace.as_ref().expect("it is kept"),
            &text::Options::default()
        )
    );
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
}

#[test]
fn a_hundred_storms_are_repeatable() {
    let hashes = || -> Vec<_> {
        (0..100)
            .map(|seed| squall::storms("echo").one(Seed(seed), build).hash)
            .collect()
    };
    let (a, b) = (hashes(), hashes());
    assert_eq!(a, b);
}

/// Speaks in its main thread and in one of its own.
async fn speaker() {
    tracing::info!(number = 1, "the main thread speaks");
    let worker = tokio::task::spawn_blocking(|| tracing::warn!("a worker speaks"));
    worker.await.expect("it ends");
    std::future::pending().await
}

#[test]
fn what_a_process_says_by_tracing_is_heard() {
    let build = |sim: &squall::Sim| {
        sim.process("speaker", speaker);
        sim.sometimes_logged("a worker speaks", "speaker", "a worker speaks");
        sim.client("waits", async |client: squall::Client| {
            client.sleep(Duration::from_secs(3)).await;
        });
    };
    let calm = squall::storms("voices")
        .plan(Plan::calm())
        .one(Seed(1), build);
    let text = text::render(
        calm.trace.as_ref().expect("it is kept"),
        &text::Options::default(),
    );
    assert!(
        text.contains("the main thread speaks") && text.contains("number=1"),
        "{text}"
    );
    assert_eq!(calm.sometimes.get("a worker speaks"), Some(&1), "{text}");
}
