use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::FutureExt;
use squall_services::{
    kit::{CallError, Code, Context, Peer, PeerPolicy, Permits, Problem, Reply},
    ports::{Connection, Platform},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use crate::support::machine::Network;

/// A shop whose `/act` answers what the test tells it to, and counts.
struct Shop {
    network: Network,
    client: Platform,
    calls: Arc<AtomicU64>,
    answers: Arc<Mutex<Vec<Response>>>,
}

impl Shop {
    async fn open() -> Shop {
        let network = Network::default();
        let (client, _) = network.machine("client");
        let calls = Arc::new(AtomicU64::new(0));
        let answers = Arc::new(Mutex::new(Vec::<Response>::new()));
        let (counter, queue) = (calls.clone(), answers.clone());
        let act = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            let next = queue.lock().unwrap().pop();
            async { next.unwrap_or_else(|| Json(serde_json::json!({"n": 7})).into_response()) }
        };
        let router = Router::new()
            .route("/act", post(act.clone()).get(act))
            .route("/context", get(|context: Context| async { Json(context) }))
            .route(
                "/key",
                post(|headers: HeaderMap, body: String| async move {
                    let header = |name: &str| {
                        headers
                            .get(name)
                            .map_or("", |v| v.to_str().unwrap())
                            .to_owned()
                    };
                    Json([header("idempotency-key"), header("content-type"), body])
                }),
            );
        network.stand_in("shop", router);
        tokio::time::sleep(Duration::from_millis(1)).await;
        Shop {
            network,
            client,
            calls,
            answers,
        }
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// The next answers, first one first.
    fn answers(&self, answers: impl IntoIterator<Item = Problem>) {
        let mut answers: Vec<_> = answers
            .into_iter()
            .map(IntoResponse::into_response)
            .collect();
        answers.reverse();
        *self.answers.lock().unwrap() = answers;
    }

    fn peer(&self, policy: PeerPolicy) -> Peer {
        Peer::new(&self.client, "shop", policy)
    }
}

async fn act(peer: &Peer) -> Result<Reply, CallError> {
    peer.call(&Context::default(), "POST", "/act", Some("key-1"), &())
        .await
}

#[track_caller]
fn assert_unknown(answer: Result<Reply, CallError>) {
    let unknown = matches!(answer, Err(CallError::Unknown { .. }));
    assert!(unknown, "{answer:?}");
}

fn once() -> PeerPolicy {
    PeerPolicy {
        attempts: 1,
        ..PeerPolicy::internal()
    }
}

fn problem(code: Code) -> Problem {
    code.because("told to")
}

#[tokio::test]
async fn a_call_carries_key_body_and_context_and_reuses_its_connection() {
    let shop = Shop::open().await;
    let peer = shop.peer(PeerPolicy::internal());
    let context = Context::fresh(&shop.client, "alice-1-place").with_saga("SAGA-1");
    let body = serde_json::json!({"a": 1});
    let reply = peer.call(&context, "POST", "/key", Some("k"), &body).await;
    let seen: [String; 3] = reply.unwrap().ok().unwrap();
    assert_eq!(seen, ["k", "application/json", "{\"a\":1}"]);
    let reply = peer.call(&context, "POST", "/key", None, &()).await;
    assert_eq!(reply.unwrap().ok::<[String; 3]>().unwrap(), ["", "", ""]);
    for context in [context.step("reserve"), Context::fresh(&shop.client, "bob")] {
        let reply = peer.call(&context, "GET", "/context", None, &()).await;
        assert_eq!(reply.unwrap().ok::<Context>().unwrap(), context);
    }
    assert_eq!(shop.network.connects(), 1);
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_not_retried() {
    let shop = Shop::open().await;
    let peer = shop.peer(PeerPolicy::internal());
    shop.answers([problem(Code::OutOfStock)]);
    let reply = act(&peer).await.unwrap();
    assert_eq!(reply.problem(), problem(Code::OutOfStock));
    assert_eq!(reply.ok::<Reply2>().unwrap_err(), problem(Code::OutOfStock));
    assert_eq!(shop.calls(), 1);
}

#[derive(Debug, serde::Deserialize, PartialEq)]
struct Reply2 {
    n: u32,
}

#[tokio::test]
async fn a_failing_answer_is_retried_up_to_the_policys_attempts() {
    let shop = Shop::open().await;
    let peer = shop.peer(PeerPolicy::internal());
    shop.answers([problem(Code::Internal), problem(Code::LockNotAcquired)]);
    let reply = act(&peer).await.unwrap();
    assert_eq!(reply.ok::<Reply2>().unwrap(), Reply2 { n: 7 });
    assert_eq!(shop.calls(), 3);
    shop.answers([(); 9].map(|()| problem(Code::Internal)));
    assert_unknown(act(&peer).await);
    assert_eq!(shop.calls(), 6);
}

#[tokio::test]
async fn an_answer_that_is_not_kept_under_the_key_does_not_settle_an_unknown_attempt() {
    let shop = Shop::open().await;
    let peer = shop.peer(PeerPolicy::internal());
    shop.answers([problem(Code::VersionConflict)]);
    let conflict = act(&peer).await.unwrap().problem();
    assert_eq!(conflict.code, Code::VersionConflict);
    shop.answers([problem(Code::Internal), problem(Code::VersionConflict)]);
    assert_unknown(act(&peer).await);
    shop.answers([problem(Code::Internal), problem(Code::OutOfStock)]);
    assert_eq!(act(&peer).await.unwrap().problem().code, Code::OutOfStock);
    shop.answers([(); 3].map(|()| problem(Code::IdempotencyInFlight)));
    assert_unknown(act(&peer).await);
}

#[tokio::test]
async fn what_throttles_to_the_end_is_an_answer() {
    let shop = Shop::open().await;
    let peer = shop.peer(PeerPolicy::internal());
    shop.answers([(); 3].map(|()| problem(Code::TooManyRequests)));
    assert_eq!(act(&peer).await.unwrap().status, 429);
    assert_eq!(shop.calls(), 3);
}

#[tokio::test]
async fn nobody_listening_means_not_sent_unless_an_earlier_attempt_was_sent() {
    let shop = Shop::open().await;
    let peer = Peer::new(&shop.client, "nobody", PeerPolicy::internal());
    let error = act(&peer).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent { .. }), "{error}");
    assert_eq!(shop.network.connects(), 3);

    // One connection is taken and cut after the request; then nobody listens any more.
    let mut accept = shop.network.listen("flaky");
    let network = shop.network.clone();
    shop.client.spawn("flaky", async move {
        let mut connection = accept.recv().await.unwrap();
        network.unplug("flaky");
        read_head(&mut connection).await;
    });
    let peer = Peer::new(&shop.client, "flaky", PeerPolicy::internal());
    assert_unknown(act(&peer).await);
}

async fn read_head(connection: &mut Connection) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_late_answer_is_unknown_and_its_connection_is_closed() {
    let shop = Shop::open().await;
    let mut accept = shop.network.listen("slow");
    let peer = Peer::new(&shop.client, "slow", once());
    let begun = Instant::now();
    let (answer, closed_after) = tokio::join!(act(&peer), async {
        let mut connection = accept.recv().await.unwrap();
        read_head(&mut connection).await;
        let mut rest = Vec::new();
        connection.read_to_end(&mut rest).await.unwrap();
        begun.elapsed()
    });
    assert_unknown(answer);
    assert_eq!(begun.elapsed().as_secs(), 2);
    assert_eq!(closed_after.as_secs(), 2);
}

/// Answers the first request of each connection and hangs up when the second one is in.
fn serve_one_request_each(shop: &Shop) -> Arc<AtomicU64> {
    let mut accept = shop.network.listen("forgetful");
    let seen = Arc::new(AtomicU64::new(0));
    let counter = seen.clone();
    shop.client.spawn("forgetful", async move {
        while let Some(mut connection) = accept.recv().await {
            read_head(&mut connection).await;
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n42";
            connection.write_all(answer).await.unwrap();
            read_head(&mut connection).await;
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    seen
}

#[tokio::test]
async fn a_stale_connection_is_replaced_without_a_word_if_the_request_may_be_repeated() {
    let shop = Shop::open().await;
    let seen = serve_one_request_each(&shop);
    let peer = Peer::new(&shop.client, "forgetful", once());
    let call = async |method, key| peer.call(&Context::default(), method, "/", key, &()).await;
    assert_eq!(call("POST", Some("a")).await.unwrap().body, 42);
    assert_eq!(call("POST", Some("b")).await.unwrap().body, 42);
    let counts = || (seen.load(Ordering::SeqCst), shop.network.connects());
    assert_eq!(counts(), (3, 2));
    assert_eq!(call("GET", None).await.unwrap().body, 42);
    assert_eq!(counts(), (5, 3));
    assert_unknown(call("POST", None).await);
    assert_eq!(shop.network.connects(), 3);
}

#[tokio::test]
async fn the_breaker_opens_at_its_threshold_refuses_and_lets_one_trial_through() {
    let shop = Shop::open().await;
    let peer = shop.peer(once());
    let half = [Code::OutOfStock, Code::Internal].into_iter().cycle();
    let answers = half.take(10).chain([Code::Internal]);
    shop.answers(answers.map(problem).collect::<Vec<_>>());
    for _ in 0..10 {
        let _ = act(&peer).await;
    }
    assert_eq!(shop.calls(), 10, "five failures of ten: open from now on");
    assert!(matches!(act(&peer).await, Err(CallError::NotSent { .. })));
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    assert!(matches!(act(&peer).await, Err(CallError::NotSent { .. })));
    assert_eq!(shop.calls(), 10);

    tokio::time::sleep(Duration::from_millis(200)).await;
    let (first, second) = tokio::join!(act(&peer), act(&peer));
    assert_unknown(first);
    let waits = matches!(second, Err(CallError::NotSent { .. }));
    assert!(waits, "one trial at a time");
    assert_eq!(shop.calls(), 11);

    tokio::time::sleep(Duration::from_millis(10_100)).await;
    let cancelled = act(&peer).now_or_never();
    assert!(cancelled.is_none(), "the next caller makes the trial");
    assert_eq!(act(&peer).await.unwrap().status, 200);
    assert_eq!(act(&peer).await.unwrap().status, 200);
}

#[tokio::test]
async fn refusals_alone_never_open_the_breaker() {
    let shop = Shop::open().await;
    let peer = shop.peer(once());
    shop.answers([(); 30].map(|()| problem(Code::OutOfStock)));
    for _ in 0..30 {
        assert_eq!(act(&peer).await.unwrap().status, 409);
    }
}

#[tokio::test]
async fn a_call_that_is_answered_opens_no_breaker_after_failures_that_are_over() {
    let shop = Shop::open().await;
    let peer = shop.peer(once());
    let answers = [Code::Internal; 5].into_iter().chain([Code::OutOfStock; 6]);
    shop.answers(answers.map(problem).collect::<Vec<_>>());
    for _ in 0..5 {
        assert!(act(&peer).await.is_err());
    }
    for _ in 0..6 {
        assert_eq!(act(&peer).await.unwrap().status, 409);
    }
}

#[tokio::test]
async fn refusals_open_the_breaker_and_it_lets_all_through_where_the_bug_is() {
    let shop = Shop::open().await;
    let peer = shop.peer(PeerPolicy {
        breaker_lets_all_through: true,
        ..once()
    });
    shop.answers([(); 12].map(|()| problem(Code::OutOfStock)));
    for _ in 0..10 {
        assert_eq!(act(&peer).await.unwrap().status, 409);
    }
    assert!(matches!(act(&peer).await, Err(CallError::NotSent { .. })));
    tokio::time::sleep(Duration::from_millis(10_100)).await;
    let (first, second) = tokio::join!(act(&peer), act(&peer));
    assert_eq!((first.unwrap().status, second.unwrap().status), (409, 409));
}

#[tokio::test]
async fn permits_are_bounded_waited_for_and_returned_once() {
    let permits = Permits::new(2);
    let first = permits.acquire(Duration::ZERO).await.unwrap();
    let _second = permits.acquire(Duration::ZERO).await.unwrap();
    let begun = Instant::now();
    assert!(permits.acquire(Duration::from_secs(5)).await.is_none());
    assert_eq!(begun.elapsed().as_secs(), 5);
    let (third, ()) = tokio::join!(permits.acquire(Duration::from_secs(5)), async {
        drop(first)
    });
    assert!(third.is_some());
    assert_eq!(permits.available(), 0);
    drop(third);
    assert_eq!(permits.available(), 1);
}
