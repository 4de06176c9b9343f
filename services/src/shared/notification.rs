//! Notifications: a stand-in for the messengers, which keeps what was sent to whom.
//!
//! It is told of events by webhook, or listens to the bus. An event is told once however often it arrives: a
//! webhook's id is the message's, and what is heard on the bus is known by the inbox.

mod listen;
pub mod store;

use std::{io, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde::Deserialize;

use crate::{
    kit::{
        self, Code, Listed, Page, Problem, Store, events::Event, http::Body,
        stub_faults::StubFaults,
    },
    ports::Platform,
    service::{Service, service},
};
use store::{SENT, Sent};

pub use listen::Listens;

/// The service, as topologies list it.
pub const SERVICE: Service = service!("notification", ["/messages", "/notifications"]);

/// How the service is set up.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Its faults, as set from outside.
    pub faults: StubFaults,
    /// What it listens to, if anything.
    pub listens: Option<Listens>,
}

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, store::FILE).await?;
    let heard = match config.listens {
        Some(listens) => listen::join(&platform, &store, listens).await?,
        None => Router::new(),
    };
    let faults = config.faults;
    let router = Router::new()
        .route("/events", post(tell))
        .route("/messages", get(list))
        .with_state(Arc::new(Messenger { store, faults }))
        .merge(heard);
    kit::http::serve(&platform, router).await
}

struct Messenger {
    store: Store,
    faults: StubFaults,
}

type App = State<Arc<Messenger>>;

/// Whom a message about an event goes to.
#[derive(Deserialize)]
struct Concerns {
    user: String,
    order: String,
}

async fn tell(State(app): App, Body(event): Body<Event>) -> Result<Json<Sent>, Problem> {
    app.faults.strike().await?;
    let concerns = Concerns::deserialize(&event.body);
    let Concerns { user, order } = concerns.map_err(|error| {
        let detail = format!("the event's body must have a user and an order: {error}");
        Code::InvalidRequest.because(detail)
    })?;
    let sent = app.store.write(move |tx| {
        if let Some(sent) = tx.get(&SENT, &event.id)? {
            return Ok::<_, Problem>(sent);
        }
        let sent = Sent {
            to: user,
            text: format!("{}: {order}", event.kind),
            occurred_ms: event.occurred_ms,
        };
        tx.put(&SENT, &event.id, &sent)?;
        Ok(sent)
    });
    sent.await.map(Json)
}

async fn list(State(app): App, page: Page) -> Result<Listed<Sent>, Problem> {
    Ok(app.store.read(|rows| page.of(rows, &SENT))?)
}
