//! Services on one network, and somebody who asks them.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use serde_json::Value;
use squall_services::{
    kit::{CallError, Context, Peer, PeerPolicy, Reply},
    ports::Platform,
};

use super::machine::{Machine, Network};

/// A network of machines whose transactions take 5 ms, and a client that asks once and waits long.
pub struct World {
    pub network: Network,
    pub client: Platform,
}

/// A status and the body's `code`, or the body.
pub type Answer = (u16, Value);

impl World {
    pub fn new() -> Self {
        World::over(Network::with_disks_that_take(Duration::from_millis(5)))
    }

    pub fn over(network: Network) -> Self {
        let client = network.machine("client").0;
        World { network, client }
    }

    /// A service on a machine of its name, which has been given the time to begin.
    pub async fn serve<F>(&self, name: &str, run: impl FnOnce(Platform) -> F) -> Arc<Machine>
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let machine = self.network.serve(name, run);
        self.pass(Duration::from_millis(50)).await;
        machine
    }

    /// Serves a stand-in for another service.
    pub fn stand_in(&self, name: &str, router: Router) {
        self.network.stand_in(name, router);
    }

    /// Lets virtual time and the wall clocks go on.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Sets the wall clocks back.
    pub fn set_back(&self, time: Duration) {
        self.network.jump(-(time.as_millis() as i64));
    }

    pub async fn call(
        &self,
        service: &str,
        request: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Result<Reply, CallError> {
        let (method, path) = request.split_once(' ').unwrap();
        let context = Context::fresh(&self.client, "test");
        let policy = PeerPolicy {
            attempts: 1,
            timeout: Duration::from_secs(120),
            ..PeerPolicy::internal()
        };
        let peer = Peer::new(&self.client, service, policy);
        peer.call(&context, method, path, key, body).await
    }

    pub async fn ask(
        &self,
        service: &str,
        request: &str,
        key: Option<&str>,
        body: Value,
    ) -> Answer {
        let Ok(reply) = self.call(service, request, key, &body).await else {
            return unanswered();
        };
        match reply.body.get("code") {
            Some(code) => (reply.status, code.clone()),
            None => (reply.status, reply.body),
        }
    }

    /// The answer to something that succeeds.
    pub async fn must(&self, service: &str, request: &str, body: Value) -> Value {
        let (status, body) = self.ask(service, request, Some("setup"), body).await;
        assert!((200..300).contains(&status), "{request}: {status} {body}");
        body
    }

    /// What a service shows.
    pub async fn see(&self, service: &str, path: &str) -> Value {
        let request = format!("GET {path}");
        self.ask(service, &request, None, Value::Null).await.1
    }
}

/// What becomes of a 5xx, or of a key that is in flight.
pub fn unanswered() -> Answer {
    (503, Value::Null)
}

pub fn code(status: u16, code: &str) -> Answer {
    (status, Value::from(code))
}
