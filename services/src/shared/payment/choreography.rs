//! The payment's part in choreographed orders: one charge when the goods are set aside, paid back when they cannot be
//! delivered.
//!
//! The charge is settled by the same machinery that serves requests; an event whose charge could not be settled yet is
//! delivered again. What is said of it is said after it is settled, and once: the inbox's note is in that commit.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;

use super::{
    model::Mode,
    service::{Demand, Service},
    store::Order,
};
use crate::{
    choreography::{
        DELIVERY_FAILED, INVENTORY_RESERVED, PAYMENT_COMPLETED, PAYMENT_FAILED, PAYMENT_REFUNDED,
        Placed, TOPIC,
    },
    gap::Gap,
    kit::{
        Code, Store, StoreError,
        bus::{Event, Handler, HandlerError, Member, Settings},
    },
    ports::Platform,
};

/// Takes part from now on; the routes that come with it.
pub(super) async fn join(
    platform: &Platform,
    store: &Store,
    service: Arc<Service>,
    settings: &Settings,
) -> Result<Router, StoreError> {
    let member = Member::join(platform, store, TOPIC, settings).await?;
    let till = Arc::new(Till {
        member: member.clone(),
        service,
    });
    match settings.gaps.has(Gap::DeliveryFailureKeepsMoney) {
        true => Ok(member.hear(&[INVENTORY_RESERVED], till)),
        false => Ok(member.hear(&[INVENTORY_RESERVED, DELIVERY_FAILED], till)),
    }
}

struct Till {
    member: Member,
    service: Arc<Service>,
}

#[async_trait]
impl Handler for Till {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let placed = Placed::of(event)?;
        match event.kind.as_str() {
            INVENTORY_RESERVED => self.charge(event, placed).await,
            DELIVERY_FAILED => self.refund(event, placed).await,
            _ => Ok(()),
        }
    }
}

impl Till {
    async fn charge(&self, event: &Event, placed: Placed) -> Result<(), HandlerError> {
        let demand = Demand::Create(Order {
            saga_id: placed.order_id.clone(),
            order_id: placed.order_id.clone(),
            amount: i64::try_from(placed.more.payable(placed.amount)).unwrap_or(i64::MAX),
            card: card_of(&placed.user_id),
            mode: Mode::OneStep,
        });
        let context = event.context.step("charge");
        match self.service.serve(context, None, demand).await {
            Ok(_) => self.say(event, PAYMENT_COMPLETED, placed).await,
            Err(problem) if problem.code == Code::PaymentDeclined => {
                let failed = placed.failed(problem.detail);
                self.say(event, PAYMENT_FAILED, failed).await
            }
            // The event has come again, and the charge was paid back meanwhile: all is said.
            Err(problem) if problem.code == Code::InvalidState => {
                self.member.once(event, |_, _| Ok(())).await
            }
            Err(problem) => Err(problem.into()),
        }
    }

    async fn refund(&self, event: &Event, placed: Placed) -> Result<(), HandlerError> {
        let demand = Demand::Cancel {
            saga_id: placed.order_id.clone(),
            amount: None,
        };
        let context = event.context.step("refund");
        self.service.serve(context, None, demand).await?;
        self.say(event, PAYMENT_REFUNDED, placed).await
    }

    async fn say(
        &self,
        event: &Event,
        kind: &'static str,
        placed: Placed,
    ) -> Result<(), HandlerError> {
        let context = event.context.clone();
        let said = self.member.once(event, move |_, says| {
            says.say(kind, &placed.order_id, &context, &placed);
            Ok(())
        });
        said.await
    }
}

/// The token of the card that a user has left with the shop.
fn card_of(user: &str) -> String {
    user.to_owned()
}
