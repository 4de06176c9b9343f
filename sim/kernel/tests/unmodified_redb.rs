//! A service that keeps its rows in redb, unmodified.

use std::time::Duration;

use redb::{Database, ReadableTable, TableDefinition};
use squall::{seed::Seed, storm::Plan, trace::text};
use squall_kernel::{Processes, unmodified};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_real as tokio;

const COUNTS: TableDefinition<'_, u32, u32> = TableDefinition::new("counts");

/// Counts what it is told, durably, and answers with the sum of so far.
async fn server() -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all("data")?;
    let database = std::sync::Arc::new(Database::create("data/counts.redb")?);
    let listener = TcpListener::bind("0.0.0.0:8080").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let database = database.clone();
        tokio::spawn(async move {
            while let Ok(amount) = stream.read_u32().await {
                let database = database.clone();
                let sum = tokio::task::spawn_blocking(move || {
                    let write = database.begin_write()?;
                    let sum = {
                        let mut counts = write.open_table(COUNTS)?;
                        let sum = counts.get(0)?.map_or(0, |sum| sum.value()) + amount;
                        counts.insert(0, sum)?;
                        sum
                    };
                    write.commit()?;
                    Ok::<_, redb::Error>(sum)
                });
                let Ok(Ok(sum)) = sum.await else { return };
                let _ = stream.write_u32(sum).await;
            }
        });
    }
}

/// What was acknowledged is never taken back.
fn build(sim: &squall::Sim) {
    sim.process("server", server);
    sim.client(
        "client",
        unmodified(async |client: squall::Client| {
            let mut known = 0;
            for _ in 0..10 {
                let add = async {
                    let mut stream = TcpStream::connect("server:8080").await?;
                    stream.write_u32(1).await?;
                    stream.read_u32().await
                };
                if let Ok(Ok(sum)) = tokio::time::timeout(Duration::from_secs(1), add).await {
                    assert!(sum > known, "{sum} after {known}");
                    known = sum;
                    client.ok("add", &format!("{sum}"));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }),
    );
}

#[test]
fn a_calm_run_counts_to_ten() {
    let outcome = squall::storms("counts")
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
fn two_hundred_storms_take_nothing_back_and_are_repeatable() {
    let run = |seed| {
        let outcome = squall::storms("counts").one(Seed(seed), build);
        assert!(
            outcome.violations.is_empty(),
            "{seed}: {:?}",
            outcome.violations
        );
        let trace = outcome.trace.as_ref().expect("it is kept");
        text::render(trace, &text::Options::default())
    };
    if let Ok(seed) = std::env::var("ONE") {
        for _ in 0..3 {
            eprintln!("=====");
            run(seed.parse().expect("a seed"));
        }
        return;
    }
    let all: Vec<_> = (0..200).map(run).collect();
    for (seed, first) in (0..).zip(&all) {
        let second = run(seed);
        if *first != second {
            let differ = first.lines().zip(second.lines()).filter(|(a, b)| a != b);
            for (a, b) in differ.take(2) {
                eprintln!("{seed}:\n  {a}\n  {b}");
            }
        }
    }
}
