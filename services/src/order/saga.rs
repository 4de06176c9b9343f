//! What the steps of an order's saga do, and how the order follows.

use std::sync::Arc;

use axum::http::StatusCode;

use super::{
    keys,
    peers::Peers,
    store::{ORDERS, OrderData, OrderRow},
};
use crate::{
    kit::{
        Code, Problem, StoreError, Writer,
        idempotency::StoredAnswer,
        saga::{Act, Call, Saga, SagaRecord, Status, Step, Undo},
    },
    ports::Clock,
};

pub(super) struct OrderSaga {
    pub peers: Peers,
    pub clock: Arc<dyn Clock>,
}

#[async_trait::async_trait]
impl Saga for OrderSaga {
    type Data = OrderData;

    fn kind(&self, data: &OrderData) -> &'static str {
        data.flow.name()
    }

    fn steps(&self, data: &OrderData) -> &'static [Step] {
        data.flow.steps()
    }

    async fn act(&self, step: &'static str, data: &mut OrderData, call: Call<'_>) -> Act {
        match step {
            "inventory-reserve" => self.peers.reserve(data, call).await,
            "inventory-confirm" => self.peers.confirm(data, call).await,
            "inventory-cancel" => match self.peers.release(data, call).await {
                Undo::Done => Act::Done,
                Undo::Retry(reason) | Undo::Conflict(reason) => Act::Unknown(reason),
            },
            "payment-authorize" => self.peers.pay(data, "two-step", call).await,
            "payment-charge" => self.peers.pay(data, "one-step", call).await,
            "payment-capture" => self.peers.capture(data, call).await,
            _ => Act::Unknown(format!("no step is called {step}")),
        }
    }

    async fn undo(&self, undo: &'static str, data: &mut OrderData, call: Call<'_>) -> Undo {
        match undo {
            "inventory-cancel" => self.peers.release(data, call).await,
            "payment-cancel" => self.peers.give_back(data, call).await,
            _ => Undo::Retry(format!("no undo is called {undo}")),
        }
    }

    fn on_change(
        &self,
        tx: &mut Writer<'_>,
        saga: &SagaRecord<OrderData>,
    ) -> Result<(), StoreError> {
        let Some(before) = tx.get(&ORDERS, &saga.data.order_id)? else {
            return Ok(());
        };
        let order = follow(before.clone(), saga);
        if order != before {
            tx.put(&ORDERS, &order.id, &order)?;
        }
        if let (Some(key), Some(answer)) = (&saga.data.key, answer(&order, saga)) {
            keys::settle(tx, key, &order.id, answer, self.clock.now_ms())?;
        }
        Ok(())
    }
}

/// The order as its saga has it.
pub(super) fn follow(mut order: OrderRow, saga: &SagaRecord<OrderData>) -> OrderRow {
    match order.status.toward(saga.data.flow.order_status(saga)) {
        Ok(status) => order.status = status,
        // Only an unsound shape comes here: the order stays, and the contradiction shows.
        Err(forbidden) => tracing::error!(%forbidden, order = %order.id, "alert"),
    }
    order.refusal = saga.refusal.clone().or(order.refusal);
    order
}

/// What the client who placed the order is told, once its saga has ended.
pub(super) fn answer(
    order: &OrderRow,
    saga: &SagaRecord<OrderData>,
) -> Option<Result<StoredAnswer, Problem>> {
    let cancelled = || Problem::new(Code::InvalidState, "the order was cancelled");
    match saga.status {
        Status::Completed => {
            Some(StoredAnswer::new(StatusCode::CREATED, order).map_err(Problem::from))
        }
        Status::Compensated => Some(Err(saga.refusal.clone().unwrap_or_else(cancelled))),
        _ => None,
    }
}
