//! Listening to the bus. A message that was sent cannot be taken back, and nothing but the inbox keeps it from being sent
//! twice.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Router,
    extract::{Query, State},
    routing::get,
};
use serde::Deserialize;

use super::store::{MESSAGES, Message};
use crate::{
    kit::{
        Listed, Page, Problem, Store, StoreError,
        bus::{Event, Handler, HandlerError},
        input::plain_id,
        member::{Member, Settings},
    },
    ports::Platform,
};

/// What is listened to.
#[derive(Clone, Debug, Default)]
pub struct Listens {
    /// How it takes part in the choreography.
    pub settings: Settings,
    /// The topic.
    pub topic: String,
    /// The events that are worth a message. Their body has the member `user_id`.
    pub kinds: Vec<String>,
}

/// Listens from now on; the routes that come with it.
pub(super) async fn join(
    platform: &Platform,
    store: &Store,
    listens: Listens,
) -> Result<Router, StoreError> {
    let member = Member::join(platform, store, &listens.topic, &listens.settings).await?;
    let listener = Arc::new(Listener {
        member: member.clone(),
    });
    let kinds: Vec<&str> = listens.kinds.iter().map(String::as_str).collect();
    let events = member.hear(&kinds, listener.clone());
    Ok(Router::new()
        .route("/notifications", get(list))
        .with_state(listener)
        .merge(events))
}

struct Listener {
    member: Member,
}

#[derive(Deserialize)]
struct Addressed {
    user_id: String,
}

#[async_trait]
impl Handler for Listener {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let Addressed { user_id } = event.body()?;
        let platform = self.member.platform();
        let message = Message {
            user_id,
            event_id: event.id.clone(),
            text: format!("{}: {}", event.key, event.kind),
            at_ms: platform.clock.now_ms(),
        };
        let id = format!("MSG-{:016X}", platform.random.next_u64());
        let sent = self.member.once(event, move |tx, _| {
            tracing::info!(user = message.user_id, text = message.text, "message sent");
            Ok(tx.put(&MESSAGES, &id, &message)?)
        });
        sent.await
    }
}

#[derive(Deserialize)]
struct OfUser {
    user: Option<String>,
}

async fn list(
    State(listener): State<Arc<Listener>>,
    Query(OfUser { user }): Query<OfUser>,
    page: Page,
) -> Result<Listed<Message>, Problem> {
    if let Some(user) = &user {
        plain_id("user", user)?;
    }
    let wanted = |message: &Message| user.as_ref().is_none_or(|user| message.user_id == *user);
    let store = listener.member.store();
    let found = store.read(|rows| page.read(rows, &MESSAGES, "", wanted))?;
    Ok(found.map(|(_, message)| message))
}
