//! The order service of choreographed orders: it asks who orders and what it costs, begins, and hears how it ends.

mod api;
mod ask;
pub mod store;

use std::{io, sync::Arc};

use async_trait::async_trait;
use axum::http::StatusCode;

use super::{
    DELIVERY_COMPLETED, DELIVERY_FAILED, INVENTORY_FAILED, ORDER_COMPLETED, ORDER_CREATED,
    PAYMENT_FAILED, Placed, TOPIC,
};
use crate::{
    kit::{
        self, Code, Context, Problem, Writer,
        bus::{Event, Handler, HandlerError},
        http::IdempotencyKey,
        idempotency::{self, Request, StoredAnswer},
        input::{AMOUNT_MAX, within},
        member::{Member, Says, Settings},
    },
    planted_bug::Bug,
    ports::Platform,
    service::{Service, service},
};
use ask::Peers;
use store::{ORDERS, ORDERS_OF_USER, Order, Snapshot, Status};

pub use api::Place;
pub use ask::DEFAULT_USER;

/// The service, as topologies list it.
pub const SERVICE: Service = service!("order", ["/orders"]);

/// Serves until the process ends.
pub async fn run(platform: Platform, settings: Settings) -> io::Result<()> {
    let member = Member::open(&platform, store::FILE, TOPIC, &settings).await?;
    idempotency::spawn_sweeper(&platform, member.store());
    let orders = Arc::new(Orders {
        member: member.clone(),
        peers: Peers::new(&platform, settings.bugs),
    });
    let kinds = [
        Some(INVENTORY_FAILED),
        (!settings.bugs.has(Bug::PaymentFailedKeepsOrder)).then_some(PAYMENT_FAILED),
        Some(DELIVERY_FAILED),
        Some(DELIVERY_COMPLETED),
    ];
    let kinds: Vec<&str> = kinds.into_iter().flatten().collect();
    let events = member.hear(&kinds, orders.clone());
    kit::http::serve(&platform, api::router(orders).merge(events)).await
}

/// The service's state.
struct Orders {
    member: Member,
    peers: Peers,
}

#[async_trait]
impl Handler for Orders {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let placed = Placed::heard(event, &self.member)?;
        let status = match event.kind.as_str() {
            DELIVERY_COMPLETED => Status::Completed,
            _ => Status::Cancelled,
        };
        let (now_ms, context) = (self.now_ms(), event.context.clone());
        let format = self.member.format();
        let ended = self.member.once(event, move |tx, says| {
            let order = tx.get(&ORDERS, &placed.order_id)?;
            let Some(mut order) = order.filter(|order| order.status == Status::Pending) else {
                return Ok(());
            };
            order.status = status;
            order.reason = placed.reason.clone();
            order.ended_ms = Some(now_ms);
            order.more = format.read(order.amount, order.more);
            tx.put(&ORDERS, &order.id, &order)?;
            if status == Status::Completed {
                says.say(ORDER_COMPLETED, &order.id, &context, &placed);
            }
            Ok(())
        });
        ended.await
    }
}

impl Orders {
    fn now_ms(&self) -> u64 {
        self.member.platform().clock.now_ms()
    }

    /// Begins an order; once per key, where the client sends one.
    async fn place(
        &self,
        context: &Context,
        key: Option<IdempotencyKey>,
        place: Place,
    ) -> Result<StoredAnswer, Problem> {
        let once = Request::new("order", key, &place).of(&place.user_id.0);
        // Whoever asks again needs neither the user service nor the catalog.
        if let Some(answer) = once.find(self.member.store())? {
            return Ok(answer);
        }
        let platform = self.member.platform();
        let (id, boot_id) = (platform.short_id("ORD"), platform.process.boot_id());
        let (context, now_ms) = (context.with_saga(&id), self.now_ms());
        let order = self.draft(&context, id, &place).await?;
        let placed = self.member.write(move |tx, says| {
            if let Some(answer) = once.begin(tx, boot_id, now_ms)? {
                return Ok::<_, Problem>(answer);
            }
            open(tx, says, &order, &context)?;
            let answer = StoredAnswer::new(StatusCode::ACCEPTED, &order)?;
            once.finish(tx, &answer, now_ms)?;
            Ok(answer)
        });
        placed.await
    }

    /// The order as it would be, once the user and the catalog have been asked.
    async fn draft(&self, context: &Context, id: String, place: &Place) -> Result<Order, Problem> {
        let user_id = self.peers.user(context, &place.user_id.0).await?;
        let product = self.peers.product(context, &place.product_id.0).await?;
        let trusts_clients = self.member.bugs().has(Bug::ClientPriceTrusted);
        let unit_price = place
            .price
            .filter(|_| trusts_clients)
            .unwrap_or(product.price);
        let amount = unit_price.saturating_mul(place.quantity);
        within("the amount", amount, 1..=AMOUNT_MAX.unsigned_abs())?;
        Ok(Order {
            id,
            user_id,
            product: Snapshot {
                product_id: product.sku,
                name: product.name,
                unit_price,
                price_version: product.version,
            },
            quantity: place.quantity,
            amount,
            status: Status::Pending,
            reason: None,
            created_ms: self.now_ms(),
            ended_ms: None,
            more: self.member.format().promise(amount),
        })
    }
}

/// Puts a new order down and says so.
fn open(
    tx: &mut Writer<'_>,
    says: &mut Says<'_>,
    order: &Order,
    context: &Context,
) -> Result<(), Problem> {
    let (id, user) = (&order.id, &order.user_id);
    if tx.get(&ORDERS, id)?.is_some() {
        return Err(Code::VersionConflict.because("try again"));
    }
    tx.put(&ORDERS, id, order)?;
    tx.put(&ORDERS_OF_USER, &format!("{user}/{id}"), id)?;
    let placed = Placed {
        order_id: id.clone(),
        user_id: user.clone(),
        product_id: order.product.product_id.clone(),
        quantity: order.quantity,
        amount: order.amount,
        reason: None,
        more: order.more.clone(),
    };
    says.say(ORDER_CREATED, id, context, &placed);
    Ok(())
}
