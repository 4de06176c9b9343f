//! One request's work on the rows, inside one transaction.

use serde::{Deserialize, Serialize};

use super::{
    model::{CouponEvent, CouponState},
    store::{CAMPAIGNS, COUPONS, Campaign, Coupon, HOLDERS, RESERVATIONS, Reservation, holder_key},
};
use crate::{
    gap::{Gap, Gaps},
    kit::{
        Code, Problem, Writer,
        reservation::{ReservationEvent, ReservationState, forgets_releases},
    },
    ports::Platform,
};

/// A saga's request for a coupon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// The saga that asks; it alone uses or releases it.
    pub saga_id: String,
    /// The order that it is for.
    pub order_id: String,
    /// Which coupon.
    pub coupon: String,
    /// Who wants to spend it: its user.
    pub user: String,
}

/// What a request saw before its transaction began. In the hardened shape: nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    pub issued: Option<u64>,
    pub state: Option<CouponState>,
}

/// A transaction with what the work in it needs to know.
pub(super) struct Desk<'a, 't> {
    pub tx: &'a mut Writer<'t>,
    pub gaps: Gaps,
    pub now_ms: u64,
    pub remembered: Remembered,
}

impl Desk<'_, '_> {
    /// Makes a campaign. The same request again is harmless.
    pub fn create(&mut self, id: &str, discount: u64, limit: u64) -> Result<Campaign, Problem> {
        if let Some(campaign) = self.tx.get(&CAMPAIGNS, id)? {
            return match (campaign.discount, campaign.limit) == (discount, limit) {
                true => Ok(campaign),
                false => Err(invalid_state(format!(
                    "campaign {id} exists already, with other terms; choose another id"
                ))),
            };
        }
        let campaign = Campaign {
            id: id.to_owned(),
            discount,
            limit,
            issued: 0,
        };
        self.tx.put(&CAMPAIGNS, id, &campaign)?;
        Ok(campaign)
    }

    /// Gives a user one of the campaign's coupons: first come, first served.
    pub fn issue(&mut self, platform: &Platform, id: &str, user: &str) -> Result<Coupon, Problem> {
        let found = self.tx.get(&CAMPAIGNS, id)?;
        let mut campaign = found.ok_or_else(|| unknown_campaign(id))?;
        let holder = holder_key(id, user);
        if self.tx.get(&HOLDERS, &holder)?.is_some() {
            return Err(invalid_state(format!(
                "{user} has a coupon of {id} already; see GET /coupons?user={user}"
            )));
        }
        campaign.issued = self.remembered.issued.unwrap_or(campaign.issued);
        if campaign.issued >= campaign.limit {
            return Err(Problem::new(
                Code::CouponsGone,
                format!("all {} coupons of {id} are gone", campaign.limit),
            ));
        }
        campaign.issued += 1;
        let id = loop {
            let id = platform.short_id("CPN");
            if self.tx.get(&COUPONS, &id)?.is_none() {
                break id;
            }
        };
        let coupon = Coupon {
            id,
            campaign: campaign.id.clone(),
            user: user.to_owned(),
            discount: campaign.discount,
            state: CouponState::Issued,
            issued_ms: self.now_ms,
        };
        self.tx.put(&CAMPAIGNS, &campaign.id, &campaign)?;
        self.tx.put(&COUPONS, &coupon.id, &coupon)?;
        self.tx.put(&HOLDERS, &holder, &coupon.id)?;
        tracing::info!(user, campaign = campaign.id, "coupon issued");
        Ok(coupon)
    }

    /// Puts a coupon into a saga's hands. Asked again, it answers the same.
    ///
    /// # Errors
    /// `NOT_FOUND`; `INVALID_STATE` if it is another user's, if another saga has or has used it, after this saga's release, and
    /// for another coupon than the saga asked for before.
    pub fn reserve(&mut self, ask: &Reserve) -> Result<Reservation, Problem> {
        let before: Option<Reservation> = self.tx.get(&RESERVATIONS, &ask.saga_id)?;
        let state = before.as_ref().map(|before| before.state);
        ReservationState::after(state, ReservationEvent::Begin).map_err(invalid_state)?;
        if let Some(before) = before {
            return match before.coupon == ask.coupon {
                true => Ok(before),
                false => Err(invalid_state(format!(
                    "saga {} has already reserved {}; a saga reserves once",
                    ask.saga_id, before.coupon
                ))),
            };
        }
        let mut coupon = self.coupon(&ask.coupon)?;
        if coupon.user != ask.user {
            return Err(invalid_state("the coupon is another user's"));
        }
        let seen = self.remembered.state.take().unwrap_or(coupon.state);
        let seen = match seen {
            CouponState::Reserved { .. } if self.gaps.has(Gap::CouponOwnedIsEnough) => {
                CouponState::Issued
            }
            seen => seen,
        };
        let after = seen.after(CouponEvent::Reserve, &ask.saga_id);
        coupon.state = after.map_err(invalid_state)?;
        self.tx.put(&COUPONS, &coupon.id, &coupon)?;
        let reservation = Reservation {
            saga_id: ask.saga_id.clone(),
            order_id: ask.order_id.clone(),
            coupon: coupon.id,
            discount: coupon.discount,
            state: ReservationState::Reserved,
            at_ms: self.now_ms,
        };
        self.tx.put(&RESERVATIONS, &ask.saga_id, &reservation)?;
        tracing::info!(coupon = ask.coupon, "coupon reserved");
        Ok(reservation)
    }

    /// Spends the saga's coupon for good. Asked again, it answers the same.
    pub fn use_up(&mut self, saga_id: &str) -> Result<Reservation, Problem> {
        let found = self.tx.get(&RESERVATIONS, saga_id)?;
        let mut reservation: Reservation = found.ok_or_else(|| {
            Problem::new(
                Code::NotFound,
                format!("saga {saga_id} has reserved no coupon"),
            )
        })?;
        let before = reservation.state;
        reservation.state = ReservationState::after(Some(before), ReservationEvent::Confirm)
            .map_err(invalid_state)?;
        if before != ReservationState::Confirmed {
            self.settle(&mut reservation, CouponEvent::Use)?;
            tracing::info!(coupon = reservation.coupon, "coupon used");
        }
        Ok(reservation)
    }

    /// Gives the saga's coupon back to its user; where it has none yet, leaves a tombstone, so that a reserve that is still on
    /// its way is refused.
    ///
    /// # Errors
    /// `INVALID_STATE` once it was used: that is for good.
    pub fn release(&mut self, saga_id: &str, coupon: Option<&str>) -> Result<Reservation, Problem> {
        let before: Option<Reservation> = self.tx.get(&RESERVATIONS, saga_id)?;
        let Some(mut reservation) = before else {
            return self.entomb(saga_id, coupon.unwrap_or_default());
        };
        match reservation.state {
            ReservationState::Released => return Ok(reservation),
            ReservationState::Confirmed => {
                return Err(invalid_state(super::model::Refusal::Used));
            }
            ReservationState::Reserving | ReservationState::Reserved => {}
        }
        reservation.state = ReservationState::Released;
        self.settle(&mut reservation, CouponEvent::Release)?;
        if forgets_releases(self.gaps) {
            self.tx.delete(&RESERVATIONS, saga_id)?;
        }
        tracing::info!(coupon = reservation.coupon, "coupon released");
        Ok(reservation)
    }

    fn entomb(&mut self, saga_id: &str, coupon: &str) -> Result<Reservation, Problem> {
        let tombstone = Reservation {
            saga_id: saga_id.to_owned(),
            order_id: String::new(),
            coupon: coupon.to_owned(),
            discount: 0,
            state: ReservationState::Released,
            at_ms: self.now_ms,
        };
        if !forgets_releases(self.gaps) {
            self.tx.put(&RESERVATIONS, saga_id, &tombstone)?;
            tracing::info!("tombstone left");
        }
        Ok(tombstone)
    }

    fn coupon(&self, id: &str) -> Result<Coupon, Problem> {
        let found = self.tx.get(&COUPONS, id)?;
        found.ok_or_else(|| unknown_coupon(id))
    }

    fn settle(&mut self, reservation: &mut Reservation, event: CouponEvent) -> Result<(), Problem> {
        let mut coupon = self.coupon(&reservation.coupon)?;
        let saga_id = &reservation.saga_id;
        if self.gaps.has(Gap::CouponCheckThenUse) || self.gaps.has(Gap::CouponOwnedIsEnough) {
            coupon.state = CouponState::Reserved {
                saga_id: saga_id.clone(),
            };
        }
        coupon.state = coupon.state.after(event, saga_id).map_err(invalid_state)?;
        self.tx.put(&COUPONS, &coupon.id, &coupon)?;
        reservation.at_ms = self.now_ms;
        self.tx
            .put(&RESERVATIONS, &reservation.saga_id, reservation)?;
        Ok(())
    }
}

pub(super) fn unknown_campaign(id: &str) -> Problem {
    Problem::new(
        Code::NotFound,
        format!("there is no campaign {id}; create it with PUT /campaigns/{id}"),
    )
}

pub(super) fn unknown_coupon(id: &str) -> Problem {
    Problem::new(Code::NotFound, format!("there is no coupon {id}"))
}

fn invalid_state(why: impl ToString) -> Problem {
    Problem::new(Code::InvalidState, why.to_string())
}
