//! What the steps of an order's saga do, and how the order follows.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::sleep;

use super::{
    keys,
    model::Status as OrderStatus,
    peers::Peers,
    scope::Scope,
    store::{ORDERS, OrderData, OrderRow},
    workflow::carry_out,
};
use crate::{
    kit::{
        Code, Problem, Store, StoreError, Writer,
        format::Format,
        idempotency::StoredAnswer,
        saga::{Act, Call, Saga, SagaRecord, Status, Step, Stopped, Undo, Workflow},
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

/// How much later a key is settled for the planted bug `key-settled-after-the-end`.
pub(crate) const SETTLED_LATER: Duration = Duration::from_millis(200);

pub(super) struct OrderSaga {
    pub peers: Peers,
    pub scope: Scope,
    pub platform: Platform,
    pub store: Store,
    pub bugs: Bugs,
}

impl OrderSaga {
    fn format(&self) -> Format {
        Format::of(&self.platform, self.bugs)
    }

    /// Cancels the order in a commit of its own, once. Only for the planted bug `order-cancel-not-retried`.
    fn cancel_once(&self, order: OrderRow) {
        let store = self.store.clone();
        self.platform.spawn("order-cancel", async move {
            let cancel = move |tx: &mut Writer<'_>| tx.put(&ORDERS, &order.id, &order);
            let _: Result<(), StoreError> = store.write(cancel).await;
        });
    }

    /// Settles the client's key in a commit of its own, once. Only for the planted bug `key-settled-after-the-end`.
    fn settle_later(&self, saga: SagaRecord<OrderData>) {
        let (store, bugs) = (self.store.clone(), self.bugs);
        let clock = self.platform.clock.clone();
        self.platform.spawn("key-settle", async move {
            sleep(SETTLED_LATER).await;
            let settled = store.write(move |tx| match tx.get(&ORDERS, &saga.data.order_id)? {
                Some(order) => settle_key(tx, &order, &saga, bugs, clock.now_ms()),
                None => Ok::<_, StoreError>(()),
            });
            if let Err(error) = settled.await {
                tracing::info!(%error, "key not settled");
            }
        });
    }
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

    async fn run(&self, workflow: &mut Workflow<'_, Self>) -> Result<(), Stopped> {
        carry_out(workflow).await
    }

    async fn act(&self, step: &'static str, data: &mut OrderData, call: Call<'_>) -> Act {
        if let Err(why) = self.scope.hold(data, call).await {
            return Act::Busy(why);
        }
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
        if let Err(why) = self.scope.hold(data, call).await {
            return Undo::Retry(why.to_string());
        }
        match undo {
            "inventory-cancel" => self.peers.release(data, call).await,
            "payment-cancel" => self.peers.give_back(data, call).await,
            _ => Undo::Retry(format!("no undo is called {undo}")),
        }
    }

    fn committed(&self, saga: &SagaRecord<OrderData>) {
        if !saga.status.is_open() {
            self.scope.let_go(&saga.id);
        }
        if saga.status.is_ended() && self.bugs.has(Bug::KeySettledAfterTheEnd) {
            self.settle_later(saga.clone());
        }
    }

    fn taken_up(&self, data: &mut OrderData) {
        data.more = self.format().read(data.amount, data.more.clone());
    }

    fn begins_anew(&self, data: &mut OrderData, saga_id: &str) {
        data.owner = saga_id.to_owned();
    }

    fn lost(&self, saga_id: &str) {
        self.scope.let_go(saga_id);
    }

    fn on_change(
        &self,
        tx: &mut Writer<'_>,
        saga: &SagaRecord<OrderData>,
    ) -> Result<(), StoreError> {
        let Some(before) = tx.get(&ORDERS, &saga.data.order_id)? else {
            return Ok(());
        };
        let mut order = follow(before.clone(), saga);
        order.more = self.format().read(order.total, order.more);
        if order.status == OrderStatus::Cancelled && self.bugs.has(Bug::OrderCancelNotRetried) {
            self.cancel_once(order.clone());
        } else if order != before {
            tx.put(&ORDERS, &order.id, &order)?;
        }
        if !self.bugs.has(Bug::KeySettledAfterTheEnd) {
            settle_key(tx, &order, saga, self.bugs, self.platform.clock.now_ms())?;
        }
        Ok(())
    }
}

/// Settles the key of the client who placed the order, once its saga has ended.
fn settle_key(
    tx: &mut Writer<'_>,
    order: &OrderRow,
    saga: &SagaRecord<OrderData>,
    bugs: Bugs,
    now_ms: u64,
) -> Result<(), StoreError> {
    match (&saga.data.key, answer(order, saga)) {
        (Some(key), Some(answer)) => keys::settle(tx, key, &order.id, kept(bugs, answer), now_ms),
        _ => Ok(()),
    }
}

/// What to keep under the client's key.
fn kept(bugs: Bugs, answer: Result<StoredAnswer, Problem>) -> Option<StoredAnswer> {
    match answer {
        Err(why) if bugs.has(Bug::TransientFailureCached) => Some(StoredAnswer {
            status: why.code.status(),
            body: why.body(),
        }),
        answer => answer.map_or_else(|why| StoredAnswer::of_problem(&why), Some),
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
    let cancelled = || Code::InvalidState.because("the order was cancelled");
    match saga.status {
        Status::Completed => {
            Some(StoredAnswer::new(StatusCode::CREATED, order).map_err(Problem::from))
        }
        Status::Compensated => Some(Err(saga.refusal.clone().unwrap_or_else(cancelled))),
        _ => None,
    }
}
