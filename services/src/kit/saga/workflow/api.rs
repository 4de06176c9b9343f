//! The routes by which a person sees how workflows get on, and restarts one.
//!
//! To *restart* is to run the function again against the same journal, now: what was done is answered from the journal,
//! and the work goes on behind it, with all its tries. That is the sense of DBOS's *resume*
//! (<https://docs.dbos.dev/java/tutorials/workflow-management>), which is for workflows that have spent their tries. It
//! is not a second run that begins anew (Temporal's *reset*, DBOS's *fork*): one order has one workflow.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;

use super::{WorkflowDetail, WorkflowView};
use crate::kit::{
    Code, Listed, Page, Problem, Reader, StoreError,
    saga::{Engine, Saga, SagaRecord, SagaView, Status, table},
};

type OrderOf<S> = fn(<S as Saga>::Data) -> String;
type App<S> = State<Arc<(Engine<S>, OrderOf<S>)>>;

/// `GET /workflows`, `GET /workflows/{id}` and `POST /workflows/{id}/restart` (202), for the service that owns the engine.
/// `order_of` says whose order a workflow is.
pub fn router<S: Saga>(engine: Engine<S>, order_of: OrderOf<S>) -> Router {
    Router::new()
        .route("/workflows", get(list::<S>))
        .route("/workflows/{id}", get(show::<S>))
        .route("/workflows/{id}/restart", post(restart::<S>))
        .with_state(Arc::new((engine, order_of)))
}

#[derive(Deserialize)]
struct OfStatus {
    status: Option<Status>,
}

async fn list<S: Saga>(
    State(app): App<S>,
    Query(OfStatus { status }): Query<OfStatus>,
    page: Page,
) -> Result<Listed<WorkflowView>, Problem> {
    let (engine, order_of) = &*app;
    let wanted = |saga: &SagaRecord<S::Data>| status.is_none_or(|status| saga.status == status);
    let sagas = engine.0.store.read(|rows| {
        let sagas = page.read(rows, &table::<S::Data>(), "", wanted)?;
        sagas.try_map(|(_, saga)| view(engine, *order_of, rows, saga))
    });
    Ok(sagas?)
}

async fn show<S: Saga>(
    State(app): App<S>,
    Path(id): Path<String>,
) -> Result<Json<WorkflowDetail>, Problem> {
    let (engine, order_of) = &*app;
    let missing = || Code::NotFound.because(format!("there is no workflow {id}"));
    let (saga, history) = engine.history(&id)?.ok_or_else(missing)?;
    Ok(Json(WorkflowDetail {
        workflow: engine
            .0
            .store
            .read(|rows| view(engine, *order_of, rows, saga))?,
        history,
    }))
}

async fn restart<S: Saga>(
    State(app): App<S>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<WorkflowView>), Problem> {
    let (engine, order_of) = &*app;
    engine.restart(&id).await?;
    let missing = || Code::NotFound.because(format!("there is no workflow {id}"));
    let saga = engine.read(&id)?.ok_or_else(missing)?;
    let view = |rows: &Reader| view(engine, *order_of, rows, saga);
    Ok((StatusCode::ACCEPTED, Json(engine.0.store.read(view)?)))
}

fn view<S: Saga>(
    engine: &Engine<S>,
    order_of: OrderOf<S>,
    rows: &Reader,
    saga: SagaRecord<S::Data>,
) -> Result<WorkflowView, StoreError> {
    Ok(WorkflowView {
        waits_for: engine.waits_for(rows, &saga)?,
        saga: SagaView::of(saga, order_of),
    })
}
