//! The bus's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Bus;
use crate::kit::{
    Code, Problem,
    bus::{Delivery, Event, Outcome, Read, Subscribe},
    http::Body,
    input::{plain_id, within},
    lock,
};

/// Most events in one answer.
const READ_MAX: u64 = 64;
/// The longest wait of a read.
const WAIT_MS_MAX: u64 = 60_000;
/// The longest wait before an event is delivered again: until then its partition stands still for the group.
const RETRY_MS_MAX: u64 = 3_600_000;

/// The answer to `POST /streams/{topic}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// Where the event is.
    pub offset: u64,
    /// Whether it was there before.
    pub duplicate: bool,
}

/// A group, as `GET /streams/{topic}` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// Its name.
    pub group: String,
    /// Events that it has not passed or settled yet; those that do not concern it count too until it passes them.
    pub behind: usize,
    /// Offsets that are delivered and not settled.
    pub pending: Vec<u64>,
}

type App = State<Arc<Bus>>;

pub(super) fn router(bus: Arc<Bus>) -> Router {
    Router::new()
        .route("/streams/{topic}", post(append).get(show))
        .route("/streams/{topic}/groups/{group}/read", post(read))
        .route("/channels/{channel}", post(publish))
        .route("/channels/{channel}/subscriptions", post(subscribe))
        .route("/memory/{key}", get(recall).put(remember))
        .with_state(bus)
}

async fn append(
    State(bus): App,
    Path(topic): Path<String>,
    Body(event): Body<Event>,
) -> Result<Json<Appended>, Problem> {
    check(&topic, &event)?;
    let (offset, duplicate) = bus.append(&topic, event).await?;
    Ok(Json(Appended { offset, duplicate }))
}

async fn read(
    State(bus): App,
    Path((topic, group)): Path<(String, String)>,
    Body(request): Body<Read>,
) -> Result<Json<Vec<Delivery>>, Problem> {
    plain_id("topic", &topic)?;
    plain_id("group", &group)?;
    plain_id("consumer", &request.consumer)?;
    within("max", request.max as u64, 0..=READ_MAX)?;
    within("wait_ms", request.wait_ms, 0..=WAIT_MS_MAX)?;
    for settled in &request.settled {
        if let Outcome::RetryAfterMs(wait) = settled.outcome {
            within("retry-after-ms", wait, 0..=RETRY_MS_MAX)?;
        }
    }
    bus.read(&topic, &group, request).await.map(Json)
}

async fn show(State(bus): App, Path(topic): Path<String>) -> Json<Vec<GroupView>> {
    let log = lock(&bus.log);
    let Some(topic) = log.known(&topic) else {
        return Json(Vec::new());
    };
    let view = |(name, place): (&String, &super::log::Place)| GroupView {
        group: name.clone(),
        behind: topic.behind(name),
        pending: place.stored.pending.values().map(|p| p.offset).collect(),
    };
    Json(topic.groups.iter().map(view).collect())
}

async fn publish(
    State(bus): App,
    Path(channel): Path<String>,
    Body(event): Body<Event>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    check(&channel, &event)?;
    let told = bus
        .channels
        .publish(&channel, &event, &bus.config.behaviour);
    Ok((StatusCode::ACCEPTED, Json(json!({ "subscribers": told }))))
}

async fn subscribe(
    State(bus): App,
    Path(channel): Path<String>,
    Body(subscribe): Body<Subscribe>,
) -> Result<Json<Value>, Problem> {
    plain_id("channel", &channel)?;
    plain_id("service", &subscribe.service)?;
    bus.channels.subscribe(&channel, subscribe);
    Ok(Json(json!({})))
}

async fn remember(
    State(bus): App,
    Path(key): Path<String>,
    Body(value): Body<Value>,
) -> Result<Json<Value>, Problem> {
    plain_id("key", &key)?;
    let mut memory = lock(&bus.memory);
    memory.insert(key, value);
    Ok(Json(json!({})))
}

async fn recall(State(bus): App, Path(key): Path<String>) -> Result<Json<Value>, Problem> {
    let memory = lock(&bus.memory);
    let value = memory.get(&key).cloned();
    value.map(Json).ok_or_else(|| {
        let detail = format!("nothing is remembered of {key} since the bus was started");
        Code::NotFound.because(detail)
    })
}

fn check(topic: &str, event: &Event) -> Result<(), Problem> {
    plain_id("topic", topic)?;
    plain_id("id", &event.id)?;
    plain_id("kind", &event.kind)?;
    plain_id("key", &event.key)
}
