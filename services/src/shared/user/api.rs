//! The user service's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Users,
    commands::{Reserve, unknown_user},
    store::{RESERVATIONS, Reservation, USERS, User},
};
use crate::kit::{
    Code, Listed, Page, Problem,
    http::{Body, IdempotencyKey},
    idempotency::{Request, StoredAnswer},
    input::{AMOUNT_MAX, plain_id, within},
    reservation::Reserving,
};

/// Longest name, in bytes.
const NAME_MAX: u64 = 200;

/// The body of `PUT /users/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The name.
    pub name: String,
    /// The first balance, in won.
    pub balance: u64,
}

/// The body of `PATCH /users/{id}`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// Whether they may buy.
    pub active: bool,
}

/// The body of `POST /users/{id}/credits`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credit {
    /// In won, at least 1.
    pub amount: u64,
}

/// The body of `POST /balance-reservations/{saga_id}/release`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Whose balance the saga had asked for, or meant to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

type App = State<Arc<Users>>;

pub(super) fn router(users: Arc<Users>) -> Router {
    Router::new()
        .route("/users", get(list))
        .route("/users/{id}", get(show).put(create).patch(patch))
        .route("/users/{id}/balance", get(balance))
        .route("/users/{id}/credits", post(credit))
        .route("/balance-reservations", post(reserve))
        .route("/balance-reservations/{saga_id}", get(show_reservation))
        .route("/balance-reservations/{saga_id}/confirm", post(confirm))
        .route("/balance-reservations/{saga_id}/release", post(release))
        .with_state(users)
}

async fn list(State(users): App, page: Page) -> Result<Listed<User>, Problem> {
    Ok(users.store.read(|rows| page.of(rows, &USERS))?)
}

async fn show(State(users): App, Path(id): Path<String>) -> Result<Json<User>, Problem> {
    let user = users.store.read(|rows| rows.get(&USERS, &id))?;
    user.map(Json).ok_or_else(|| unknown_user(&id))
}

async fn balance(State(users): App, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let user = users.store.read(|rows| rows.get(&USERS, &id))?;
    let user = user.ok_or_else(|| unknown_user(&id))?;
    Ok(Json(json!({
        "user": user.id,
        "balance": user.balance.available,
        "reserved": user.balance.reserved,
    })))
}

async fn create(
    State(users): App,
    Path(id): Path<String>,
    Body(Create { name, balance }): Body<Create>,
) -> Result<Json<User>, Problem> {
    plain_id("id", &id)?;
    within("the length of name", name.len() as u64, 1..=NAME_MAX)?;
    within("balance", balance, 0..=AMOUNT_MAX.unsigned_abs())?;
    let created = users.change(move |users| users.create(&id, &name, balance));
    created.await.map(Json)
}

async fn patch(
    State(users): App,
    Path(id): Path<String>,
    Body(Patch { active }): Body<Patch>,
) -> Result<Json<User>, Problem> {
    let changed = users.change(move |users| users.set_active(&id, active));
    changed.await.map(Json)
}

async fn credit(
    State(users): App,
    key: IdempotencyKey,
    Path(id): Path<String>,
    Body(Credit { amount }): Body<Credit>,
) -> Result<StoredAnswer, Problem> {
    within("amount", amount, 1..=AMOUNT_MAX.unsigned_abs())?;
    let request = Request::new("credit", key, &(&id, amount));
    users
        .once(request, StatusCode::OK, move |users| {
            users.credit(&id, amount)
        })
        .await
}

/// The body of `POST /balance-reservations`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bill {
    saga_id: String,
    order_id: String,
    user: String,
    /// Won, at least 1.
    amount: u64,
    /// What the shop gives back of it.
    #[serde(default)]
    rebate: u64,
}

impl Bill {
    /// What is to be set aside.
    fn net(self) -> Result<Reserve, Problem> {
        if self.rebate > 0 && self.rebate >= self.amount {
            let detail = "`rebate` must be less than `amount`";
            return Err(Code::InvalidRequest.because(detail));
        }
        Ok(Reserve {
            saga_id: self.saga_id,
            order_id: self.order_id,
            user: self.user,
            amount: self.amount - self.rebate,
        })
    }
}

async fn reserve(
    State(users): App,
    key: IdempotencyKey,
    Body(bill): Body<Bill>,
) -> Result<StoredAnswer, Problem> {
    let ask = bill.net()?;
    plain_id("saga_id", &ask.saga_id)?;
    plain_id("order_id", &ask.order_id)?;
    plain_id("user", &ask.user)?;
    within("amount", ask.amount, 1..=AMOUNT_MAX.unsigned_abs())?;
    users.reserve(key, ask).await
}

async fn show_reservation(
    State(users): App,
    Path(saga_id): Path<String>,
) -> Result<Json<Reservation>, Problem> {
    let found = users.store.read(|rows| rows.get(&RESERVATIONS, &saga_id))?;
    let missing = || Code::NotFound.because(format!("saga {saga_id} has reserved nothing"));
    found.map(Json).ok_or_else(missing)
}

async fn confirm(
    State(users): App,
    key: IdempotencyKey,
    Path(saga_id): Path<String>,
) -> Result<StoredAnswer, Problem> {
    let request = Request::new("confirm", key, &saga_id);
    users
        .once(request, StatusCode::OK, move |users| {
            users.confirm(&saga_id)
        })
        .await
}

async fn release(
    State(users): App,
    key: IdempotencyKey,
    Path(saga_id): Path<String>,
    Body(Release { user }): Body<Release>,
) -> Result<StoredAnswer, Problem> {
    plain_id("saga_id", &saga_id)?;
    if let Some(user) = &user {
        plain_id("user", user)?;
    }
    users.release(key, saga_id, user).await
}
