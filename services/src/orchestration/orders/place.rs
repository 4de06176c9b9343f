//! Placing orders: the price is fixed, the first commit made, the saga's end awaited.

use axum::http::StatusCode;
use tokio::time::timeout;

use super::{
    Orders, PaymentMode,
    keys::Key,
    model::{Flow, Status},
    peers::Product,
    saga::{answer, follow},
    store::{BASKETS, KEYS, Kind, ORDERS, ORDERS_OF_USER, OrderData, OrderRow},
};
use crate::{
    kit::{
        Code, Context, Problem, StoreError, Writer,
        format::Format,
        idempotency::{StoredAnswer, Told},
        input::AMOUNT_MAX,
        saga::SagaRecord,
    },
    planted_bug::{Bug, Bugs},
};

/// A validated wish.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub user: String,
    pub sku: String,
    pub quantity: u64,
    pub purpose: Purpose,
    /// What the customer calls it.
    pub basket: Option<String>,
}

impl Wish {
    /// The basket's row.
    fn basket_row(&self, bugs: Bugs) -> Option<String> {
        let basket = self.basket.as_ref()?;
        (!bugs.has(Bug::IntentByKeyOnly)).then(|| format!("{}/{basket}", self.user))
    }
}

#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Purchase { card: String },
    Reward { challenge_completion: String },
}

/// What a client is told.
pub(super) type Placed = Told<Box<OrderRow>>;

/// Why no saga was started.
enum NotBegun {
    Repeat(StoredAnswer),
    Refused(Problem),
    /// The database has not answered: it may have begun after all.
    Undecided(Problem),
}

impl From<StoreError> for NotBegun {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unreachable(_) | StoreError::Unknown(_) => {
                NotBegun::Undecided(error.into())
            }
            error => NotBegun::Refused(error.into()),
        }
    }
}

impl Orders {
    /// Places an order once per key, however often it is asked.
    pub async fn place(&self, context: Context, key: Key, wish: Wish) -> Result<Placed, Problem> {
        let now = self.platform.clock.now_ms();
        let row = self.store.read(|tx| tx.get(&KEYS, &key.id))?;
        if let Some(answer) = key.repeat(row, now)? {
            return Ok(Placed::Ended(answer));
        }
        let bugs = self.config.bugs;
        if let Some(basket) = wish.basket_row(bugs) {
            let before = self.store.read(|rows| match rows.get(&BASKETS, &basket)? {
                Some(id) => rows.get(&ORDERS, &id),
                None => Ok(None),
            })?;
            if let Some(answer) = ordered_before(before, &wish)? {
                return Ok(Placed::Ended(answer));
            }
        }
        let priced = match self.engine.saga().peers.product(&context, &wish.sku).await {
            Ok(product) => price(&product, &wish).map(|total| (product, total)),
            Err(why) => Err(why),
        };
        let (product, total) = match priced {
            Ok(priced) => priced,
            Err(why) if why.code.is_transient() => return Err(why),
            Err(why) => return self.refuse(key, why).await,
        };
        let (saga_id, order) = match self.begin(&context, key, wish, product, total).await {
            Ok(begun) => begun,
            Err(NotBegun::Repeat(answer)) => return Ok(Placed::Ended(answer)),
            Err(NotBegun::Undecided(_)) if self.config.bugs.has(Bug::UnknownCommitToldAsNo) => {
                return Err(refused("it could not be placed"));
            }
            Err(NotBegun::Refused(why) | NotBegun::Undecided(why)) => return Err(why),
        };
        let ended = match timeout(self.config.answer_within, self.engine.wait(&saga_id)).await {
            Ok(saga) => saga?.and_then(|saga| answer(&follow(order.clone(), &saga), &saga)),
            Err(_) => None,
        };
        match ended {
            Some(answer) => Ok(Placed::Ended(answer?)),
            None if self.config.bugs.has(Bug::AcceptedToldAsRefused) => {
                Err(refused("it could not be carried out in time"))
            }
            None => Ok(Placed::UnderWay(Box::new(self.order(&order.id)?))),
        }
    }

    /// Refuses for good: every repeat is told the same.
    async fn refuse(&self, key: Key, why: Problem) -> Result<Placed, Problem> {
        let now = self.platform.clock.now_ms();
        let told = self.store.write(move |tx| {
            let repeat = key.repeat(tx.get(&KEYS, &key.id)?, now)?;
            if repeat.is_none() {
                key.refuse(tx, &why, now)?;
            }
            Ok::<_, Problem>(repeat.ok_or(why))
        });
        Ok(Placed::Ended(told.await??))
    }

    /// The first commit: order, saga and key.
    async fn begin(
        &self,
        context: &Context,
        key: Key,
        wish: Wish,
        product: Product,
        total: u64,
    ) -> Result<(String, OrderRow), NotBegun> {
        let (platform, bugs) = (self.platform.clone(), self.config.bugs);
        let (flow, card) = match (&wish.purpose, self.config.payment) {
            (Purpose::Reward { .. }, _) => (Flow::Reward, String::new()),
            (Purpose::Purchase { card }, PaymentMode::TwoStep) => (Flow::TwoStep, card.clone()),
            (Purpose::Purchase { card }, PaymentMode::OneStep) => (Flow::OneStep, card.clone()),
        };
        let data = OrderData {
            flow,
            order_id: String::new(),
            owner: String::new(),
            sku: wish.sku.clone(),
            quantity: wish.quantity,
            amount: total,
            card,
            key: Some(key.id.clone()),
            more: Format::of(&self.platform, bugs).promise(total),
        };
        let rows = move |tx: &mut Writer<'_>, saga: &mut SagaRecord<OrderData>| {
            let mut repeat = key.repeat(tx.get(&KEYS, &key.id)?, saga.created_ms);
            let basket = wish.basket_row(bugs);
            if let (Ok(None), Some(basket)) = (&repeat, &basket) {
                let before = match tx.get(&BASKETS, basket)? {
                    Some(id) => tx.get(&ORDERS, &id)?,
                    None => None,
                };
                repeat = ordered_before(before, &wish);
            }
            if let Some(answer) = repeat.map_err(NotBegun::Refused)? {
                return Err(NotBegun::Repeat(answer));
            }
            let id = loop {
                let id = platform.short_id("ORD");
                if tx.get(&ORDERS, &id)?.is_none() {
                    break id;
                }
            };
            saga.data.order_id = id.clone();
            saga.data.owner = saga.id.clone();
            let (kind, challenge_completion) = match wish.purpose {
                Purpose::Purchase { .. } => (Kind::Purchase, None),
                Purpose::Reward {
                    challenge_completion,
                } => (Kind::Reward, Some(challenge_completion)),
            };
            let order = OrderRow {
                id,
                user: wish.user,
                sku: wish.sku,
                quantity: wish.quantity,
                unit_price: product.price,
                price_version: product.version,
                total,
                discount: 0,
                status: Status::Pending,
                kind,
                saga_id: saga.id.clone(),
                cancel_saga_id: None,
                challenge_completion,
                refusal: None,
                created_ms: saga.created_ms,
                more: saga.data.more.clone(),
            };
            key.begin(tx, &order.id, saga.created_ms)?;
            tx.put(&ORDERS, &order.id, &order)?;
            let of_user = format!("{}/{}", order.user, order.id);
            tx.put(&ORDERS_OF_USER, &of_user, &order.id)?;
            if let Some(basket) = basket {
                tx.put(&BASKETS, &basket, &order.id)?;
            }
            Ok(order)
        };
        self.engine.start(context, data, rows).await
    }
}

/// The answer to a basket whose latest order is `before`, under whatever key; one whose order came to nothing is as good
/// as new.
///
/// # Errors
/// `IDEMPOTENCY_IN_FLIGHT` while that order is under way; `IDEMPOTENCY_MISMATCH` if it was of something else.
fn ordered_before(before: Option<OrderRow>, wish: &Wish) -> Result<Option<StoredAnswer>, Problem> {
    let Some(order) = before.filter(|order| order.status != Status::Cancelled) else {
        return Ok(None);
    };
    if (&order.sku, order.quantity) != (&wish.sku, wish.quantity) {
        let detail = format!(
            "this basket was ordered as {} of {} before; name another",
            order.quantity, order.sku
        );
        return Err(Code::IdempotencyMismatch.because(detail));
    }
    if order.status != Status::Completed {
        let detail = "an order of this basket is under way; repeat it later to get its answer";
        return Err(Code::IdempotencyInFlight.because(detail));
    }
    Ok(Some(StoredAnswer::new(StatusCode::CREATED, &order)?))
}

/// A refusal for good. Only for planted bugs.
fn refused(why: &str) -> Problem {
    Code::InvalidState.because(format!("the order was refused: {why}"))
}

/// What the wish costs; of a purchase, only what can be paid.
fn price(product: &Product, wish: &Wish) -> Result<u64, Problem> {
    if let Purpose::Reward { .. } = wish.purpose {
        return Ok(0);
    }
    let (price, quantity) = (product.price, wish.quantity);
    let payable = |total: &u64| (1..=AMOUNT_MAX.unsigned_abs()).contains(total);
    let total = price.checked_mul(quantity).filter(payable);
    total.ok_or_else(|| {
        Code::InvalidRequest.because(format!(
                "price × quantity must be 1 to {AMOUNT_MAX} won; the price is {price}, the quantity {quantity}"
            ))
    })
}
