//! The bag service: a user's item slots, and what purchases have reserved of them.

use std::{collections::BTreeMap, io, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, put},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    kit::{
        self, Code, Problem, StoreError, Table,
        http::Body,
        input::{plain_id, within},
        member::{Member, Settings},
        reservation::ReservationState,
        resource_pool::{Ask, Hold, Pool, Pools},
    },
    ports::Platform,
    purchase::{
        INVENTORY_FAILED, INVENTORY_RELEASED, INVENTORY_RESERVED, TOPIC, USER_VALIDATED,
        holder::{Holder, Part},
    },
    service::{Service, service},
};

/// The service, as topologies list it.
pub const SERVICE: Service = service!("bag", ["/bags", "/user/{id}/inventory"]);

/// The database's file.
pub const FILE: &str = "bag.redb";

/// Slots by user, and what is held of them by order. A hold's label is the item.
pub const BAGS: Pools = Pools {
    pools: Table::<Pool>::new("bags"),
    holds: Table::<Hold>::new("slot_reservations"),
};

/// Most slots of a bag.
const SLOTS_MAX: u64 = 10_000;

/// The body of `PUT /bags/{user}`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Slots, up to 10,000.
    pub slots: u64,
}

/// Serves until the process ends.
pub async fn run(platform: Platform, settings: Settings) -> io::Result<()> {
    let member = Member::open(&platform, FILE, TOPIC, &settings).await?;
    let bags = Arc::new(Holder {
        member: member.clone(),
        part: &SLOTS,
    });
    let events = member.hear(&bags.kinds(), bags.clone());
    let router = Router::new()
        .route("/bags/{user}", put(create))
        .route("/user/{id}/inventory", get(show))
        .with_state(bags)
        .merge(events);
    kit::http::serve(&platform, router).await
}

/// A purchase's units take as many slots of the user's bag.
const SLOTS: Part = Part {
    pools: &BAGS,
    ask: |purchase| Ask {
        owner: &purchase.order_id,
        pool: &purchase.user_id,
        label: &purchase.item_id,
        quantity: purchase.quantity,
    },
    pool: |purchase| format!("the bag of {}", purchase.user_id),
    follows: USER_VALIDATED,
    reserved: INVENTORY_RESERVED,
    failed: INVENTORY_FAILED,
    released: INVENTORY_RELEASED,
};

type App = State<Arc<Holder>>;

async fn create(
    State(bags): App,
    Path(user): Path<String>,
    Body(Create { slots }): Body<Create>,
) -> Result<Json<Value>, Problem> {
    plain_id("user", &user)?;
    within("slots", slots, 0..=SLOTS_MAX)?;
    let made = bags.member.store().write(move |tx| {
        let pool = BAGS.create(tx, &user, slots)?;
        Ok::<_, Problem>(json!({ "userId": user, "slots": pool.all, "free": pool.free }))
    });
    Ok(Json(made.await?))
}

/// The bag and what is in it.
async fn show(State(bags): App, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let (pool, holds) = bags.member.store().read(|rows| {
        let holds = rows.scan(&BAGS.holds, "")?;
        Ok::<_, StoreError>((rows.get(&BAGS.pools, &id)?, holds))
    })?;
    let pool = pool.ok_or_else(|| {
        let detail = format!("{id} has no bag; give them one with PUT /bags/{id}");
        Code::NotFound.because(detail)
    })?;
    let taken = |hold: &Hold| hold.pool == id && hold.state == ReservationState::Confirmed;
    let mut items: BTreeMap<String, u64> = BTreeMap::new();
    for (_, hold) in holds.into_iter().filter(|(_, hold)| taken(hold)) {
        *items.entry(hold.label).or_default() += hold.quantity;
    }
    Ok(Json(json!({
        "userId": id, "slots": pool.all, "free": pool.free, "reserved": pool.reserved,
        "items": items,
    })))
}
