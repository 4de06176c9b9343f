//! What the steps of a checkout do, how the order follows, and what others are told once it is complete.

use serde_json::json;
use tokio::time::sleep;

use super::{
    model,
    peers::Peers,
    place,
    store::{CheckoutData, ORDERS, OrderRow},
};
use crate::{
    kit::{
        Store, StoreError, Writer,
        events::{Event, Events},
        format::Format,
        saga::{Act, Call, Saga, SagaRecord, Status, Step, Undo, facts::Fact},
    },
    orchestration::orders::SETTLED_LATER,
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

pub(super) struct Checkout {
    pub peers: Peers,
    pub events: Events,
    pub platform: Platform,
    pub store: Store,
    pub bugs: Bugs,
}

#[async_trait::async_trait]
impl Saga for Checkout {
    type Data = CheckoutData;

    fn kind(&self, data: &CheckoutData) -> &'static str {
        data.course.name()
    }

    fn steps(&self, data: &CheckoutData) -> &'static [Step] {
        data.course.steps()
    }

    async fn act(&self, step: &'static str, data: &mut CheckoutData, call: Call<'_>) -> Act {
        match step {
            "inventory-reserve" => self.peers.reserve_stock(data, call).await,
            "user-reserve" => self.peers.reserve_balance(data, call).await,
            "stock-and-balance-reserve" => self.peers.reserve_both(data, call).await,
            "coupon-reserve" => self.peers.reserve_coupon(data, call).await,
            "subscribers-tell" => self.tell_first(data, call).await,
            "coupon-use" => self.peers.use_coupon(call).await,
            "user-confirm" => self.peers.confirm_balance(call).await,
            "inventory-confirm" => self.peers.confirm_stock(call).await,
            _ => Act::Unknown(format!("no step is called {step}")),
        }
    }

    async fn undo(&self, undo: &'static str, data: &mut CheckoutData, call: Call<'_>) -> Undo {
        match undo {
            "inventory-cancel" => self.peers.release_stock(data, call).await,
            "user-release" => self.peers.release_balance(data, call).await,
            "stock-and-balance-release" => self.peers.release_both(data, call).await,
            "coupon-release" => self.peers.release_coupon(data, call).await,
            // What was told cannot be untold.
            "subscribers-forget" => Undo::Done,
            _ => Undo::Retry(format!("no undo is called {undo}")),
        }
    }

    fn on_change(
        &self,
        tx: &mut Writer<'_>,
        saga: &SagaRecord<CheckoutData>,
    ) -> Result<(), StoreError> {
        let order = OrderRow::of(saga);
        let before: Option<OrderRow> = tx.get(&ORDERS, &order.id)?;
        if before.as_ref() != Some(&order) {
            tx.put(&ORDERS, &order.id, &order)?;
        }
        if saga.status.is_ended() && !self.bugs.has(Bug::KeySettledAfterTheEnd) {
            place::settle_key(tx, saga, self.platform.clock.now_ms())?;
        }
        if saga.status == Status::Completed && !saga.data.course.tells_first {
            for event in completed(
                &saga.data,
                saga.created_ms,
                saga.ended_ms.unwrap_or_default(),
            ) {
                self.events.record(tx, &saga.context, &event)?;
            }
        }
        Ok(())
    }

    fn taken_up(&self, data: &mut CheckoutData) {
        let format = Format::of(&self.platform, self.bugs);
        data.more = format.read(data.total, data.more.clone());
    }

    fn committed(&self, saga: &SagaRecord<CheckoutData>) {
        if saga.status.is_ended() && self.bugs.has(Bug::KeySettledAfterTheEnd) {
            self.settle_later(saga.clone());
        }
        if saga.status == Status::Completed && !saga.data.course.tells_first {
            for event in completed(
                &saga.data,
                saga.created_ms,
                saga.ended_ms.unwrap_or_default(),
            ) {
                self.events.committed(&saga.context, &event);
            }
        }
    }

    fn fact_name(&self, fact: &Fact<CheckoutData>) -> String {
        model::fact_name(fact)
    }
}

impl Checkout {
    /// Settles the client's key in a commit of its own, once. Only for the planted bug `key-settled-after-the-end`.
    fn settle_later(&self, saga: SagaRecord<CheckoutData>) {
        let (store, clock) = (self.store.clone(), self.platform.clock.clone());
        self.platform.spawn("key-settle", async move {
            sleep(SETTLED_LATER).await;
            let settle = move |tx: &mut Writer<'_>| place::settle_key(tx, &saga, clock.now_ms());
            if let Err(error) = store.write(settle).await {
                tracing::info!(%error, "key not settled");
            }
        });
    }

    /// Tells the subscribers while the order waits for them.
    async fn tell_first(&self, data: &CheckoutData, call: Call<'_>) -> Act {
        let now_ms = self.platform.clock.now_ms();
        for event in completed(data, now_ms, now_ms) {
            if let Err(reason) = self.events.tell_now(call.context, &event).await {
                return Act::Unknown(reason);
            }
        }
        Act::Done
    }
}

/// The kind of event that tells of a completed order.
pub const ORDER_COMPLETED: &str = "OrderCompleted";
/// The kind of event that tells how many units were sold.
pub const PRODUCT_RANKING_UPDATE: &str = "ProductRankingUpdate";

/// What is told of a completed order. Their ids are the same however often they are made.
fn completed(data: &CheckoutData, ordered_ms: u64, occurred_ms: u64) -> [Event; 2] {
    let mut body = json!({
        "order": data.order_id,
        "user": data.user,
        "items": [{ "product": data.sku, "quantity": data.quantity, "unit_price": data.unit_price }],
        "total": data.unit_price * data.quantity,
        "discounted": data.total,
        "discount": data.discount,
        "coupon": data.coupon,
        "ordered_at": ordered_ms,
        "occurred_at": occurred_ms,
    });
    data.more.join(&mut body);
    [
        Event {
            id: format!("{}-completed", data.order_id),
            kind: ORDER_COMPLETED.to_owned(),
            occurred_ms,
            body,
        },
        Event {
            id: format!("{}-ranking", data.order_id),
            kind: PRODUCT_RANKING_UPDATE.to_owned(),
            occurred_ms,
            body: json!({
                "product": data.sku,
                "quantity": data.quantity,
                "occurred_at": occurred_ms,
            }),
        },
    ]
}
