//! The bag service: a user's item slots, and what purchases have set aside of them. A bag takes so many units.

pub mod store;

use std::{collections::BTreeMap, io, sync::Arc};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, put},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    kit::{
        self, Code, Problem, Store, StoreError,
        bus::{Event, Handler, HandlerError, Member, Settings},
        holding::{Ask, Hold},
        http::Body,
        input::{plain_id, within},
        reservation::ReservationState,
    },
    ports::Platform,
    purchase::{
        INVENTORY_FAILED, INVENTORY_RELEASED, INVENTORY_RESERVED, ORDER_CANCELLED, ORDER_COMPLETED,
        Purchase, TOPIC, USER_VALIDATED, keep_rollback_data, knows_rollback_data,
    },
    service::Service,
};
use store::BAGS;

/// The service, as topologies list it.
pub const SERVICE: Service = Service {
    name: "bag",
    paths: &["/bags", "/user/{id}/inventory"],
    run: |platform| Box::pin(run(platform, Settings::default())),
    demo: &[],
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
    let store = Store::open(&platform, store::FILE)
        .await
        .map_err(io::Error::other)?;
    let member = Member::join(&platform, &store, TOPIC, &settings)
        .await
        .map_err(io::Error::other)?;
    let bags = Arc::new(Bags {
        member: member.clone(),
    });
    let kinds = [USER_VALIDATED, ORDER_COMPLETED, ORDER_CANCELLED];
    let events = member.hear(&kinds, bags.clone());
    let router = Router::new()
        .route("/bags/{user}", put(create))
        .route("/user/{id}/inventory", get(show))
        .with_state(bags)
        .merge(events);
    kit::http::serve(&platform, router).await
}

struct Bags {
    member: Member,
}

#[async_trait]
impl Handler for Bags {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let purchase = Purchase::of(event)?;
        match event.kind.as_str() {
            USER_VALIDATED => self.reserve(event, purchase).await,
            ORDER_COMPLETED => self.confirm(event, purchase).await,
            ORDER_CANCELLED => self.release(event, purchase).await,
            _ => Ok(()),
        }
    }
}

impl Bags {
    async fn reserve(&self, event: &Event, purchase: Purchase) -> Result<(), HandlerError> {
        let now_ms = self.member.platform().clock.now_ms();
        let context = event.context.clone();
        let reserved = self.member.once(event, move |tx, says| {
            let ask = Ask {
                owner: &purchase.order_id,
                pool: &purchase.user_id,
                label: &purchase.item_id,
                quantity: purchase.quantity,
            };
            let key = &purchase.order_id;
            match BAGS.reserve(tx, ask, now_ms)? {
                Ok(()) => says.say(INVENTORY_RESERVED, key, &context, &purchase),
                Err(refusal) => {
                    let why = format!("the bag of {}: {refusal}", purchase.user_id);
                    says.say(INVENTORY_FAILED, key, &context, &purchase.failed(why));
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
            BAGS.confirm(tx, &purchase.order_id, now_ms)?;
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
            if BAGS.release(tx, &purchase.order_id, now_ms)? {
                says.say(INVENTORY_RELEASED, &purchase.order_id, &context, &purchase);
            }
            Ok(())
        });
        released.await
    }
}

type App = State<Arc<Bags>>;

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
        Problem::new(Code::NotFound, detail)
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
