//! The checkout service's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Checkouts,
    place::{PlaceOrder, Placed},
    store::{CheckoutData, FACTS, ORDERS, ORDERS_OF_USER, OrderRow},
};
use crate::kit::{
    Code, Context, Listed, Page, Problem,
    http::{Body, IdempotencyKey},
    input::{QUANTITY, plain_id, within},
    outbox,
    saga::{
        SagaView, api as dead_letters,
        facts::{self, FactRow},
    },
};

type App = State<Arc<Checkouts>>;

pub(super) fn router(checkouts: Arc<Checkouts>) -> Router {
    Router::new()
        .route("/checkouts", post(place).get(list))
        .route("/checkouts/{id}", get(show))
        .route("/checkouts/{id}/facts", get(show_facts))
        .route("/sagas/{id}", get(show_saga))
        .route("/projections/orders/rebuild", post(rebuild))
        .with_state(Arc::clone(&checkouts))
        .merge(dead_letters::router(checkouts.engine.clone()))
        .merge(outbox::api::router(
            checkouts.engine.saga().events.outbox().clone(),
        ))
}

async fn place(
    State(checkouts): App,
    context: Context,
    IdempotencyKey(key): IdempotencyKey,
    Body(wish): Body<PlaceOrder>,
) -> Result<Response, Problem> {
    plain_id("user", &wish.user)?;
    plain_id("sku", &wish.sku)?;
    within("quantity", wish.quantity, QUANTITY)?;
    if let Some(coupon) = &wish.coupon {
        plain_id("coupon", coupon)?;
    }
    Ok(match checkouts.place(context, &key, wish).await? {
        Placed::Ended(answer) => {
            let id = answer.body["id"].as_str().map(str::to_owned);
            located(id, answer.into_response())
        }
        Placed::UnderWay(order) => {
            let id = order.id.clone();
            located(
                Some(id),
                (StatusCode::ACCEPTED, Json(order)).into_response(),
            )
        }
    })
}

async fn show(State(checkouts): App, Path(id): Path<String>) -> Result<Json<OrderRow>, Problem> {
    Ok(Json(checkouts.order(&id)?))
}

/// What happened to an order, where that is kept.
async fn show_facts(
    State(checkouts): App,
    Path(id): Path<String>,
) -> Result<Json<Vec<FactRow<CheckoutData>>>, Problem> {
    let order = checkouts.order(&id)?;
    let stream = facts::stream(&order.saga_id);
    let rows = checkouts.store.read(|rows| rows.scan(&FACTS, &stream))?;
    Ok(Json(rows.into_iter().map(|(_, fact)| fact).collect()))
}

#[derive(Deserialize)]
struct OfUser {
    user: Option<String>,
}

async fn list(
    State(checkouts): App,
    Query(OfUser { user }): Query<OfUser>,
    page: Page,
) -> Result<Listed<OrderRow>, Problem> {
    let user = user.ok_or_else(|| {
        let detail = "say whose orders: /checkouts?user=...";
        Code::InvalidRequest.because(detail)
    })?;
    plain_id("user", &user)?;
    let index = (&ORDERS_OF_USER, &*format!("{user}/"));
    let store = &checkouts.store;
    Ok(store.read(|rows| page.through(rows, index, &ORDERS))?)
}

async fn show_saga(
    State(checkouts): App,
    Path(id): Path<String>,
) -> Result<Json<SagaView>, Problem> {
    let saga = checkouts.engine.read(&id)?;
    let missing = || Code::NotFound.because(format!("there is no saga {id}"));
    let saga = saga.ok_or_else(missing)?;
    Ok(Json(SagaView::of(saga, |data| data.order_id)))
}

/// Makes the read side anew from the event store.
async fn rebuild(State(checkouts): App) -> Result<Json<Value>, Problem> {
    let sagas = checkouts.rebuild().await?;
    Ok(Json(json!({ "orders": sagas })))
}

/// Says where to look for the order.
fn located(order_id: Option<String>, mut response: Response) -> Response {
    let location = order_id.and_then(|id| HeaderValue::from_str(&format!("/checkouts/{id}")).ok());
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
