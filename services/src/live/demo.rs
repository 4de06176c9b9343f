//! Things to play with: each service says what it is filled with when it is empty.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::{
    kit::{Context, Peer, PeerPolicy, Problem},
    ports::Platform,
    service::Service,
};

/// How long services are waited for that run in processes of their own, and how often they are called meanwhile.
const CALLS: (u32, Duration) = (600, Duration::from_millis(50));

/// Fills each service that has none yet, once it listens.
pub(super) async fn fill(platform: &Platform, services: &[Service]) -> Result<(), Problem> {
    let context = Context::fresh(platform, "demo");
    for service in services {
        for _ in 0..CALLS.0 {
            if platform.net.connect(service.name).await.is_ok() {
                break;
            }
            sleep(CALLS.1).await;
        }
        let peer = Peer::new(platform, service.name, PeerPolicy::internal());
        for demo in service.demo {
            let listed = peer.call(&context, "GET", demo.list, None, &()).await?;
            if !listed.ok::<Vec<Value>>()?.is_empty() {
                continue;
            }
            for (path, body) in demo.puts {
                let body: Value = serde_json::from_str(body).expect("a test reads all of them");
                let reply = peer.call(&context, "PUT", path, None, &body).await?;
                reply.ok::<Value>()?;
            }
        }
    }
    Ok(())
}
