//! The payment service's HTTP interface.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    model::{Mode, Status},
    service::{Demand, Payments},
    store::{Order, Payment},
};
use crate::{
    kit::{
        Code, Context, Problem,
        http::{Body, IdempotencyKey, Perhaps},
        idempotency::StoredAnswer as Answer,
        input::AMOUNT_MAX,
    },
    shared::payment_provider,
};

/// A payment as told to others: everything but the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The payment's id.
    pub payment_id: String,
    /// The saga that owns it.
    pub saga_id: String,
    /// The order that it pays for; empty if the saga was cancelled before it had a payment.
    pub order_id: String,
    /// Minor units.
    pub amount: i64,
    /// How the money is taken.
    pub mode: Mode,
    /// Where it is.
    pub status: Status,
    /// Raised by every change.
    pub version: u64,
}

impl From<Payment> for View {
    fn from(payment: Payment) -> Self {
        View {
            payment_id: payment.id,
            saga_id: payment.saga_id,
            order_id: payment.order_id,
            amount: payment.amount,
            mode: payment.mode,
            status: payment.status,
            version: payment.version,
        }
    }
}

pub(super) fn router(service: Arc<Payments>) -> Router {
    Router::new()
        .route("/payments", post(create).get(of_order))
        .route("/payments/{saga_id}", get(of_saga))
        .route("/payments/{saga_id}/capture", post(capture))
        .route("/payments/{saga_id}/cancel", post(cancel))
        .route("/webhooks/pg", post(webhook))
        .with_state(service)
}

type Served = State<Arc<Payments>>;

/// The body of `POST /payments`.
#[derive(Deserialize)]
struct Bill {
    saga_id: String,
    order_id: String,
    /// Minor units, at least 1.
    amount: i64,
    card: String,
    mode: Mode,
    /// Minor units of the amount that the shop gives back.
    #[serde(default)]
    rebate: i64,
}

async fn create(
    State(service): Served,
    context: Context,
    key: Option<IdempotencyKey>,
    Body(bill): Body<Bill>,
) -> Result<Answer, Problem> {
    let (amount, rebate) = (bill.amount, bill.rebate);
    let order = Order {
        saga_id: bill.saga_id,
        order_id: bill.order_id,
        amount: amount.saturating_sub(rebate),
        card: bill.card,
        mode: bill.mode,
    };
    plain("saga_id", &order.saga_id)?;
    plain("order_id", &order.order_id)?;
    if !(1..=AMOUNT_MAX).contains(&amount) {
        return Err(invalid(format!(
            "`amount` must be 1 to {AMOUNT_MAX} minor units, not {amount}"
        )));
    }
    if rebate != 0 && !(1..amount).contains(&rebate) {
        return Err(invalid(
            "`rebate` must be less than `amount`, and not negative",
        ));
    }
    if !(1..=64).contains(&order.card.len()) {
        return Err(invalid("`card` must be a token of 1 to 64 bytes"));
    }
    serve(service, context, key, Demand::Create(order)).await
}

async fn capture(
    State(service): Served,
    context: Context,
    key: Option<IdempotencyKey>,
    Path(saga_id): Path<String>,
) -> Result<Answer, Problem> {
    plain("saga_id", &saga_id)?;
    serve(service, context, key, Demand::Capture { saga_id }).await
}

/// The body of `POST /payments/{saga_id}/cancel`; may be missing.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Cancel {
    /// Minor units to be paid back, if not all of them.
    amount: Option<i64>,
}

async fn cancel(
    State(service): Served,
    context: Context,
    key: Option<IdempotencyKey>,
    Path(saga_id): Path<String>,
    Perhaps(Cancel { amount }): Perhaps<Cancel>,
) -> Result<Answer, Problem> {
    plain("saga_id", &saga_id)?;
    if amount.is_some_and(|amount| !(1..=AMOUNT_MAX).contains(&amount)) {
        return Err(invalid(format!(
            "`amount` must be 1 to {AMOUNT_MAX} minor units"
        )));
    }
    let demand = Demand::Cancel { saga_id, amount };
    serve(service, context, key, demand).await
}

async fn serve(
    service: Arc<Payments>,
    context: Context,
    key: Option<IdempotencyKey>,
    demand: Demand,
) -> Result<Answer, Problem> {
    let key = match key {
        _ if service.ignores_keys() => None,
        Some(key) => Some(key),
        None => return Err(IdempotencyKey::missing()),
    };
    service.serve(context, key, demand).await
}

async fn of_saga(
    State(service): Served,
    Path(saga_id): Path<String>,
) -> Result<Json<View>, Problem> {
    plain("saga_id", &saga_id)?;
    let payment = service
        .book()
        .of_saga(&saga_id)?
        .ok_or_else(|| Code::NotFound.because(format!("the saga `{saga_id}` has no payment")))?;
    Ok(Json(payment.into()))
}

#[derive(Deserialize)]
struct OfOrder {
    order: Option<String>,
}

async fn of_order(
    State(service): Served,
    Query(query): Query<OfOrder>,
) -> Result<Json<Vec<View>>, Problem> {
    let order_id = query
        .order
        .ok_or_else(|| invalid("say which order: `GET /payments?order=ORDER-ID`"))?;
    plain("order", &order_id)?;
    let payments = service.book().of_order(&order_id)?;
    Ok(Json(payments.into_iter().map(View::from).collect()))
}

/// A notice says only that something may have changed: payments of the order that await the gateway are settled by
/// asking it. So late, repeated and forged notices are harmless.
async fn webhook(
    State(service): Served,
    Body(notice): Body<payment_provider::Notice>,
) -> Result<Response, Problem> {
    plain("reference", &notice.reference)?;
    for payment in service.book().of_order(&notice.reference)? {
        if payment.status.is_unsettled() {
            service.clone().settle_in_background(payment.id);
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Ids are parts of paths, keys and log lines.
fn plain(name: &str, id: &str) -> Result<(), Problem> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if (1..=64).contains(&id.len()) && id.bytes().all(is_plain) {
        Ok(())
    } else {
        Err(invalid(format!(
            "`{name}` must be 1 to 64 letters, digits, `-` or `_`"
        )))
    }
}

fn invalid(detail: impl Into<String>) -> Problem {
    Code::InvalidRequest.because(detail)
}
