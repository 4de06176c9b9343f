//! The gateway's HTTP interface. Every `POST` requires an `Idempotency-Key`.

use std::{collections::BTreeMap, future::pending, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Answer, Fault, Operation, Rule,
    work::{Provider, Request, broken},
};
use crate::kit::{
    Code, Context, Problem,
    http::{Body, IdempotencyKey},
};

/// What the gateway's behaviour is and was: `GET /behaviour`.
#[derive(Clone, Debug, Serialize)]
struct BehaviourView {
    rules: Vec<Rule>,
    applied: BTreeMap<&'static str, u64>,
    calls: usize,
    calls_max: usize,
}

pub(super) fn router(provider: Arc<Provider>) -> Router {
    Router::new()
        .route("/authorizations", operation(Request::Authorize))
        .route("/charges", operation(Request::Charge))
        .route("/captures", operation(Request::Capture))
        .route("/voids", operation(Request::Void))
        .route("/refunds", operation(Request::Refund))
        .route("/payments/{reference}", get(payments))
        .route("/requests/{key}", get(request))
        .route("/behaviour", get(behaviour).put(behave))
        .with_state(provider)
}

type App = State<Arc<Provider>>;

/// Serves one kind of request.
fn operation<T>(request: fn(T) -> Request) -> MethodRouter<Arc<Provider>>
where
    T: DeserializeOwned + Send + 'static,
{
    let handler =
        move |State(provider): App, context: Context, key: IdempotencyKey, Body(body): Body<T>| {
            serve(provider, context, key, request(body))
        };
    post(handler)
}

async fn serve(
    provider: Arc<Provider>,
    context: Context,
    IdempotencyKey(key): IdempotencyKey,
    request: Request,
) -> Response {
    let _call = provider.behaviour().enter();
    let fault = provider.behaviour().draw(request.operation());
    match fault {
        Some(Fault::Throttle) => return throttled().into_response(),
        Some(Fault::TimeoutBefore) => pending().await,
        _ => {}
    }
    let answer = provider.clone().serve(context, key, request, fault).await;
    if fault == Some(Fault::TimeoutAfter) {
        pending::<()>().await;
    }
    match answer {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// All entries of a reference, oldest first.
async fn payments(State(provider): App, Path(reference): Path<String>) -> Response {
    lookup(&provider, || provider.entries(&reference)).await
}

/// What the gateway answered to a key, for callers who got an error and must know whether it is final: a stored answer
/// of 400 or more says that nothing was done and never will be under this key. 404 says that no answer is stored:
/// ask again with the same key.
async fn request(State(provider): App, Path(key): Path<String>) -> Response {
    lookup(&provider, || provider.answer(&key)).await
}

async fn lookup<T: Serialize>(
    provider: &Provider,
    look: impl FnOnce() -> Result<T, Problem>,
) -> Response {
    let _call = provider.behaviour().enter();
    match provider.behaviour().draw(Operation::Lookup) {
        Some(Fault::Throttle) => return throttled().into_response(),
        Some(Fault::Error) => return broken().into_response(),
        Some(Fault::TimeoutBefore | Fault::TimeoutAfter) => pending().await,
        Some(Fault::Slow(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::LateDuplicateWebhook(_)) | None => {}
    }
    match look() {
        Ok(found) => Json(found).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn behaviour(State(provider): App) -> impl IntoResponse {
    let behaviour = provider.behaviour();
    Json(BehaviourView {
        rules: behaviour.rules(),
        applied: behaviour.applied(),
        calls: behaviour.calls(),
        calls_max: behaviour.calls_max(),
    })
}

async fn behave(State(provider): App, Body(rules): Body<Vec<Rule>>) -> impl IntoResponse {
    provider.behaviour().replace(rules);
    behaviour(State(provider)).await
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = if status.is_success() {
            "application/json"
        } else {
            "application/problem+json"
        };
        (
            status,
            [(header::CONTENT_TYPE, kind)],
            self.body.to_string(),
        )
            .into_response()
    }
}

fn throttled() -> Problem {
    Code::TooManyRequests.because("too many requests; ask again later with the same key")
}
