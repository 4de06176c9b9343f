//! Engines on real files and servers: the conformance suites, and what becomes of a service whose server fails.
//!
//! Built without the simulation only: `cargo test --config .cargo/live.toml --package squall-services --test engines`.
#![cfg(not(madsim))]
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

mod conformance;
mod servers;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use squall_services::{
    kit::{Store, StoreError, Table},
    live::{Place, Url, platform},
    ports::Platform,
};

use servers::{Cut, PostgreSql, folder};

const COUNTS: Table<u64> = Table::new("counts");

fn platform_at(place: Place) -> Platform {
    let own: SocketAddr = ([127, 0, 0, 1], 1).into();
    let addresses = BTreeMap::from([("shop".to_owned(), vec![own])]);
    platform("shop", &folder("engines"), addresses, place, None).unwrap()
}

fn on(url: &str, shared: bool) -> Platform {
    let url: Url = url.parse().unwrap_or_else(|error| panic!("{error}"));
    platform_at(Place::Postgres {
        url: Box::new(url),
        system: "rewards",
        shared,
    })
}

async fn open(url: &str, shared: bool) -> Result<Store, StoreError> {
    Store::open(&on(url, shared), "shop.redb").await
}

async fn add(store: &Store) -> Result<(), StoreError> {
    let add = store.write(|tx| {
        let before = tx.get(&COUNTS, "sum")?.unwrap_or_default();
        tx.put(&COUNTS, "sum", &(before + 1))
    });
    add.await
}

fn count(store: &Store) -> Result<u64, StoreError> {
    let count = store.read::<_, StoreError>(|rows| rows.get(&COUNTS, "sum"))?;
    Ok(count.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_keep_what_every_store_keeps() {
    conformance::store(&platform_at(Place::Files)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_keeps_what_every_store_keeps_and_replicas_count_together() {
    let Some(server) = PostgreSql::start() else {
        return;
    };
    conformance::store(&on(&server.url(), false)).await;
    // Each with connections of its own, as processes have.
    let replicas = [
        open(&server.url(), true).await.unwrap(),
        open(&server.url(), true).await.unwrap(),
    ];
    assert!(replicas.iter().all(Store::is_shared));
    let counting = (0..8).map(|n| {
        let store = replicas[n % 2].clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                while add(&store).await.is_err() {}
            }
        })
    });
    for counted in counting.collect::<Vec<_>>() {
        counted.await.unwrap();
    }
    assert_eq!(count(&replicas[0]).unwrap(), 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_goes_on_after_its_server_was_killed_and_what_it_was_told_is_there() {
    let Some(mut server) = PostgreSql::start() else {
        return;
    };
    let store = open(&server.url(), true).await.unwrap();
    let counter = store.clone();
    let counting = tokio::spawn(async move {
        let (mut done, mut unknown) = (0, 0);
        while done < 200 {
            match add(&counter).await {
                Ok(()) => done += 1,
                Err(StoreError::Unknown(_)) => unknown += 1,
                Err(error) => assert!(error.may_pass(), "{error}"),
            }
        }
        (done, unknown)
    });
    while count(&store).unwrap() < 50 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.kill();
    let away = count(&store).unwrap_err();
    assert!(matches!(away, StoreError::Unreachable(_)), "{away}");
    server.start_again();
    let (done, unknown) = counting.await.unwrap();
    let counted = count(&store).unwrap();
    let possible = done..=done + unknown;
    assert!(possible.contains(&counted), "{possible:?}: {counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_is_told_apart_from_one_that_a_crash_undid() {
    let Some(mut server) = PostgreSql::start() else {
        return;
    };
    let other = open(&server.url(), true).await.unwrap();
    add(&other).await.unwrap();
    let mut cut = Cut::before(&server).await;
    // Its commits are answered before they are on disk.
    let url = format!("{}?options[synchronous_commit]=off", cut.url());
    let store = open(&url, true).await.unwrap();
    let adder = store.clone();
    let adding = tokio::spawn(async move { add(&adder).await });
    cut.commit_is_done().await;
    cut.lose_answer();
    adding.await.unwrap().unwrap();
    assert_eq!(count(&other).unwrap(), 2);

    // From here on nothing but commits of others is written out.
    add(&other).await.unwrap();
    server.stop_wal_writer();
    cut.arm();
    let adding = tokio::spawn(async move { add(&store).await });
    cut.commit_is_done().await;
    server.kill();
    server.start_again();
    // These are given the transaction number of the one that was undone.
    let mut counted = 3;
    while counted < 13 {
        match add(&other).await {
            Ok(()) => counted += 1,
            Err(error) => assert!(matches!(error, StoreError::Unreachable(_)), "{error}"),
        }
    }
    cut.lose_answer();
    let undone = adding.await.unwrap().unwrap_err();
    assert!(matches!(undone, StoreError::Unreachable(_)), "{undone}");
    assert_eq!(count(&other).unwrap(), counted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_server_is_said_with_what_to_do() {
    let Some(mut server) = PostgreSql::start() else {
        return;
    };
    let refused = async |url: String| {
        let error = open(&url, false).await.err();
        error.expect("it is refused").to_string()
    };
    let missing = refused(server.url_of("no-such-shop")).await;
    assert!(missing.contains("createdb -h 127.0.0.1"), "{missing}");
    server.ask_for_passwords();
    let stranger = refused(server.url().replace("squall@", "squall:wrong@")).await;
    let advice = "check user and password of squall";
    assert!(stranger.contains(advice), "{stranger}");
    server.kill();
    let down = refused(server.url()).await;
    assert!(down.contains("start the server at 127.0.0.1:"), "{down}");
    for (url, reason) in [
        ("mysql://localhost/shop", "postgres://USER@HOST/DATABASE"),
        ("postgres://localhost", "it names no database"),
        ("postgres://host:port/shop", "postgres://USER@HOST/DATABASE"),
    ] {
        let error = url.parse::<Url>().err();
        let error = error.unwrap_or_else(|| panic!("{url} is taken"));
        assert!(error.contains(reason), "{url}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_shared_has_one_process() {
    let Some(server) = PostgreSql::start() else {
        return;
    };
    let first = open(&server.url(), false).await.unwrap();
    let second = open(&server.url(), false).await.err();
    let told = second.expect("it is refused").to_string();
    assert!(told.contains("stop that one first"), "{told}");
    drop(first);
    open(&server.url(), false).await.unwrap();
}
