//! The payments' table, and the only way to change it: one commit, with the version that was read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use serde::{Deserialize, Serialize};

use super::model::{Action, Event, Illegal, Mode, Status, Told};
use crate::{
    kit::{Code, Context, Problem, Store, Table, Writer, lock},
    planted_bug::Bugs,
};

/// All payments, by [`Payment::id`].
pub const PAYMENTS: Table<Payment> = Table::new("payments");

/// Ids of payments, by `{order id}/{payment id}`.
pub const BY_ORDER: Table<String> = Table::new("payments_by_order");

/// What is to be paid: the body of `POST /payments`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The saga that pays.
    pub saga_id: String,
    /// The order that it pays for.
    pub order_id: String,
    /// Minor units, at least 1.
    pub amount: i64,
    /// The card's token.
    pub card: String,
    /// How the money is taken.
    pub mode: Mode,
}

/// One payment: what a saga asked for and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The saga's id: a saga has one payment. (A service with a bug may make more: `{saga}.02`, `{saga}.03` ...)
    pub id: String,
    /// The saga that owns it.
    pub saga_id: String,
    /// The order that it pays for: the gateway's reference. Empty in a tombstone.
    pub order_id: String,
    /// Minor units; 0 in a tombstone.
    pub amount: i64,
    /// The card's token.
    pub card: String,
    /// How the money is taken.
    pub mode: Mode,
    /// Who asked for it, or cancelled it unseen: what is settled later belongs to the same trace.
    #[serde(default)]
    pub context: Context,
    /// Where it is.
    pub status: Status,
    /// The gateway's id of the authorization or charge, once known.
    pub gateway_id: Option<String>,
    /// Per action, the number of the attempt that is or was made; absent means the first. Raised only when the
    /// gateway certainly did nothing and never will under the old number.
    pub attempts: BTreeMap<Action, u32>,
    /// What is paid back, in minor units, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<i64>,
    /// Raised by every commit, from 1.
    pub version: u64,
}

impl Payment {
    /// A payment that nothing was asked for yet.
    pub fn new(order: &Order, context: &Context) -> Self {
        Payment {
            id: order.saga_id.clone(),
            saga_id: order.saga_id.clone(),
            order_id: order.order_id.clone(),
            amount: order.amount,
            card: order.card.clone(),
            mode: order.mode,
            context: context.clone(),
            status: Status::Created,
            gateway_id: None,
            attempts: BTreeMap::new(),
            refund: None,
            version: 0,
        }
    }

    /// What a cancel leaves that came before its payment.
    pub fn tombstone(saga_id: &str, context: &Context) -> Self {
        let nothing = Order {
            saga_id: saga_id.to_owned(),
            order_id: String::new(),
            amount: 0,
            card: String::new(),
            mode: Mode::TwoStep,
        };
        Payment {
            status: Status::Voided,
            ..Payment::new(&nothing, context)
        }
    }

    /// What it was made for.
    pub fn order(&self) -> Order {
        Order {
            saga_id: self.saga_id.clone(),
            order_id: self.order_id.clone(),
            amount: self.amount,
            card: self.card.clone(),
            mode: self.mode,
        }
    }

    /// The id of the saga's payment after this one.
    pub(super) fn next_id(&self) -> String {
        let suffix = self.id.strip_prefix(&self.saga_id).unwrap_or_default();
        let number: u32 = suffix.trim_start_matches('.').parse().unwrap_or(1);
        format!("{}.{:02}", self.saga_id, number + 1)
    }

    /// Whether a cancel came before the payment.
    pub fn is_tombstone(&self) -> bool {
        self.amount == 0
    }

    /// The payment after an event.
    pub fn after(&self, event: Event) -> Result<Payment, Illegal> {
        Ok(Payment {
            status: self.status.after(event)?,
            ..self.clone()
        })
    }

    /// What must be asked of the gateway to leave this state; `None` if it is settled.
    pub fn question(&self) -> Option<Action> {
        match self.status {
            Status::Authorizing => Some(Action::Authorize),
            // Cancelled before the authorization was settled: only its answer tells whether there is a hold.
            Status::Voiding if self.gateway_id.is_none() => Some(Action::Authorize),
            Status::Charging => Some(Action::Charge),
            Status::Capturing => Some(Action::Capture),
            Status::Voiding => Some(Action::Void),
            Status::Refunding => Some(Action::Refund),
            _ => None,
        }
    }

    /// The number of the attempt at an action.
    pub fn attempt(&self, action: Action) -> u32 {
        self.attempts.get(&action).copied().unwrap_or(1)
    }

    /// The payment after the gateway's answer to its question.
    pub fn told(&self, action: Action, told: &Told) -> Result<Payment, Illegal> {
        let void_unheld = self.status == Status::Voiding && action == Action::Authorize;
        let mut next = match told {
            Told::Done { .. } if void_unheld => self.clone(),
            Told::Done { .. } => self.after(Event::Done)?,
            Told::Refused { .. } if void_unheld => self.after(Event::Done)?,
            Told::Refused { .. } => self.after(Event::Refused)?,
            Told::FoundCaptured => self.after(Event::FoundCaptured)?,
            Told::Failed => self.clone(),
        };
        match told {
            Told::Done { id } => next.gateway_id = Some(id.clone()),
            Told::Refused { .. } | Told::Failed => {
                next.attempts.insert(action, self.attempt(action) + 1);
            }
            Told::FoundCaptured => {}
        }
        Ok(next)
    }
}

/// The payments in the service's database.
pub(super) struct Book {
    store: Store,
    bugs: Bugs,
    /// Payments whose state awaits the gateway: at least those; it may name some that are settled.
    unsettled: Mutex<BTreeSet<String>>,
}

impl Book {
    pub fn new(store: Store, bugs: Bugs) -> Result<Self, Problem> {
        let unsettled = store
            .read(|rows| rows.scan(&PAYMENTS, ""))?
            .into_iter()
            .filter(|(_, payment)| payment.status.is_unsettled())
            .map(|(id, _)| id)
            .collect();
        Ok(Book {
            store,
            bugs,
            unsettled: Mutex::new(unsettled),
        })
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn get(&self, id: &str) -> Result<Option<Payment>, Problem> {
        Ok(self.store.read(|rows| rows.get(&PAYMENTS, id))?)
    }

    /// The saga's payment; the latest, should there be several.
    pub fn of_saga(&self, saga_id: &str) -> Result<Option<Payment>, Problem> {
        let later = self
            .store
            .read(|rows| rows.scan(&PAYMENTS, &format!("{saga_id}.")))?;
        match later.into_iter().next_back() {
            Some((_, payment)) => Ok(Some(payment)),
            None => self.get(saga_id),
        }
    }

    pub fn of_order(&self, order_id: &str) -> Result<Vec<Payment>, Problem> {
        self.store.read(|rows| {
            let ids = rows.scan(&BY_ORDER, &format!("{order_id}/"))?;
            let mut payments = Vec::with_capacity(ids.len());
            for (_, id) in ids {
                payments.extend(rows.get(&PAYMENTS, &id)?);
            }
            Ok(payments)
        })
    }

    /// Ids of payments that may await the gateway.
    pub fn unsettled(&self) -> Vec<String> {
        lock(&self.unsettled).iter().cloned().collect()
    }

    /// Commits a payment that was changed since it was read, with whatever belongs to the same commit. The row must
    /// still have the version that was read.
    pub async fn commit(
        &self,
        mut payment: Payment,
        with: impl FnOnce(&mut Writer) -> Result<(), Problem> + Clone + Send + 'static,
    ) -> Result<Payment, Problem> {
        if payment.status.is_unsettled() {
            lock(&self.unsettled).insert(payment.id.clone());
        }
        let read = payment.version;
        payment.version += 1;
        let row = payment.clone();
        let work = move |tx: &mut Writer| {
            let stored = tx.get(&PAYMENTS, &row.id)?.map_or(0, |p| p.version);
            if stored != read {
                return Err(Code::VersionConflict
                    .because("the payment changed meanwhile; ask again with the same key"));
            }
            tx.put(&PAYMENTS, &row.id, &row)?;
            if read == 0 && !row.is_tombstone() {
                tx.put(&BY_ORDER, &format!("{}/{}", row.order_id, row.id), &row.id)?;
            }
            with(tx)
        };
        self.write(work).await?;
        if !payment.status.is_unsettled() {
            lock(&self.unsettled).remove(&payment.id);
        }
        tracing::info!(
            payment_id = payment.id.as_str(),
            amount = payment.amount,
            "payment {}",
            payment.status.name()
        );
        Ok(payment)
    }

    /// Runs a transaction of its own.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, Problem> + Clone + Send + 'static,
    ) -> Result<T, Problem> {
        self.store.commit(self.bugs, work).await
    }
}
