//! One request's work on the rows, inside one transaction.

use serde::{Deserialize, Serialize};

use super::{
    model::{LockEvent, LockState, Move, NotOwner, ReservationState, SemanticLock, Units},
    note::Note,
    store::{Goods, PRODUCTS, Product, RESERVATIONS, Reservation},
};
use crate::{
    kit::{
        Code, Problem, Table, Writer,
        reservation::{Reserving, Settling, Told, Work, invalid_state},
        resource_pool::{Countable, TooFew},
    },
    planted_bug::{Bug, Bugs},
};

/// A request for units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// The saga that asks; it alone may confirm or cancel.
    pub saga_id: String,
    /// The order that the units are for.
    pub order_id: String,
    /// The product.
    pub sku: String,
    /// Units, 1..=1000.
    pub quantity: u64,
}

/// What a request saw of the product before its transaction began. In the hardened shape: nothing.
#[derive(Clone, Debug)]
pub(super) enum Remembered {
    Nothing,
    OnHand(u64),
    Row(Product),
    /// Read under a lease: the row must not have changed, nor have seen a later lease, when it is written.
    Leased {
        product: Product,
        token: u64,
    },
}

/// A transaction with what the work in it needs to know.
pub(super) struct Commands<'a, 't> {
    pub(super) tx: &'a mut Writer<'t>,
    pub(super) bugs: Bugs,
    pub(super) semantic_lock: bool,
    pub(super) now_ms: u64,
    pub(super) remembered: Remembered,
    pub(super) note: Option<Note>,
}

impl<'t> Reserving<'t> for Commands<'_, 't> {
    type What = Goods;

    const ROWS: Table<Reservation> = RESERVATIONS;

    fn work(&mut self) -> Work<'_, 't> {
        (self.tx, self.bugs, self.now_ms)
    }

    /// Moves the units to where they end up and takes the product out of the saga's hands.
    fn settle(&mut self, of: &Reservation, way: Settling) -> Result<(), Problem> {
        let mut product = self.product(&of.sku)?;
        // A return comes long after the saga let the product go: whoever holds it now is not concerned.
        if way != Settling::Returned {
            self.lock(&mut product, LockEvent::Free, &of.saga_id)
                .map_err(invalid_state)?;
        }
        let way = match way {
            Settling::Taken => Move::Use,
            Settling::GivenBack => Move::GiveBack,
            Settling::Returned => Move::Return,
        };
        let units = moved(&product, way, of.quantity)?;
        self.put(product, units).map(drop)
    }

    fn tell(&mut self, of: &Reservation, told: Told) {
        let Goods { sku, quantity } = of.what.clone();
        self.note = Some(match told {
            Told::Taken => Note::Confirmed { sku, quantity },
            Told::Released => Note::Released { sku, quantity },
            Told::TombstoneLeft => Note::TombstoneLeft,
        });
    }
}

impl Commands<'_, '_> {
    /// Sets units aside for a saga and puts the product into its hands.
    pub(super) fn reserve(&mut self, ask: &Reserve) -> Result<Reservation, Problem> {
        if let Some(before) = self.begin(ask)? {
            return Ok(before);
        }
        let mut product = self.product(&ask.sku)?;
        let found = product.lock.clone();
        self.lock(&mut product, LockEvent::Acquire, &ask.saga_id)
            .map_err(|_| in_progress(&ask.sku))?;
        match product.units.after(Move::Reserve, ask.quantity) {
            Ok(units) => {
                self.lock(&mut product, LockEvent::Reserve, &ask.saga_id)
                    .map_err(|_| in_progress(&ask.sku))?;
                self.put(product, units)?;
            }
            Err(few) => {
                self.lock(&mut product, LockEvent::Fail, &ask.saga_id)
                    .map_err(|_| in_progress(&ask.sku))?;
                if product.lock != found {
                    let units = product.units;
                    self.put(product, units)?;
                }
                self.note = Some(Note::Refused {
                    sku: ask.sku.clone(),
                    quantity: ask.quantity,
                    left: few.left,
                });
                return Err(Code::OutOfStock.because(format!(
                    "{} of {} wanted, {} left; order fewer or wait for a restock",
                    ask.quantity, ask.sku, few.left
                )));
            }
        }
        let goods = Goods {
            sku: ask.sku.clone(),
            quantity: ask.quantity,
        };
        let reservation = self.note(&ask.saga_id, &ask.order_id, goods)?;
        self.note = Some(Note::Reserved {
            sku: ask.sku.clone(),
            quantity: ask.quantity,
        });
        Ok(reservation)
    }

    /// Puts the product into a saga's hands, and nothing else: the first half of a reserve in two commits. Whatever
    /// does not concern the lock is left to the second half.
    pub(super) fn acquire(&mut self, ask: &Reserve) -> Result<(), Problem> {
        if !matches!(self.begin(ask), Ok(None)) {
            self.note = None;
            return Ok(());
        }
        let mut product = self.product(&ask.sku)?;
        self.lock(&mut product, LockEvent::Acquire, &ask.saga_id)
            .map_err(|_| in_progress(&ask.sku))?;
        let units = product.units;
        self.put(product, units).map(drop)
    }

    /// The saga's reservation if it has one already; refused after a cancel.
    fn begin(&mut self, ask: &Reserve) -> Result<Option<Reservation>, Problem> {
        let before = self.reserved(&ask.saga_id).inspect_err(|_| {
            self.note = Some(Note::LateReserveRefused {
                sku: ask.sku.clone(),
            });
        })?;
        let once_per_saga = !self.bugs.has(Bug::NoKey) && !self.bugs.has(Bug::KeyStoredAfterEffect);
        match before {
            Some(before) if before.state != ReservationState::Reserving && once_per_saga => {
                if before.sku == ask.sku && before.quantity == ask.quantity {
                    return Ok(Some(before));
                }
                Err(Code::InvalidState.because(format!(
                    "saga {} has already reserved {} of {}; a saga reserves once",
                    ask.saga_id, before.quantity, before.sku
                )))
            }
            _ => Ok(None),
        }
    }

    /// Gives a saga's units back. Who cannot say of what they were to be may leave the tombstone without a name.
    pub(super) fn cancel(
        &mut self,
        saga_id: &str,
        sku: Option<String>,
    ) -> Result<Reservation, Problem> {
        self.release(saga_id, nothing_of(sku.unwrap_or_default()))
    }

    /// Frees a product from a saga that has ended, giving back what it still had set aside.
    pub(super) fn sweep(&mut self, sku: &str, owner: &str) -> Result<(), Problem> {
        let mut product = self.product(sku)?;
        if product.lock.as_ref().is_none_or(|lock| lock.owner != owner) {
            return Ok(());
        }
        let reservation: Option<Reservation> = self.tx.get(&RESERVATIONS, owner)?;
        match reservation.map(|reservation| reservation.state) {
            Some(ReservationState::Reserved) => drop(self.cancel(owner, None)?),
            state => {
                if state.is_none() {
                    self.entomb(owner, nothing_of(sku.to_owned()))?;
                }
                product.lock = None;
                let units = product.units;
                self.put(product, units)?;
            }
        }
        self.note = Some(Note::LockSwept {
            sku: sku.to_owned(),
            owner: owner.to_owned(),
        });
        Ok(())
    }

    /// Creates a product. The same request again is harmless.
    pub(super) fn create(&mut self, sku: &str, stock: u64) -> Result<Product, Problem> {
        if let Some(product) = self.tx.get(&PRODUCTS, sku)? {
            return if product.units.stocked == stock {
                Ok(product)
            } else {
                Err(Code::InvalidState.because(format!(
                    "{sku} exists already; add units with POST /inventory/{sku}/restock"
                )))
            };
        }
        let units = Units {
            stocked: stock,
            on_hand: stock,
            ..Units::default()
        };
        let product = Product {
            sku: sku.to_owned(),
            units,
            version: 1,
            lock: None,
            fence: 0,
        };
        self.tx.put(&PRODUCTS, sku, &product)?;
        Ok(product)
    }

    /// Puts more units on the shelf. Needs no lock: it commutes with what sagas do.
    pub(super) fn restock(
        &mut self,
        sku: &str,
        quantity: u64,
        seen: Option<u64>,
    ) -> Result<Product, Problem> {
        let product = self.product(sku)?;
        if seen.is_some_and(|seen| seen != product.version) {
            if self.bugs.has(Bug::LostUpdateIgnored) {
                return Ok(product);
            }
            return Err(Code::VersionConflict.because(format!(
                "{sku} is at version {}; look again and repeat",
                product.version
            )));
        }
        let units = moved(&product, Move::Add, quantity)?;
        self.put(product, units)
    }

    /// The product as this request knows it.
    fn product(&self, sku: &str) -> Result<Product, Problem> {
        let stored = || {
            self.tx
                .get(&PRODUCTS, sku)?
                .ok_or_else(|| unknown_product(sku))
        };
        match &self.remembered {
            Remembered::Nothing => stored(),
            Remembered::Row(product) | Remembered::Leased { product, .. } => Ok(product.clone()),
            Remembered::OnHand(on_hand) => stored().map(|mut product: Product| {
                product.units.on_hand = *on_hand;
                product
            }),
        }
    }

    /// Moves the semantic lock on.
    fn lock(&self, product: &mut Product, event: LockEvent, saga_id: &str) -> Result<(), NotOwner> {
        if !self.semantic_lock
            || self.bugs.has(Bug::CheckThenActStock)
            || self.bugs.has(Bug::NoVersionCheck)
        {
            return Ok(());
        }
        let reserving_only = self.bugs.has(Bug::SemanticLockReservingOnly);
        let seen = product.lock.as_ref().filter(|lock| {
            !(reserving_only && lock.state == LockState::Reserved && lock.owner != saga_id)
        });
        product.lock = SemanticLock::after(seen, event, saga_id, self.now_ms)?;
        Ok(())
    }

    /// Compares what was read under a lease with what is there, and leaves the lease's token.
    fn show(&self, product: &mut Product, token: u64) -> Result<(), Problem> {
        let masked = |bugs: &[Bug]| bugs.iter().any(|bug| self.bugs.has(*bug));
        let fenced = !masked(&[
            Bug::LeaseWithoutFencing,
            Bug::NoWatchdog,
            Bug::RenewalStopsAtFirstError,
            Bug::LeaseFromAStaleClock,
        ]);
        let versioned = fenced && !self.bugs.has(Bug::ReleaseBeforeCommit);
        let stored = self.tx.get(&PRODUCTS, &product.sku)?;
        let stored = stored.ok_or_else(|| unknown_product(&product.sku))?;
        if fenced && stored.fence > token {
            tracing::info!(token, seen = stored.fence, "write fenced off");
            return Err(conflict(&product.sku, "a later lease has written"));
        }
        if versioned && stored.version != product.version {
            return Err(conflict(&product.sku, "it has changed since it was read"));
        }
        product.fence = token;
        Ok(())
    }

    fn put(&mut self, mut product: Product, units: Units) -> Result<Product, Problem> {
        if let Remembered::Leased { token, .. } = self.remembered {
            match self.show(&mut product, token) {
                Err(why)
                    if why.code == Code::VersionConflict
                        && self.bugs.has(Bug::LostUpdateIgnored) =>
                {
                    return Ok(product);
                }
                shown => shown?,
            }
        }
        product.units = units;
        product.version += 1;
        self.tx.put(&PRODUCTS, &product.sku, &product)?;
        Ok(product)
    }
}

pub(super) fn unknown_product(sku: &str) -> Problem {
    Code::NotFound.because(format!(
        "there is no product {sku}; create it with PUT /inventory/{sku}"
    ))
}

fn in_progress(sku: &str) -> Problem {
    Code::SagaInProgress.because(format!(
        "another order for {sku} is in progress; try again shortly"
    ))
}

fn conflict(sku: &str, why: &str) -> Problem {
    Code::VersionConflict.because(format!("{sku}: {why}; nothing was done, try again"))
}

fn nothing_of(sku: String) -> Goods {
    Goods { sku, quantity: 0 }
}

fn moved(product: &Product, way: Move, quantity: u64) -> Result<Units, Problem> {
    product.units.after(way, quantity).map_err(|few| {
        let TooFew { wanted, left } = few;
        tracing::error!(sku = product.sku, wanted, left, "books do not add up");
        Code::Internal.because("the stock of this product needs a person's attention")
    })
}
