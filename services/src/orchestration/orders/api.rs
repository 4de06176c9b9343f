//! The order service's routes.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Orders,
    keys::{self, Key},
    model::Status,
    place::{Placed, Purpose, Wish},
    store::{OPEN_LETTERS, OPEN_SAGAS, OrderData, OrderRow, SAGAS},
};
use crate::kit::{
    Code, Context, Listed, Page, Problem, StoreError,
    http::{Body, IdempotencyKey},
    input::{QUANTITY, plain_id, within},
    saga::{
        Execution, SagaRecord, SagaView, Status as SagaStatus, api as dead_letters,
        workflow::api as workflow,
    },
};

/// The body of `POST /orders`. Other members, a price among them, are ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlaceOrder {
    /// Who buys.
    pub user: String,
    /// What.
    pub sku: String,
    /// Units, 1..=1000.
    pub quantity: u64,
    /// What to pay with.
    pub card: String,
    /// What the customer calls this purchase, if anything: of one basket there is one order, whatever the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basket: Option<String>,
}

/// The body of `POST /api/orders`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlaceReward {
    /// Who is rewarded.
    pub user: String,
    /// With what.
    pub sku: String,
    /// Units, 1..=1000.
    pub quantity: u64,
    /// For which completion.
    pub challenge_completion: String,
}

/// The body of `POST /api/orders/cancel`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CancelByKey {
    /// Who was to be rewarded.
    pub user: String,
    /// The idempotency key that the order was, or may have been, placed with.
    pub key: String,
}

/// The body of `PATCH /orders/{id}/status`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SetStatus {
    /// `CANCELLED`; a client can set no other.
    pub status: Status,
}

type App = State<Arc<Orders>>;

pub(super) fn router(orders: Arc<Orders>) -> Router {
    let workflows = match orders.config.execution {
        Execution::Workflow => workflow::router(orders.engine.clone(), |data| data.order_id),
        Execution::Saga => Router::new(),
    };
    Router::new()
        .route("/orders", post(place).get(list))
        .route("/orders/{id}", get(show))
        .route("/orders/{id}/status", patch(set_status))
        .route("/api/orders", post(place_reward))
        .route("/api/orders/cancel", post(cancel_by_key))
        .route("/api/orders/{id}", get(show))
        .route("/api/orders/{id}/status", patch(set_status))
        .route("/sagas", get(list_sagas))
        .route("/sagas/{id}", get(show_saga))
        .route("/sagas/rebuild", post(rebuild_sagas))
        .with_state(Arc::clone(&orders))
        .merge(dead_letters::router(orders.engine.clone()))
        .merge(workflows)
}

async fn place(
    State(orders): App,
    context: Context,
    IdempotencyKey(key): IdempotencyKey,
    Body(order): Body<PlaceOrder>,
) -> Result<Response, Problem> {
    plain_id("user", &order.user)?;
    plain_id("sku", &order.sku)?;
    plain_id("card", &order.card)?;
    within("quantity", order.quantity, QUANTITY)?;
    if let Some(basket) = &order.basket {
        plain_id("basket", basket)?;
    }
    let key = Key::new(orders.config.bugs, ("place", &order.user), &key, &order);
    let wish = Wish {
        user: order.user,
        sku: order.sku,
        quantity: order.quantity,
        purpose: Purpose::Purchase { card: order.card },
        basket: order.basket,
    };
    Ok(told(orders.place(context, key, wish).await?))
}

async fn place_reward(
    State(orders): App,
    context: Context,
    IdempotencyKey(key): IdempotencyKey,
    Body(reward): Body<PlaceReward>,
) -> Result<Response, Problem> {
    plain_id("user", &reward.user)?;
    plain_id("sku", &reward.sku)?;
    plain_id("challenge_completion", &reward.challenge_completion)?;
    within("quantity", reward.quantity, QUANTITY)?;
    let key = Key::new(orders.config.bugs, (REWARD, &reward.user), &key, &reward);
    let wish = Wish {
        user: reward.user,
        sku: reward.sku,
        quantity: reward.quantity,
        purpose: Purpose::Reward {
            challenge_completion: reward.challenge_completion,
        },
        basket: None,
    };
    Ok(told(orders.place(context, key, wish).await?))
}

/// The operation that rewards' keys are scoped to.
const REWARD: &str = "reward";

async fn cancel_by_key(
    State(orders): App,
    context: Context,
    Body(cancel): Body<CancelByKey>,
) -> Result<Response, Problem> {
    plain_id("user", &cancel.user)?;
    let IdempotencyKey(key) = IdempotencyKey::new(&cancel.key)?;
    let key = keys::id(REWARD, &cancel.user, &key);
    Ok(match orders.cancel_by_key(&context, key).await? {
        Some(order) => cancelled(order),
        None => Json(json!({ "status": Status::Cancelled })).into_response(),
    })
}

async fn set_status(
    State(orders): App,
    context: Context,
    Path(id): Path<String>,
    Body(wanted): Body<SetStatus>,
) -> Result<Response, Problem> {
    if wanted.status != Status::Cancelled {
        return Err(invalid(
            "status can be set to CANCELLED only; every other change is the saga's",
        ));
    }
    Ok(cancelled(orders.cancel(&context, &id).await?))
}

async fn show(State(orders): App, Path(id): Path<String>) -> Result<Json<OrderRow>, Problem> {
    Ok(Json(orders.order(&id)?))
}

#[derive(Deserialize)]
struct OfUser {
    user: Option<String>,
}

async fn list(
    State(orders): App,
    Query(OfUser { user }): Query<OfUser>,
    page: Page,
) -> Result<Listed<OrderRow>, Problem> {
    let user = user.ok_or_else(|| invalid("say whose orders: /orders?user=..."))?;
    plain_id("user", &user)?;
    Ok(orders.orders_of(&user, &page)?)
}

async fn show_saga(State(orders): App, Path(id): Path<String>) -> Result<Json<SagaView>, Problem> {
    let saga = orders.shown(orders.engine.read(&id))?;
    let missing = || Code::NotFound.because(format!("there is no saga {id}"));
    Ok(Json(view(saga.ok_or_else(missing)?)))
}

/// Makes the sagas' rows anew from their facts, where those are kept. Repeating it does no harm.
async fn rebuild_sagas(State(orders): App) -> Result<Json<Value>, Problem> {
    let sagas = orders.engine.rebuild(|_| Ok(()), |_, _| Ok(())).await?;
    Ok(Json(json!({ "sagas": sagas })))
}

fn view(saga: SagaRecord<OrderData>) -> SagaView {
    SagaView::of(saga, |data| data.order_id)
}

#[derive(Deserialize)]
struct OfStatus {
    status: Option<SagaStatus>,
}

/// The journal grows for ever: those that have not ended are found by their marks and open dead letters, and the others
/// are read until the page is full.
async fn list_sagas(
    State(orders): App,
    Query(OfStatus { status }): Query<OfStatus>,
    page: Page,
) -> Result<Listed<SagaView>, Problem> {
    let wanted = |saga: &SagaRecord<_>| status.is_none_or(|status| saga.status == status);
    let sagas = orders.store.read(|tx| {
        let ids: BTreeSet<String> = match status {
            Some(status) if status.is_open() => keys(tx.scan(&OPEN_SAGAS, "")?),
            Some(SagaStatus::NeedsAttention) => keys(tx.scan(&OPEN_LETTERS, "")?),
            _ => {
                let sagas = page.read(tx, &SAGAS, "", wanted)?;
                return Ok::<_, StoreError>(sagas.map(|(_, saga)| saga));
            }
        };
        page.among(tx, &ids, &SAGAS, wanted)
    })?;
    Ok(sagas.map(view))
}

fn keys<V>(rows: Vec<(String, V)>) -> BTreeSet<String> {
    rows.into_iter().map(|(key, _)| key).collect()
}

/// 201 with the order once the saga has ended; 202 with the order as it is, until then.
fn told(placed: Placed) -> Response {
    match placed {
        Placed::Ended(answer) => {
            let id = answer.body["id"].as_str().map(str::to_owned);
            located(id, answer.into_response())
        }
        Placed::UnderWay(order) => under_way(*order),
    }
}

fn cancelled(order: OrderRow) -> Response {
    match order.status {
        Status::Cancelled => Json(order).into_response(),
        _ => under_way(order),
    }
}

fn under_way(order: OrderRow) -> Response {
    let id = order.id.clone();
    located(
        Some(id),
        (StatusCode::ACCEPTED, Json(order)).into_response(),
    )
}

/// Says where to look for the order.
fn located(order_id: Option<String>, mut response: Response) -> Response {
    let location = order_id.and_then(|id| HeaderValue::from_str(&format!("/orders/{id}")).ok());
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn invalid(detail: &str) -> Problem {
    Code::InvalidRequest.because(detail)
}
