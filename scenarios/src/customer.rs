//! A customer of the shop: places orders, clicks twice, asks again with the same key when an answer is lost.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use squall::Client;
use squall_services::{
    kit::{CallError, Code, Context, Peer, PeerPolicy, Reply},
    order::model::Status,
    ports::Platform,
};

use crate::{invariants::orders::Promises, platform::platform};

/// How often a customer asks for an answer before giving up.
const PATIENCE: u32 = 12;

/// One customer.
#[derive(Clone)]
pub struct Customer {
    client: Client,
    platform: Platform,
    order: Peer,
    promises: Arc<Promises>,
}

/// What came of asking.
enum Answer {
    Reply(Reply),
    /// Nobody knows, or nobody knows yet.
    Unknown(String),
}

impl Customer {
    /// The customer on this client's machine, who calls `entry` and writes down what he is told.
    pub fn new(client: &Client, entry: &str, promises: &Arc<Promises>) -> Self {
        let platform = platform(client.node());
        Customer {
            client: client.clone(),
            order: Peer::new(&platform, entry, browser()),
            platform,
            promises: promises.clone(),
        }
    }

    /// Places an order under an idempotency key and asks until the answer is final. The order's id, if there is one.
    pub async fn buy(&self, op: &str, sku: &str, quantity: u64, card: &str) -> Option<String> {
        let body =
            json!({ "user": self.client.name(), "sku": sku, "quantity": quantity, "card": card });
        let twice = self.client.draw(|rng| rng.chance(0.15));
        if twice {
            // A double click: the same request, a moment later, on another connection; nobody waits for its answer.
            let (again, op, body) = (self.clone(), op.to_owned(), body.clone());
            let later = self.client.draw(|rng| rng.below(40));
            self.client.node().spawn(async move {
                again
                    .client
                    .node()
                    .sleep(Duration::from_millis(later))
                    .await;
                let _ = again.ask(&op, "POST", "/orders", Some(&op), &body).await;
            });
        }
        let mut order = None;
        for attempt in 1..=PATIENCE {
            self.client
                .invoked(op, &format!("POST /orders {quantity} × {sku}"));
            match self.ask(op, "POST", "/orders", Some(op), &body).await {
                Answer::Reply(reply) if reply.status == 201 => {
                    order = self.note(&reply.body);
                    self.client.ok(op, "201 Created");
                    return order;
                }
                Answer::Reply(reply) if reply.status == 202 => {
                    order = order.or_else(|| reply.body["id"].as_str().map(str::to_owned));
                    self.client.unknown(op, "202 Accepted");
                }
                Answer::Reply(reply) => {
                    let problem = reply.problem();
                    let again = problem.code == Code::IdempotencyInFlight
                        || (problem.code.is_transient() && attempt < 3);
                    if !again {
                        self.client.failed(op, &format!("{:?}", problem.code));
                        return order;
                    }
                    self.client.unknown(op, &format!("{:?}", problem.code));
                }
                Answer::Unknown(reason) => {
                    self.client.unknown(op, &reason);
                    if self.client.draw(|rng| rng.chance(0.05)) {
                        return order;
                    }
                }
            }
            self.pause(attempt).await;
        }
        order
    }

    /// Asks for an order to be cancelled, until the answer is final.
    pub async fn cancel(&self, op: &str, order_id: &str) {
        let path = format!("/orders/{order_id}/status");
        for attempt in 1..=PATIENCE {
            self.client.invoked(op, "PATCH status CANCELLED");
            match self
                .ask(op, "PATCH", &path, None, &json!({ "status": "CANCELLED" }))
                .await
            {
                Answer::Reply(reply) if reply.is_success() => {
                    self.note(&reply.body);
                    return self.client.ok(op, "200 OK");
                }
                Answer::Reply(reply) if !reply.problem().code.is_transient() => {
                    return self
                        .client
                        .failed(op, &format!("{:?}", reply.problem().code));
                }
                Answer::Reply(reply) => self
                    .client
                    .unknown(op, &format!("{:?}", reply.problem().code)),
                Answer::Unknown(reason) => self.client.unknown(op, &reason),
            }
            self.pause(attempt).await;
        }
    }

    /// The customer's orders, newest last: their ids. Empty if there is no answer.
    pub async fn orders(&self, op: &str) -> Vec<String> {
        let path = format!("/orders?user={}", self.client.name());
        match self.ask(op, "GET", &path, None, &()).await {
            Answer::Reply(reply) if reply.is_success() => {
                let id = |order: &Value| order["id"].as_str().map(str::to_owned);
                reply
                    .body
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(id)
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    async fn ask(
        &self,
        op: &str,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &(impl serde::Serialize + Sync),
    ) -> Answer {
        let context = Context::fresh(&self.platform, op);
        match self.order.call(&context, method, path, key, body).await {
            Ok(reply) => Answer::Reply(reply),
            Err(CallError::NotSent { .. }) => Answer::Unknown("not sent".to_owned()),
            Err(CallError::Unknown { .. }) => Answer::Unknown("no answer".to_owned()),
        }
    }

    /// Writes down a state that the order can't leave.
    fn note(&self, body: &Value) -> Option<String> {
        let order_id = body["id"].as_str()?.to_owned();
        let status = serde_json::from_value(body["status"].clone()).ok()?;
        if matches!(status, Status::Completed | Status::Cancelled) {
            self.promises.told(&self.client, &order_id, status);
        }
        Some(order_id)
    }

    async fn pause(&self, attempt: u32) {
        let most = (200u64 << attempt.min(6)).min(8_000);
        let wait = self.client.draw(|rng| rng.between(most / 2, most));
        self.client.node().sleep(Duration::from_millis(wait)).await;
    }
}

/// A browser tries once, waits for ten seconds, and knows no circuit breaker.
pub fn browser() -> PeerPolicy {
    PeerPolicy {
        attempts: 1,
        timeout: Duration::from_secs(10),
        breaker_threshold: 2.0,
        ..PeerPolicy::internal()
    }
}
