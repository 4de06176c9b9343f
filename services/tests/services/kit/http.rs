use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Query},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use squall_services::{
    kit::{
        Context,
        http::{BODY_BYTES_MAX, Body, IdempotencyKey},
    },
    ports::Connection,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use crate::support::machine::Network;

#[derive(Deserialize, Serialize)]
struct Order {
    product: String,
    quantity: u32,
}

#[derive(Deserialize)]
struct Page {
    page: u32,
}

fn router() -> Router {
    Router::new()
        .route(
            "/orders",
            post(|Body(order): Body<Order>| async { Json(order) }),
        )
        .route(
            "/orders/{id}",
            get(|Path(id): Path<u32>| async move { id.to_string() }),
        )
        .route(
            "/list",
            get(|Query(page): Query<Page>| async move { page.page.to_string() }),
        )
        .route("/who", get(|context: Context| async { Json(context) }))
        .route("/ignores-its-body", post(|| async { "done" }))
        .route(
            "/keyed",
            post(|IdempotencyKey(key): IdempotencyKey| async { key }),
        )
        .route(
            "/maybe-keyed",
            post(|key: Option<IdempotencyKey>| async { key.map_or("none".into(), |key| key.0) }),
        )
}

/// One connection to a fresh service.
async fn connect() -> Connection {
    connect_to(router()).await
}

pub async fn connect_to(router: Router) -> Connection {
    let network = Network::default();
    network.stand_in("shop", router);
    tokio::time::sleep(Duration::from_millis(1)).await;
    network.connect("shop").unwrap()
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The problem's code and detail.
    pub fn problem(&self) -> (String, String) {
        let head = &self.head;
        assert!(head.contains("application/problem+json"), "{head}");
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(body["status"], self.status);
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        (text("code"), text("detail"))
    }
}

pub async fn send(connection: &mut Connection, head: &str, body: &[u8]) -> Answer {
    let head = format!(
        "{head}\r\nhost: shop\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(body).await.unwrap();
    read_answer(connection).await
}

async fn read_answer(connection: &mut Connection) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let after = |what: &str| {
        head.split(what)
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
    };
    let mut body = vec![0; after("content-length:").parse().unwrap()];
    connection.read_exact(&mut body).await.unwrap();
    Answer {
        status: after("http/1.1").parse().unwrap(),
        body: String::from_utf8(body).unwrap(),
        head,
    }
}

const JSON: &str = "POST /orders HTTP/1.1\r\ncontent-type: application/json; charset=utf-8";

#[tokio::test]
async fn a_good_request_is_answered_and_the_connection_lives_on() {
    let mut connection = connect().await;
    for _ in 0..2 {
        let answer = send(&mut connection, JSON, br#"{"product":"pen","quantity":2}"#).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, r#"{"product":"pen","quantity":2}"#);
        assert!(!answer.head.contains("\r\ndate:"), "{}", answer.head);
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_a_problem_that_says_what_to_do() {
    let mut connection = connect().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1");
    let (json, bad) = (|| JSON.to_owned(), "INVALID_REQUEST");
    let text = "POST /orders HTTP/1.1\r\ncontent-type: text/plain";
    let two = b"{\n \"product\":\"pen\",\n \"quantity\":\"two\"}";
    let trailing = b"{\"product\":\"pen\",\"quantity\":1}}";
    let near = "expected u32 at line 3 column 17 (near `quantity`)";
    let cases: [(String, &[u8], u16, &str, &str); 9] = [
        (json(), two, 400, bad, near),
        (
            json(),
            b"{\"product\":\"pen\"}",
            400,
            bad,
            "missing field `quantity`",
        ),
        (json(), b"", 400, bad, "line 1 column 0"),
        (
            text.to_owned(),
            b"{}",
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "application/json",
        ),
        (get("/nowhere"), b"", 404, "NOT_FOUND", "GET /nowhere"),
        (
            get("/orders"),
            b"",
            405,
            "METHOD_NOT_ALLOWED",
            "it takes POST",
        ),
        (get("/orders/seven"), b"", 400, bad, "seven"),
        (get("/list?page=x"), b"", 400, bad, "page"),
        (json(), trailing, 400, bad, "trailing"),
    ];
    for (head, body, status, code, hint) in cases {
        let answer = send(&mut connection, &head, body).await;
        let (found, detail) = answer.problem();
        assert_eq!((answer.status, found.as_str()), (status, code), "{head}");
        assert!(detail.contains(hint), "{head}: {detail}");
    }
    let seven = send(&mut connection, &get("/orders/7"), b"").await;
    assert_eq!(seven.body, "7");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_answer_is_not_lost() {
    let mut connection = connect().await;
    let largest = vec![b' '; BODY_BYTES_MAX];
    assert_eq!(send(&mut connection, JSON, &largest).await.status, 400);
    let answer = send(&mut connection, JSON, &[largest, vec![b' ']].concat()).await;
    assert_eq!(answer.problem().0, "BODY_TOO_LARGE");
    let next = send(&mut connection, "GET /orders/7 HTTP/1.1", b"").await;
    assert_eq!(next.status, 200);
    let announced = "POST /orders HTTP/1.1\r\nhost: shop\r\ncontent-length: 999999999\r\n\r\n";
    connection.write_all(announced.as_bytes()).await.unwrap();
    let answer = read_answer(&mut connection).await;
    assert_eq!(answer.status, 413);
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
}

#[tokio::test]
async fn a_chunked_body_and_one_that_the_handler_ignores_leave_the_connection_usable() {
    let mut connection = connect().await;
    let chunked = format!(
        "{JSON}\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n\
         f\r\n{{\"product\":\"pen\r\n10\r\n\",\"quantity\":12}}\r\n0\r\n\r\n"
    );
    connection.write_all(chunked.as_bytes()).await.unwrap();
    let answer = read_answer(&mut connection).await;
    assert_eq!(answer.body, r#"{"product":"pen","quantity":12}"#);
    let ignoring = "POST /ignores-its-body HTTP/1.1";
    for body in [&[b'x'; 60_000][..], b""] {
        assert_eq!(send(&mut connection, ignoring, body).await.body, "done");
    }
}

#[tokio::test]
async fn a_silent_connection_and_an_unfinished_body_are_given_up() {
    let mut connection = connect().await;
    let answer = send(&mut connection, "GET /orders/7 HTTP/1.1", b"").await;
    assert_eq!(answer.status, 200);
    let begun = tokio::time::Instant::now();
    assert_eq!(connection.read(&mut [0; 9]).await.unwrap(), 0, "closed");
    assert_eq!(begun.elapsed().as_secs(), 30);

    let mut connection = connect().await;
    let unfinished = format!("{JSON}\r\nhost: shop\r\ncontent-length: 9\r\n\r\n{{");
    connection.write_all(unfinished.as_bytes()).await.unwrap();
    let answer = read_answer(&mut connection).await;
    assert!(answer.problem().1.contains("10 s"), "{}", answer.body);
    assert_eq!(connection.read(&mut [0; 9]).await.unwrap(), 0, "closed");
}

#[tokio::test]
async fn idempotency_keys_are_required_optional_or_refused() {
    let mut connection = connect().await;
    let required = "POST /keyed HTTP/1.1";
    let optional = "POST /maybe-keyed HTTP/1.1";
    let missing = send(&mut connection, required, b"").await;
    assert_eq!(missing.problem().0, "IDEMPOTENCY_KEY_MISSING");
    assert_eq!(send(&mut connection, optional, b"").await.body, "none");
    for header in ["Idempotency-Key", "x-idempotency-key"] {
        for route in [required, optional] {
            let head = format!("{route}\r\n{header}: checkout-1");
            assert_eq!(send(&mut connection, &head, b"").await.body, "checkout-1");
        }
    }
    for bad in ["", "two words", &"k".repeat(201)] {
        for route in [required, optional] {
            let head = format!("{route}\r\nidempotency-key: {bad}");
            let refused = send(&mut connection, &head, b"").await;
            assert_eq!(refused.problem().0, "INVALID_REQUEST");
        }
    }
}

#[tokio::test]
async fn the_context_of_a_request_is_taken_echoed_and_never_leaks_into_the_next() {
    let mut connection = connect().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let head = format!(
        "GET /who HTTP/1.1\r\ntraceparent: 00-{trace}-b7ad6b7169203331-01\r\n\
         x-request-id: REQ-0000000A\r\nbaggage: other=1, op=alice-2-place ,saga=SAGA-1"
    );
    let answer = send(&mut connection, &head, b"").await;
    let echoed = answer.head.contains("x-request-id: req-0000000a");
    assert!(echoed, "{}", answer.head);
    let context: Context = serde_json::from_str(&answer.body).unwrap();
    let expected = Context {
        trace_id: trace.into(),
        request_id: "REQ-0000000A".into(),
        op: "alice-2-place".into(),
        saga_id: Some("SAGA-1".into()),
    };
    assert_eq!(context, expected);

    let answer = send(&mut connection, "GET /who HTTP/1.1", b"").await;
    let next: Context = serde_json::from_str(&answer.body).unwrap();
    assert!(next.request_id.starts_with("REQ-") && next.request_id != context.request_id);
    assert!(next.trace_id.len() == 32 && next.trace_id != context.trace_id);
    assert_eq!((next.op.as_str(), next.saga_id), ("", None));
    assert!(answer.head.contains(&next.request_id.to_lowercase()));
}

#[tokio::test]
async fn a_malformed_context_is_made_anew_and_never_passed_on() {
    let mut connection = connect().await;
    let long = "x".repeat(129);
    let zeros = "0".repeat(32);
    for bad in [
        "traceparent: 00-XYZ-b7ad6b7169203331-01".to_owned(),
        format!("traceparent: 00-{zeros}-b7ad6b7169203331-01"),
        format!("x-request-id: {long}"),
        "baggage: op=a b,saga=%00".to_owned(),
    ] {
        let answer = send(&mut connection, &format!("GET /who HTTP/1.1\r\n{bad}"), b"").await;
        let context: Context = serde_json::from_str(&answer.body).unwrap();
        assert!(
            context.trace_id.len() == 32 && context.trace_id != zeros,
            "{bad}"
        );
        assert!(
            context.request_id.len() == 12 && context.op.is_empty(),
            "{bad}"
        );
        assert_eq!(context.saga_id, None, "{bad}");
    }
}

#[tokio::test]
async fn a_handler_that_changes_something_ends_though_its_caller_hangs_up() {
    let (began, ended) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (begins, ends) = (began.clone(), ended.clone());
    let handler = move || async move {
        begins.notify_one();
        tokio::time::sleep(Duration::from_millis(50)).await;
        ends.store(true, Relaxed);
    };
    let mut connection = connect_to(Router::new().route("/orders", post(handler))).await;
    let request = b"POST /orders HTTP/1.1\r\nhost: shop\r\ncontent-length: 0\r\n\r\n";
    connection.write_all(request).await.unwrap();
    began.notified().await;
    drop(connection);
    assert!(!ended.load(Relaxed));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(ended.load(Relaxed));
}
