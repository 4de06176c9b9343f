//! The item service: units of items in stock, and what purchases have set aside of them.

use std::{io, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    INVENTORY_RESERVED, ITEM_FAILED, ITEM_RELEASED, ITEM_RESERVED, TOPIC,
    holder::{Holder, Part},
};
use crate::{
    kit::{
        self, Code, Listed, Page, Problem, Table,
        http::Body,
        input::{plain_id, within},
        member::{Member, Settings},
        resource_pool::{Ask, Hold, Pool, Pools},
    },
    ports::Platform,
    service::{Service, service},
};

/// The service, as topologies list it.
pub const SERVICE: Service = service!("item", ["/items"]);

/// The database's file.
pub const FILE: &str = "item.redb";

/// Items by id, and units by order.
pub const ITEMS: Pools = Pools {
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
    let member = Member::open(&platform, FILE, TOPIC, &settings).await?;
    let items = Arc::new(Holder {
        member: member.clone(),
        part: &UNITS,
    });
    let events = member.hear(&items.kinds(), items.clone());
    let router = Router::new()
        .route("/items", get(list))
        .route("/items/{id}", get(show).put(create))
        .with_state(items)
        .merge(events);
    kit::http::serve(&platform, router).await
}

/// A purchase's units of its item.
const UNITS: Part = Part {
    pools: &ITEMS,
    ask: |purchase| Ask {
        owner: &purchase.order_id,
        pool: &purchase.item_id,
        label: &purchase.user_id,
        quantity: purchase.quantity,
    },
    pool: |purchase| format!("item {}", purchase.item_id),
    follows: INVENTORY_RESERVED,
    reserved: ITEM_RESERVED,
    failed: ITEM_FAILED,
    released: ITEM_RELEASED,
};

type App = State<Arc<Holder>>;

async fn list(State(items): App, page: Page) -> Result<Listed<Value>, Problem> {
    let store = items.member.store();
    let pools = store.read(|rows| page.read(rows, &ITEMS.pools, "", |_| true))?;
    Ok(pools.map(|(id, pool)| view(&id, &pool)))
}

async fn show(State(items): App, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let pool = items
        .member
        .store()
        .read(|rows| rows.get(&ITEMS.pools, &id))?;
    let missing = || {
        let detail = format!("there is no item {id}; create it with PUT /items/{id}");
        Code::NotFound.because(detail)
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
