//! Stock: every unit is on hand, reserved or sold, and the books of the reservations agree.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{Sim, check::Findings};
use squall_services::shared::inventory::{
    model::{LockState, ReservationState},
    store::{PRODUCTS, Product, RESERVATIONS, Reservation},
};

use super::leases;
use crate::{lock, table_view::TableView};

/// The inventory as committed.
pub struct Stock {
    /// By SKU.
    pub products: TableView<Product>,
    /// By saga.
    pub reservations: TableView<Reservation>,
    /// Products that were freed on behalf of no saga: what the sweeper had to do.
    pub swept: u64,
}

/// A sweeper looks every minute for locks that are half an hour old; a minute for the release.
pub const SWEPT: Duration = Duration::from_secs(32 * 60);

/// Looks at how sagas are kept apart.
const ONE_OWNER: &str = "a semantic lock has one owner";

impl Stock {
    /// Units of `sku` whose reservations are in `state`.
    fn reserved(&self, sku: &str, state: ReservationState) -> u64 {
        let of = |r: &&Reservation| r.sku == sku && r.state == state;
        self.reservations
            .values()
            .filter(of)
            .map(|r| r.quantity)
            .sum()
    }

    fn judge(&self, sku: &str, findings: &mut Findings) {
        let Some(Product { units, .. }) = self.products.get(sku) else {
            return;
        };
        let all = units.on_hand + units.reserved + units.sold;
        if all != units.stocked {
            findings.broken(
                "units",
                &[sku],
                format!("{} stocked units on hand, reserved or sold", units.stocked),
                format!(
                    "{} + {} + {} = {all}",
                    units.on_hand, units.reserved, units.sold
                ),
            );
        }
        for (what, counted, state) in [
            ("reserved", units.reserved, ReservationState::Reserved),
            ("sold", units.sold, ReservationState::Confirmed),
        ] {
            let noted = self.reserved(sku, state);
            if counted != noted {
                findings.broken(
                    what,
                    &[sku],
                    format!("{noted} units {what}, as the reservations say"),
                    counted.to_string(),
                );
            }
        }
    }
}

/// Watches the inventory of the node `"inventory"`.
pub fn watch(sim: &Sim) -> Arc<Mutex<Stock>> {
    watch_at(sim, "inventory")
}

/// Watches the inventory whose database is on `node`.
pub fn watch_at(sim: &Sim, node: &'static str) -> Arc<Mutex<Stock>> {
    let stock = watch_books_at(sim, node);
    watch_leaks(sim, &stock);
    stock
}

/// The same, where nothing has to be sold or given back in the end.
pub fn watch_books_at(sim: &Sim, node: &'static str) -> Arc<Mutex<Stock>> {
    let stock = Arc::new(Mutex::new(Stock {
        products: TableView::new(node, PRODUCTS),
        reservations: TableView::new(node, RESERVATIONS),
        swept: 0,
    }));
    sim.inside(ONE_OWNER);
    let follow = stock.clone();
    sim.always("stock adds up", move |commit, findings| {
        let mut stock = lock(&follow);
        let products = stock.products.follow(commit);
        let reservations = stock.reservations.follow(commit);
        let mut skus: Vec<&str> = products.iter().map(|p| p.key).collect();
        let moved = reservations.iter().filter_map(|r| r.after().or(r.before()));
        skus.extend(moved.map(|reservation| reservation.sku.as_str()));
        skus.sort_unstable();
        skus.dedup();
        for sku in skus {
            stock.judge(sku, findings);
        }
        for change in &products {
            let (Some(before), Some(after)) = (change.before(), change.after()) else {
                continue;
            };
            leases::judge_fence(change.key, (before.fence, after.fence), findings);
            if before.lock.is_some() && after.lock.is_none() && commit.scope.saga_id.is_empty() {
                stock.swept += 1;
            }
            let (Some(old), Some(new)) = (&before.lock, &after.lock) else {
                continue;
            };
            if old.owner != new.owner {
                findings.broken_as(
                    ONE_OWNER,
                    "taken over",
                    &[change.key, &old.owner, &new.owner],
                    format!("the lock stays with {} until it is freed", old.owner),
                    format!("{} took it", new.owner),
                );
            }
        }
        for change in &reservations {
            let (Some(before), Some(after)) = (change.before(), change.after()) else {
                continue;
            };
            let settled = before.state == ReservationState::Reserved && after.state != before.state;
            let owner = products
                .iter()
                .find(|p| p.key == after.sku)
                .and_then(|p| p.before())
                .and_then(|p| p.lock.as_ref())
                .map(|l| l.owner.as_str());
            if settled && owner.is_some_and(|owner| owner != after.saga_id) {
                findings.broken_as(
                    ONE_OWNER,
                    "settled by another",
                    &[&after.sku, &after.saga_id],
                    "only the owner confirms or cancels",
                    format!("the lock was {}'s", owner.unwrap_or("nobody")),
                );
            }
        }
    });
    stock
}

fn watch_leaks(sim: &Sim, stock: &Arc<Mutex<Stock>>) {
    let leaked = stock.clone();
    sim.finally("no leaked semantic lock", SWEPT, move |_, findings| {
        for product in lock(&leaked).products.values() {
            if let Some(held) = &product.lock {
                let tag = if held.state == LockState::Reserving {
                    "reserving"
                } else {
                    "reserved"
                };
                findings.broken(
                    tag,
                    &[&product.sku, &held.owner],
                    "a free product",
                    format!("{held:?}"),
                );
            }
        }
    });
    let leaked = stock.clone();
    sim.finally("no leaked reservation", SWEPT, move |_, findings| {
        for reservation in lock(&leaked).reservations.values() {
            let open = matches!(
                reservation.state,
                ReservationState::Reserving | ReservationState::Reserved
            );
            if open {
                findings.broken(
                    "still held",
                    &[&reservation.sku, &reservation.saga_id],
                    "confirmed or released units",
                    format!("{} {:?}", reservation.quantity, reservation.state),
                );
            }
        }
    });
}
