//! The coupon service's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    Coupons,
    commands::{Reserve, unknown_campaign, unknown_coupon},
    store::{CAMPAIGNS, COUPONS, Campaign, Coupon, HOLDERS},
};
use crate::kit::{
    Code, Problem, StoreError,
    http::{Body, IdempotencyKey},
    idempotency::StoredAnswer,
    input::{AMOUNT_MAX, plain_id, within},
};

/// Most coupons of one campaign.
const LIMIT_MAX: u64 = 1_000_000;

/// The body of `PUT /campaigns/{id}`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// What each coupon takes off a price, in won.
    pub discount: u64,
    /// How many there are.
    pub limit: u64,
}

/// The body of `POST /campaigns/{id}/coupons`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issue {
    /// Who wants one.
    pub user: String,
}

/// The body of `POST /coupon-reservations/{saga_id}/release`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// What the saga had asked for, or meant to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
}

type App = State<Arc<Coupons>>;

pub(super) fn router(coupons: Arc<Coupons>) -> Router {
    Router::new()
        .route("/campaigns/{id}", get(show_campaign).put(create))
        .route("/campaigns/{id}/coupons", post(issue))
        .route("/coupons", get(list))
        .route("/coupons/{id}", get(show))
        .route("/coupon-reservations", post(reserve))
        .route("/coupon-reservations/{saga_id}/use", post(use_up))
        .route("/coupon-reservations/{saga_id}/release", post(release))
        .with_state(coupons)
}

async fn create(
    State(coupons): App,
    Path(id): Path<String>,
    Body(Create { discount, limit }): Body<Create>,
) -> Result<Json<Campaign>, Problem> {
    plain_id("id", &id)?;
    within("discount", discount, 1..=AMOUNT_MAX.unsigned_abs())?;
    within("limit", limit, 1..=LIMIT_MAX)?;
    coupons.create(id, discount, limit).await.map(Json)
}

async fn show_campaign(
    State(coupons): App,
    Path(id): Path<String>,
) -> Result<Json<Campaign>, Problem> {
    let found = coupons.store.read(|rows| rows.get(&CAMPAIGNS, &id))?;
    found.map(Json).ok_or_else(|| unknown_campaign(&id))
}

async fn issue(
    State(coupons): App,
    key: IdempotencyKey,
    Path(id): Path<String>,
    Body(Issue { user }): Body<Issue>,
) -> Result<StoredAnswer, Problem> {
    plain_id("user", &user)?;
    plain_id("id", &id)?;
    coupons.issue(key, id, user).await
}

async fn show(State(coupons): App, Path(id): Path<String>) -> Result<Json<Coupon>, Problem> {
    let found = coupons.store.read(|rows| rows.get(&COUPONS, &id))?;
    found.map(Json).ok_or_else(|| unknown_coupon(&id))
}

#[derive(Deserialize)]
struct OfUser {
    user: Option<String>,
}

async fn list(
    State(coupons): App,
    Query(OfUser { user }): Query<OfUser>,
) -> Result<Json<Vec<Coupon>>, Problem> {
    let user = user.ok_or_else(|| {
        let detail = "say whose coupons: /coupons?user=...";
        Code::InvalidRequest.because(detail)
    })?;
    plain_id("user", &user)?;
    let found = coupons.store.read(|rows| {
        let held = rows.scan(&HOLDERS, "")?.into_iter();
        let suffix = format!("/{user}");
        let held = held.filter(|(key, _)| key.ends_with(&suffix));
        let coupons = held.map(|(_, id)| rows.get(&COUPONS, &id));
        coupons.collect::<Result<Vec<_>, StoreError>>()
    })?;
    Ok(Json(found.into_iter().flatten().collect()))
}

async fn reserve(
    State(coupons): App,
    key: IdempotencyKey,
    Body(ask): Body<Reserve>,
) -> Result<StoredAnswer, Problem> {
    plain_id("saga_id", &ask.saga_id)?;
    plain_id("order_id", &ask.order_id)?;
    plain_id("coupon", &ask.coupon)?;
    plain_id("user", &ask.user)?;
    coupons.reserve(key, ask).await
}

async fn use_up(
    State(coupons): App,
    key: IdempotencyKey,
    Path(saga_id): Path<String>,
) -> Result<StoredAnswer, Problem> {
    coupons.use_up(key, saga_id).await
}

async fn release(
    State(coupons): App,
    key: IdempotencyKey,
    Path(saga_id): Path<String>,
    Body(Release { coupon }): Body<Release>,
) -> Result<StoredAnswer, Problem> {
    plain_id("saga_id", &saga_id)?;
    if let Some(coupon) = &coupon {
        plain_id("coupon", coupon)?;
    }
    coupons.release(key, saga_id, coupon).await
}
