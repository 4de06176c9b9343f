//! The routes by which a person finds and redrives sagas that need attention.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};

use super::{DeadLetter, Engine, Saga};
use crate::kit::{Listed, Page, Problem};

/// `GET /dead-letters` and `POST /dead-letters/{id}/redrive` (202), for the service that owns the engine.
pub fn router<S: Saga>(engine: Engine<S>) -> Router {
    Router::new()
        .route("/dead-letters", get(list::<S>))
        .route("/dead-letters/{id}/redrive", post(redrive::<S>))
        .with_state(engine)
}

async fn list<S: Saga>(
    State(engine): State<Engine<S>>,
    page: Page,
) -> Result<Listed<DeadLetter>, Problem> {
    Ok(engine.dead_letters(&page)?)
}

async fn redrive<S: Saga>(
    State(engine): State<Engine<S>>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<DeadLetter>), Problem> {
    let letter = engine.redrive(&id).await?;
    Ok((StatusCode::ACCEPTED, Json(letter)))
}
