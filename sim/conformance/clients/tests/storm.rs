//! Each client in the storm, as a process and as a whole program: what its server acknowledged is there, whatever the storm.

use std::{collections::BTreeSet, env, time::Duration};

use squall::{
    Client, Processes, Sim,
    fault::{Crash, PowerLoss, ResetConnections},
    run::Outcome,
    seed::Seed,
    trace::text,
    unmodified,
};
use squall_clients::trades;
use squall_servers::Servers;
use tokio::{io::AsyncReadExt, net::TcpStream, time::sleep};

async fn process() -> anyhow::Result<()> {
    trades(&env::var("CLIENT")?).await
}

#[tokio::main]
async fn program() -> anyhow::Result<()> {
    process().await
}

/// Asks until it is told how much was sold.
async fn visits(client: Client) {
    let mut told = String::new();
    while told.is_empty() {
        sleep(Duration::from_millis(100)).await;
        if let Ok(mut shop) = TcpStream::connect("shop:8080").await {
            let _ = shop.read_to_string(&mut told).await;
        }
    }
    client.ok("visit", &told);
}

/// Besides what a storm brings, the server dies twice, and connections are reset.
fn strikes(sim: &Sim, server: &'static str) {
    let by_hand = sim.clone();
    sim.client("strikes", async move |client: Client| {
        for round in 0..5 {
            let wait = client.draw(|draw| draw.between(300, 600));
            client.sleep(Duration::from_millis(wait)).await;
            let down_ms = client.draw(|draw| draw.between(50, 1_000));
            match round {
                1 => by_hand.inflict(Crash::new(server, down_ms)),
                3 => by_hand.inflict(PowerLoss::new(server, down_ms)),
                _ => by_hand.inflict(ResetConnections::new("shop", server)),
            }
        }
    });
}

fn postgres(sim: &Sim) -> &'static str {
    // A client that vanished leaves its transaction open, and with it its locks.
    let db = sim
        .postgres("db")
        .setting("idle_in_transaction_session_timeout", "2s");
    let (sold, till) = ("SELECT count(*) FROM sold", "SELECT amount FROM till");
    let differ = format!("SELECT 'till' WHERE ({sold}) <> ({till})");
    sim.always_sql(&db, "a sale is whole", &differ);
    "db"
}

fn redis(sim: &Sim) -> &'static str {
    sim.redis("cache");
    "cache"
}

fn storm(
    client: &'static str,
    seed: u64,
    whole: bool,
    server: fn(&Sim) -> &'static str,
) -> Outcome {
    let soon = squall::storms(client).profile(|profile| profile.horizon_ms = 3_000);
    soon.one(Seed(seed), move |sim| {
        strikes(sim, server(sim));
        let shop = match whole {
            true => sim.program("shop", program),
            false => sim.process("shop", process),
        };
        shop.env("CLIENT", client);
        sim.client("visitor", unmodified(visits));
    })
}

fn survives(client: &'static str, server: fn(&Sim) -> &'static str) {
    let mut struck = BTreeSet::new();
    for seed in 0..5 {
        for whole in [false, true] {
            let run = || storm(client, seed, whole, server);
            let (first, second) = (run(), run());
            let Some(trace) = &first.trace else {
                panic!("the run failed: {:?}", first.verdict);
            };
            let told = text::render(trace, &text::Options::default());
            let context = format!("{client} {seed} {whole}: {told}\n{:?}", first.violations);
            assert!(first.violations.is_empty(), "{context}");
            assert!(told.contains("visit ok: sold 30"), "{context}");
            assert!(!told.contains("a sale is gone"), "{context}");
            let effective = first.by_hand.iter().filter(|fault| fault.effective);
            struck.extend(effective.map(|fault| fault.fault.action.kind().name()));
            assert_eq!(first.hash, second.hash, "{context}");
        }
    }
    let all = ["crash", "power-loss", "reset-connections"];
    assert_eq!(struck, BTreeSet::from(all));
}

#[test]
fn tokio_postgres_and_deadpool_keep_what_was_acknowledged() {
    survives("tokio-postgres", postgres);
}

#[test]
fn diesel_async_keeps_what_was_acknowledged() {
    survives("diesel-async", postgres);
}

#[test]
fn sea_orm_keeps_what_was_acknowledged() {
    survives("sea-orm", postgres);
}

#[test]
fn sqlx_keeps_what_was_acknowledged() {
    survives("sqlx", postgres);
}

#[test]
fn redis_keeps_what_was_acknowledged() {
    survives("redis", redis);
}

#[test]
fn the_connection_manager_of_redis_keeps_what_was_acknowledged() {
    survives("redis-manager", redis);
}

#[test]
fn fred_keeps_what_was_acknowledged() {
    survives("fred", redis);
}

#[test]
fn rslock_keeps_what_was_acknowledged() {
    survives("rslock", redis);
}
