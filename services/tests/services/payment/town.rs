//! A payment gateway, a payment service and a client on one network.

use std::{sync::Arc, sync::atomic::Ordering::SeqCst, time::Duration};

use serde_json::{Value, json};
use squall_services::{
    kit::{CallError, Context, Peer, PeerPolicy, Permits, Reply},
    planted_bug::Bugs,
    shared::{
        payment,
        payment_provider::{self, Behaviour, Entry, Fault, KeyStyle, Operation, Rule},
    },
};

use crate::support::{
    computer::Computer,
    machine::{Network, start},
};

pub const AMOUNT: i64 = 3_500_000;

/// The saga of most tests.
pub const SAGA: &str = "SAGA-1";

/// How a town is built.
#[derive(Clone, Default)]
pub struct Plan {
    pub style: KeyStyle,
    pub bugs: Bugs,
    pub refund_takes: Duration,
}

pub struct Town {
    pub network: Network,
    pub behaviour: Arc<Behaviour>,
    pub permits: Permits,
    plan: Plan,
    payment: Computer,
    client: Peer,
    gateway: Peer,
    context: Context,
}

pub type Told = Result<Reply, CallError>;

impl Town {
    pub async fn hardened() -> Town {
        Town::build(Plan::default()).await
    }

    pub async fn with_keys(style: KeyStyle) -> Town {
        let plan = Plan::default();
        Town::build(Plan { style, ..plan }).await
    }

    pub async fn with(bugs: Bugs) -> Town {
        let plan = Plan::default();
        Town::build(Plan { bugs, ..plan }).await
    }

    pub async fn build(plan: Plan) -> Town {
        let network = Network::default();
        let behaviour = Arc::new(Behaviour::default());
        let config = payment_provider::Config {
            style: plan.style,
            webhooks: Some("payment".to_owned()),
            refund_takes: plan.refund_takes,
            refund_fee: 0,
            behaviour: behaviour.clone(),
        };
        network.serve("pg", |platform| payment_provider::run(platform, config));
        let client = network.machine("client").0;
        let policy = PeerPolicy {
            timeout: Duration::from_secs(300),
            ..PeerPolicy::once()
        };
        let town = Town {
            behaviour,
            permits: Permits::new(payment::CALLS_MAX),
            plan,
            payment: Computer::new(&network, "payment"),
            client: Peer::new(&client, "payment", policy.clone()),
            gateway: Peer::new(&client, "pg", policy),
            context: Context::fresh(&client, "test"),
            network,
        };
        town.boot(usize::MAX).await;
        town
    }

    /// Starts the payment service; it freezes after so many commits, before it can do anything more.
    pub async fn boot(&self, commits: usize) {
        let platform = self.payment.boot();
        let machine = self.payment.machine();
        machine.freezes_after.store(commits, SeqCst);
        let config = payment::Config {
            bugs: self.plan.bugs,
            gateway_style: self.plan.style,
            permits: self.permits.clone(),
            ..payment::Config::default()
        };
        start(&platform, |platform| payment::run(platform, config));
        settle_down().await;
    }

    /// Kills the payment service wherever it is, and starts it again.
    pub async fn reboot(&self, commits: usize) {
        self.payment.crash();
        settle_down().await;
        self.boot(commits).await;
    }

    pub fn is_frozen(&self) -> bool {
        self.payment.machine().is_frozen()
    }

    /// So many calls of an operation meet a fault.
    pub fn fails(&self, fault: Fault, times: u32, operation: Operation) {
        self.behaviour.add(Rule::next(fault, times).on(operation));
    }

    /// All calls of an operation meet a fault until the behaviour is cleared.
    pub fn always_fails(&self, fault: Fault, operation: Operation) {
        self.behaviour.add(Rule::always(fault).on(operation));
    }

    pub async fn post(&self, path: &str, key: &str, body: Value) -> Told {
        let (context, key) = (&self.context, Some(key));
        self.client.call(context, "POST", path, key, &body).await
    }

    pub async fn create(&self, saga: &str, mode: &str) -> Told {
        self.create_with(saga, mode, "visa").await
    }

    pub async fn create_with(&self, saga: &str, mode: &str, card: &str) -> Told {
        let body = json!({
            "saga_id": saga, "order_id": order(saga), "amount": AMOUNT, "card": card, "mode": mode,
        });
        let action = match mode {
            "one-step" => "charge",
            _ => "authorize",
        };
        let key = format!("{saga}-payment-{action}");
        self.post("/payments", &key, body).await
    }

    pub async fn capture(&self, saga: &str) -> Told {
        let path = format!("/payments/{saga}/capture");
        let key = format!("{saga}-payment-capture");
        self.post(&path, &key, Value::Null).await
    }

    pub async fn cancel(&self, saga: &str) -> Told {
        let path = format!("/payments/{saga}/cancel");
        let key = format!("{saga}-payment-void");
        self.post(&path, &key, Value::Null).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        let reply = self.client.call(&self.context, "GET", path, None, &());
        reply.await.expect("reads are answered")
    }

    pub async fn status(&self, saga: &str) -> String {
        let reply = self.get(&format!("/payments/{saga}")).await;
        reply.body["status"].as_str().unwrap_or("none").to_owned()
    }

    /// The gateway, asked directly.
    pub async fn ask_gateway(&self, path: &str, key: &str, body: Value) -> Told {
        let (context, key) = (&self.context, Some(key));
        self.gateway.call(context, "POST", path, key, &body).await
    }

    pub async fn gateway_get(&self, path: &str) -> Reply {
        let reply = self.gateway.call(&self.context, "GET", path, None, &());
        reply.await.expect("the gateway answers")
    }

    /// Sets the gateway's behaviour over HTTP.
    pub async fn behave(&self, rules: &Value) {
        let (context, path) = (&self.context, "/behaviour");
        let reply = self.gateway.call(context, "PUT", path, None, rules);
        assert!(reply.await.expect("the gateway answers").is_success());
    }

    pub async fn ledger(&self, saga: &str) -> Vec<Entry> {
        let path = format!("/payments/{}", order(saga));
        let reply = self.gateway_get(&path).await;
        reply.ok().expect("a list of entries")
    }

    /// Captures minus refunds, and what is held, over all of the order's entries.
    pub async fn money(&self, saga: &str) -> (i64, i64) {
        let now = self.network.now_ms();
        let entries = self.ledger(saga).await;
        let held = entries.iter().map(|entry| entry.hold(now));
        (entries.iter().map(Entry::net).sum(), held.sum())
    }
}

pub fn order(saga: &str) -> String {
    format!("ORDER-{saga}")
}

/// Asserts that an answer has this status, and gives its body.
#[track_caller]
pub fn answered(reply: Told, status: u16) -> Value {
    let reply = reply.expect("an answer");
    assert_eq!(reply.status, status, "{}", reply.body);
    reply.body
}

/// Asserts that an answer is this refusal, and gives its explanation.
#[track_caller]
pub fn refused(reply: Told, status: u16, code: &str) -> String {
    let body = answered(reply, status);
    assert_eq!(body["code"], code, "{body}");
    body["detail"].as_str().unwrap().to_owned()
}

/// Asserts a 503 (which a caller sees as an unknown outcome), and gives its reason.
#[track_caller]
pub fn not_yet(reply: Told) -> String {
    match reply {
        Err(CallError::Unknown { reason, .. }) => reason,
        other => panic!("not a 503: {other:?}"),
    }
}

/// Lets everything that needs no waiting happen.
pub async fn settle_down() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Longer than the payment service's breaker is open.
pub async fn half_a_minute() {
    tokio::time::sleep(Duration::from_secs(31)).await;
}
