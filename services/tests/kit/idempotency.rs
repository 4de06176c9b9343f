use std::time::Duration;

use axum::{body::to_bytes, http::StatusCode, response::IntoResponse};
use squall_services::kit::{
    Code, Problem, Store, StoreError,
    idempotency::{
        Begin, KEYS, RETENTION_MS, StoredAnswer, begin, fingerprint, finish, forget, keep_sweeping,
        sweep,
    },
};

use crate::machine::Network;

const NOW: u64 = 1_700_000_000_000;

async fn store() -> Store {
    let (platform, _) = Network::default().machine("shop");
    Store::open(&platform, "shop.redb").await.unwrap()
}

async fn start(
    store: &Store,
    scope: &'static str,
    key: &'static str,
    body: &str,
    boot: u64,
) -> Begin {
    let print = fingerprint(&body);
    let begun =
        store.write::<_, StoreError>(move |tx| begin(tx, scope, "place", key, print, boot, NOW));
    begun.await.unwrap()
}

fn answer() -> StoredAnswer {
    StoredAnswer::new(StatusCode::CREATED, &["ORD-1"]).unwrap()
}

async fn end(store: &Store, key: &'static str, body: &str) {
    let print = fingerprint(&body);
    let ended = store
        .write::<_, StoreError>(move |tx| finish(tx, "alice", "place", key, print, &answer(), NOW));
    ended.await.unwrap();
}

#[tokio::test]
async fn a_repeat_is_refused_while_the_first_is_under_way_and_answered_alike_afterwards() {
    let store = store().await;
    assert_eq!(start(&store, "alice", "k", "pen", 1).await, Begin::Fresh);
    let again = start(&store, "alice", "k", "pen", 1).await;
    assert_eq!(again.proceed().unwrap_err().code, Code::IdempotencyInFlight);
    end(&store, "k", "pen").await;
    for boot in [1, 2] {
        let again = start(&store, "alice", "k", "pen", boot).await;
        assert_eq!(again.proceed().unwrap(), Some(answer()));
    }
}

#[tokio::test]
async fn a_key_with_another_body_is_refused_whether_or_not_the_first_has_ended() {
    let store = store().await;
    assert_eq!(start(&store, "alice", "k", "pen", 1).await, Begin::Fresh);
    for boot in [1, 2] {
        let other = start(&store, "alice", "k", "ink", boot).await;
        assert_eq!(other.proceed().unwrap_err().code, Code::IdempotencyMismatch);
    }
    end(&store, "k", "pen").await;
    assert_eq!(start(&store, "alice", "k", "ink", 1).await, Begin::Mismatch);
}

#[tokio::test]
async fn keys_of_two_users_never_meet() {
    let store = store().await;
    for scope in ["alice", "bob", "alice/k", "alice%2Fk"] {
        assert_eq!(
            start(&store, scope, "k/k", "pen", 1).await,
            Begin::Fresh,
            "{scope}"
        );
    }
    assert_eq!(
        start(&store, "alice", "k/k/k", "pen", 1).await,
        Begin::Fresh
    );
}

#[tokio::test]
async fn the_mark_of_a_crashed_life_holds_nobody_up() {
    let store = store().await;
    assert_eq!(start(&store, "alice", "k", "pen", 1).await, Begin::Fresh);
    assert_eq!(start(&store, "alice", "k", "pen", 2).await, Begin::Fresh);
    assert_eq!(start(&store, "alice", "k", "pen", 2).await, Begin::InFlight);
}

#[tokio::test]
async fn a_forgotten_key_is_fresh_again() {
    let store = store().await;
    assert_eq!(start(&store, "alice", "k", "pen", 1).await, Begin::Fresh);
    let forgotten = store.write::<_, StoreError>(|tx| forget(tx, "alice", "place", "k"));
    forgotten.await.unwrap();
    assert_eq!(start(&store, "alice", "k", "ink", 1).await, Begin::Fresh);
}

#[tokio::test]
async fn answers_are_kept_for_the_published_time() {
    let store = store().await;
    assert_eq!(start(&store, "alice", "k", "pen", 1).await, Begin::Fresh);
    end(&store, "k", "pen").await;
    for (now, swept) in [(NOW + RETENTION_MS, 0), (NOW + RETENTION_MS + 1, 1)] {
        let count = store.write::<_, StoreError>(move |tx| sweep(tx, now - RETENTION_MS));
        assert_eq!(count.await.unwrap(), swept);
    }
    let left = store.read::<_, StoreError>(|tx| tx.scan(&KEYS, ""));
    assert!(left.unwrap().is_empty());
}

#[tokio::test]
async fn old_answers_are_swept_every_hour() {
    let (platform, _) = Network::default().machine("shop");
    let store = Store::open(&platform, "shop.redb").await.unwrap();
    let old = platform.clock.now_ms() - RETENTION_MS - 1;
    let put = store
        .write::<_, StoreError>(move |tx| finish(tx, "alice", "place", "k", 1, &answer(), old));
    put.await.unwrap();
    platform.spawn("sweeper", keep_sweeping(platform.clone(), store.clone()));
    let left = || {
        store
            .read::<_, StoreError>(|tx| tx.scan(&KEYS, ""))
            .unwrap()
    };
    tokio::time::sleep(Duration::from_secs(59 * 60)).await;
    assert_eq!(left().len(), 1);
    tokio::time::sleep(Duration::from_secs(2 * 60)).await;
    assert!(left().is_empty());
}

#[tokio::test]
async fn business_refusals_are_kept_and_transient_ones_are_not() {
    let keeps = |code| StoredAnswer::of_problem(&Problem::new(code, "told to")).is_some();
    assert!(keeps(Code::OutOfStock) && keeps(Code::PaymentDeclined) && keeps(Code::NotFound));
    for code in [
        Code::SagaInProgress,
        Code::VersionConflict,
        Code::TooManyRequests,
        Code::PgThrottled,
        Code::ServiceUnavailable,
        Code::Internal,
    ] {
        assert!(!keeps(code), "{code:?}");
    }
}

#[tokio::test]
async fn a_kept_answer_is_sent_as_the_first_one_was() {
    let problem = Problem::new(Code::OutOfStock, "3 left");
    let kept = StoredAnswer::of_problem(&problem).unwrap();
    let (first, repeat) = (problem.into_response(), kept.into_response());
    assert_eq!(first.status(), repeat.status());
    assert_eq!(first.headers(), repeat.headers());
    let first = to_bytes(first.into_body(), 999).await.unwrap();
    assert_eq!(first, to_bytes(repeat.into_body(), 999).await.unwrap());
}

#[test]
fn a_fingerprint_is_the_same_in_every_build() {
    assert_eq!(fingerprint(&"a"), 0xd427_2417_d7c7_7eea);
}
