//! What a fork costs, and that nothing is left behind: storms over an echo server on the real tokio.
//!
//! `cargo run --release -p squall-kernel --example storms -- [STORMS]`; with `SQUALL_FORK=0` they all run in this process.

use std::{fs, time::Instant};

use squall::{
    Client, Isolation, Processes, Sim,
    campaign::{Campaign, Seeds},
    isolation::End,
    scenario::{Scenario, Setup},
    storm::Profile,
    unmodified,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_real as tokio;

async fn server() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                let _ = stream.write_all(&buffer[..n]).await;
            }
        });
    }
}

async fn echoed() -> std::io::Result<()> {
    let mut stream = TcpStream::connect("server:80").await?;
    stream.write_all(b"hello").await?;
    let mut buffer = [0; 5];
    stream.read_exact(&mut buffer).await.map(|_| ())
}

struct Echo;

impl Scenario for Echo {
    fn name(&self) -> &str {
        "echo"
    }
    fn about(&self) -> &str {
        "a client and a server on the real tokio"
    }
    fn profile(&self) -> Profile {
        Profile::new(&["server"], &[("client", "server")])
    }
    fn isolation(&self) -> Option<Isolation> {
        Some(squall::in_child)
    }
    fn build(&self, sim: &Sim, _: &Setup) {
        sim.process("server", server);
        let client = async |client: Client| {
            for _ in 0..5 {
                while tokio::time::timeout(std::time::Duration::from_secs(1), echoed())
                    .await
                    .is_err()
                {}
                client.ok("echo", "");
            }
        };
        sim.client("client", unmodified(client));
    }
}

/// Memory in KiB, threads, descriptors.
fn held() -> (u64, u64, usize) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    (
        line("VmRSS").unwrap_or(0),
        line("Threads").unwrap_or(0),
        descriptors,
    )
}

fn main() {
    let storms = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let storms: u64 = storms.unwrap_or(10_000);

    let began = Instant::now();
    let empty = 500;
    for _ in 0..empty {
        let child = squall::in_child(&|| Vec::new()).expect("it can be forked");
        assert!(matches!(child.end, End::Returned(_)));
    }
    println!("a child that does nothing: {:?}", began.elapsed() / empty);

    println!("before: {:?} (KiB, threads, descriptors)", held());
    let (began, mut next) = (Instant::now(), storms / 10);
    let totals = Campaign::over(&Echo, Seeds::up_to(storms)).run(&mut |progress| {
        if progress.runs >= next {
            next += storms / 10;
            println!("{:>7}: {:?}", progress.runs, held());
        }
    });
    let took = began.elapsed();
    println!("after:  {:?}", held());
    println!(
        "{} storms, {} failed",
        totals.tally.runs,
        totals.tally.failed()
    );
    for failure in &totals.failures {
        println!("{failure:?}");
    }
    println!("{:.0} storms/s", storms as f64 / took.as_secs_f64());
    assert!(totals.mismatches.is_empty(), "{:?}", totals.mismatches);
}
