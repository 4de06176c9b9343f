//! Leases, and a database that replicas share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, routing::post};
use futures_util::future::join;
use serde_json::json;
use squall_services::{
    infrastructure::lock,
    kit::{
        Code, Context, Peer, PeerPolicy, Problem, Store, StoreError, Table, Writer,
        lease::{LeasePolicy, Leases},
        store::{Seat, Shared},
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
};
use tokio::time::{Instant, sleep};

use crate::support::machine::{Network, start};

const NAME: &str = "inventory:lock:1";

fn policy() -> LeasePolicy {
    LeasePolicy {
        wait: Duration::from_millis(500),
        lease: Duration::from_secs(3),
        renew_every: Duration::from_secs(1),
        limit: Duration::from_secs(10),
    }
}

/// Starts the lock service on this machine.
async fn serve(platform: &Platform, shelf: &lock::Shelf, bugs: Bugs) {
    let leases = shelf.clone();
    start(platform, |p| lock::run(p, lock::Config { bugs, leases }));
    sleep(Duration::from_millis(10)).await;
}

/// A lock service, what it keeps in memory, and whoever takes leases of it.
async fn open(bugs: Bugs) -> (Network, Platform, lock::Shelf, Leases, Context) {
    let network = Network::default();
    let (server, _) = network.machine("lock");
    let shelf = lock::Shelf::default();
    serve(&server, &shelf, bugs).await;
    let (client, _) = network.machine("inventory");
    let leases = Leases::new(&client, "lock", policy(), bugs);
    let context = Context::fresh(&client, "test");
    (network, server, shelf, leases, context)
}

/// The same, where leases are not renewed: with one planted bug or none.
async fn unrenewed(bug: Option<Bug>) -> (Network, Platform, lock::Shelf, Leases, Context) {
    open(bug.into_iter().chain([Bug::NoWatchdog]).collect()).await
}

#[tokio::test]
async fn who_waits_is_let_in_when_the_holder_releases_under_a_greater_token() {
    let (_, _, _, leases, context) = open(Bugs::NONE).await;
    let first = leases.acquire(&context, NAME).await.unwrap();
    let token = first.token();
    let began = Instant::now();
    let holding = async {
        sleep(Duration::from_millis(100)).await;
        first.release().await;
    };
    let (second, ()) = join(leases.acquire(&context, NAME), holding).await;
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert!(second.unwrap().token() > token);
}

#[tokio::test]
async fn a_lease_that_is_not_free_in_time_is_refused_as_such() {
    let (network, _, _, leases, context) = open(Bugs::NONE).await;
    let held = leases.acquire(&context, NAME).await.unwrap();
    let began = Instant::now();
    let refused = leases.acquire(&context, NAME).await.err().unwrap();
    assert_eq!(refused.code, Code::LockNotAcquired);
    assert_eq!(refused.code.status(), 503);
    assert!(began.elapsed() >= policy().wait);
    let other = leases.acquire(&context, "inventory:lock:2").await;
    assert!(other.is_ok(), "another lock is free");
    held.release().await;
    network.unplug("lock");
    let away = Leases::new(&network.machine("late").0, "lock", policy(), Bugs::NONE);
    let refused = away.acquire(&context, NAME).await.err().unwrap();
    assert_eq!(refused.code, Code::LockNotAcquired, "the service is away");
}

#[tokio::test]
async fn the_watchdog_renews_up_to_the_limit_and_no_longer() {
    let (_, _, shelf, leases, context) = open(Bugs::NONE).await;
    let lease = leases.acquire(&context, NAME).await.unwrap();
    let mine = vec![(NAME.to_owned(), lease.token())];
    let held = || -> Vec<_> {
        let held = shelf.held().into_iter();
        held.map(|(name, _, token)| (name, token)).collect()
    };
    sleep(Duration::from_secs(9)).await;
    assert_eq!(held(), mine, "three times as long as it lasts by itself");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(held(), [], "though nobody has released it");
    let late = leases.limit(async {
        sleep(Duration::from_secs(11)).await;
        Ok::<_, Problem>(())
    });
    assert_eq!(late.await.unwrap_err().code, Code::ServiceUnavailable);
}

#[tokio::test]
async fn without_a_watchdog_a_lease_ends_by_itself() {
    let (_, _, shelf, leases, context) = unrenewed(None).await;
    let _lease = leases.acquire(&context, NAME).await.unwrap();
    sleep(Duration::from_millis(3_100)).await;
    assert_eq!(shelf.held(), []);
}

#[tokio::test]
async fn a_release_of_a_lease_that_another_holds_by_now_is_refused() {
    for (bug, left) in [(None, 1), (Some(Bug::ReleaseNotOwner), 0)] {
        let (_, _, shelf, leases, context) = unrenewed(bug).await;
        let late = leases.acquire(&context, NAME).await.unwrap();
        sleep(Duration::from_millis(3_100)).await;
        let _next = leases.acquire(&context, NAME).await.unwrap();
        late.release().await;
        assert_eq!(shelf.held().len(), left, "{bug:?}");
    }
}

#[tokio::test]
async fn a_lease_by_the_wall_clock_lasts_for_as_long_as_that_stands_still() {
    for (bug, held) in [(None, 0), (Some(Bug::LeaseEndsByWallClock), 1)] {
        let (network, _, _, leases, context) = unrenewed(bug).await;
        let _lease = leases.acquire(&context, NAME).await.unwrap();
        sleep(Duration::from_millis(3_100)).await;
        network.jump(-3_100);
        let next = leases.acquire(&context, NAME).await;
        assert_eq!(usize::from(next.is_err()), held, "{bug:?}");
    }
}

#[tokio::test]
async fn a_lease_after_a_wait_lasts_whole_except_where_the_bug_is() {
    for (bug, held) in [(None, 1), (Some(Bug::LeaseFromAStaleClock), 0)] {
        let (_, _, shelf, leases, context) = unrenewed(bug).await;
        let first = leases.acquire(&context, NAME).await.unwrap();
        let holding = async {
            sleep(Duration::from_millis(400)).await;
            first.release().await;
        };
        let (second, ()) = join(leases.acquire(&context, NAME), holding).await;
        let _second = second.unwrap();
        sleep(Duration::from_millis(2_800)).await;
        assert_eq!(shelf.held().len(), held, "{bug:?}");
    }
}

#[tokio::test]
async fn a_renewal_without_an_answer_is_tried_again_except_where_the_bug_is() {
    for (bug, renewed) in [(None, true), (Some(Bug::RenewalStopsAtFirstError), false)] {
        let network = Network::default();
        let asked = Arc::new(AtomicU64::new(0));
        let counter = asked.clone();
        let granted = lock::Granted {
            token: 1,
            waited_ms: 0,
        };
        // The first renewal fails.
        let renew = move || async move {
            match counter.fetch_add(1, Ordering::SeqCst) {
                0 => Err(Code::Internal.because("as told")),
                _ => Ok(Json(granted)),
            }
        };
        let acquire = move || async move { Json(granted) };
        let router = Router::new()
            .route("/locks/{name}/acquire", post(acquire))
            .route("/locks/{name}/renew", post(renew));
        network.stand_in("lock", router);
        sleep(Duration::from_millis(10)).await;
        let (client, _) = network.machine("inventory");
        let leases = Leases::new(&client, "lock", policy(), bug.into_iter().collect());
        let context = Context::fresh(&client, "test");
        let _lease = leases.acquire(&context, NAME).await.unwrap();
        sleep(Duration::from_millis(2_500)).await;
        assert_eq!(asked.load(Ordering::SeqCst) > 1, renewed, "{bug:?}");
    }
}

#[tokio::test]
async fn a_crash_forgets_leases_and_tokens_never_go_back() {
    let (_, server, shelf, leases, context) = open(Bugs::NONE).await;
    let before = leases.acquire(&context, NAME).await.unwrap();
    assert_eq!(shelf.held().len(), 1);
    serve(&server, &shelf, Bugs::NONE).await;
    assert_eq!(shelf.held(), [], "another life of the process");
    let again = Leases::new(&server, "lock", policy(), Bugs::NONE);
    let after = again.acquire(&context, NAME).await.unwrap();
    assert!(after.token() > before.token());
}

#[tokio::test]
async fn leases_of_impossible_lengths_and_names_are_refused() {
    let (network, _, _, _, context) = open(Bugs::NONE).await;
    let peer = Peer::new(&network.machine("client").0, "lock", PeerPolicy::internal());
    let ask = |owner: &str, wait_ms: u64, lease_ms: u64| json!({ "owner": owner, "wait_ms": wait_ms, "lease_ms": lease_ms });
    for (path, body) in [
        ("/locks/a/acquire", ask("me", 0, 0)),
        ("/locks/a/acquire", ask("me", 0, 60_001)),
        ("/locks/a/acquire", ask("me", 30_001, 1_000)),
        ("/locks/a/acquire", ask("", 0, 1_000)),
        ("/locks/a%20b/acquire", ask("me", 0, 1_000)),
    ] {
        let reply = peer.call(&context, "POST", path, None, &body).await;
        assert_eq!(
            reply.unwrap().problem().code,
            Code::InvalidRequest,
            "{path} {body}"
        );
    }
}

const CARTS: Table<u64> = Table::new("carts");

#[tokio::test]
async fn replicas_of_one_program_transact_in_one_database() {
    let network = Network::default();
    let (home, machine) = network.machine("inventory");
    let database = Store::open(&home, "shared.redb").await.unwrap();
    let seat = Seat::default();
    seat.take(&database).unwrap();
    let shared = Shared {
        seat,
        peer: None,
        within: Duration::from_secs(5),
    };
    let replicas = ["one", "two"].map(|name| network.sharing(name, &shared));
    for replica in &replicas {
        let store = Store::open(replica, "ignored.redb").await.unwrap();
        let add = |tx: &mut Writer<'_>| {
            let sum = tx.get(&CARTS, "sum")?.unwrap_or(0) + 1;
            tx.put(&CARTS, "sum", &sum)?;
            Ok::<_, StoreError>(sum)
        };
        store.write(add).await.unwrap();
    }
    let sum = database.read::<_, StoreError>(|rows| rows.get(&CARTS, "sum"));
    assert_eq!(sum.unwrap(), Some(2));
    assert_eq!(machine.commits(), 2, "told where the database is");
    drop(database);
    let store = Store::open(&replicas[0], "ignored.redb").await.unwrap();
    let away = store
        .write(|tx| Ok::<_, Problem>(tx.put(&CARTS, "sum", &9)?))
        .await;
    assert_eq!(away.unwrap_err().code, Code::ServiceUnavailable);
    let away = store.read::<_, StoreError>(|rows| rows.get(&CARTS, "sum"));
    assert!(matches!(away, Err(StoreError::Unreachable(_))), "{away:?}");
}

#[tokio::test]
async fn a_transaction_whose_word_does_not_come_back_is_unknown() {
    let network = Network::default();
    let mut silent = network.listen("database");
    let shared = Shared {
        seat: Seat::default(),
        peer: Some("database".to_owned()),
        within: Duration::from_millis(100),
    };
    let store = Store::open(&network.sharing("one", &shared), "x.redb")
        .await
        .unwrap();
    let write = || store.write(|tx| tx.put(&CARTS, "a", &1));
    let unknown: Result<(), StoreError> = write().await;
    let is_unknown = matches!(unknown, Err(StoreError::Unknown(_)));
    assert!(is_unknown, "{unknown:?}");
    assert!(silent.recv().await.is_some(), "it was sent");
    network.unplug("database");
    let unreachable: Result<(), StoreError> = write().await;
    let is_unreachable = matches!(unreachable, Err(StoreError::Unreachable(_)));
    assert!(is_unreachable, "{unreachable:?}");
}
