//! Dead letters of consumers: events that could not be handled, for a person to look at and to replay.

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use super::{
    Event,
    consumer::{Consumer, Inner, Subscription},
};
use crate::{
    kit::{Code, Listed, Page, Problem, StoreError, Table},
    planted_bug::Bug,
};

/// Key: `{group}:{event id}`.
pub const DEAD_EVENTS: Table<DeadEvent> = Table::new("dead_events");

/// An event that its group could not handle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadEvent {
    /// Of which topic.
    pub topic: String,
    /// For which group.
    pub group: String,
    /// The event.
    pub event: Event,
    /// Why it could not be handled.
    pub reason: String,
    /// When it was given up; wall clock.
    pub at_ms: u64,
    /// How often it was replayed since, in vain.
    pub replays: u32,
}

/// Keeps an event that cannot be handled, and raises the alarm.
pub(super) async fn bury(consumer: &Inner, event: &Event, reason: &str) -> Result<(), StoreError> {
    let Subscription { topic, group, .. } = &consumer.subscription;
    tracing::error!(
        kind = event.kind,
        id = event.id,
        reason,
        "event dead-lettered"
    );
    if consumer.bugs.has(Bug::DeadLetterDropped) {
        return Ok(());
    }
    let letter = DeadEvent {
        topic: topic.clone(),
        group: group.clone(),
        event: event.clone(),
        reason: reason.to_owned(),
        at_ms: consumer.platform.clock.now_ms(),
        replays: 0,
    };
    let key = format!("{group}:{}", event.id);
    consumer
        .store
        .write(move |tx| tx.put(&DEAD_EVENTS, &key, &letter))
        .await
}

/// `GET /dead-events` and `POST /dead-events/{id}/replay`.
pub(super) fn router(consumers: Vec<Consumer>) -> Router {
    Router::new()
        .route("/dead-events", get(list))
        .route("/dead-events/{id}/replay", post(replay))
        .with_state(consumers)
}

async fn list(
    State(consumers): State<Vec<Consumer>>,
    page: Page,
) -> Result<Listed<DeadEvent>, Problem> {
    let Some(consumer) = consumers.first() else {
        return Ok(Listed::default());
    };
    let store = &consumer.inner.store;
    Ok(store.read(|rows| page.of(rows, &DEAD_EVENTS))?)
}

/// Handles it once more; 200 and gone from the list if that works.
async fn replay(
    State(consumers): State<Vec<Consumer>>,
    Path(id): Path<String>,
) -> Result<Json<DeadEvent>, Problem> {
    let unknown = || {
        let detail = format!("there is no dead event {id}; see GET /dead-events");
        Code::NotFound.because(detail)
    };
    let consumer = consumers.iter().find(|consumer| {
        let group = &consumer.inner.subscription.group;
        id.strip_prefix(group.as_str())
            .is_some_and(|rest| rest.starts_with(':'))
    });
    let consumer = &consumer.ok_or_else(unknown)?.inner;
    let letter = consumer.store.read(|rows| rows.get(&DEAD_EVENTS, &id))?;
    let letter = letter.ok_or_else(unknown)?;
    let span = letter.event.context_of(&letter.group).span();
    let replayed = consumer.carry_out(&letter.event).instrument(span).await;
    let key = id.clone();
    match replayed {
        Ok(()) => {
            consumer
                .store
                .write(move |tx| tx.delete(&DEAD_EVENTS, &key))
                .await?;
            Ok(Json(letter))
        }
        Err(error) => {
            let reason = error.to_string();
            let noted = consumer.store.write(move |tx| {
                // Somebody else may have replayed it meanwhile, with more luck.
                let Some(mut letter) = tx.get(&DEAD_EVENTS, &key)? else {
                    return Ok(());
                };
                letter.replays += 1;
                letter.reason = reason;
                tx.put(&DEAD_EVENTS, &key, &letter)
            });
            noted.await?;
            Err(Code::InvalidState.because(format!("it failed again: {error}")))
        }
    }
}
