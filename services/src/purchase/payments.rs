//! The payment service of item purchases: some payments are refused, at random, as a card network would.
//!
//! The money itself is the user's balance; a payment says whether it may be taken.

use std::{io, sync::Arc};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use serde::{Deserialize, Serialize};

use super::{
    ITEM_RESERVED, ORDER_CANCELLED, PAYMENT_FAILED, PAYMENT_PROCESSED, PAYMENT_REFUNDED, Purchase,
    TOPIC, keep_rollback_data, knows_rollback_data,
};
use crate::{
    kit::{
        self, Code, Problem, Table,
        bus::{Event, Handler, HandlerError},
        member::{Member, Settings},
    },
    ports::Platform,
    service::{Service, service},
};

/// The service, as topologies list it.
pub const SERVICE: Service = service!("payment", ["/payments"]);

/// The database's file.
pub const FILE: &str = "item_payment.redb";

/// Payments, by order.
pub const PAYMENTS: Table<Payment> = Table::new("item_payments");

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// How it takes part in the choreography.
    pub settings: Settings,
    /// One payment in this many is refused.
    pub refused_one_in: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            settings: Settings::default(),
            refused_one_in: 10,
        }
    }
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// For which order.
    pub order_id: String,
    /// Whose.
    pub user_id: String,
    /// Won.
    pub amount: u64,
    /// What became of it.
    pub state: Outcome,
    /// Wall clock of the last change.
    pub at_ms: u64,
}

/// What became of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It went through.
    Processed,
    /// It was refused.
    Refused,
    /// It went through and was taken back.
    Refunded,
    /// The order was cancelled before there was a payment: a tombstone.
    Cancelled,
}

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let member = Member::open(&platform, FILE, TOPIC, &config.settings).await?;
    let payments = Arc::new(Payments {
        member: member.clone(),
        refused_one_in: config.refused_one_in,
    });
    let events = member.hear(&[ITEM_RESERVED, ORDER_CANCELLED], payments.clone());
    let router = Router::new()
        .route("/payments/{order_id}", get(show))
        .with_state(payments)
        .merge(events);
    kit::http::serve(&platform, router).await
}

struct Payments {
    member: Member,
    refused_one_in: u64,
}

#[async_trait]
impl Handler for Payments {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let purchase = Purchase::of(event)?;
        match event.kind.as_str() {
            ITEM_RESERVED => self.process(event, purchase).await,
            ORDER_CANCELLED => self.refund(event, purchase).await,
            _ => Ok(()),
        }
    }
}

impl Payments {
    async fn process(&self, event: &Event, purchase: Purchase) -> Result<(), HandlerError> {
        let platform = self.member.platform();
        let now_ms = platform.clock.now_ms();
        let draw = platform.random.next_u64();
        let refused = draw.is_multiple_of(self.refused_one_in);
        let context = event.context.clone();
        let processed = self.member.once(event, move |tx, says| {
            let key = purchase.order_id.clone();
            let state = match tx.get(&PAYMENTS, &key)? {
                Some(payment) => payment.state,
                None => {
                    let state = match refused {
                        true => Outcome::Refused,
                        false => Outcome::Processed,
                    };
                    tx.put(&PAYMENTS, &key, &payment(&purchase, state, now_ms))?;
                    state
                }
            };
            match state {
                Outcome::Processed => says.say(PAYMENT_PROCESSED, &key, &context, &purchase),
                Outcome::Refused => {
                    let failed = purchase.failed("the payment was refused");
                    says.say(PAYMENT_FAILED, &key, &context, &failed);
                }
                Outcome::Refunded | Outcome::Cancelled => {}
            }
            Ok(())
        });
        processed.await?;
        keep_rollback_data(&self.member, event).await;
        Ok(())
    }

    async fn refund(&self, event: &Event, purchase: Purchase) -> Result<(), HandlerError> {
        if !knows_rollback_data(&self.member, event).await {
            return self.member.once(event, |_, _| Ok(())).await;
        }
        let now_ms = self.member.platform().clock.now_ms();
        let context = event.context.clone();
        let refunded = self.member.once(event, move |tx, says| {
            let key = purchase.order_id.clone();
            match tx.get(&PAYMENTS, &key)? {
                None => {
                    let tombstone = payment(&purchase, Outcome::Cancelled, now_ms);
                    tx.put(&PAYMENTS, &key, &tombstone)?;
                }
                Some(mut payment) if payment.state == Outcome::Processed => {
                    (payment.state, payment.at_ms) = (Outcome::Refunded, now_ms);
                    tx.put(&PAYMENTS, &key, &payment)?;
                    says.say(PAYMENT_REFUNDED, &key, &context, &purchase);
                }
                Some(_) => {}
            }
            Ok(())
        });
        refunded.await
    }
}

fn payment(purchase: &Purchase, state: Outcome, at_ms: u64) -> Payment {
    Payment {
        order_id: purchase.order_id.clone(),
        user_id: purchase.user_id.clone(),
        amount: purchase.more.payable(purchase.amount),
        state,
        at_ms,
    }
}

async fn show(
    State(payments): State<Arc<Payments>>,
    Path(order_id): Path<String>,
) -> Result<Json<Payment>, Problem> {
    let payment = payments
        .member
        .store()
        .read(|rows| rows.get(&PAYMENTS, &order_id))?;
    payment.map(Json).ok_or_else(|| {
        let detail = format!("there is no payment for order {order_id} yet");
        Code::NotFound.because(detail)
    })
}
