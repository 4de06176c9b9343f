//! The order service of item purchases: it begins them, and decides once how they end.

mod api;
mod deadline;
mod setup;
pub mod store;

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::http::StatusCode;
use tokio::sync::Notify;

use super::{
    INVENTORY_FAILED, ITEM_FAILED, ORDER_CANCELLED, ORDER_COMPLETED, ORDER_CREATED, PAYMENT_FAILED,
    PAYMENT_PROCESSED, Purchase, TOPIC, USER_FAILED,
};
use crate::{
    kit::{
        self, Code, Context, Problem, StoreError, Writer,
        bus::{Event, Handler, HandlerError},
        http::IdempotencyKey,
        idempotency::{self, Request, StoredAnswer},
        member::{Member, Says, Settings},
    },
    planted_bug::Bug,
    ports::Platform,
    service::{Service, service},
};
use store::{OPEN, ORDERS, ORDERS_OF_USER, Open, Order, PRICES, Status};

pub use api::Place;
pub use setup::{Setup, SetupItem, SetupUser};

/// The service, as topologies list it.
pub const SERVICE: Service = service!(
    "order",
    ["/setup-test-data", "/orders", "/user/{id}/orders"]
);

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// How it takes part in the choreography.
    pub settings: Settings,
    /// How long a purchase may take; then it is cancelled. Counted anew after a restart of the service.
    pub deadline: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            settings: Settings::default(),
            deadline: Duration::from_secs(30),
        }
    }
}

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let member = Member::open(&platform, store::FILE, TOPIC, &config.settings).await?;
    idempotency::spawn_sweeper(&platform, member.store());
    let orders = Arc::new(Orders {
        member: member.clone(),
        opened: Notify::new(),
        deadline: config.deadline,
        setup: setup::Peers::new(&platform),
    });
    if !config.settings.bugs.has(Bug::NoPurchaseTimeout) {
        platform.spawn("deadlines", deadline::keep(orders.clone()));
    }
    let kinds = [
        USER_FAILED,
        INVENTORY_FAILED,
        ITEM_FAILED,
        PAYMENT_FAILED,
        PAYMENT_PROCESSED,
    ];
    let events = member.hear(&kinds, orders.clone());
    kit::http::serve(&platform, api::router(orders).merge(events)).await
}

/// The service's state.
struct Orders {
    member: Member,
    /// Told of each new order.
    opened: Notify,
    deadline: Duration,
    setup: setup::Peers,
}

#[async_trait]
impl Handler for Orders {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let purchase = Purchase::of(event)?;
        let status = match event.kind.as_str() {
            PAYMENT_PROCESSED => Status::Completed,
            _ => Status::Cancelled,
        };
        let (now_ms, context) = (self.now_ms(), event.context.clone());
        let ended = self.member.once(event, move |tx, says| {
            let verdict = (status, purchase.reason.as_deref());
            end(tx, says, &purchase.order_id, verdict, &context, now_ms)?;
            Ok(())
        });
        ended.await
    }
}

impl Orders {
    fn now_ms(&self) -> u64 {
        self.member.platform().clock.now_ms()
    }

    /// Begins a purchase; once per key, where the client sends one.
    async fn place(
        &self,
        context: &Context,
        key: Option<IdempotencyKey>,
        place: Place,
    ) -> Result<StoredAnswer, Problem> {
        let once = Request::new("purchase", key, &place).of(&place.user_id.0);
        let platform = self.member.platform();
        let (id, boot_id) = (platform.short_id("ORD"), platform.process.boot_id());
        let (context, now_ms) = (context.with_saga(&id), self.now_ms());
        let placed = self.member.write(move |tx, says| {
            if let Some(answer) = once.begin(tx, boot_id, now_ms)? {
                return Ok::<_, Problem>(answer);
            }
            let order = open(tx, says, &id, place, &context, now_ms)?;
            let answer = StoredAnswer::new(StatusCode::ACCEPTED, &order)?;
            once.finish(tx, &answer, now_ms)?;
            Ok(answer)
        });
        let answer = placed.await?;
        self.opened.notify_one();
        Ok(answer)
    }

    /// Cancels a purchase that takes too long; one that has ended meanwhile stays as it is.
    async fn expire(&self, id: &str) -> Result<(), StoreError> {
        let (id, now_ms) = (id.to_owned(), self.now_ms());
        let open = self.member.store().read(|rows| rows.get(&OPEN, &id))?;
        let Some(Open { context }) = open else {
            return Ok(());
        };
        let span = context.span();
        let expired = self.member.write(move |tx, says| {
            let verdict = (Status::Cancelled, Some(TOO_LONG));
            end(tx, says, &id, verdict, &context, now_ms)
        });
        use tracing::Instrument;
        expired.instrument(span).await
    }

    /// Cancels a purchase whether it has completed or not. Only for the planted bug `late-timer-acts`.
    async fn expire_late(&self, id: &str, context: Context) -> Result<(), StoreError> {
        let (id, now_ms) = (id.to_owned(), self.now_ms());
        let expired = self.member.write(move |tx, says| {
            reopen(tx, &id)?;
            let verdict = (Status::Cancelled, Some(TOO_LONG));
            end(tx, says, &id, verdict, &context, now_ms)
        });
        expired.await
    }
}

/// Why a purchase is cancelled at its deadline.
pub const TOO_LONG: &str = "it took too long";

/// Makes an order of a wish.
fn open(
    tx: &mut Writer<'_>,
    says: &mut Says<'_>,
    id: &str,
    place: Place,
    context: &Context,
    now_ms: u64,
) -> Result<Order, Problem> {
    let format = says.format();
    let (user_id, item_id) = (place.user_id.0, place.item_id.0);
    let price = tx.get(&PRICES, &item_id)?.ok_or_else(|| {
        let detail = format!("there is no item {item_id}; see POST /setup-test-data");
        Code::NotFound.because(detail)
    })?;
    if tx.get(&ORDERS, id)?.is_some() {
        return Err(Code::VersionConflict.because("try again"));
    }
    let amount = price.saturating_mul(place.quantity);
    let order = Order {
        id: id.to_owned(),
        user_id: user_id.clone(),
        item_id: item_id.clone(),
        quantity: place.quantity,
        amount,
        status: Status::Pending,
        reason: None,
        created_ms: now_ms,
        ended_ms: None,
        more: format.promise(amount),
    };
    tx.put(&ORDERS, id, &order)?;
    let open = Open {
        context: context.clone(),
    };
    tx.put(&OPEN, id, &open)?;
    tx.put(&ORDERS_OF_USER, &format!("{user_id}/{id}"), &id.to_owned())?;
    let purchase = Purchase {
        order_id: id.to_owned(),
        user_id,
        item_id,
        quantity: place.quantity,
        amount,
        reason: None,
        note: place.note,
        more: order.more.clone(),
    };
    says.say(ORDER_CREATED, id, context, &purchase);
    Ok(order)
}

/// Takes an end back. Only for the planted bug `late-timer-acts`.
fn reopen(tx: &mut Writer<'_>, id: &str) -> Result<(), StoreError> {
    match tx.get(&ORDERS, id)? {
        Some(order) if order.status == Status::Completed => {
            let status = Status::Pending;
            tx.put(&ORDERS, id, &Order { status, ..order })
        }
        _ => Ok(()),
    }
}

/// Ends an order that is pending still, and says so.
fn end(
    tx: &mut Writer<'_>,
    says: &mut Says<'_>,
    id: &str,
    (status, reason): (Status, Option<&str>),
    context: &Context,
    now_ms: u64,
) -> Result<(), StoreError> {
    let order = tx.get(&ORDERS, id)?;
    let Some(mut order) = order.filter(|order| order.status == Status::Pending) else {
        return Ok(());
    };
    order.status = status;
    order.reason = reason.map(str::to_owned);
    order.ended_ms = Some(now_ms);
    order.more = says.format().read(order.amount, order.more);
    tx.put(&ORDERS, id, &order)?;
    tx.delete(&OPEN, id)?;
    let kind = match status {
        Status::Completed => ORDER_COMPLETED,
        _ => ORDER_CANCELLED,
    };
    let purchase = Purchase {
        order_id: order.id,
        user_id: order.user_id,
        item_id: order.item_id,
        quantity: order.quantity,
        amount: order.amount,
        reason: order.reason,
        note: None,
        more: order.more,
    };
    says.say(kind, id, context, &purchase);
    Ok(())
}
