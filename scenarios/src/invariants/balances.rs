//! Balances and coupons: no won and no coupon is made, lost or spent twice.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use squall::{Sim, check::Findings};
use squall_services::{
    checkout::coupon::{
        model::CouponState,
        store::{self as coupon, CAMPAIGNS, COUPONS, Campaign, Coupon},
    },
    kit::reservation::ReservationState,
    shared::user::store::{self as user, USERS, User},
};

use crate::{lock, table_view::TableView};

/// The user and coupon services as committed.
pub struct Books {
    users: TableView<User>,
    /// By saga.
    pub balances: TableView<user::Reservation>,
    campaigns: TableView<Campaign>,
    /// By id.
    pub coupons: TableView<Coupon>,
    /// By saga.
    pub used: TableView<coupon::Reservation>,
}

/// Watches the nodes `"user"` and `"coupon"`.
pub fn watch(sim: &Sim) -> Arc<Mutex<Books>> {
    let books = Arc::new(Mutex::new(Books {
        users: TableView::new("user", USERS),
        balances: TableView::new("user", user::RESERVATIONS),
        campaigns: TableView::new("coupon", CAMPAIGNS),
        coupons: TableView::new("coupon", COUPONS),
        used: TableView::new("coupon", coupon::RESERVATIONS),
    }));
    let follow = books.clone();
    sim.always("balances add up", move |commit, findings| {
        let books = &mut *lock(&follow);
        let mut touched: Vec<String> = Vec::new();
        touched.extend(
            books
                .users
                .follow(commit)
                .into_iter()
                .map(|c| c.key.to_owned()),
        );
        for change in books.balances.follow(commit) {
            touched.extend(
                change
                    .after()
                    .or(change.before())
                    .map(|row| row.user.clone()),
            );
        }
        touched.sort_unstable();
        touched.dedup();
        for user in touched {
            books.judge_balance(&user, findings);
        }
    });
    let follow = books.clone();
    sim.always(
        "coupons are issued and used at most once",
        move |commit, findings| {
            let books = &mut *lock(&follow);
            let campaigns = books.campaigns.follow(commit);
            let coupons = books.coupons.follow(commit);
            let used = books.used.follow(commit);
            if !campaigns.is_empty() || coupons.iter().any(|coupon| coupon.before().is_none()) {
                books.judge_issued(findings);
            }
            let settled = used.iter().filter_map(|change| change.after());
            let changed = coupons.iter().filter_map(|change| change.after());
            let mut ids: Vec<String> = settled.map(|row| row.coupon.clone()).collect();
            ids.extend(changed.map(|coupon| coupon.id.clone()));
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                books.judge_used(&id, findings);
            }
        },
    );
    books
}

impl Books {
    fn judge_balance(&self, id: &str, findings: &mut Findings) {
        let Some(User { balance, .. }) = self.users.get(id) else {
            return;
        };
        let all = balance.available + balance.reserved + balance.spent;
        if all != balance.credited {
            findings.broken(
                "won",
                &[id],
                format!(
                    "{} credited won available, reserved or spent",
                    balance.credited
                ),
                format!(
                    "{} + {} + {} = {all}",
                    balance.available, balance.reserved, balance.spent
                ),
            );
        }
        for (what, counted, state) in [
            ("reserved", balance.reserved, ReservationState::Reserved),
            ("spent", balance.spent, ReservationState::Confirmed),
        ] {
            let of = |row: &&user::Reservation| row.user == id && row.state == state;
            let noted: u64 = self
                .balances
                .values()
                .filter(of)
                .map(|row| row.amount)
                .sum();
            if counted != noted {
                findings.broken(
                    what,
                    &[id],
                    format!("{noted} won {what}, as the reservations say"),
                    counted.to_string(),
                );
            }
        }
    }

    fn judge_issued(&self, findings: &mut Findings) {
        let mut issued: BTreeMap<&str, u64> = BTreeMap::new();
        let mut held: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for coupon in self.coupons.values() {
            *issued.entry(&coupon.campaign).or_default() += 1;
            *held.entry((&coupon.campaign, &coupon.user)).or_default() += 1;
        }
        for campaign in self.campaigns.values() {
            let count = issued.get(campaign.id.as_str()).copied().unwrap_or(0);
            if count > campaign.limit {
                findings.broken(
                    "over-issued",
                    &[&campaign.id],
                    format!("at most {} coupons", campaign.limit),
                    count.to_string(),
                );
            } else if count != campaign.issued {
                findings.broken(
                    "miscounted",
                    &[&campaign.id],
                    format!("{count} coupons, as there are"),
                    campaign.issued.to_string(),
                );
            }
        }
        for ((campaign, user), count) in held.into_iter().filter(|(_, count)| *count > 1) {
            findings.broken(
                "two to one user",
                &[campaign, user],
                "at most one coupon",
                count.to_string(),
            );
        }
    }

    fn judge_used(&self, id: &str, findings: &mut Findings) {
        let Some(coupon) = self.coupons.get(id) else {
            return;
        };
        let of = |state| {
            let rows = self.used.values();
            let of = rows.filter(move |row| row.coupon == id && row.state == state);
            of.map(|row| row.saga_id.as_str()).collect::<Vec<_>>()
        };
        let (reserved, used) = (
            of(ReservationState::Reserved),
            of(ReservationState::Confirmed),
        );
        let expected = match &coupon.state {
            CouponState::Issued => (vec![], vec![]),
            CouponState::Reserved { saga_id } => (vec![saga_id.as_str()], vec![]),
            CouponState::Used { saga_id } => (vec![], vec![saga_id.as_str()]),
        };
        if used.len() > 1 {
            findings.broken("used twice", &[id], "used by one order", used.join(", "));
        } else if (&reserved, &used) != (&expected.0, &expected.1) {
            findings.broken(
                "in two hands",
                &[id],
                format!("what its state says: {:?}", coupon.state),
                format!("reserved by {reserved:?}, used by {used:?}"),
            );
        }
    }
}
