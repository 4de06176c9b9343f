use std::time::Duration;

use axum::{body::to_bytes, http::StatusCode, response::IntoResponse};
use squall_services::kit::{
    Code, Problem, Store, StoreError,
    http::IdempotencyKey,
    idempotency::{KEYS, RETENTION_MS, Request, StoredAnswer, fingerprint, spawn_sweeper},
};

use crate::support::machine::Network;

const NOW: u64 = 1_700_000_000_000;

async fn store() -> Store {
    let (platform, _) = Network::default().machine("shop");
    Store::open(&platform, "shop.redb").await.unwrap()
}

fn request(scope: &str, key: &str, body: &str) -> Request {
    Request::new("place", IdempotencyKey(key.to_owned()), &body).of(scope)
}

/// Begins a request in this life of the process.
async fn begin(store: &Store, request: &Request, boot: u64) -> Result<Option<StoredAnswer>, Code> {
    let request = request.clone();
    let begun = store.write::<_, Problem>(move |tx| request.begin(tx, boot, NOW));
    begun.await.map_err(|problem| problem.code)
}

fn answer() -> StoredAnswer {
    StoredAnswer::new(StatusCode::CREATED, &["ORD-1"]).unwrap()
}

async fn finish(store: &Store, request: &Request, at_ms: u64) {
    let request = request.clone();
    let ended = store.write::<_, StoreError>(move |tx| request.finish(tx, &answer(), at_ms));
    ended.await.unwrap();
}

#[tokio::test]
async fn a_repeat_is_refused_while_the_first_is_under_way_and_answered_alike_afterwards() {
    let (store, pen) = (store().await, request("alice", "k", "pen"));
    assert_eq!(begin(&store, &pen, 1).await, Ok(None));
    assert_eq!(begin(&store, &pen, 1).await, Err(Code::IdempotencyInFlight));
    finish(&store, &pen, NOW).await;
    for boot in [1, 2] {
        assert_eq!(begin(&store, &pen, boot).await, Ok(Some(answer())));
    }
}

#[tokio::test]
async fn a_key_with_another_body_is_refused_whether_or_not_the_first_has_ended() {
    let (store, pen) = (store().await, request("alice", "k", "pen"));
    let ink = request("alice", "k", "ink");
    assert_eq!(begin(&store, &pen, 1).await, Ok(None));
    for boot in [1, 2] {
        let other = begin(&store, &ink, boot).await;
        assert_eq!(other, Err(Code::IdempotencyMismatch));
    }
    finish(&store, &pen, NOW).await;
    assert_eq!(begin(&store, &ink, 1).await, Err(Code::IdempotencyMismatch));
    assert_eq!(pen.find(&store).unwrap(), Some(answer()));
    assert_eq!(
        ink.find(&store).unwrap_err().code,
        Code::IdempotencyMismatch
    );
}

#[tokio::test]
async fn keys_of_two_users_never_meet() {
    let store = store().await;
    for (scope, key) in [
        ("alice", "k/k"),
        ("bob", "k/k"),
        ("alice/k", "k/k"),
        ("alice%2Fk", "k/k"),
        ("alice", "k/k/k"),
    ] {
        let begun = begin(&store, &request(scope, key, "pen"), 1).await;
        assert_eq!(begun, Ok(None), "{scope}");
    }
}

#[tokio::test]
async fn the_mark_of_a_crashed_life_holds_nobody_up() {
    let (store, pen) = (store().await, request("alice", "k", "pen"));
    assert_eq!(begin(&store, &pen, 1).await, Ok(None));
    assert_eq!(begin(&store, &pen, 2).await, Ok(None));
    assert_eq!(begin(&store, &pen, 2).await, Err(Code::IdempotencyInFlight));
}

#[tokio::test]
async fn a_forgotten_key_is_fresh_again() {
    let (store, pen) = (store().await, request("alice", "k", "pen"));
    assert_eq!(begin(&store, &pen, 1).await, Ok(None));
    let forgotten = store.write::<_, StoreError>(move |tx| pen.forget(tx));
    forgotten.await.unwrap();
    assert_eq!(
        begin(&store, &request("alice", "k", "ink"), 1).await,
        Ok(None)
    );
}

#[tokio::test]
async fn old_answers_are_swept_every_hour() {
    let (platform, _) = Network::default().machine("shop");
    let store = Store::open(&platform, "shop.redb").await.unwrap();
    let old = platform.clock.now_ms() - RETENTION_MS;
    finish(&store, &request("alice", "old", "pen"), old - 1).await;
    finish(
        &store,
        &request("alice", "kept", "pen"),
        old + 2 * 60 * 60 * 1_000,
    )
    .await;
    spawn_sweeper(&platform, &store);
    let left = || {
        store
            .read::<_, StoreError>(|tx| tx.scan(&KEYS, ""))
            .unwrap()
    };
    tokio::time::sleep(Duration::from_secs(59 * 60)).await;
    assert_eq!(left().len(), 2);
    tokio::time::sleep(Duration::from_secs(2 * 60)).await;
    assert_eq!(left().len(), 1);
}

#[tokio::test]
async fn business_refusals_are_kept_and_transient_ones_are_not() {
    let keeps = |code: Code| StoredAnswer::of_problem(&code.because("told to")).is_some();
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
    let problem = Code::OutOfStock.because("3 left");
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
