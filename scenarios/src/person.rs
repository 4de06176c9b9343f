//! People who use the system from outside: they call it, and ask again with the same key when an answer is lost.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;
use squall::{Client, time::VirtualTime};
use squall_services::{
    kit::{CallError, Code, Context, Peer, PeerPolicy, Reply},
    ports::Platform,
};

use crate::{lock, platform::platform, reachability_goals};

/// How often a person asks for an answer before giving up.
const PATIENCE: u32 = 12;
/// How often a person asks again after "try later".
const SECOND_THOUGHTS: u32 = 3;

/// A person with a browser, in front of one service.
#[derive(Clone)]
pub struct Person {
    pub(crate) client: Client,
    platform: Platform,
    entry: Peer,
    pub(crate) asked: Asked,
    /// The orders that this person has heard of.
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
}

/// A request, and the operation that it belongs to.
#[derive(Clone, Debug)]
pub struct Request {
    /// The operation's label: also its idempotency key where it has one.
    pub op: String,
    /// HTTP method.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// The `Idempotency-Key`.
    pub key: Option<String>,
    /// The body; `Null` for none.
    pub body: Value,
}

impl Person {
    /// The person at this client's machine, who calls `entry`.
    pub fn new(client: &Client, entry: &str) -> Self {
        let platform = platform(client.node());
        Person {
            client: client.clone(),
            entry: Peer::new(&platform, entry, browser()),
            platform,
            asked: Asked::default(),
            heard: Arc::default(),
        }
    }

    /// The same person; when they first ask for something is noted there.
    pub fn noting(self, asked: &Asked) -> Self {
        Person {
            asked: asked.clone(),
            ..self
        }
    }

    /// The person's name.
    pub fn name(&self) -> &str {
        self.client.name()
    }

    /// Asks once. An error says why there is no answer.
    pub async fn ask(&self, request: &Request) -> Result<Reply, &'static str> {
        let Request {
            op,
            method,
            path,
            key,
            body,
        } = request;
        self.asked.note(op, self.client.now());
        let context = Context::fresh(&self.platform, op);
        self.entry
            .call(&context, method, path, key.as_deref(), body)
            .await
            .map_err(|error| match error {
                CallError::NotSent { .. } => "not sent",
                CallError::Unknown { .. } => "no answer",
            })
    }

    /// Asks until the answer is final; `None` if patience runs out first.
    pub async fn insist(&self, request: &Request) -> Option<Reply> {
        let op = &request.op;
        let mut lost = false;
        for attempt in 1..=PATIENCE {
            self.client
                .invoked(op, &format!("{} {}", request.method, request.path));
            let answer = self.ask(request).await;
            if let Ok(reply) = &answer {
                self.hear(reply);
            }
            match answer {
                Ok(reply) if reply.status == 202 => self.client.unknown(op, "202 Accepted"),
                Ok(reply) if reply.is_success() => {
                    self.client.ok(op, &reply.status.to_string());
                    if lost {
                        self.client.reached(reachability_goals::ANSWER_LOST);
                    }
                    return Some(reply);
                }
                Ok(reply) => {
                    let code = reply.problem().code;
                    let later = code.is_transient() && attempt < SECOND_THOUGHTS;
                    if code != Code::IdempotencyInFlight && !later {
                        self.client.failed(op, &format!("{code:?}"));
                        return Some(reply);
                    }
                    self.client.unknown(op, &format!("{code:?}"));
                }
                Err(reason) => {
                    self.client.unknown(op, reason);
                    lost |= reason == "no answer";
                    if self.client.draw(|rng| rng.chance(0.05)) {
                        return None;
                    }
                }
            }
            let most = (200u64 << attempt.min(6)).min(8_000);
            let wait = self.client.draw(|rng| rng.between(most / 2, most));
            self.client.node().sleep(Duration::from_millis(wait)).await;
        }
        None
    }

    /// Remembers the order that an answer tells of.
    fn hear(&self, reply: &Reply) {
        let id = reply.body["id"].as_str().filter(|_| reply.is_success());
        let mut heard = lock(&self.heard);
        if let Some(id) = id.filter(|id| heard.last().is_none_or(|last| last != id)) {
            heard.push(id.to_owned());
        }
    }

    /// Sends the same request once more after `later`, on the side; nobody waits for the answer. Unless the plan leaves
    /// it out.
    pub fn click_again(&self, request: &Request, later: Duration) {
        if !self.client.does(&format!("{}-twice", request.op)) {
            return;
        }
        let (person, request) = (self.clone(), request.clone());
        self.client.node().spawn(async move {
            person.client.node().sleep(later).await;
            let _ = person.ask(&request).await;
        });
    }
}

/// A browser tries once, waits for ten seconds, and knows no circuit breaker.
pub fn browser() -> PeerPolicy {
    PeerPolicy {
        timeout: Duration::from_secs(10),
        ..PeerPolicy::once()
    }
}

/// A request with an idempotency key that is the operation's label.
pub fn keyed(op: &str, method: &'static str, path: &str, body: impl Serialize) -> Request {
    Request {
        key: Some(op.to_owned()),
        ..unkeyed(op, method, path, body)
    }
}

/// A request without an idempotency key.
pub fn unkeyed(op: &str, method: &'static str, path: &str, body: impl Serialize) -> Request {
    let body = serde_json::to_value(body).unwrap_or_default();
    Request {
        op: op.to_owned(),
        method,
        path: path.to_owned(),
        key: None,
        body,
    }
}

/// When each operation was first asked for. Cheap to clone.
///
/// The first time counts, not the last: the order may be the effect of any of the requests with the same key, at the
/// price that was read then.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<Mutex<BTreeMap<String, VirtualTime>>>);

impl Asked {
    /// The operation is asked for at `now`, perhaps once more.
    pub fn note(&self, op: &str, now: VirtualTime) {
        lock(&self.0).entry(op.to_owned()).or_insert(now);
    }

    /// When the operation was first asked for. Steps belong to their operation: `dan-1/order-create` to `dan-1`.
    pub(crate) fn first(&self, op: &str) -> Option<VirtualTime> {
        let op = op.split('/').next().unwrap_or_default();
        lock(&self.0).get(op).copied()
    }
}
