//! Hearing a channel: a lease at the bus that is renewed, and the route by which the bus tells.
//!
//! The bus tries once. What a subscriber does not hear at that instant is gone.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::post,
};
use serde_json::{Value, json};
use tracing::Instrument;

use super::{
    Event, Subscribe,
    consumer::{Consumer, Inner},
    dead,
};
use crate::{
    kit::{Context, Problem, http::Body},
    planted_bug::Bug,
};

/// How often a lease is renewed; well within its [length](crate::infrastructure::bus::LEASE).
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// Wait before another try after the bus could not be reached.
const AWAY: Duration = Duration::from_secs(1);

/// Renews the lease for ever.
pub(super) async fn renew(consumer: Arc<Inner>) {
    let subscription = &consumer.subscription;
    let context = Context::fresh(
        &consumer.platform,
        &format!("{}-renews", subscription.group),
    );
    let subscribe = Subscribe {
        service: consumer.platform.name.to_string(),
        kinds: subscription.kinds.clone(),
    };
    loop {
        let renewed = consumer
            .bus
            .subscribe(&context, &subscription.topic, &subscribe)
            .await;
        tokio::time::sleep(if renewed.is_ok() { RENEW_EVERY } else { AWAY }).await;
    }
}

/// `POST /channels/{channel}`.
pub(super) fn router(consumers: Vec<Consumer>) -> Router {
    Router::new()
        .route("/channels/{channel}", post(hear))
        .with_state(consumers)
}

async fn hear(
    State(consumers): State<Vec<Consumer>>,
    Path(channel): Path<String>,
    Body(event): Body<Event>,
) -> Result<Json<Value>, Problem> {
    let concerned = consumers
        .iter()
        .map(|consumer| &consumer.inner)
        .filter(|inner| {
            let subscription = &inner.subscription;
            (subscription.channel || inner.bugs.has(Bug::PubsubOnly))
                && subscription.topic == channel
                && (subscription.kinds.is_empty() || subscription.kinds.contains(&event.kind))
        });
    for inner in concerned {
        let span = event.context_of(&inner.subscription.group).span();
        if let Err(error) = inner.carry_out(&event).instrument(span).await {
            dead::bury(inner, &event, &error.to_string()).await?;
        }
    }
    Ok(Json(json!({})))
}
