//! One request's work on the rows, inside one transaction.

use serde::{Deserialize, Serialize};

use super::{
    model::{CouponEvent, CouponState, Refusal},
    store::{
        CAMPAIGNS, COUPONS, Campaign, Coupon, HOLDERS, Held, RESERVATIONS, Reservation, holder_key,
    },
};
use crate::{
    kit::{
        Code, Problem, Table, Writer,
        reservation::{Reserving, Settling, Told, Work, invalid_state},
    },
    planted_bug::{Bug, Bugs},
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
pub(super) struct Commands<'a, 't> {
    pub tx: &'a mut Writer<'t>,
    pub bugs: Bugs,
    pub now_ms: u64,
    pub remembered: Remembered,
}

impl<'t> Reserving<'t> for Commands<'_, 't> {
    type What = Held;

    const ROWS: Table<Reservation> = RESERVATIONS;

    const NOTHING: &'static str = "no coupon";

    fn work(&mut self) -> Work<'_, 't> {
        (self.tx, self.bugs, self.now_ms)
    }

    /// What was used is used for good.
    fn settle(&mut self, of: &Reservation, way: Settling) -> Result<(), Problem> {
        let event = match way {
            Settling::Taken => CouponEvent::Use,
            Settling::GivenBack => CouponEvent::Release,
            Settling::Returned => return Err(invalid_state(Refusal::Used)),
        };
        let mut coupon = self.coupon(&of.coupon)?;
        let saga_id = &of.saga_id;
        if self.bugs.has(Bug::CouponCheckThenUse) || self.bugs.has(Bug::CouponOwnedIsEnough) {
            coupon.state = CouponState::Reserved {
                saga_id: saga_id.clone(),
            };
        }
        coupon.state = coupon.state.after(event, saga_id).map_err(invalid_state)?;
        Ok(self.tx.put(&COUPONS, &coupon.id, &coupon)?)
    }

    fn tell(&mut self, of: &Reservation, told: Told) {
        let coupon = &of.coupon;
        match told {
            Told::Taken => tracing::info!(coupon, "coupon used"),
            Told::Released => tracing::info!(coupon, "coupon released"),
            Told::TombstoneLeft => tracing::info!("tombstone left"),
        }
    }
}

impl Commands<'_, '_> {
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
            return Err(Code::CouponsGone
                .because(format!("all {} coupons of {id} are gone", campaign.limit)));
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
        if let Some(before) = self.reserved(&ask.saga_id)? {
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
            CouponState::Reserved { .. } if self.bugs.has(Bug::CouponOwnedIsEnough) => {
                CouponState::Issued
            }
            seen => seen,
        };
        let after = seen.after(CouponEvent::Reserve, &ask.saga_id);
        coupon.state = after.map_err(invalid_state)?;
        self.tx.put(&COUPONS, &coupon.id, &coupon)?;
        let held = Held {
            coupon: coupon.id,
            discount: coupon.discount,
        };
        let reservation = self.note(&ask.saga_id, &ask.order_id, held)?;
        tracing::info!(coupon = ask.coupon, "coupon reserved");
        Ok(reservation)
    }

    fn coupon(&self, id: &str) -> Result<Coupon, Problem> {
        let found = self.tx.get(&COUPONS, id)?;
        found.ok_or_else(|| unknown_coupon(id))
    }
}

pub(super) fn unknown_campaign(id: &str) -> Problem {
    Code::NotFound.because(format!(
        "there is no campaign {id}; create it with PUT /campaigns/{id}"
    ))
}

pub(super) fn unknown_coupon(id: &str) -> Problem {
    Code::NotFound.because(format!("there is no coupon {id}"))
}
