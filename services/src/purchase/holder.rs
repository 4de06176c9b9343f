//! Participants that reserve out of a pool for purchases: slots of a bag, units of an item.

use async_trait::async_trait;

use super::{ORDER_CANCELLED, ORDER_COMPLETED, Purchase, keep_rollback_data, knows_rollback_data};
use crate::kit::{
    bus::{Event, Handler, HandlerError},
    member::Member,
    resource_pool::{Ask, Pools},
};

/// What a service holds for purchases, and what it says of it.
pub struct Part {
    /// The pools, and what is held of them.
    pub pools: &'static Pools,
    /// What is asked of them for a purchase.
    pub ask: for<'a> fn(&'a Purchase) -> Ask<'a>,
    /// The pool in words.
    pub pool: fn(&Purchase) -> String,
    /// The event at which it is set aside.
    pub follows: &'static str,
    /// Said when it is set aside ...
    pub reserved: &'static str,
    /// ... when it cannot be ...
    pub failed: &'static str,
    /// ... and when it was given back.
    pub released: &'static str,
}

/// A service's part in purchases.
pub(crate) struct Holder {
    pub member: Member,
    pub part: &'static Part,
}

impl Holder {
    /// The events that it has to hear.
    pub fn kinds(&self) -> [&'static str; 3] {
        [self.part.follows, ORDER_COMPLETED, ORDER_CANCELLED]
    }

    async fn reserve(&self, event: &Event, purchase: Purchase) -> Result<(), HandlerError> {
        let now_ms = self.member.platform().clock.now_ms();
        let (part, context) = (self.part, event.context.clone());
        let reserved = self.member.once(event, move |tx, says| {
            let key = &purchase.order_id;
            match part.pools.reserve(tx, (part.ask)(&purchase), now_ms)? {
                Ok(()) => says.say(part.reserved, key, &context, &purchase),
                Err(refusal) => {
                    let why = format!("{}: {refusal}", (part.pool)(&purchase));
                    says.say(part.failed, key, &context, &purchase.failed(why));
                }
            }
            Ok(())
        });
        reserved.await?;
        keep_rollback_data(&self.member, event).await;
        Ok(())
    }

    async fn confirm(&self, event: &Event, purchase: Purchase) -> Result<(), HandlerError> {
        let now_ms = self.member.platform().clock.now_ms();
        let part = self.part;
        let confirmed = self.member.once(event, move |tx, _| {
            part.pools.confirm(tx, &purchase.order_id, now_ms)?;
            Ok(())
        });
        confirmed.await
    }

    async fn release(&self, event: &Event, purchase: Purchase) -> Result<(), HandlerError> {
        if !knows_rollback_data(&self.member, event).await {
            return self.member.once(event, |_, _| Ok(())).await;
        }
        let now_ms = self.member.platform().clock.now_ms();
        let (part, context) = (self.part, event.context.clone());
        let released = self.member.once(event, move |tx, says| {
            if part.pools.release(tx, &purchase.order_id, now_ms)? {
                says.say(part.released, &purchase.order_id, &context, &purchase);
            }
            Ok(())
        });
        released.await
    }
}

#[async_trait]
impl Handler for Holder {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let purchase = Purchase::heard(event, &self.member)?;
        match event.kind.as_str() {
            ORDER_COMPLETED => self.confirm(event, purchase).await,
            ORDER_CANCELLED => self.release(event, purchase).await,
            kind if kind == self.part.follows => self.reserve(event, purchase).await,
            _ => Ok(()),
        }
    }
}
