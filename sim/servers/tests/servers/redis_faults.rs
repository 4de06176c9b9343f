//! What befalls a Redis server beside what befalls any program.

use std::{io, time::Duration};

use crate::clients::{ask, is_there, trace};
use squall::{
    Client, Sim,
    fault::Custom,
    seed::Seed,
    storm::{Fault, Plan},
    unmodified,
};
use squall_servers::{Servers, redis_is_installed};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_real as tokio;

/// Counts upwards, and tells what it hears, a second of 500 ms faults long; in the end it counts again.
async fn counter(client: Client) {
    let mut session = None;
    for _ in 0..40 {
        let counted = async {
            let mut own = match session.take() {
                Some(session) => session,
                None => TcpStream::connect("cache:6379").await?,
            };
            let number = ask(&mut own, "INCR n").await?;
            if number.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            session = Some(own);
            io::Result::Ok(number)
        };
        match timeout(Duration::from_millis(200), counted).await {
            Ok(Ok(number)) => client.ok("count", number.trim()),
            Ok(Err(_)) => client.failed("count", "closed"),
            Err(_) => client.failed("count", "no answer"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// What a counter is told while this fault goes on.
fn told(name: &str, amount: u64) -> Option<Vec<String>> {
    if !is_there(redis_is_installed()) {
        return None;
    }
    let fault = Custom::new(name.to_owned(), "cache".into(), amount, 500);
    let outcome = squall::storms("faults of redis")
        .plan(Plan::new(vec![Fault::at_ms(500, fault)]))
        .one(Seed(1), |sim: &Sim| {
            sim.redis("cache").in_memory().forgets().evicts();
            sim.client("counter", unmodified(counter));
        });
    let told = trace(&outcome);
    assert!(outcome.violations.is_empty(), "{told}");
    assert!(outcome.faults[0].effective, "{told}");
    let counts = told.lines().filter(|line| line.contains(" count "));
    let counts: Vec<String> = counts.map(str::to_owned).collect();
    assert!(
        counts.last().is_some_and(|last| last.contains("count ok")),
        "{told}"
    );
    Some(counts)
}

fn are_told(name: &str, amount: u64, says: &str) {
    let Some(told) = told(name, amount) else {
        return;
    };
    assert!(told.iter().any(|line| line.ends_with(says)), "{told:?}");
}

/// How often the counter begins anew.
fn begins(name: &str, amount: u64) -> Option<usize> {
    let told = told(name, amount)?;
    Some(told.iter().filter(|line| line.ends_with("ok: :1")).count())
}

#[test]
fn clients_are_disconnected() {
    are_told("end-clients", 100, "failed: closed");
}

#[test]
fn who_writes_waits() {
    are_told("pause-writes", 0, "failed: no answer");
}

#[test]
fn a_server_that_forgets_begins_anew() {
    assert!(begins("forget", 0).is_none_or(|times| times == 2));
}

#[test]
fn a_key_that_is_evicted_is_gone() {
    assert!(begins("evict", 1).is_none_or(|times| times == 2));
}
