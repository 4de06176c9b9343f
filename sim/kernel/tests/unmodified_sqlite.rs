//! A service that keeps its rows in SQLite with a write-ahead log, whose index is memory that shows a file. It is a program:
//! SQLite keeps what it knows of open files in static variables, which have to end with the process.

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::Duration,
};

use rusqlite::Connection;
use squall::{
    Processes, Sim,
    fault::PowerLoss,
    run::Outcome,
    seed::Seed,
    site::Kind,
    storm::{Fault, Plan, When},
};
use squall_kernel::unmodified;
use tokio_real as tokio;

fn open() -> rusqlite::Result<Connection> {
    let connection = Connection::open("counts.db")?;
    connection.busy_timeout(Duration::from_secs(1))?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    assert_eq!(mode, "wal");
    let synchronous = std::env::var("SYNCHRONOUS").unwrap_or("FULL".to_owned());
    connection.pragma_update(None, "synchronous", synchronous)?;
    // The log is written back to the database now and then.
    connection.pragma_update(None, "wal_autocheckpoint", 4)?;
    connection.execute(
        "CREATE TABLE IF NOT EXISTS counts (id INTEGER PRIMARY KEY, sum)",
        [],
    )?;
    Ok(connection)
}

fn add(connection: &mut Connection, amount: u32) -> rusqlite::Result<u32> {
    let write = connection.transaction()?;
    let sum =
        "INSERT INTO counts VALUES (0, ?1) ON CONFLICT DO UPDATE SET sum = sum + ?1 RETURNING sum";
    let sum = write.query_row(sum, [amount], |row| row.get(0))?;
    write.commit()?;
    Ok(sum)
}

/// Counts what it is told, durably, and answers with the sum so far.
fn server() {
    let mut connection = open().expect("the database opens");
    // Another connection reads what the first one has written, through the same index.
    let other = open().expect("it opens again");
    let listener = TcpListener::bind("0.0.0.0:8080").expect("the port is free");
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let mut amount = [0; 4];
        if stream.read_exact(&mut amount).is_err() {
            continue;
        }
        let Ok(sum) = add(&mut connection, u32::from_be_bytes(amount)) else {
            continue;
        };
        let read = other.query_row("SELECT sum FROM counts", [], |row| row.get::<_, u32>(0));
        assert_eq!(read, Ok(sum), "all connections read the same");
        let _ = stream.write_all(&sum.to_be_bytes());
    }
}

async fn ask() -> std::io::Result<u32> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect("server:8080").await?;
    stream.write_u32(1).await?;
    stream.read_u32().await
}

/// What was acknowledged is never taken back.
async fn client(client: squall::Client) {
    let mut known = 0;
    for _ in 0..20 {
        if let Ok(Ok(sum)) = tokio::time::timeout(Duration::from_secs(1), ask()).await {
            assert!(sum > known, "{sum} after {known}");
            known = sum;
            client.ok("add", &format!("{sum}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(known > 10, "{known}");
}

/// Power is lost once, at an instant, a write or a sync that depends on the seed.
fn run(seed: u64, synchronous: &'static str) -> Outcome {
    let when = match seed % 4 {
        0 => When::AtMs(1 + 2 * seed),
        1 => When::nth("server", Kind::Sync, 1 + seed / 4 % 25),
        _ => When::nth("server", Kind::Write, 1 + seed % 97),
    };
    let action = PowerLoss::new("server", 100).into();
    let plan = Plan::new(vec![Fault { when, action }]);
    squall::storms("counts")
        .plan(plan)
        .one(Seed(seed), move |sim: &Sim| {
            sim.program("server", server)
                .env("SYNCHRONOUS", synchronous);
            sim.client("client", unmodified(client));
        })
}

#[test]
fn two_hundred_power_losses_take_nothing_back() {
    let struck = |seed: &u64| {
        let outcome = run(*seed, "FULL");
        let found = &outcome.violations;
        assert!(found.is_empty(), "{seed}: {found:?}");
        outcome.faults[0].fired.is_some()
    };
    let count = (0..300).filter(struck).take(200).count();
    assert_eq!(count, 200);
}

#[test]
fn a_server_that_does_not_sync_is_seen_to_lose() {
    let loses = |seed: &u64| !run(*seed, "OFF").violations.is_empty();
    let found: Vec<u64> = (0..60).filter(loses).collect();
    assert!(!found.is_empty());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 4..8 {
        let hash = || run(seed, "FULL").hash;
        assert_eq!(hash(), hash());
    }
}
