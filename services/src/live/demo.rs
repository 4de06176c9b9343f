//! Things to play with: each service says what it is filled with when it is empty.

use serde_json::Value;

use crate::{
    kit::{Context, Peer, PeerPolicy, Problem},
    ports::Platform,
    service::Service,
};

/// Fills each service that has none yet.
pub(super) async fn fill(platform: &Platform, services: &[Service]) -> Result<(), Problem> {
    let context = Context::fresh(platform, "demo");
    for service in services {
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
