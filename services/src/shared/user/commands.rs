//! One request's work on the rows, inside one transaction: for requests and for events alike.

use serde::{Deserialize, Serialize};

use super::{
    model::Balance,
    store::{Money, RESERVATIONS, Reservation, USERS, User},
};
use crate::{
    kit::{
        Code, Problem, Table, Writer,
        reservation::{Reserving, Settling, Told, Work, invalid_state},
        resource_pool::{Countable, Move, TooFew},
    },
    planted_bug::{Bug, Bugs},
};

/// A request for money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// The saga that asks; it alone confirms or releases.
    pub saga_id: String,
    /// The order that it is for.
    pub order_id: String,
    /// Whose balance.
    pub user: String,
    /// In won, at least 1.
    pub amount: u64,
}

/// A transaction with what the work in it needs to know.
pub struct Commands<'a, 't> {
    /// The transaction.
    pub tx: &'a mut Writer<'t>,
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// Wall clock.
    pub now_ms: u64,
}

impl<'t> Reserving<'t> for Commands<'_, 't> {
    type What = Money;

    const ROWS: Table<Reservation> = RESERVATIONS;

    fn work(&mut self) -> Work<'_, 't> {
        (self.tx, self.bugs, self.now_ms)
    }

    /// What is given back is the amount: the balance may have changed since.
    fn settle(&mut self, of: &Reservation, way: Settling) -> Result<(), Problem> {
        let user = self.user(&of.user)?;
        let way = match way {
            Settling::Taken => Move::Use,
            Settling::GivenBack => Move::GiveBack,
            Settling::Returned => Move::Return,
        };
        let mut balance = moved(&user, way, of.amount)?;
        if way == Move::GiveBack && self.bugs.has(Bug::RestoreRememberedBalance) {
            balance.available = of.available_before;
        }
        self.put(user, balance).map(drop)
    }

    fn tell(&mut self, of: &Reservation, told: Told) {
        let Money { user, amount, .. } = &of.what;
        match told {
            Told::Taken => tracing::info!(user, amount, "balance spent"),
            Told::Released => tracing::info!(user, amount, "balance released"),
            Told::TombstoneLeft => tracing::info!("tombstone left"),
        }
    }
}

impl Commands<'_, '_> {
    /// Sets an amount aside for a saga. Asked again, it answers the same.
    ///
    /// # Errors
    /// `NOT_FOUND` and `INVALID_STATE` for a user who is unknown or may not buy, `INSUFFICIENT_BALANCE`; `INVALID_STATE` after the
    /// saga's release, and for another amount than the saga asked for before.
    pub fn reserve(&mut self, ask: &Reserve) -> Result<Reservation, Problem> {
        if let Some(before) = self.reserved(&ask.saga_id)? {
            return match (before.user == ask.user, before.amount == ask.amount) {
                (true, true) => Ok(before),
                _ => Err(invalid_state(format!(
                    "saga {} has already reserved {} won of {}; a saga reserves once",
                    ask.saga_id, before.amount, before.user
                ))),
            };
        }
        let user = self.user(&ask.user)?;
        if !user.active {
            return Err(invalid_state(format!("user {} may not buy", ask.user)));
        }
        let available_before = user.balance.available;
        let balance =
            user.balance
                .after(Move::Reserve, ask.amount)
                .map_err(|TooFew { wanted, left }| {
                    Code::InsufficientBalance.because(format!(
                        "{wanted} won wanted, {left} left; top the balance up or order less"
                    ))
                })?;
        self.put(user, balance)?;
        let money = Money {
            user: ask.user.clone(),
            amount: ask.amount,
            available_before,
        };
        let reservation = self.note(&ask.saga_id, &ask.order_id, money)?;
        tracing::info!(user = ask.user, amount = ask.amount, "balance reserved");
        Ok(reservation)
    }

    /// Gives a saga's money back. Who cannot say whose it was to be may leave the tombstone without a name.
    pub fn give_back(
        &mut self,
        saga_id: &str,
        user: Option<String>,
    ) -> Result<Reservation, Problem> {
        let nothing = Money {
            user: user.unwrap_or_default(),
            amount: 0,
            available_before: 0,
        };
        self.release(saga_id, nothing)
    }

    /// Makes a user with a first balance. The same request again is harmless.
    pub(super) fn create(&mut self, id: &str, name: &str, balance: u64) -> Result<User, Problem> {
        if let Some(user) = self.tx.get(&USERS, id)? {
            return match user.name == name && user.balance.credited == balance {
                true => Ok(user),
                false => Err(invalid_state(format!(
                    "user {id} exists already; add money with POST /users/{id}/credits"
                ))),
            };
        }
        let user = User {
            id: id.to_owned(),
            name: name.to_owned(),
            active: true,
            balance: Balance::default(),
            version: 0,
        };
        let credited = moved(&user, Move::Add, balance)?;
        self.put(user, credited)
    }

    /// Puts money in. It commutes with what sagas do.
    pub(super) fn credit(&mut self, id: &str, amount: u64) -> Result<User, Problem> {
        let user = self.user(id)?;
        let credited = moved(&user, Move::Add, amount)?;
        self.put(user, credited)
    }

    /// Lets a user buy, or not.
    pub(super) fn set_active(&mut self, id: &str, active: bool) -> Result<User, Problem> {
        let mut user = self.user(id)?;
        if user.active == active {
            return Ok(user);
        }
        user.active = active;
        let balance = user.balance;
        self.put(user, balance)
    }

    fn user(&self, id: &str) -> Result<User, Problem> {
        self.tx.get(&USERS, id)?.ok_or_else(|| unknown_user(id))
    }

    fn put(&mut self, mut user: User, balance: Balance) -> Result<User, Problem> {
        user.balance = balance;
        user.version += 1;
        self.tx.put(&USERS, &user.id, &user)?;
        Ok(user)
    }
}

fn moved(user: &User, way: Move, amount: u64) -> Result<Balance, Problem> {
    user.balance.after(way, amount).map_err(|few| {
        let TooFew { wanted, left } = few;
        tracing::error!(user = user.id, wanted, left, "books do not add up");
        Code::Internal.because("this balance needs a person's attention")
    })
}

pub(crate) fn unknown_user(id: &str) -> Problem {
    Code::NotFound.because(format!(
        "there is no user {id}; create them with PUT /users/{id}"
    ))
}
