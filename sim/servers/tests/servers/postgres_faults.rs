//! What befalls a PostgreSQL server beside what befalls any program: each fault is noticed by who uses the server, and is
//! over when it ends.

use std::{io, time::Duration};

use crate::clients::{connect, is_there, query, trace};
use squall::{
    Client, Sim,
    fault::{Custom, Cut},
    run::Outcome,
    seed::Seed,
    storm::{Fault, Plan, When},
    unmodified,
};
use squall_servers::{Postgres, Servers, postgres_is_installed};
use tokio::time::{sleep, timeout};
use tokio_real as tokio;

const SCHEMA: &str = "CREATE TABLE sold (id bigserial PRIMARY KEY, what text NOT NULL);";
const SELL: &str = "INSERT INTO sold (what) VALUES ('tea')";

fn db(sim: &Sim) -> Postgres {
    sim.postgres("db").schema(SCHEMA)
}

/// One fault of db's own, and for how long it goes on.
fn fault(name: &str, node: &str, amount: u64, for_ms: u64) -> Plan {
    let fault = Custom::new(name.to_owned(), node.to_owned(), amount, for_ms);
    Plan::new(vec![Fault::at_ms(500, fault)])
}

/// A storm of one fault, which has to touch something.
fn storm(plan: Plan, world: impl Fn(&Sim) + Send + Sync) -> String {
    let outcome: Outcome = squall::storms("faults of postgres")
        .plan(plan)
        .one(Seed(1), world);
    let told = trace(&outcome);
    assert!(outcome.violations.is_empty(), "{told}");
    assert!(outcome.faults.iter().all(|fault| fault.effective), "{told}");
    told
}

/// Sells over one session as long as that lasts, or else over a new one for each sale; tells what is refused.
async fn seller(client: Client, keeps_session: bool) {
    let mut session = None;
    for _ in 0..60 {
        let sale = async {
            let mut own = match session.take() {
                Some(session) => session,
                None => connect("db:5432").await?,
            };
            query(&mut own, SELL).await?;
            session = Some(own).filter(|_| keeps_session);
            io::Result::Ok(())
        };
        match timeout(Duration::from_millis(300), sale).await {
            Ok(Ok(())) => client.ok("sell", "sold"),
            Ok(Err(error)) => client.failed("sell", &error.to_string()),
            Err(_) => client.failed("sell", "no answer"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// What a seller is told meanwhile; in the end it sells again.
fn refused(name: &str, amount: u64, keeps_session: bool, says: &str) {
    if !is_there(postgres_is_installed()) {
        return;
    }
    let told = storm(fault(name, "db", amount, 600), |sim| {
        db(sim);
        let sells = unmodified(move |client| seller(client, keeps_session));
        sim.client("seller", sells);
    });
    assert!(told.contains(says), "{told}");
    let mut sales = told.lines().filter(|line| line.contains(" sell "));
    let last = sales.next_back().unwrap_or_default();
    assert!(last.contains("sell ok"), "{last}");
}

#[test]
fn a_server_that_is_read_only_refuses_to_write_in_sessions_that_there_are() {
    refused("read-only", 0, true, "25006");
}

#[test]
fn a_server_without_free_slots_refuses_who_connects() {
    refused("no-connections", 0, false, "53300");
}

#[test]
fn sessions_that_an_administrator_ends_say_so() {
    refused("end-sessions", 200, true, "57P01");
}

#[test]
fn who_uses_a_table_that_is_locked_waits() {
    refused("long-lock", 1, true, "no answer");
}

#[test]
fn a_statement_that_is_cancelled_says_so_and_its_session_goes_on() {
    if !is_there(postgres_is_installed()) {
        return;
    }
    let told = storm(fault("cancel-statements", "db", 100, 600), |sim| {
        db(sim);
        sim.client(
            "sleeper",
            unmodified(async |client: Client| {
                let mut session = connect("db:5432").await.expect("it is there");
                let slept = query(&mut session, "SELECT pg_sleep(5)").await;
                let why = slept.expect_err("it is cancelled").to_string();
                client.failed("sleep", &why);
                query(&mut session, SELL).await.expect("it goes on");
            }),
        );
    });
    assert!(told.contains("57014"), "{told}");
}

fn two(sim: &Sim, waits_for_replica: bool) {
    let mut first = db(sim);
    if waits_for_replica {
        first = first
            .setting("synchronous_standby_names", "\"db-2\"")
            .setting("synchronous_commit", "remote_apply");
    }
    sim.postgres("db-2").replica_of(&first).takes_over();
}

/// The number of sales that a server shows.
async fn sold(server: &str) -> io::Result<u64> {
    let mut session = connect(server).await?;
    let there = query(&mut session, "SELECT count(*) FROM sold").await?;
    there.parse().map_err(io::Error::other)
}

#[test]
fn a_replica_that_lags_shows_what_was() {
    if !is_there(postgres_is_installed()) {
        return;
    }
    let told = storm(fault("lag", "db-2", 0, 3_000), |sim| {
        two(sim, false);
        sim.client(
            "reader",
            unmodified(async |client: Client| {
                let mut session = connect("db:5432").await.expect("it is there");
                sleep(Duration::from_secs(2)).await;
                query(&mut session, SELL).await.expect("it is sold");
                sleep(Duration::from_millis(500)).await;
                assert_eq!(sold("db-2:5432").await.expect("an answer"), 0);
                sleep(Duration::from_secs(2)).await;
                assert_eq!(sold("db-2:5432").await.expect("an answer"), 1);
                client.ok("read", "late");
            }),
        );
    });
    assert!(told.contains("read ok: late"), "{told}");
}

/// Sells until a fail-over is noticed and survived: how many sales were acknowledged, and how many are there.
fn fails_over(waits_for_replica: bool, cuts: bool) -> (u64, u64) {
    let mut plan = fault("fail-over", "db", 0, 5_000);
    plan.faults[0].when = When::AtMs(8_000);
    if cuts {
        // What is acknowledged meanwhile has not reached the replica.
        plan.faults
            .push(Fault::at_ms(7_500, Cut::new("db", "db-2", true, 10_000)));
    }
    let told = storm(plan, |sim| {
        two(sim, waits_for_replica);
        sim.client(
            "seller",
            unmodified(async |client: Client| {
                let mut acknowledged = 0;
                let mut until_lost = async || -> io::Result<()> {
                    let mut session = connect("db:5432").await?;
                    loop {
                        query(&mut session, SELL).await?;
                        acknowledged += 1;
                        sleep(Duration::from_millis(20)).await;
                    }
                };
                timeout(Duration::from_secs(12), until_lost())
                    .await
                    .expect("it is lost")
                    .expect_err("it is lost");
                let there = loop {
                    match sold("db:5432").await {
                        Ok(there) => break there,
                        Err(_) => sleep(Duration::from_millis(100)).await,
                    }
                };
                let mut session = connect("db:5432").await.expect("it has taken over");
                query(&mut session, SELL).await.expect("it is the primary");
                client.ok("sell", &format!("{acknowledged} of {there}"));
            }),
        );
    });
    let (_, sales) = told.split_once("sell ok: ").expect("it sells again");
    let sales = sales.lines().next().unwrap_or_default();
    let (acknowledged, there) = sales.split_once(" of ").expect("two numbers");
    let number = |text: &str| text.trim().parse().expect("a number");
    (number(acknowledged), number(there))
}

#[test]
fn after_a_fail_over_the_name_leads_to_the_replica_and_acknowledged_sales_may_be_lost() {
    if is_there(postgres_is_installed()) {
        let (acknowledged, there) = fails_over(false, true);
        assert!(there < acknowledged, "{there} of {acknowledged}");
    }
}

#[test]
fn a_primary_that_waits_for_its_replica_loses_nothing_in_a_fail_over() {
    if is_there(postgres_is_installed()) {
        let (acknowledged, there) = fails_over(true, false);
        assert!(
            there >= acknowledged && acknowledged > 0,
            "{there} of {acknowledged}"
        );
    }
}
