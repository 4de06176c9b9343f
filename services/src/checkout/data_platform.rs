//! A stand-in for the data platform: it keeps every completed order that it is told of, once.

use std::{io, sync::Arc};

use axum::{Json, Router, extract::State, routing::post};

use crate::{
    kit::{
        self, Listed, Page, Problem, Store, Table, events::Event, http::Body,
        stub_faults::StubFaults,
    },
    ports::Platform,
    service::{Service, service},
};

/// The service, as topologies list it.
pub const SERVICE: Service = service!("dataplatform", ["/events"]);

/// The database's file.
pub const FILE: &str = "dataplatform.redb";

/// Everything it was told, by event id.
pub const FACTS: Table<Event> = Table::new("facts");

/// Serves until the process ends.
pub async fn run(platform: Platform, faults: StubFaults) -> io::Result<()> {
    let store = Store::open(&platform, FILE).await?;
    let router = Router::new()
        .route("/events", post(take).get(list))
        .with_state(Arc::new(Platforms { store, faults }));
    kit::http::serve(&platform, router).await
}

struct Platforms {
    store: Store,
    faults: StubFaults,
}

type App = State<Arc<Platforms>>;

async fn take(State(app): App, Body(event): Body<Event>) -> Result<Json<Event>, Problem> {
    app.faults.strike().await?;
    let kept = event.clone();
    app.store
        .write(move |tx| match tx.get(&FACTS, &kept.id)? {
            Some(_) => Ok::<_, Problem>(()),
            None => Ok(tx.put(&FACTS, &kept.id, &kept)?),
        })
        .await?;
    Ok(Json(event))
}

async fn list(State(app): App, page: Page) -> Result<Listed<Event>, Problem> {
    Ok(app.store.read(|rows| page.of(rows, &FACTS))?)
}
