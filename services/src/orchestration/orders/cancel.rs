//! Taking orders back.

use tokio::time::timeout;

use super::{
    Orders, keys,
    model::{Flow, Status},
    store::{Kind, ORDERS, OrderData, OrderRow, SAGAS},
};
use crate::{
    kit::{Code, Context, Problem, Writer, saga::SagaRecord},
    planted_bug::Bug,
};

impl Orders {
    /// Cancels an order and waits, within limits, until nothing of it is left. Repeating it does no harm.
    ///
    /// The answer is an order that is `Cancelled`, or `Cancelling`: then it will be.
    pub async fn cancel(&self, context: &Context, id: &str) -> Result<OrderRow, Problem> {
        if let Ok(cancelled) = timeout(self.config.answer_within, self.take_back(context, id)).await
        {
            cancelled?;
        }
        let order = self.order(id)?;
        match (order.status, order.kind) {
            (Status::Cancelled | Status::Cancelling, _) => Ok(order),
            (Status::Completed, _) | (Status::Confirmed, Kind::Purchase) => Err(too_late(&order)),
            (Status::Pending, _) | (Status::Confirmed, Kind::Reward) => {
                Err(Code::ServiceUnavailable
                    .because(format!("the order is {:?} still; ask again", order.status)))
            }
        }
    }

    /// Cancels what was ordered with an idempotency key, or sees to it that nothing ever is. `None`: nothing was.
    pub async fn cancel_by_key(
        &self,
        context: &Context,
        key: String,
    ) -> Result<Option<OrderRow>, Problem> {
        let mut cancelled: Option<OrderRow> = None;
        // A transient refusal makes the key as good as new: look again until there is nothing new under it.
        loop {
            let found = self.cancel_key(key.clone()).await?;
            if found.is_none() || found == cancelled.as_ref().map(|order| order.id.clone()) {
                return Ok(cancelled);
            }
            if let Some(order_id) = found {
                cancelled = Some(self.cancel(context, &order_id).await?);
            }
        }
    }

    async fn cancel_key(&self, key: String) -> Result<Option<String>, Problem> {
        let now = self.platform.clock.now_ms();
        self.store
            .write(move |tx| Ok(keys::cancel_unseen(tx, &key, now)?))
            .await
    }

    async fn take_back(&self, context: &Context, id: &str) -> Result<(), Problem> {
        let order = self.order(id)?;
        if order.status == Status::Pending {
            match self.engine.request_cancel(&order.saga_id).await {
                Err(why) if why.code.is_transient() => return Err(why),
                Err(why) if order.kind == Kind::Purchase => {
                    tracing::info!(%why, "cancel refused");
                    return Err(too_late(&self.order(id)?));
                }
                _ => {}
            }
        }
        self.engine.wait(&order.saga_id).await?;
        let order = self.order(id)?;
        let sold = order.status == Status::Completed;
        let live = order.kind == Kind::Reward && order.status == Status::Confirmed;
        if live || sold && self.config.bugs.has(Bug::CancelAfterCompleted) {
            self.begin_cancel(context, order).await?;
        }
        if let Some(saga) = self.order(id)?.cancel_saga_id {
            self.engine.wait(&saga).await?;
        }
        Ok(())
    }

    /// Starts the saga that takes a live reward back, unless there is one.
    async fn begin_cancel(&self, context: &Context, order: OrderRow) -> Result<(), Problem> {
        let data = OrderData {
            flow: Flow::RewardCancel,
            order_id: order.id.clone(),
            owner: order.saga_id.clone(),
            sku: order.sku,
            quantity: order.quantity,
            amount: 0,
            card: String::new(),
            key: None,
            more: Default::default(),
        };
        let seen = order.status;
        let rows = move |tx: &mut Writer<'_>, saga: &mut SagaRecord<OrderData>| {
            let not_now = || Code::VersionConflict.because("the order has just changed");
            let mut order = tx.get(&ORDERS, &order.id)?.ok_or_else(not_now)?;
            let made = tx.get(&SAGAS, &order.saga_id)?;
            let ended = made.is_some_and(|saga| saga.status.is_ended());
            if !ended || order.status != seen {
                return Err(not_now());
            }
            order.status = Status::Cancelling;
            order.cancel_saga_id = Some(saga.id.clone());
            tx.put(&ORDERS, &order.id, &order)?;
            Ok(())
        };
        match self.engine.start(context, data, rows).await {
            Err(why) if why.code == Code::VersionConflict => Ok(()),
            other => other.map(drop),
        }
    }
}

fn too_late(order: &OrderRow) -> Problem {
    Code::InvalidState.because(format!(
        "order {} is {:?}: it can be cancelled no more; return the goods instead",
        order.id, order.status
    ))
}
