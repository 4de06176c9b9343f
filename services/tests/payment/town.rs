//! A payment gateway, a payment service and a client on one network.

use std::{
    future::pending,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use redb::StorageBackend;
use serde_json::{Value, json};
use squall_services::{
    gap::Gaps,
    kit::{CallError, Context, Peer, PeerPolicy, Permits, Reply},
    payment,
    pg::{self, Behaviour, Entry, KeyStyle},
    ports::{BoxFuture, Clock, Platform, Process, RowChange, Storage},
};
use tokio::task::JoinHandle;

use crate::machine::Network;

pub const AMOUNT: i64 = 3_500_000;

/// How a town is built.
#[derive(Clone, Default)]
pub struct Plan {
    pub style: KeyStyle,
    pub gaps: Gaps,
    pub refund_takes: Duration,
}

pub struct Town {
    pub behaviour: Arc<Behaviour>,
    pub permits: Permits,
    pub clock: Arc<Hands>,
    plan: Plan,
    payment: Platform,
    life: Arc<Life>,
    client: Peer,
    gateway: Peer,
    context: Context,
}

impl Town {
    pub async fn hardened() -> Town {
        Town::build(Plan::default()).await
    }

    pub async fn build(plan: Plan) -> Town {
        let network = Network::default();
        let clock = Arc::new(Hands(AtomicU64::new(1_700_000_000_000)));
        let machine = |name| Platform {
            clock: clock.clone(),
            ..network.machine(name).0
        };
        let behaviour = Arc::new(Behaviour::default());
        let gateway = machine("pg");
        let config = pg::Config {
            style: plan.style,
            webhooks: Some("payment".to_owned()),
            refund_takes: plan.refund_takes,
            refund_fee: 0,
            behaviour: behaviour.clone(),
        };
        gateway.spawn("pg", {
            let gateway = gateway.clone();
            async move { pg::run(gateway, config).await.unwrap() }
        });
        let payment = machine("payment");
        let client = machine("client");
        let policy = PeerPolicy {
            attempts: 1,
            timeout: Duration::from_secs(300),
            backoff: Duration::ZERO,
            breaker_threshold: 2.0,
            breaker_window: 10,
            breaker_open: Duration::ZERO,
            ..PeerPolicy::internal()
        };
        let mut town = Town {
            behaviour,
            permits: Permits::new(payment::CALLS_MAX),
            clock,
            plan,
            life: Life::new(&payment, None),
            payment,
            client: Peer::new(&client, "payment", policy.clone()),
            gateway: Peer::new(&client, "pg", policy),
            context: Context::fresh(&client, "test"),
        };
        town.boot(None).await;
        town
    }

    /// Starts the payment service; it freezes after so many commits, before it can do anything more.
    pub async fn boot(&mut self, commits: Option<i64>) {
        self.life = Life::new(&self.payment, commits);
        let platform = Platform {
            storage: self.life.clone(),
            process: self.life.clone(),
            ..self.payment.clone()
        };
        let config = payment::Config {
            gaps: self.plan.gaps,
            gateway_style: self.plan.style,
            permits: self.permits.clone(),
            ..payment::Config::default()
        };
        self.life.spawn(
            "payment",
            Box::pin(async move { payment::run(platform, config).await.unwrap() }),
        );
        settle_down().await;
    }

    /// Kills the payment service wherever it is.
    pub async fn kill(&self) {
        self.life.end();
        settle_down().await;
    }

    pub fn is_frozen(&self) -> bool {
        self.life.is_frozen()
    }

    pub async fn post(&self, path: &str, key: &str, body: Value) -> Result<Reply, CallError> {
        self.client
            .call(&self.context, "POST", path, Some(key), &body)
            .await
    }

    pub async fn create(&self, saga: &str, mode: &str) -> Result<Reply, CallError> {
        self.create_with(saga, mode, "visa").await
    }

    pub async fn create_with(
        &self,
        saga: &str,
        mode: &str,
        card: &str,
    ) -> Result<Reply, CallError> {
        let body = json!({
            "saga_id": saga, "order_id": order(saga), "amount": AMOUNT, "card": card, "mode": mode,
        });
        let action = if mode == "one-step" {
            "charge"
        } else {
            "authorize"
        };
        self.post("/payments", &format!("{saga}-payment-{action}"), body)
            .await
    }

    pub async fn capture(&self, saga: &str) -> Result<Reply, CallError> {
        let (path, key) = (
            format!("/payments/{saga}/capture"),
            format!("{saga}-payment-capture"),
        );
        self.post(&path, &key, Value::Null).await
    }

    pub async fn cancel(&self, saga: &str) -> Result<Reply, CallError> {
        let (path, key) = (
            format!("/payments/{saga}/cancel"),
            format!("{saga}-payment-void"),
        );
        self.post(&path, &key, Value::Null).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.client
            .call(&self.context, "GET", path, None, &())
            .await
            .expect("reads are answered")
    }

    pub async fn status(&self, saga: &str) -> String {
        let reply = self.get(&format!("/payments/{saga}")).await;
        reply.body["status"].as_str().unwrap_or("none").to_owned()
    }

    /// The gateway, asked directly.
    pub async fn ask_gateway(
        &self,
        path: &str,
        key: &str,
        body: Value,
    ) -> Result<Reply, CallError> {
        self.gateway
            .call(&self.context, "POST", path, Some(key), &body)
            .await
    }

    pub async fn gateway_get(&self, path: &str) -> Reply {
        self.gateway
            .call(&self.context, "GET", path, None, &())
            .await
            .expect("the gateway answers")
    }

    /// Sets the gateway's behaviour over HTTP.
    pub async fn behave(&self, rules: &Value) {
        let reply = self
            .gateway
            .call(&self.context, "PUT", "/behaviour", None, rules)
            .await;
        assert!(reply.expect("the gateway answers").is_success());
    }

    pub async fn ledger(&self, saga: &str) -> Vec<Entry> {
        let path = format!("/payments/{}", order(saga));
        let reply = self.gateway_get(&path).await;
        reply.ok().expect("a list of entries")
    }

    /// Captures minus refunds, and what is held, over all of the order's entries.
    pub async fn money(&self, saga: &str) -> (i64, i64) {
        let now = self.clock.now_ms();
        let entries = self.ledger(saga).await;
        (
            entries.iter().map(Entry::net).sum(),
            entries.iter().map(|entry| entry.hold(now)).sum(),
        )
    }
}

pub fn order(saga: &str) -> String {
    format!("ORDER-{saga}")
}

/// Asserts that an answer has this status, and gives its body.
#[track_caller]
pub fn answered(reply: Result<Reply, CallError>, status: u16) -> Value {
    let reply = reply.expect("an answer");
    assert_eq!(reply.status, status, "{}", reply.body);
    reply.body
}

/// Asserts a 503 (which a caller sees as an unknown outcome), and gives its reason.
#[track_caller]
pub fn not_yet(reply: Result<Reply, CallError>) -> String {
    match reply {
        Err(CallError::Unknown { reason, .. }) => reason,
        other => panic!("not a 503: {other:?}"),
    }
}

/// Lets everything that needs no waiting happen.
pub async fn settle_down() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// A wall clock that is set by hand.
pub struct Hands(AtomicU64);

impl Hands {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// One life of a process. It freezes after its last commit: nothing that follows the commit happens.
struct Life {
    storage: Arc<dyn Storage>,
    commits_left: AtomicI64,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Life {
    fn new(platform: &Platform, commits: Option<i64>) -> Arc<Life> {
        Arc::new(Life {
            storage: platform.storage.clone(),
            commits_left: AtomicI64::new(commits.unwrap_or(i64::MAX)),
            tasks: Mutex::default(),
        })
    }

    fn is_frozen(&self) -> bool {
        self.commits_left.load(Ordering::SeqCst) <= 0
    }

    fn end(&self) {
        self.commits_left.store(0, Ordering::SeqCst);
        for task in self.tasks.lock().unwrap().drain(..) {
            task.abort();
        }
    }
}

impl Process for Life {
    #[allow(clippy::disallowed_methods)]
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.tasks.lock().unwrap().push(tokio::spawn(task));
    }
    fn fail(&self, reason: &str) {
        panic!("the payment service failed: {reason}");
    }
    fn boot_id(&self) -> u64 {
        1
    }
}

impl Storage for Life {
    fn exists(&self, file: &str) -> io::Result<bool> {
        self.storage.exists(file)
    }
    fn open(&self, file: &str) -> io::Result<Box<dyn StorageBackend>> {
        self.storage.open(file)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.storage.rename(from, to)
    }
    fn remove(&self, file: &str) -> io::Result<()> {
        self.storage.remove(file)
    }
    fn execute(&self, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        if self.is_frozen() {
            return Box::pin(pending());
        }
        job();
        if self.is_frozen() {
            return Box::pin(pending());
        }
        Box::pin(async {})
    }
    fn committing(&self, file: &str, changes: &[RowChange]) {
        self.storage.committing(file, changes);
    }
    fn committed(&self, file: &str, changes: &[RowChange]) {
        self.commits_left.fetch_sub(1, Ordering::SeqCst);
        self.storage.committed(file, changes);
    }
}
