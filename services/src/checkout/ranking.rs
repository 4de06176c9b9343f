//! The ranking of products by units sold, from what it is told after orders have completed.
//!
//! An event counts once however often it arrives: that it was counted is kept in the commit that counts it.

pub mod store;

use std::{cmp::Reverse, io, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde::Deserialize;

use crate::{
    kit::{
        self, Code, Problem, Store, events::Event, http::Body, input::QUANTITY,
        stub_faults::StubFaults,
    },
    ports::Platform,
    service::{Service, service},
};
use store::{COUNTED, Counted, RANKS, Rank};

/// The service, as topologies list it.
pub const SERVICE: Service = service!("ranking", ["/ranking"]);

/// Serves until the process ends.
pub async fn run(platform: Platform, faults: StubFaults) -> io::Result<()> {
    let store = Store::open(&platform, store::FILE).await?;
    let router = Router::new()
        .route("/events", post(count))
        .route("/ranking", get(list))
        .with_state(Arc::new(Ranking { store, faults }));
    kit::http::serve(&platform, router).await
}

struct Ranking {
    store: Store,
    faults: StubFaults,
}

type App = State<Arc<Ranking>>;

/// What a `ProductRankingUpdate` says.
#[derive(Deserialize)]
struct Update {
    product: String,
    quantity: u64,
}

async fn count(State(app): App, Body(event): Body<Event>) -> Result<Json<Rank>, Problem> {
    app.faults.strike().await?;
    let update = Update::deserialize(&event.body)
        .ok()
        .filter(|update| QUANTITY.contains(&update.quantity));
    let Update { product, quantity } = update.ok_or_else(|| {
        let detail = "the event's body must have a product and a quantity";
        Code::InvalidRequest.because(detail)
    })?;
    let counted = app.store.write(move |tx| {
        let known = tx.get(&RANKS, &product)?;
        let mut rank = known.unwrap_or(Rank { product, sold: 0 });
        if tx.get(&COUNTED, &event.id)?.is_none() {
            rank.sold += quantity;
            tx.put(&RANKS, &rank.product, &rank)?;
            let at_ms = event.occurred_ms;
            tx.put(&COUNTED, &event.id, &Counted { at_ms })?;
        }
        Ok::<_, Problem>(rank)
    });
    counted.await.map(Json)
}

/// The products, best sold first.
async fn list(State(app): App) -> Result<Json<Vec<Rank>>, Problem> {
    let rows = app.store.read(|rows| rows.scan(&RANKS, ""))?;
    let mut ranks: Vec<Rank> = rows.into_iter().map(|(_, rank)| rank).collect();
    ranks.sort_by_key(|rank| Reverse(rank.sold));
    Ok(Json(ranks))
}
