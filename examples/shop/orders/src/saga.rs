//! Orders, and how they go on from state to state.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::http::StatusCode;
use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};
use shop_kit::{
    Bug, Bugs, Health, Refusal,
    rows::{self, Database, Definition},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use crate::{
    Config,
    api::Place,
    calls::{Calls, Errand},
};

const ORDERS: Definition = Definition::new("orders");
const OUTBOX: Definition = Definition::new("outbox");

/// How often orders and errands that were left are looked for.
const ROUND: Duration = Duration::from_secs(1);

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What was asked for.
    #[serde(flatten)]
    pub place: Place,
    /// What has become of it.
    #[serde(flatten)]
    pub state: State,
}

/// What has become of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// The stock service is asked.
    Reserving,
    /// The payments service is asked.
    Charging {
        /// For how much.
        price: i64,
    },
    /// It is paid for, and comes.
    Confirmed {
        /// What it cost.
        price: i64,
    },
    /// It does not come, and costs nothing.
    Refused {
        /// Why.
        reason: String,
    },
}

impl State {
    fn is_decided(&self) -> bool {
        matches!(self, State::Confirmed { .. } | State::Refused { .. })
    }

    /// What follows when an order comes to this state from another.
    fn errands(&self, from: &State) -> &'static [Errand] {
        match (from, self) {
            (_, State::Confirmed { .. }) => &[Errand::Confirm],
            (State::Reserving, State::Refused { .. }) => &[Errand::Release],
            (_, State::Refused { .. }) => &[Errand::Refund, Errand::Release],
            _ => &[],
        }
    }
}

/// A row of the outbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    key: String,
    errand: Errand,
}

pub(crate) struct Orders {
    database: Database,
    calls: Calls,
    bugs: Bugs,
    /// The orders that a task of this process drives.
    driven: Mutex<HashSet<String>>,
    /// Is told of each change.
    changed: watch::Sender<()>,
}

impl Orders {
    pub(crate) fn open(config: &Config) -> Result<Arc<Orders>> {
        Ok(Arc::new(Orders {
            database: Database::open(&config.data, &[ORDERS, OUTBOX], &config.bugs)?,
            calls: Calls::new(config)?,
            bugs: config.bugs.clone(),
            driven: Mutex::default(),
            changed: watch::Sender::new(()),
        }))
    }

    pub(crate) fn health(&self) -> Health {
        self.database.health()
    }

    pub(crate) async fn all(&self) -> Result<Vec<Order>, Refusal> {
        let read = |transaction: &ReadTransaction| Ok(rows::all(&transaction.open_table(ORDERS)?)?);
        let orders = self.database.read(read).await?;
        Ok(orders.into_iter().map(|(_, order)| order).collect())
    }

    pub(crate) async fn outbox(&self) -> Result<Vec<(String, Row)>, Refusal> {
        let read = |transaction: &ReadTransaction| Ok(rows::all(&transaction.open_table(OUTBOX)?)?);
        self.database.read(read).await
    }

    pub(crate) async fn order(&self, key: &str) -> Result<Order, Refusal> {
        let key = key.to_owned();
        let read = move |transaction: &ReadTransaction| {
            Ok(rows::get(&transaction.open_table(ORDERS)?, &key)?)
        };
        let order = self.database.read(read).await?;
        order.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no such order"))
    }

    /// The order once it is decided.
    pub(crate) async fn decided(&self, key: &str) -> Result<Order, Refusal> {
        let mut changed = self.changed.subscribe();
        loop {
            let order = self.order(key).await?;
            if order.state.is_decided() {
                return Ok(order);
            }
            changed.changed().await?;
        }
    }

    /// Takes an order, or finds it if it was taken before.
    pub(crate) async fn place(self: &Arc<Self>, place: Place) -> Result<Order, Refusal> {
        let take = move |transaction: &WriteTransaction| {
            let mut orders = transaction.open_table(ORDERS)?;
            match rows::get::<Order>(&orders, &place.key)? {
                Some(known) if known.place == place => Ok(known),
                Some(_) => Err(Refusal::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "the key is another's",
                )),
                None => {
                    let state = State::Reserving;
                    let order = Order { place, state };
                    rows::put(&mut orders, &order.place.key, &order)?;
                    Ok(order)
                }
            }
        };
        let order = self.database.write(take).await?;
        self.take_up(order.clone());
        Ok(order)
    }

    /// Refuses an order that is not decided yet.
    pub(crate) async fn cancel(&self, key: &str) -> Result<Order, Refusal> {
        let mut order = self.order(key).await?;
        loop {
            match order.state {
                State::Confirmed { .. } => {
                    return Err(Refusal::new(StatusCode::CONFLICT, "it is confirmed"));
                }
                State::Refused { .. } => return Ok(order),
                State::Reserving | State::Charging { .. } => {
                    let reason = "cancelled".to_owned();
                    let is_checked = !self.bugs.has(Bug::CancelRacesConfirm);
                    order = self
                        .advance(order, State::Refused { reason }, is_checked)
                        .await?;
                }
            }
        }
    }

    /// Has an order driven by a task, unless one drives it already.
    fn take_up(self: &Arc<Self>, order: Order) {
        if order.state.is_decided() {
            return;
        }
        let key = order.place.key.clone();
        let is_first = self.driven().insert(key.clone());
        if is_first || self.bugs.has(Bug::RecoveryRacesOwner) {
            let orders = self.clone();
            tokio::spawn(async move {
                if let Err(Refusal(_, why)) = orders.drive(order).await {
                    error!("{key}: {why}");
                }
                orders.driven().remove(&key);
            });
        }
    }

    fn driven(&self) -> MutexGuard<'_, HashSet<String>> {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an order from state to state until it is decided.
    async fn drive(&self, mut order: Order) -> Result<(), Refusal> {
        let is_checked = !self.bugs.has(Bug::RecoveryRacesOwner);
        loop {
            let next = match order.state {
                State::Reserving => {
                    let reserved = self.calls.reserve(&order.place).await;
                    reserved.map(|price| State::Charging { price })
                }
                State::Charging { price } => {
                    let charged = self.calls.charge(&order.place, price).await;
                    charged.map(|()| State::Confirmed { price })
                }
                State::Confirmed { .. } | State::Refused { .. } => return Ok(()),
            };
            let next = next.unwrap_or_else(|reason| State::Refused { reason });
            order = self.advance(order, next, is_checked).await?;
        }
    }

    /// Takes an order to its next state, and writes down what follows from it; unless it is not in the state any more
    /// in which it was seen. Returns it as it is then.
    async fn advance(&self, seen: Order, state: State, is_checked: bool) -> Result<Order, Refusal> {
        let change = move |transaction: &WriteTransaction| {
            let mut orders = transaction.open_table(ORDERS)?;
            let mut outbox = transaction.open_table(OUTBOX)?;
            let now: Order =
                rows::get(&orders, &seen.place.key)?.context("orders are never deleted")?;
            if is_checked && now != seen {
                return Ok(now);
            }
            let place = seen.place;
            let order = Order { place, state };
            let key = &order.place.key;
            rows::put(&mut orders, key, &order)?;
            for &errand in order.state.errands(&seen.state) {
                let row = Row {
                    key: key.clone(),
                    errand,
                };
                rows::put(&mut outbox, &format!("{key} {errand:?}"), &row)?;
            }
            info!("{key}: {:?}", order.state);
            Ok(order)
        };
        let order = self.database.write(change).await?;
        self.changed.send_replace(());
        Ok(order)
    }

    /// Takes up what nobody drives: what an earlier process has left, and what this one failed to write.
    pub(crate) async fn recover(self: Arc<Self>) {
        loop {
            match self.all().await {
                Ok(orders) => orders.into_iter().for_each(|order| self.take_up(order)),
                Err(Refusal(_, why)) => error!("recovery: {why}"),
            }
            sleep(ROUND).await;
        }
    }

    /// Goes on the errands of the outbox.
    pub(crate) async fn relay(self: Arc<Self>) {
        let mut changed = self.changed.subscribe();
        loop {
            if let Err(Refusal(_, why)) = self.go_on_errands().await {
                warn!("outbox: {why}");
            }
            let _ = timeout(ROUND, changed.changed()).await;
        }
    }

    async fn go_on_errands(&self) -> Result<(), Refusal> {
        for (row, Row { key, errand }) in self.outbox().await? {
            if self.bugs.has(Bug::RowMarkedBeforeSent) {
                self.delete(row.clone()).await?;
            }
            match self.calls.go(errand, &key).await {
                Ok(Ok(_)) => self.delete(row).await?,
                Ok(Err(why)) => {
                    error!("{key}: {errand:?} is refused: {why}");
                    self.delete(row).await?;
                }
                Err(error) => warn!("{key}: {errand:?}: {:#}", anyhow::Error::from(error)),
            }
        }
        Ok(())
    }

    async fn delete(&self, row: String) -> Result<(), Refusal> {
        let delete = move |transaction: &WriteTransaction| {
            transaction.open_table(OUTBOX)?.remove(row.as_str())?;
            Ok(())
        };
        self.database.write(delete).await
    }
}
