//! One request's work on the rows, inside one transaction: for requests and for events alike.

use serde::{Deserialize, Serialize};

use super::{
    model::{Balance, Move, TooLittle},
    store::{RESERVATIONS, Reservation, USERS, User},
};
use crate::{
    gap::{Gap, Gaps},
    kit::{
        Code, Problem, Writer,
        reservation::{ReservationEvent, ReservationState, forgets_releases},
    },
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
pub struct Desk<'a, 't> {
    /// The transaction.
    pub tx: &'a mut Writer<'t>,
    /// The weaknesses of the shape.
    pub gaps: Gaps,
    /// Wall clock.
    pub now_ms: u64,
}

impl Desk<'_, '_> {
    /// Sets an amount aside for a saga. Asked again, it answers the same.
    ///
    /// # Errors
    /// `NOT_FOUND` and `INVALID_STATE` for a user who is unknown or may not buy, `INSUFFICIENT_BALANCE`; `INVALID_STATE` after the
    /// saga's release, and for another amount than the saga asked for before.
    pub fn reserve(&mut self, ask: &Reserve) -> Result<Reservation, Problem> {
        let before: Option<Reservation> = self.tx.get(&RESERVATIONS, &ask.saga_id)?;
        let state = before.as_ref().map(|before| before.state);
        ReservationState::after(state, ReservationEvent::Begin).map_err(invalid_state)?;
        if let Some(before) = before {
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
        let balance = user
            .balance
            .after(Move::Reserve, ask.amount)
            .map_err(|little| {
                Problem::new(
                    Code::InsufficientBalance,
                    format!("{little}; top the balance up or order less"),
                )
            })?;
        self.put(user, balance)?;
        let reservation = Reservation {
            saga_id: ask.saga_id.clone(),
            order_id: ask.order_id.clone(),
            user: ask.user.clone(),
            amount: ask.amount,
            available_before,
            state: ReservationState::Reserved,
            at_ms: self.now_ms,
        };
        self.tx.put(&RESERVATIONS, &ask.saga_id, &reservation)?;
        tracing::info!(user = ask.user, amount = ask.amount, "balance reserved");
        Ok(reservation)
    }

    /// Spends what the saga has set aside. Asked again, it answers the same.
    ///
    /// # Errors
    /// `NOT_FOUND` if it has set nothing aside, `INVALID_STATE` if that was released.
    pub fn confirm(&mut self, saga_id: &str) -> Result<Reservation, Problem> {
        let found = self.tx.get(&RESERVATIONS, saga_id)?;
        let mut reservation: Reservation = found.ok_or_else(|| {
            Problem::new(
                Code::NotFound,
                format!("saga {saga_id} has reserved nothing"),
            )
        })?;
        let before = reservation.state;
        reservation.state = ReservationState::after(Some(before), ReservationEvent::Confirm)
            .map_err(invalid_state)?;
        if before != ReservationState::Confirmed {
            self.settle(&mut reservation, Move::Spend)?;
            tracing::info!(
                user = reservation.user,
                amount = reservation.amount,
                "balance spent"
            );
        }
        Ok(reservation)
    }

    /// Gives back what the saga has set aside or spent; where it has nothing yet, leaves a tombstone, so that a reserve
    /// that is still on its way is refused. What is given back is the amount: the balance may have changed since.
    pub fn release(&mut self, saga_id: &str, user: Option<&str>) -> Result<Reservation, Problem> {
        let before: Option<Reservation> = self.tx.get(&RESERVATIONS, saga_id)?;
        let state = before.as_ref().map(|before| before.state);
        let after =
            ReservationState::after(state, ReservationEvent::Release).map_err(invalid_state)?;
        let Some(mut reservation) = before else {
            return self.entomb(saga_id, user.unwrap_or_default());
        };
        reservation.state = after;
        let way = match state {
            Some(ReservationState::Reserved) => Move::GiveBack,
            Some(ReservationState::Confirmed) => Move::Refund,
            _ => return Ok(reservation),
        };
        self.settle(&mut reservation, way)?;
        if forgets_releases(self.gaps) {
            self.tx.delete(&RESERVATIONS, saga_id)?;
        }
        tracing::info!(
            user = reservation.user,
            amount = reservation.amount,
            "balance released"
        );
        Ok(reservation)
    }

    fn entomb(&mut self, saga_id: &str, user: &str) -> Result<Reservation, Problem> {
        let tombstone = Reservation {
            saga_id: saga_id.to_owned(),
            order_id: String::new(),
            user: user.to_owned(),
            amount: 0,
            available_before: 0,
            state: ReservationState::Released,
            at_ms: self.now_ms,
        };
        if !forgets_releases(self.gaps) {
            self.tx.put(&RESERVATIONS, saga_id, &tombstone)?;
            tracing::info!("tombstone left");
        }
        Ok(tombstone)
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
        let credited = credit(&user, balance)?;
        self.put(user, credited)
    }

    /// Puts money in. It commutes with what sagas do.
    pub(super) fn credit(&mut self, id: &str, amount: u64) -> Result<User, Problem> {
        let user = self.user(id)?;
        let credited = credit(&user, amount)?;
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

    /// Moves a reservation's money to where it ends up.
    fn settle(&mut self, reservation: &mut Reservation, way: Move) -> Result<(), Problem> {
        let user = self.user(&reservation.user)?;
        let mut balance = user
            .balance
            .after(way, reservation.amount)
            .map_err(|little| broken_books(&reservation.user, little))?;
        if way == Move::GiveBack && self.gaps.has(Gap::RestoreRememberedBalance) {
            balance.available = reservation.available_before;
        }
        self.put(user, balance)?;
        reservation.at_ms = self.now_ms;
        self.tx
            .put(&RESERVATIONS, &reservation.saga_id, reservation)?;
        Ok(())
    }

    fn put(&mut self, mut user: User, balance: Balance) -> Result<User, Problem> {
        user.balance = balance;
        user.version += 1;
        self.tx.put(&USERS, &user.id, &user)?;
        Ok(user)
    }
}

fn credit(user: &User, amount: u64) -> Result<Balance, Problem> {
    let credited = user.balance.after(Move::Credit, amount);
    credited.map_err(|little| broken_books(&user.id, little))
}

pub(super) fn unknown_user(id: &str) -> Problem {
    Problem::new(
        Code::NotFound,
        format!("there is no user {id}; create them with PUT /users/{id}"),
    )
}

fn invalid_state(why: impl ToString) -> Problem {
    Problem::new(Code::InvalidState, why.to_string())
}

fn broken_books(user: &str, little: TooLittle) -> Problem {
    tracing::error!(
        user,
        wanted = little.wanted,
        left = little.left,
        "books do not add up"
    );
    Problem::new(Code::Internal, "this balance needs a person's attention")
}
