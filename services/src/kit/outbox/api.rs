//! The routes by which a person looks at an outbox and redrives its dead letters.

use axum::{
    Json, Router,
    extract::{Path, State as App},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{DEAD_LETTERS, OUTBOX, Outbox, Row, State};
use crate::kit::{Code, Listed, Page, Problem, Reader, StoreError};

/// How many rows are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that wait.
    pub pending: usize,
    /// Rows that a poller has in hand.
    pub processing: usize,
    /// Rows that were given up.
    pub dead_letters: usize,
    /// Alerts raised since the process began.
    pub alerts: u64,
}

/// A dead letter and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// What redrives it: `POST /outbox/dead-letters/{key}/redrive`.
    pub key: String,
    /// The row.
    #[serde(flatten)]
    pub row: Row,
}

/// `GET /outbox`, `GET /outbox/dead-letters` and `POST /outbox/dead-letters/{key}/redrive` (202), for the service that
/// owns the outbox.
pub fn router(outbox: Outbox) -> Router {
    Router::new()
        .route("/outbox", get(count))
        .route("/outbox/dead-letters", get(list))
        .route("/outbox/dead-letters/{key}/redrive", post(redrive))
        .with_state(outbox)
}

async fn count(App(outbox): App<Outbox>) -> Result<Json<Counts>, Problem> {
    let (open, dead) = outbox.inner.store.read(|rows| {
        let open = rows.scan(&OUTBOX, "")?;
        Ok::<_, StoreError>((open, rows.scan(&DEAD_LETTERS, "")?))
    })?;
    let pending = open.iter().filter(|(_, row)| row.state == State::Pending);
    let pending = pending.count();
    Ok(Json(Counts {
        pending,
        processing: open.len() - pending,
        dead_letters: dead.len(),
        alerts: outbox.alerts(),
    }))
}

async fn list(App(outbox): App<Outbox>, page: Page) -> Result<Listed<DeadLetter>, Problem> {
    let read = |rows: &Reader| page.read(rows, &DEAD_LETTERS, "", |_| true);
    let letters = outbox.inner.store.read(read)?;
    Ok(letters.map(|(key, row)| DeadLetter { key, row }))
}

/// Puts the row back into the outbox, under its old key, with all its tries before it.
async fn redrive(
    App(outbox): App<Outbox>,
    Path(key): Path<String>,
) -> Result<(StatusCode, Json<DeadLetter>), Problem> {
    let now_ms = outbox.inner.platform.clock.now_ms();
    let redriven = outbox.inner.store.write(move |tx| {
        let Some(mut row) = tx.get(&DEAD_LETTERS, &key)? else {
            let detail = format!("there is no dead letter {key}; see GET /outbox/dead-letters");
            return Err(Code::NotFound.because(detail));
        };
        row.state = State::Pending;
        row.attempts = 0;
        row.redriven += 1;
        row.changed_ms = now_ms;
        tx.delete(&DEAD_LETTERS, &key)?;
        tx.put(&OUTBOX, &key, &row)?;
        Ok(DeadLetter { key, row })
    });
    let letter = redriven.await?;
    tracing::info!(kind = letter.row.event.kind, "outbox row redriven");
    Ok((StatusCode::ACCEPTED, Json(letter)))
}
