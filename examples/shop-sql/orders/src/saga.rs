//! How orders go on from state to state.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use shop_sql_inventory::{Reserve, Reserved};
use shop_sql_kit::{
    Bug, Bugs, Database, Error, Lease, Locks, Peer, READ_COMMITTED, Result, Transaction,
    idempotency::{self, Seen},
    outbox,
};
use shop_sql_payments::Charge;
use sqlx::types::Json;
use tokio::time::sleep;
use tracing::{info, warn};
use uuid::Uuid;

use crate::{Order, Place, State};

/// How long is waited for an order that somebody else has.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) struct Orders {
    pub(crate) database: Database,
    pub(crate) replica: Database,
    pub(crate) locks: Locks,
    pub(crate) lease: Duration,
    pub(crate) inventory: Peer,
    pub(crate) payments: Peer,
    pub(crate) bugs: Bugs,
}

/// An order that has been taken, to be written once. The lock keeps others from taking it as long as its lease runs; whoever
/// takes it all the same has a higher number, and this one can't write any more.
struct Claim {
    order: Order,
    lease: Option<Lease>,
}

/// What becomes of an order.
struct Next {
    state: State,
    total: Option<i64>,
    reason: Option<String>,
}

impl Next {
    fn cancelled(reason: String) -> Next {
        Next {
            state: State::Cancelled,
            total: None,
            reason: Some(reason),
        }
    }
}

impl Orders {
    /// An order, as it is.
    pub(crate) async fn order(&self, id: Uuid) -> Result<Order> {
        let database = match self.bugs.has(Bug::StaleRead) {
            true => &self.replica,
            false => &self.database,
        };
        let order = sqlx::query_as("SELECT * FROM orders WHERE id = $1").bind(id);
        let order = database.fetch(order).await?.pop();
        order.ok_or_else(|| Error::refused(StatusCode::NOT_FOUND, "no such order"))
    }

    /// All orders, as they were a moment ago.
    pub(crate) async fn list(&self) -> Result<Vec<Order>> {
        let orders = sqlx::query_as("SELECT * FROM orders ORDER BY id");
        self.replica.fetch(orders).await
    }

    /// Takes an order, or finds it if it was taken before.
    pub(crate) async fn place(&self, key: &str, place: &Place) -> Result<Order> {
        let id = Uuid::new_v4();
        let take = |transaction| self.place_in(transaction, id, key, place);
        match self.database.transaction(READ_COMMITTED, take).await? {
            Seen::First => info!("{id}: {place:?}"),
            Seen::Again(id) => return self.order(id).await,
        }
        Ok(Order {
            id,
            customer: place.customer.clone(),
            lines: place.lines.clone(),
            state: State::Reserving,
            total: None,
            reason: None,
            fence: 0,
        })
    }

    async fn place_in(
        &self,
        mut transaction: Transaction,
        id: Uuid,
        key: &str,
        place: &Place,
    ) -> Result<Seen> {
        let seen = idempotency::remember(&mut transaction, key, place, id, &self.bugs).await?;
        if seen == Seen::First {
            sqlx::query(
                "INSERT INTO orders (id, customer, lines, state) VALUES ($1, $2, $3, 'reserving')",
            )
            .bind(id)
            .bind(&place.customer)
            .bind(Json(&place.lines))
            .execute(&mut *transaction)
            .await?;
            let detail = json!({ "customer": place.customer });
            outbox::publish(&mut transaction, id, "placed", &detail).await?;
            transaction.commit().await?;
        }
        Ok(seen)
    }

    /// Cancels an order that is not decided yet.
    pub(crate) async fn cancel(&self, id: Uuid) -> Result<Order> {
        loop {
            let claim = self.claim(id).await?;
            match claim.order.state {
                State::Confirmed => {
                    self.give_up(claim).await;
                    return Err(Error::refused(StatusCode::CONFLICT, "it is confirmed"));
                }
                State::Cancelled => return Ok(self.give_up(claim).await),
                State::Reserving | State::Charging => {
                    let cancelled = Next::cancelled("cancelled".to_owned());
                    if let Some(order) = self.write(claim, cancelled).await? {
                        return Ok(order);
                    }
                }
            }
        }
    }

    /// Takes an order from state to state until it is decided.
    pub(crate) fn drive(&self, id: Uuid) -> impl Future<Output = Result<Order>> + use<> {
        let orders = self.clone();
        async move {
            loop {
                let claim = orders.claim(id).await?;
                let next = match claim.order.state {
                    State::Reserving => orders.reserve(&claim.order).await,
                    State::Charging => orders.charge(&claim.order).await,
                    State::Confirmed | State::Cancelled => return Ok(orders.give_up(claim).await),
                };
                let next = next.unwrap_or_else(|no| Next::cancelled(no.to_string()));
                match orders.write(claim, next).await? {
                    Some(order) if order.state.is_decided() => return Ok(order),
                    _ => {}
                }
            }
        }
    }

    async fn reserve(&self, order: &Order) -> Result<Next> {
        let reserve = Reserve {
            order: order.id,
            lines: order.lines.clone(),
        };
        let Reserved { total } = self.inventory.post("/reservations", &reserve).await?;
        Ok(Next {
            state: State::Charging,
            total: Some(total),
            reason: None,
        })
    }

    async fn charge(&self, order: &Order) -> Result<Next> {
        let charge = Charge {
            order: order.id,
            customer: order.customer.clone(),
            amount: order.total.unwrap_or_default(),
        };
        let _: Value = self.payments.post("/charges", &charge).await?;
        Ok(Next {
            state: State::Confirmed,
            total: order.total,
            reason: None,
        })
    }

    /// Takes an order. Without Redis it goes on as well: the lock saves work, and nothing else depends on it.
    async fn claim(&self, id: Uuid) -> Result<Claim> {
        let name = format!("order:{id}");
        let lease = match self.locks.acquire(&name, self.lease, PATIENCE).await {
            Ok(Some(lease)) => Some(lease),
            Ok(None) => return Err(Error::Unknown("somebody else has it".to_owned())),
            Err(error) => {
                warn!("{id}: {error}");
                None
            }
        };
        match self.take(id, lease.as_ref()).await {
            Ok(order) => Ok(Claim { order, lease }),
            Err(error) => {
                self.release(lease).await;
                Err(error)
            }
        }
    }

    /// Reads an order, and keeps those who have read it before from writing it.
    async fn take(&self, id: Uuid, lease: Option<&Lease>) -> Result<Order> {
        if self.bugs.has(Bug::LockForgotten) {
            let number = lease.map_or(0, |lease| lease.number);
            let taken = sqlx::query_as(
                "UPDATE orders SET fence = $2 WHERE id = $1 AND fence <= $2 RETURNING *",
            );
            let taken = self.database.fetch(taken.bind(id).bind(number)).await?;
            let why = "somebody else has it, or Redis does not answer";
            return taken
                .into_iter()
                .next()
                .ok_or_else(|| Error::Unknown(why.to_owned()));
        }
        let taken = sqlx::query_as("UPDATE orders SET fence = fence + 1 WHERE id = $1 RETURNING *");
        let taken = self.database.fetch(taken.bind(id)).await?.pop();
        taken.ok_or_else(|| Error::refused(StatusCode::NOT_FOUND, "no such order"))
    }

    async fn give_up(&self, claim: Claim) -> Order {
        self.release(claim.lease).await;
        claim.order
    }

    async fn release(&self, lease: Option<Lease>) {
        if let Some(lease) = lease {
            self.locks.release(lease).await;
        }
    }

    /// Writes what becomes of an order, and the event that follows from it; nothing if somebody else has taken it since. An
    /// error does not mean that it is not written: whoever takes the order next sees what has become of it.
    async fn write(&self, claim: Claim, mut next: Next) -> Result<Option<Order>> {
        let mut written = self.try_to_write(&claim, &next).await;
        if let Err(error) = &written
            && self.bugs.has(Bug::CommitTakenForFailed)
        {
            next = Next::cancelled(error.to_string());
            for _ in 0..20 {
                sleep(Duration::from_millis(200)).await;
                written = self.try_to_write(&claim, &next).await;
                if written.is_ok() {
                    break;
                }
            }
        }
        self.release(claim.lease).await;
        let Next {
            state,
            total,
            reason,
        } = next;
        let order = Order {
            state,
            total,
            reason,
            ..claim.order
        };
        Ok(written?.then_some(order))
    }

    async fn try_to_write(&self, claim: &Claim, next: &Next) -> Result<bool> {
        let write = |transaction| self.write_in(transaction, claim, next);
        self.database.transaction(READ_COMMITTED, write).await
    }

    async fn write_in(
        &self,
        mut transaction: Transaction,
        Claim { order, .. }: &Claim,
        next: &Next,
    ) -> Result<bool> {
        let id = order.id;
        let update = match self.bugs.has(Bug::LeaseOverrun) {
            true => {
                "UPDATE orders SET state = $3, total = $4, reason = $5 WHERE id = $1 AND fence >= $2"
            }
            false => {
                "UPDATE orders SET state = $3, total = $4, reason = $5 WHERE id = $1 AND fence = $2"
            }
        };
        let written = sqlx::query(update)
            .bind(id)
            .bind(order.fence)
            .bind(next.state.name())
            .bind(next.total)
            .bind(&next.reason)
            .execute(&mut *transaction)
            .await?;
        if written.rows_affected() == 0 {
            info!("{id}: somebody else has it");
            return Ok(false);
        }
        if next.state.is_decided() {
            let detail = json!({ "customer": order.customer });
            outbox::publish(&mut transaction, id, next.state.name(), &detail).await?;
        }
        transaction.commit().await?;
        info!("{id}: {:?}", next.state);
        Ok(true)
    }
}
