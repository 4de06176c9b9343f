//! The payment service as choreographed orders have it: one charge when the goods are reserved, refunded when they
//! cannot be delivered.
//!
//! The charge is settled by the same machinery that serves requests; an event whose charge could not be settled yet is
//! delivered again. What is said of it is said after it is settled, and once: the inbox's note is in that commit.

use std::{io, sync::Arc};

use async_trait::async_trait;

use super::{
    DELIVERY_FAILED, INVENTORY_RESERVED, PAYMENT_COMPLETED, PAYMENT_FAILED, PAYMENT_REFUNDED,
    Placed, TOPIC,
};
use crate::{
    kit::{
        Code,
        bus::{Event, Handler, HandlerError},
        http,
        member::{Member, Settings},
    },
    planted_bug::Bug,
    ports::Platform,
    service::{Service, service},
    shared::payment::{self, Demand, Mode, Order, Payments},
};

/// The service, as topologies list it.
pub const SERVICE: Service = service!(payment::SERVICE, |p| run(
    p,
    Default::default(),
    Settings::default()
));

/// Serves until the process ends.
pub async fn run(
    platform: Platform,
    config: payment::Config,
    settings: Settings,
) -> io::Result<()> {
    let (payments, router) = payment::open(&platform, config).await?;
    let member = Member::join(&platform, payments.store(), TOPIC, &settings).await?;
    let till = Arc::new(Till {
        member: member.clone(),
        payments,
    });
    let events = match settings.bugs.has(Bug::DeliveryFailureKeepsMoney) {
        true => member.hear(&[INVENTORY_RESERVED], till),
        false => member.hear(&[INVENTORY_RESERVED, DELIVERY_FAILED], till),
    };
    http::serve(&platform, router.merge(events)).await
}

struct Till {
    member: Member,
    payments: Arc<Payments>,
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
        match self.payments.serve(context, None, demand).await {
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
        self.payments.serve(context, None, demand).await?;
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
