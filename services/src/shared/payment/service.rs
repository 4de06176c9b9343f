//! What the payment service does with its three demands: make a payment, capture it, cancel it.
//!
//! Each begins by taking the saga's turn, commits its intent, and then *settles*: asks the gateway, commits the answer,
//! until no question is left. A demand that cannot be settled now is answered 503 and asked again with the same key.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use tracing::Instrument;

use super::{
    gateway::Gateway,
    keyed_mutex::KeyedMutex,
    keys::{Key, Keys},
    model::{Event, Illegal, Status, Told},
    store::{Book, Order, Payment},
};
use crate::{
    kit::{
        Code, Context, Problem, Store, bulkhead::Permit, http::IdempotencyKey,
        idempotency::StoredAnswer as Answer,
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

/// Questions asked of the gateway in one go: a cancel in the middle of an authorization asks two; the others are for
/// errors that allow another attempt.
const QUESTIONS_MAX: usize = 4;

/// What is demanded of a saga's payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Demand {
    Create(Order),
    Capture {
        saga_id: String,
    },
    Cancel {
        saga_id: String,
        /// What is paid back if it was taken already: all of it unless said.
        #[serde(skip_serializing_if = "Option::is_none")]
        amount: Option<i64>,
    },
}

impl Demand {
    /// What keys are scoped to.
    pub fn name(&self) -> &'static str {
        match self {
            Demand::Create(_) => "create",
            Demand::Capture { .. } => "capture",
            Demand::Cancel { .. } => "cancel",
        }
    }

    fn saga_id(&self) -> &str {
        match self {
            Demand::Create(order) => &order.saga_id,
            Demand::Capture { saga_id } | Demand::Cancel { saga_id, .. } => saga_id,
        }
    }

    /// What to say once the payment is settled.
    fn answer(&self, payment: &Payment) -> Result<Answer, Problem> {
        use Status as S;
        let done = |status| {
            let body = json!({ "payment_id": payment.id, "status": payment.status });
            Ok(Answer { status, body })
        };
        let status = payment.status;
        match (self, status) {
            (Demand::Create(_) | Demand::Capture { .. }, S::Declined) => Err(Code::PaymentDeclined.because("the payment was declined: nothing is held and nothing was taken; pay with another card")),
            (Demand::Create(_), S::Authorized | S::Captured | S::Charged) => done(201),
            (Demand::Capture { .. }, S::Captured) => done(200),
            (Demand::Capture { .. }, S::Authorized) => Err(Code::PaymentDeclined.because("the capture was refused: nothing was taken; cancel the payment to give up the hold")),
            (Demand::Cancel { .. }, status) if status.is_over() => done(200),
            (Demand::Create(_) | Demand::Capture { .. }, _) => Err(Code::InvalidState.because(format!("the saga's payment is {}", status.name()))),
            (Demand::Cancel { .. }, _) => Err(Code::ServiceUnavailable.because(format!(
                    "the payment is {}; ask again with the same key",
                    status.name()
                ))),
        }
    }
}

/// The payment service.
pub(crate) struct Payments {
    platform: Platform,
    book: Book,
    gateway: Gateway,
    sagas: KeyedMutex,
    keys: Keys,
    bugs: Bugs,
}

impl Payments {
    pub(super) fn new(
        platform: &Platform,
        book: Book,
        gateway: Gateway,
        keys: Keys,
        bugs: Bugs,
    ) -> Self {
        Payments {
            platform: platform.clone(),
            book,
            gateway,
            sagas: KeyedMutex::default(),
            keys,
            bugs,
        }
    }

    pub(super) fn book(&self) -> &Book {
        &self.book
    }

    /// The database.
    pub fn store(&self) -> &Store {
        self.book.store()
    }

    pub fn ignores_keys(&self) -> bool {
        self.bugs.has(Bug::NoKey)
    }

    /// Serves a demand.
    pub async fn serve(
        &self,
        context: Context,
        key: Option<IdempotencyKey>,
        demand: Demand,
    ) -> Result<Answer, Problem> {
        let context = context.with_saga(demand.saga_id());
        let span = context.span();
        self.work(&context, key, demand).instrument(span).await
    }

    async fn work(
        &self,
        context: &Context,
        key: Option<IdempotencyKey>,
        demand: Demand,
    ) -> Result<Answer, Problem> {
        let key = match key {
            Some(key) => match self.keys.begin(key, demand.name(), &demand)? {
                Ok(key) => Some(key),
                Err(answer) => return Ok(answer),
            },
            None => None,
        };
        let _guard = self.sagas.lock(demand.saga_id()).await;
        let (payment, permit) = match self.prepare(context, &demand).await {
            Ok(prepared) => prepared,
            Err(problem) => return self.answer(key.as_ref(), Err(problem)).await,
        };
        let (payment, stored) = self
            .settle(context, payment, permit, Some((&demand, key.as_ref())))
            .await?;
        let answer = demand.answer(&payment);
        if stored {
            answer
        } else {
            self.answer(key.as_ref(), answer).await
        }
    }

    /// Brings the payment to where its settling answers the demand: intents are committed, but not asked.
    async fn prepare(
        &self,
        context: &Context,
        demand: &Demand,
    ) -> Result<(Payment, Option<Permit>), Problem> {
        let known = self.book.of_saga(demand.saga_id())?;
        match (demand, known) {
            (Demand::Create(order), known) => self.create(context, order, known).await,
            (Demand::Capture { .. }, Some(payment)) => self.capture(context, payment).await,
            (Demand::Capture { saga_id }, None) => Err(Code::NotFound.because(format!(
                "the saga `{saga_id}` has no payment; create it first"
            ))),
            (Demand::Cancel { amount, .. }, Some(mut payment)) => {
                payment.refund = payment.refund.or(*amount);
                self.cancel(context, payment).await
            }
            (Demand::Cancel { saga_id, .. }, None) => {
                let tombstone = Payment::tombstone(saga_id, context);
                Ok((self.book.commit(tombstone, |_| Ok(())).await?, None))
            }
        }
    }

    async fn create(
        &self,
        context: &Context,
        order: &Order,
        known: Option<Payment>,
    ) -> Result<(Payment, Option<Permit>), Problem> {
        let mut payment = Payment::new(order, context);
        if let Some(known) = known {
            if known.is_tombstone() {
                return Ok((known, None));
            }
            if !self.bugs.has(Bug::NoKey) && !self.bugs.has(Bug::KeyStoredAfterEffect) {
                return if known.order() == *order {
                    Ok((known, None))
                } else {
                    Err(Code::InvalidState
                        .because("the saga has a payment for another order, amount, card or mode"))
                };
            }
            payment.id = known.next_id();
        }
        let permit = self.gateway.permit().await?;
        let payment = self.intend(&payment, order.mode.begin()).await?;
        Ok((payment, Some(permit)))
    }

    async fn capture(
        &self,
        context: &Context,
        mut payment: Payment,
    ) -> Result<(Payment, Option<Permit>), Problem> {
        if payment.status == Status::Authorizing {
            payment = self.settle(context, payment, None, None).await?.0;
        }
        if payment.status != Status::Authorized {
            return Ok((payment, None));
        }
        let permit = self.gateway.permit().await?;
        let payment = self.intend(&payment, Event::Capture).await?;
        Ok((payment, Some(permit)))
    }

    async fn cancel(
        &self,
        context: &Context,
        mut payment: Payment,
    ) -> Result<(Payment, Option<Permit>), Problem> {
        if matches!(payment.status, Status::Capturing | Status::Charging) {
            payment = self.settle(context, payment, None, None).await?.0;
        }
        if payment.status == Status::Refunded && self.bugs.has(Bug::RefundWithoutKey) {
            payment.status = Status::Charged;
        }
        if payment.status.after(Event::Cancel) != Ok(payment.status) {
            payment = self.intend(&payment, Event::Cancel).await?;
        }
        Ok((payment, None))
    }

    /// Commits an intent. The gateway is asked only afterwards.
    async fn intend(&self, payment: &Payment, intent: Event) -> Result<Payment, Problem> {
        let next = payment.after(intent).map_err(defect)?;
        self.book.commit(next, |_| Ok(())).await
    }

    /// Asks the gateway and commits what it tells, until the payment awaits nothing; or 503. The commit that settles
    /// it stores the answer to the demand under its key: then the second value is true.
    async fn settle(
        &self,
        context: &Context,
        mut payment: Payment,
        mut permit: Option<Permit>,
        asked: Option<(&Demand, Option<&Key>)>,
    ) -> Result<(Payment, bool), Problem> {
        for _ in 0..QUESTIONS_MAX {
            let Some(action) = payment.question() else {
                return Ok((payment, false));
            };
            let told = self
                .gateway
                .ask(context, &payment, action, permit.take())
                .await?;
            let next = payment.told(action, &told).map_err(defect)?;
            let record = asked
                .filter(|_| next.question().is_none())
                .filter(|_| !self.bugs.has(Bug::KeyStoredAfterEffect))
                .and_then(|(demand, key)| key?.record(&demand.answer(&next)));
            let stored = record.is_some();
            payment = self
                .book
                .commit(next, move |tx| match record {
                    Some(record) => record.put(tx),
                    None => Ok(()),
                })
                .await?;
            if stored {
                return Ok((payment, true));
            }
            if let (Told::Refused { detail }, true) = (&told, payment.status.is_unsettled()) {
                tracing::error!(alert = true, detail, "payment not undone");
                break;
            }
        }
        Err(Code::ServiceUnavailable.because(format!(
            "the payment is {}; ask again with the same key",
            payment.status.name()
        )))
    }

    /// An answer whose effect was committed before, or that has none: stored under its key in a commit of its own.
    async fn answer(
        &self,
        key: Option<&Key>,
        answer: Result<Answer, Problem>,
    ) -> Result<Answer, Problem> {
        if let Some(record) = key.and_then(|key| key.record(&answer)) {
            self.book.write(move |tx| record.put(tx)).await?;
        }
        answer
    }

    /// Settles a payment in a task of its own.
    pub fn settle_in_background(self: Arc<Self>, id: String) {
        let platform = self.platform.clone();
        platform.spawn("payment-settle", async move {
            if let Err(problem) = self.settle_unasked(&id).await {
                tracing::info!(payment_id = id.as_str(), %problem, "payment not settled yet");
            }
        });
    }

    /// Settles a payment in the background. Does nothing if it is settled, or being settled by another task.
    pub async fn settle_unasked(&self, id: &str) -> Result<(), Problem> {
        let Some(payment) = self.book.get(id)? else {
            return Ok(());
        };
        let Some(_guard) = self.sagas.try_lock(&payment.saga_id) else {
            return Ok(());
        };
        let Some(payment) = self.book.get(id)? else {
            return Ok(());
        };
        let context = payment.context.step("settle");
        let span = context.span();
        self.settle(&context, payment, None, None)
            .instrument(span)
            .await
            .map(|_| ())
    }
}

/// A transition that the service took for legal is not: its own mistake.
fn defect(illegal: Illegal) -> Problem {
    tracing::error!(alert = true, %illegal, "payment in an impossible state");
    Code::Internal.because("the payment is in a state that forbids this")
}
