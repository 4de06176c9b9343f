//! The inventory of choreographed orders: units of products in stock, and what orders have set aside of them.
//!
//! There is no semantic lock, for an order holds its goods until they are delivered, and nobody else has to wait for
//! that. What is read and written about one event is one transaction, or is done under a [lease](LEASE) of the product,
//! whose fencing token is kept beside the units.

use std::{io, sync::Arc, time::Duration};

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
    kit::{
        self, Code, Listed, Page, Problem, StoreError, Table, Writer,
        bus::{Event, Handler, HandlerError},
        http::Body,
        input::{plain_id, within},
        lease::{Lease, LeasePolicy, Leases, Locking, product_lock},
        member::{Member, Says, Settings},
        resource_pool::{Ask, Hold, Pool, Pools, Refusal, TooFew},
        stub_faults::StubFaults,
    },
    planted_bug::Bug,
    ports::Platform,
    service::{Service, service},
};

/// The service, as topologies list it.
pub const SERVICE: Service = service!(crate::shared::inventory::SERVICE);

/// The database's file.
pub const FILE: &str = "stock.redb";

/// Products by id, and units by order.
pub const STOCK: Pools = Pools {
    pools: Table::<Pool>::new("stock"),
    holds: Table::<Hold>::new("stock_reservations"),
};

/// By product: the token of the last lease under which it was written. Empty where no leases are used.
pub const FENCES: Table<u64> = Table::new("fences");

/// How a lease of a product is held, as published: without renewal.
pub const LEASE: LeasePolicy = LeasePolicy {
    wait: Duration::from_secs(5),
    lease: Duration::from_secs(3),
    renew_every: Duration::from_secs(30),
    limit: Duration::from_secs(30),
};

/// How the service is set up.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// How it takes part in the choreography.
    pub settings: Settings,
    /// How operations on a product keep out of each other's way.
    pub locking: Locking,
    /// What it has to bear between its look at a product and its writing, as in a pause of its garbage collector.
    pub faults: StubFaults,
}

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
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let Config {
        settings,
        locking,
        faults,
    } = config;
    let member = Member::open(&platform, FILE, TOPIC, &settings).await?;
    let stock = Arc::new(Stock {
        member: member.clone(),
        leases: locking.leases(&platform, settings.bugs),
        faults,
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
    leases: Option<Leases>,
    faults: StubFaults,
}

/// What was seen of a product before the transaction began, and under which lease if under any.
#[derive(Clone, Copy, Debug)]
struct Seen {
    pool: Pool,
    token: Option<u64>,
}

#[async_trait]
impl Handler for Stock {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let placed = Placed::heard(event, &self.member)?;
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
        let (now_ms, context) = (self.now_ms(), event.context.clone());
        let product = placed.product_id.clone();
        self.guarded(event, &product, move |tx, says| {
            let key = &placed.order_id;
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
                        Refusal::TooFew(TooFew { wanted, left }) => {
                            tracing::info!(wanted, left, "stock refused");
                            format!("{OUT_OF_STOCK}: {refusal}")
                        }
                        _ => format!("product {}: {refusal}", placed.product_id),
                    };
                    says.say(INVENTORY_FAILED, key, &context, &placed.failed(reason));
                }
            }
            Ok(())
        })
        .await
    }

    async fn confirm(&self, event: &Event, placed: Placed) -> Result<(), HandlerError> {
        let (now_ms, product) = (self.now_ms(), placed.product_id.clone());
        self.guarded(event, &product, move |tx, _| {
            STOCK.confirm(tx, &placed.order_id, now_ms)?;
            Ok(())
        })
        .await
    }

    async fn release(&self, event: &Event, placed: Placed) -> Result<(), HandlerError> {
        let (now_ms, product) = (self.now_ms(), placed.product_id.clone());
        self.guarded(event, &product, move |tx, _| {
            if STOCK.release(tx, &placed.order_id, now_ms)? {
                let (product, quantity) = (&placed.product_id, placed.quantity);
                tracing::info!(product, quantity, "stock released");
            }
            Ok(())
        })
        .await
    }

    /// Does about an event what is to be done once with a product, keeping others out of its way as the policy says. A
    /// lease that is not obtained in time is asked for again when the event is delivered again.
    async fn guarded(
        &self,
        event: &Event,
        product: &str,
        work: impl FnOnce(&mut Writer, &mut Says) -> Result<(), HandlerError> + Clone + Send + 'static,
    ) -> Result<(), HandlerError> {
        let bugs = self.member.bugs();
        if bugs.has(Bug::CheckThenActStock) {
            let seen = self.see(product, None)?;
            return self.act(event, product, seen, work).await;
        }
        let Some(leases) = &self.leases else {
            return self.act(event, product, None, work).await;
        };
        let lease = leases
            .acquire(&event.context, &product_lock(product))
            .await?;
        let done = async {
            let seen = self.see(product, Some(&lease))?;
            self.faults.strike().await?;
            self.act(event, product, seen, work).await
        };
        let done = leases.limit(done).await;
        lease.release().await;
        done
    }

    fn see(&self, product: &str, lease: Option<&Lease>) -> Result<Option<Seen>, StoreError> {
        let token = lease.map(Lease::token);
        Ok(self.pool(product)?.map(|pool| Seen { pool, token }))
    }

    /// One transaction, which goes by what was seen before it began, if anything was.
    async fn act(
        &self,
        event: &Event,
        product: &str,
        seen: Option<Seen>,
        work: impl FnOnce(&mut Writer, &mut Says) -> Result<(), HandlerError> + Clone + Send + 'static,
    ) -> Result<(), HandlerError> {
        let (product, bugs) = (product.to_owned(), self.member.bugs());
        let fenced = !bugs.has(Bug::LeaseWithoutFencing) && !bugs.has(Bug::LeaseFromAStaleClock);
        let acted = self.member.once(event, move |tx, says| {
            let shown = seen.map_or(Ok(()), |seen| seen.show(tx, &product, fenced));
            match shown {
                Err(HandlerError::Retry(_)) if bugs.has(Bug::LostUpdateIgnored) => Ok(()),
                Err(why) => Err(why),
                Ok(()) => work(tx, says),
            }
        });
        acted.await
    }

    fn now_ms(&self) -> u64 {
        self.member.platform().clock.now_ms()
    }

    fn pool(&self, id: &str) -> Result<Option<Pool>, kit::StoreError> {
        self.member.store().read(|rows| rows.get(&STOCK.pools, id))
    }
}

impl Seen {
    /// Leaves the lease's token, and what was seen as what the transaction goes by. Under a lease and `fenced`, neither
    /// may a later lease have written nor the product have changed since.
    fn show(self, tx: &mut Writer<'_>, product: &str, fenced: bool) -> Result<(), HandlerError> {
        if let Some(token) = self.token {
            let latest = tx.get(&FENCES, product)?.unwrap_or(0);
            if fenced && latest > token {
                tracing::info!(token, seen = latest, "write fenced off");
                return Err(changed(product, "a later lease has written"));
            }
            tx.put(&FENCES, product, &token)?;
        }
        if tx.get(&STOCK.pools, product)? == Some(self.pool) {
            return Ok(());
        }
        match fenced && self.token.is_some() {
            true => Err(changed(product, "it has changed since it was read")),
            false => Ok(tx.put(&STOCK.pools, product, &self.pool)?),
        }
    }
}

fn changed(product: &str, why: &str) -> HandlerError {
    HandlerError::Retry(format!("product {product}: {why}; nothing was done"))
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
        Code::NotFound.because(detail)
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
