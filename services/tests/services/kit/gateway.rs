use std::time::Duration;

use axum::{
    Json, Router,
    extract::Request,
    http::HeaderMap,
    response::IntoResponse,
    routing::{any, get},
};
use serde_json::{Value, json};
use squall_services::{
    infrastructure::gateway,
    kit::{Code, Context, Peer, PeerPolicy},
};

use crate::support::machine::Network;

/// Answers with what arrived, and with its own name.
fn echo(name: &'static str) -> Router {
    let answer = move |context: Context, headers: HeaderMap, request: Request| async move {
        let header = |name: &str| {
            headers
                .get(name)
                .map(|v| v.to_str().unwrap_or("").to_owned())
        };
        let (method, target) = (request.method().to_string(), request.uri().to_string());
        let body = axum::body::to_bytes(request.into_body(), 999)
            .await
            .unwrap();
        Json(json!({
            "service": name, "method": method, "target": target, "context": context,
            "key": header("idempotency-key"), "host": header("host"),
            "body": String::from_utf8_lossy(&body),
        }))
    };
    let refuse = || async { Code::OutOfStock.because("none left").into_response() };
    Router::new()
        .route("/orders/refused", get(refuse))
        .fallback(any(answer))
}

/// A gateway over two replicas of the order service and a catalog that is down; and its client.
async fn open() -> (Network, Peer) {
    let network = Network::default();
    for name in ["order-1", "order-2"] {
        network.stand_in(name, echo(name));
    }
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    let routes = vec![
        ("/orders".to_owned(), names(&["order-1", "order-2"])),
        ("/products".to_owned(), names(&["catalog"])),
    ];
    network.serve("gateway", |p| gateway::run(p, gateway::Config { routes }));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let policy = PeerPolicy {
        attempts: 1,
        ..PeerPolicy::internal()
    };
    let peer = Peer::new(&network.machine("client").0, "gateway", policy);
    (network, peer)
}

#[tokio::test]
async fn a_request_is_passed_on_as_it_came_and_its_answer_too() {
    let (_, gateway) = open().await;
    let context = Context {
        trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
        request_id: "REQ-0000000A".into(),
        op: "alice-1".into(),
        saga_id: Some("SAGA-1".into()),
    };
    let body = json!({"sku": "pen"});
    let target = "/orders/7?full=yes%20";
    let reply = gateway
        .call(&context, "PATCH", target, Some("k-1"), &body)
        .await;
    let seen: Value = reply.unwrap().ok().unwrap();
    let expected = json!({
        "service": "order-1", "method": "PATCH", "target": target, "context": context,
        "key": "k-1", "host": "order-1", "body": "{\"sku\":\"pen\"}",
    });
    assert_eq!(seen, expected);
    for _ in 0..2 {
        let refused = gateway
            .call(&context, "GET", "/orders/refused", None, &())
            .await;
        let problem = refused.unwrap().problem();
        assert_eq!(problem, Code::OutOfStock.because("none left"));
    }
}

#[tokio::test]
async fn replicas_take_turns_and_one_that_is_down_is_passed_over() {
    let (network, gateway) = open().await;
    let served_by = async || {
        let reply = gateway
            .call(&Context::default(), "GET", "/orders", None, &())
            .await;
        let seen: Value = reply.unwrap().ok().unwrap();
        seen["service"].as_str().unwrap().to_owned()
    };
    assert_eq!(served_by().await, "order-1");
    assert_eq!(served_by().await, "order-2");
    assert_eq!(served_by().await, "order-1");
    // The idle connections outlive the listener, so they are let expire first.
    network.unplug("order-2");
    tokio::time::sleep(Duration::from_secs(60)).await;
    for _ in 0..3 {
        assert_eq!(served_by().await, "order-1");
    }
}

#[tokio::test]
async fn a_service_that_is_down_and_a_path_that_is_nobodys_are_told_apart() {
    let (_, gateway) = open().await;
    let context = Context::default();
    for path in ["/ordersx", "/", "/nowhere/orders"] {
        let reply = gateway.call(&context, "GET", path, None, &()).await;
        assert_eq!(reply.unwrap().problem().code, Code::NotFound, "{path}");
    }
    let down = gateway.call(&context, "GET", "/products/1", None, &());
    let told = down.await.unwrap_err().to_string();
    let says = told.contains("ServiceUnavailable: catalog cannot be reached");
    assert!(says, "{told}");
}
