//! Placing orders: the price is fixed, the first commit made, the saga's end awaited.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    Checkouts,
    model::Course,
    store::{CheckoutData, KEYS, KeyOutcome, KeyRow, ORDERS, ORDERS_OF_USER, OrderRow},
};
use crate::{
    kit::{
        Code, Context, Problem, StoreError, Writer,
        format::Format,
        idempotency::{RETENTION_MS, StoredAnswer, Told, fingerprint, in_flight, mismatch},
        input::AMOUNT_MAX,
        saga::{SagaRecord, Status as SagaStatus},
    },
    orchestration::orders::model::Status,
    planted_bug::Bug,
};

/// The body of `POST /checkouts`. Other members are ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlaceOrder {
    /// Who buys.
    pub user: String,
    /// What.
    pub sku: String,
    /// Units, 1..=1000.
    pub quantity: u64,
    /// A coupon of the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// What the client takes for the price of one unit, in won. It is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<u64>,
}

/// What a client is told.
pub(super) type Placed = Told<Box<OrderRow>>;

/// What is charged, and why.
struct Terms {
    unit_price: u64,
    price_version: u64,
    discount: u64,
    total: u64,
}

/// Why no saga was started.
enum NotBegun {
    Repeat(StoredAnswer),
    Refused(Problem),
}

impl From<StoreError> for NotBegun {
    fn from(error: StoreError) -> Self {
        NotBegun::Refused(error.into())
    }
}

impl Checkouts {
    /// Places an order once per key, however often it is asked.
    pub async fn place(
        &self,
        context: Context,
        key: &str,
        wish: PlaceOrder,
    ) -> Result<Placed, Problem> {
        let (key, fingerprint) = (format!("{}/{key}", wish.user), fingerprint(&wish));
        let now_ms = self.platform.clock.now_ms();
        let known = self
            .store
            .read(|rows| Known::of(rows.get(&KEYS, &key)?, |id| rows.get(&ORDERS, id)))?;
        if let Some(answer) = known.repeat(fingerprint, now_ms)? {
            return Ok(Placed::Ended(answer));
        }
        let terms = match self.terms(&context, &wish).await {
            Ok(terms) => terms,
            Err(why) if why.code.is_transient() => return Err(why),
            Err(why) => return self.refuse(key, fingerprint, why).await,
        };
        let (saga_id, order) = match self.begin(&context, key, fingerprint, wish, terms).await {
            Ok(begun) => begun,
            Err(NotBegun::Repeat(answer)) => return Ok(Placed::Ended(answer)),
            Err(NotBegun::Refused(why)) => return Err(why),
        };
        let ended = match timeout(self.config.answer_within, self.engine.wait(&saga_id)).await {
            Ok(saga) => saga?.and_then(|saga| answer(&OrderRow::of(&saga))),
            Err(_) => None,
        };
        match ended {
            Some(answer) => Ok(Placed::Ended(answer?)),
            None if self.config.bugs.has(Bug::AcceptedToldAsRefused) => {
                let refused = "the order was refused: it could not be carried out in time";
                Err(Code::InvalidState.because(refused))
            }
            None => Ok(Placed::UnderWay(Box::new(self.order(&order.id)?))),
        }
    }

    /// The price as it is now, less the coupon's discount. What the client says of prices is not heard.
    async fn terms(&self, context: &Context, wish: &PlaceOrder) -> Result<Terms, Problem> {
        let peers = &self.engine.saga().peers;
        let product = peers.product(context, &wish.sku).await?;
        let discount = match &wish.coupon {
            None => 0,
            Some(id) => {
                let coupon = peers.coupon(context, id).await?;
                if coupon.user != wish.user {
                    return Err(invalid("the coupon is another user's; use one of your own"));
                }
                coupon.discount
            }
        };
        let trusted = wish
            .price
            .filter(|_| self.config.bugs.has(Bug::ClientPriceTrusted));
        let unit_price = trusted.unwrap_or(product.price);
        let payable = |total: &u64| (1..=AMOUNT_MAX.unsigned_abs()).contains(total);
        let total = unit_price
            .checked_mul(wish.quantity)
            .and_then(|total| total.checked_sub(discount))
            .filter(payable)
            .ok_or_else(|| {
                invalid(&format!(
                    "price × quantity − discount must be 1 to {AMOUNT_MAX} won; they are {unit_price}, {} and {discount}",
                    wish.quantity
                ))
            })?;
        Ok(Terms {
            unit_price,
            price_version: product.version,
            discount,
            total,
        })
    }

    /// Refuses for good: every repeat is told the same.
    async fn refuse(&self, key: String, fingerprint: u64, why: Problem) -> Result<Placed, Problem> {
        let now_ms = self.platform.clock.now_ms();
        let told = self.store.write(move |tx| {
            if let Some(answer) = Known::of(tx.get(&KEYS, &key)?, |id| tx.get(&ORDERS, id))?
                .repeat(fingerprint, now_ms)?
            {
                return Ok(answer);
            }
            let answer = StoredAnswer::of_problem(&why).ok_or(why)?;
            let row = KeyRow {
                fingerprint,
                outcome: KeyOutcome::Refused(answer.clone()),
                at_ms: now_ms,
            };
            tx.put(&KEYS, &key, &row)?;
            Ok::<_, Problem>(answer)
        });
        Ok(Placed::Ended(told.await?))
    }

    /// The first commit: order, saga and key.
    async fn begin(
        &self,
        context: &Context,
        key: String,
        fingerprint: u64,
        wish: PlaceOrder,
        terms: Terms,
    ) -> Result<(String, OrderRow), NotBegun> {
        let platform = self.platform.clone();
        let data = CheckoutData {
            course: Course {
                parallel: self.config.variant == super::Variant::Parallel,
                coupon: wish.coupon.is_some(),
                tells_first: self.config.bugs.has(Bug::SubscriberInsideTransaction),
            },
            order_id: String::new(),
            user: wish.user,
            sku: wish.sku,
            quantity: wish.quantity,
            unit_price: terms.unit_price,
            price_version: terms.price_version,
            coupon: wish.coupon,
            discount: terms.discount,
            total: terms.total,
            key: key.clone(),
            refused: None,
            more: Format::of(&self.platform, self.config.bugs).promise(terms.total),
        };
        let rows = move |tx: &mut Writer<'_>, saga: &mut SagaRecord<CheckoutData>| {
            let repeat = Known::of(tx.get(&KEYS, &key)?, |id| tx.get(&ORDERS, id))?
                .repeat(fingerprint, saga.created_ms);
            if let Some(answer) = repeat.map_err(NotBegun::Refused)? {
                return Err(NotBegun::Repeat(answer));
            }
            saga.data.order_id = loop {
                let id = platform.short_id("ORD");
                if tx.get(&ORDERS, &id)?.is_none() {
                    break id;
                }
            };
            let order = OrderRow::of(saga);
            let row = KeyRow {
                fingerprint,
                outcome: KeyOutcome::Order(order.id.clone()),
                at_ms: saga.created_ms,
            };
            tx.put(&KEYS, &key, &row)?;
            tx.put(&ORDERS, &order.id, &order)?;
            let of_user = format!("{}/{}", order.user, order.id);
            tx.put(&ORDERS_OF_USER, &of_user, &order.id)?;
            Ok(order)
        };
        self.engine.start(context, data, rows).await
    }
}

/// What is known of an idempotency key.
struct Known(Option<(KeyRow, Option<OrderRow>)>);

impl Known {
    fn of(
        row: Option<KeyRow>,
        order: impl FnOnce(&str) -> Result<Option<OrderRow>, StoreError>,
    ) -> Result<Self, StoreError> {
        let Some(row) = row else {
            return Ok(Known(None));
        };
        let order = match &row.outcome {
            KeyOutcome::Order(id) => order(id)?,
            KeyOutcome::Refused(_) => None,
        };
        Ok(Known(Some((row, order))))
    }

    /// What a repeat is answered; `None` if this is no repeat.
    fn repeat(self, fingerprint: u64, now_ms: u64) -> Result<Option<StoredAnswer>, Problem> {
        let Some((row, order)) = self.0 else {
            return Ok(None);
        };
        let ended = order.as_ref().and_then(answer);
        let under_way = order.is_some() && ended.is_none();
        if !under_way && row.at_ms.saturating_add(RETENTION_MS) < now_ms {
            return Ok(None);
        }
        if row.fingerprint != fingerprint {
            return Err(mismatch());
        }
        match (row.outcome, ended) {
            (KeyOutcome::Refused(answer), _) => Ok(Some(answer)),
            (KeyOutcome::Order(_), Some(answer)) => {
                let told = answer.or_else(|why| StoredAnswer::of_problem(&why).ok_or(why));
                Ok(Some(told?))
            }
            (KeyOutcome::Order(_), None) => Err(in_flight()),
        }
    }
}

/// What the client who placed the order is told, once it has ended.
fn answer(order: &OrderRow) -> Option<Result<StoredAnswer, Problem>> {
    let cancelled = || Code::InvalidState.because("the order was cancelled");
    match order.status {
        Status::Completed => {
            Some(StoredAnswer::new(StatusCode::CREATED, order).map_err(Problem::from))
        }
        Status::Cancelled => Some(Err(order.refusal.clone().unwrap_or_else(cancelled))),
        _ => None,
    }
}

/// Frees the key of an order that was cancelled for a reason that may pass, so that a retry starts anew; dates the
/// others from the end of their order.
pub(super) fn settle_key(
    tx: &mut Writer<'_>,
    saga: &SagaRecord<CheckoutData>,
    now_ms: u64,
) -> Result<(), StoreError> {
    let key = &saga.data.key;
    let Some(mut row) = tx.get(&KEYS, key)? else {
        return Ok(());
    };
    if row.outcome != KeyOutcome::Order(saga.data.order_id.clone()) {
        return Ok(());
    }
    let may_pass = saga
        .refusal
        .as_ref()
        .is_some_and(|why| why.code.is_transient());
    if saga.status == SagaStatus::Compensated && may_pass {
        return tx.delete(&KEYS, key);
    }
    row.at_ms = now_ms;
    tx.put(&KEYS, key, &row)
}

/// Whether a key's answer is replayed no longer.
pub(super) fn is_over(tx: &Writer, row: &KeyRow, oldest_ms: u64) -> Result<bool, StoreError> {
    let ended = match &row.outcome {
        KeyOutcome::Refused(_) => true,
        KeyOutcome::Order(id) => {
            let order = tx.get(&ORDERS, id)?;
            order.is_none_or(|order| order.status.next().is_empty())
        }
    };
    Ok(ended && row.at_ms < oldest_ms)
}

fn invalid(detail: &str) -> Problem {
    Code::InvalidRequest.because(detail)
}
