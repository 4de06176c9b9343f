//! The item service: units of items in stock, and what purchases have set aside of them.

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
    INVENTORY_RESERVED, ITEM_FAILED, ITEM_RELEASED, ITEM_RESERVED, ORDER_CANCELLED,
    ORDER_COMPLETED, Purchase, TOPIC, keep_rollback_data, knows_rollback_data,
};
use crate::{
    kit::{
        self, Code, Problem, Store, Table,
        bus::{Event, Handler, HandlerError, Member, Settings},
        holding::{Ask, Hold, Holding, Pool},
        http::Body,
        input::{plain_id, within},
    },
    ports::Platform,
    service::Service,
};

/// The service, as topologies list it.
pub const SERVICE: Service = Service {
    name: "item",
    paths: &["/items"],
    run: |platform| Box::pin(run(platform, Settings::default())),
    demo: &[],
};

/// The database's file.
pub const FILE: &str = "item.redb";

/// Items by id, and units by order.
pub const ITEMS: Holding = Holding {
    pools: Table::<Pool>::new("items"),
    holds: Table::<Hold>::new("item_reservations"),
};

/// Most units of an item.
const STOCK_MAX: u64 = 1_000_000;

/// The body of `PUT /items/{id}`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Units at first, up to a million.
    pub stock: u64,
}

/// Serves until the process ends.
pub async fn run(platform: Platform, settings: Settings) -> io::Result<()> {
    let store = Store::open(&platform, FILE)
        .await
        .map_err(io::Error::other)?;
    let member = Member::join(&platform, &store, TOPIC, &settings)
        .await
        .map_err(io::Error::other)?;
    let items = Arc::new(Items {
        member: member.clone(),
    });
    let kinds = [INVENTORY_RESERVED, ORDER_COMPLETED, ORDER_CANCELLED];
    let events = member.hear(&kinds, items.clone());
    let router = Router::new()
        .route("/items", get(list))
        .route("/items/{id}", get(show).put(create))
        .with_state(items)
        .merge(events);
    kit::http::serve(&platform, router).await
}

struct Items {
    member: Member,
}

#[async_trait]
impl Handler for Items {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let purchase = Purchase::of(event)?;
        match event.kind.as_str() {
            INVENTORY_RESERVED => self.reserve(event, purchase).await,
            ORDER_COMPLETED => self.confirm(event, purchase).await,
            ORDER_CANCELLED => self.release(event, purchase).await,
            _ => Ok(()),
        }
    }
}

impl Items {
    async fn reserve(&self, event: &Event, purchase: Purchase) -> Result<(), HandlerError> {
        let now_ms = self.member.platform().clock.now_ms();
        let context = event.context.clone();
        let reserved = self.member.once(event, move |tx, says| {
            let ask = Ask {
                owner: &purchase.order_id,
                pool: &purchase.item_id,
                label: &purchase.user_id,
                quantity: purchase.quantity,
            };
            let key = &purchase.order_id;
            match ITEMS.reserve(tx, ask, now_ms)? {
                Ok(()) => says.say(ITEM_RESERVED, key, &context, &purchase),
                Err(refusal) => {
                    let failed = purchase.failed(format!("item {}: {refusal}", purchase.item_id));
                    says.say(ITEM_FAILED, key, &context, &failed);
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
        let confirmed = self.member.once(event, move |tx, _| {
            ITEMS.confirm(tx, &purchase.order_id, now_ms)?;
            Ok(())
        });
        confirmed.await
    }

    async fn release(&self, event: &Event, purchase: Purchase) -> Result<(), HandlerError> {
        if !knows_rollback_data(&self.member, event).await {
            return self.member.once(event, |_, _| Ok(())).await;
        }
        let now_ms = self.member.platform().clock.now_ms();
        let context = event.context.clone();
        let released = self.member.once(event, move |tx, says| {
            if ITEMS.release(tx, &purchase.order_id, now_ms)? {
                says.say(ITEM_RELEASED, &purchase.order_id, &context, &purchase);
            }
            Ok(())
        });
        released.await
    }
}

type App = State<Arc<Items>>;

async fn list(State(items): App) -> Result<Json<Vec<Value>>, Problem> {
    let rows = items
        .member
        .store()
        .read(|rows| rows.scan(&ITEMS.pools, ""))?;
    let all = rows.into_iter().map(|(id, pool)| view(&id, &pool));
    Ok(Json(all.collect()))
}

async fn show(State(items): App, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let pool = items
        .member
        .store()
        .read(|rows| rows.get(&ITEMS.pools, &id))?;
    let missing = || {
        let detail = format!("there is no item {id}; create it with PUT /items/{id}");
        Problem::new(Code::NotFound, detail)
    };
    pool.map(|pool| Json(view(&id, &pool))).ok_or_else(missing)
}

async fn create(
    State(items): App,
    Path(id): Path<String>,
    Body(Create { stock }): Body<Create>,
) -> Result<Json<Value>, Problem> {
    plain_id("id", &id)?;
    within("stock", stock, 0..=STOCK_MAX)?;
    let key = id.clone();
    let made = items.member.store().write(move |tx| {
        let pool = ITEMS.create(tx, &key, stock)?;
        Ok::<_, Problem>(pool)
    });
    Ok(Json(view(&id, &made.await?)))
}

fn view(id: &str, pool: &Pool) -> Value {
    json!({
        "itemId": id, "stock": pool.free, "reserved": pool.reserved, "sold": pool.used,
    })
}
