//! The inventory of choreographed orders: units of products in stock, and what orders have set aside of them.
//!
//! Units are only added and taken away, and a reservation is checked and made in one transaction: there is no semantic
//! lock, for an order holds its goods until they are delivered, and nobody else has to wait for that.

use std::{io, sync::Arc};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    DELIVERY_COMPLETED, DELIVERY_FAILED, INVENTORY_FAILED, INVENTORY_RESERVED, ORDER_CREATED,
    PAYMENT_FAILED, Placed, TOPIC,
};
use crate::{
    gap::Gap,
    kit::{
        self, Code, Listed, Page, Problem, Table,
        bus::{Event, Handler, HandlerError, Member, Settings},
        holding::{Ask, Hold, Holding, Pool, Refusal},
        http::Body,
        input::{plain_id, within},
    },
    ports::Platform,
    service::{Demo, Service},
};

/// The service, as topologies list it.
pub const SERVICE: Service = Service {
    name: "inventory",
    paths: &["/inventory"],
    run: |platform| Box::pin(run(platform, Settings::default())),
    demo: &[Demo {
        list: "/inventory",
        puts: &[
            ("/inventory/1", r#"{"stock": 100}"#),
            ("/inventory/2", r#"{"stock": 100}"#),
            ("/inventory/3", r#"{"stock": 20}"#),
            ("/inventory/4", r#"{"stock": 1}"#),
        ],
    }],
};

/// The database's file.
pub const FILE: &str = "stock.redb";

/// Products by id, and units by order.
pub const STOCK: Holding = Holding {
    pools: Table::<Pool>::new("stock"),
    holds: Table::<Hold>::new("stock_reservations"),
};

/// Why an order is cancelled that nothing is left for.
pub const OUT_OF_STOCK: &str = "out of stock";

/// Most units of a product.
const STOCK_MAX: u64 = 1_000_000;

/// The body of `PUT /inventory/{id}`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Units at first, up to a million.
    pub stock: u64,
}

/// Serves until the process ends.
///
/// # Errors
/// The database or the service's address cannot be used.
pub async fn run(platform: Platform, settings: Settings) -> io::Result<()> {
    let member = Member::open(&platform, FILE, TOPIC, &settings).await?;
    let stock = Arc::new(Stock {
        member: member.clone(),
    });
    let kinds = [
        ORDER_CREATED,
        PAYMENT_FAILED,
        DELIVERY_FAILED,
        DELIVERY_COMPLETED,
    ];
    let events = member.hear(&kinds, stock.clone());
    let router = Router::new()
        .route("/inventory", get(list))
        .route("/inventory/{id}", get(show).put(create))
        .with_state(stock)
        .merge(events);
    kit::http::serve(&platform, router).await
}

struct Stock {
    member: Member,
}

#[async_trait]
impl Handler for Stock {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let placed = Placed::of(event)?;
        match event.kind.as_str() {
            ORDER_CREATED => self.reserve(event, placed).await,
            PAYMENT_FAILED | DELIVERY_FAILED => self.release(event, placed).await,
            DELIVERY_COMPLETED => self.confirm(event, placed).await,
            _ => Ok(()),
        }
    }
}

impl Stock {
    async fn reserve(&self, event: &Event, placed: Placed) -> Result<(), HandlerError> {
        let now_ms = self.member.platform().clock.now_ms();
        let context = event.context.clone();
        let seen = match self.member.gaps().has(Gap::CheckThenActStock) {
            true => self.pool(&placed.product_id)?,
            false => None,
        };
        let reserved = self.member.once(event, move |tx, says| {
            let key = &placed.order_id;
            if let Some(seen) = &seen {
                tx.put(&STOCK.pools, &placed.product_id, seen)?;
            }
            let ask = Ask {
                owner: key,
                pool: &placed.product_id,
                label: &placed.user_id,
                quantity: placed.quantity,
            };
            match STOCK.reserve(tx, ask, now_ms)? {
                Ok(()) => says.say(INVENTORY_RESERVED, key, &context, &placed),
                Err(refusal) => {
                    let reason = match refusal {
                        Refusal::TooFew { wanted, left } => {
                            tracing::info!(wanted, left, "stock refused");
                            format!("{OUT_OF_STOCK}: {refusal}")
                        }
                        _ => format!("product {}: {refusal}", placed.product_id),
                    };
                    says.say(INVENTORY_FAILED, key, &context, &placed.failed(reason));
                }
            }
            Ok(())
        });
        reserved.await
    }

    async fn confirm(&self, event: &Event, placed: Placed) -> Result<(), HandlerError> {
        let now_ms = self.member.platform().clock.now_ms();
        let confirmed = self.member.once(event, move |tx, _| {
            STOCK.confirm(tx, &placed.order_id, now_ms)?;
            Ok(())
        });
        confirmed.await
    }

    async fn release(&self, event: &Event, placed: Placed) -> Result<(), HandlerError> {
        let now_ms = self.member.platform().clock.now_ms();
        let released = self.member.once(event, move |tx, _| {
            if STOCK.release(tx, &placed.order_id, now_ms)? {
                let (product, quantity) = (&placed.product_id, placed.quantity);
                tracing::info!(product, quantity, "stock released");
            }
            Ok(())
        });
        released.await
    }

    fn pool(&self, id: &str) -> Result<Option<Pool>, kit::StoreError> {
        self.member.store().read(|rows| rows.get(&STOCK.pools, id))
    }
}

type App = State<Arc<Stock>>;

async fn list(State(stock): App, page: Page) -> Result<Listed<Value>, Problem> {
    let store = stock.member.store();
    let pools = store.read(|rows| page.read(rows, &STOCK.pools, "", |_| true))?;
    Ok(pools.map(|(id, pool)| view(&id, &pool)))
}

async fn show(State(stock): App, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let missing = || {
        let detail = format!("nothing is known of product {id}; stock it with PUT /inventory/{id}");
        Problem::new(Code::NotFound, detail)
    };
    let pool = stock.pool(&id)?.ok_or_else(missing)?;
    Ok(Json(view(&id, &pool)))
}

async fn create(
    State(stock): App,
    Path(id): Path<String>,
    Body(Create { stock: units }): Body<Create>,
) -> Result<Json<Value>, Problem> {
    plain_id("id", &id)?;
    within("stock", units, 0..=STOCK_MAX)?;
    let key = id.clone();
    let made = stock.member.store().write(move |tx| {
        let pool = STOCK.create(tx, &key, units)?;
        Ok::<_, Problem>(pool)
    });
    Ok(Json(view(&id, &made.await?)))
}

fn view(id: &str, pool: &Pool) -> Value {
    json!({
        "productId": id, "stock": pool.free, "reserved": pool.reserved, "sold": pool.used,
    })
}
