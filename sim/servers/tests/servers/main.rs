//! The real servers in the storm. Where they are not installed, these tests say loudly that they did not run; with
//! `SQUALL_SERVERS=1` that is a failure.

mod clients;
mod postgres_faults;
mod redis_faults;
mod selling;

use std::time::Duration;

use clients::{connect, is_there, query, trace};
use selling::{postgres, redis};
use squall::{Client, seed::Seed, storm::Plan, unmodified};
use squall_servers::{Servers, postgres_is_installed, redis_is_installed};
use tokio_real as tokio;

#[test]
fn redis_keeps_what_it_acknowledged_whatever_the_storm() {
    if !is_there(redis_is_installed()) {
        return;
    }
    for seed in 0..20 {
        let outcome = squall::storms("redis").one(Seed(seed), redis);
        let trace = trace(&outcome);
        assert!(outcome.violations.is_empty(), "{seed}: {trace}");
        assert!(trace.contains("100 were sold"), "{seed}: {trace}");
    }
}

#[test]
fn postgres_keeps_what_it_committed_whatever_the_storm() {
    if !is_there(postgres_is_installed()) {
        return;
    }
    for seed in 0..10 {
        let outcome = squall::storms("postgres").one(Seed(seed), postgres);
        let trace = trace(&outcome);
        assert!(
            outcome.violations.is_empty(),
            "{seed}: {trace}\n{:?}",
            outcome.violations
        );
        assert!(trace.contains("30 were sold"), "{seed}: {trace}");
    }
}

#[test]
fn a_calm_run_over_postgres_is_the_same_each_time() {
    if !is_there(postgres_is_installed()) {
        return;
    }
    let run = || {
        squall::storms("postgres")
            .plan(Plan::calm())
            .one(Seed(1), postgres)
    };
    let (first, second) = (run(), run());
    assert!(first.violations.is_empty(), "{}", trace(&first));
    assert_eq!(trace(&first), trace(&second));
}

fn replicated(sim: &squall::Sim) {
    let db = sim
        .postgres("db")
        .schema("CREATE TABLE sold (id bigserial PRIMARY KEY, what text NOT NULL);");
    sim.postgres("copy").replica_of(&db);
    sim.always_sql(
        &db,
        "only tea is sold",
        "SELECT id FROM sold WHERE what <> 'tea'",
    );
    sim.client(
        "client",
        unmodified(async |client: Client| {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let mut primary = connect("db:5432").await.expect("it is there");
            let mut replica = connect("copy:5432").await.expect("it is there");
            let is_replica = query(&mut replica, "SELECT pg_is_in_recovery()").await;
            assert_eq!(is_replica.expect("an answer"), "t");
            let what = if client.draw(|draw| draw.chance(0.5)) {
                "tea"
            } else {
                "rum"
            };
            let insert = format!("INSERT INTO sold (what) VALUES ('{what}')");
            query(&mut primary, &insert).await.expect("it is sold");
            tokio::time::sleep(Duration::from_secs(1)).await;
            let told = query(&mut replica, "SELECT what FROM sold").await;
            assert_eq!(told.expect("an answer"), what);
            client.ok("read", what);
        }),
    );
}

#[test]
fn a_replica_tells_what_its_primary_has_told_it_and_checks_in_sql_find_what_is_wrong() {
    if !is_there(postgres_is_installed()) {
        return;
    }
    let mut found = Vec::new();
    for seed in 0..6 {
        let storms = squall::storms("replicated").plan(Plan::calm());
        let outcome = storms.one(Seed(seed), replicated);
        let trace = trace(&outcome);
        let is_rum = trace.contains("read ok: rum");
        assert!(is_rum || trace.contains("read ok: tea"), "{seed}: {trace}");
        assert_eq!(!outcome.violations.is_empty(), is_rum, "{seed}: {trace}");
        found.push(is_rum);
    }
    assert!(found.contains(&true) && found.contains(&false), "{found:?}");
}
