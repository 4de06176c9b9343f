//! The calls to catalog, inventory, user and coupon, and what their answers mean.

use futures_util::future::join;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Config, Rollback,
    lock::UserLocks,
    store::{CheckoutData, Half},
};
use crate::{
    kit::{
        CallError, Context, Peer, Problem, Reply,
        saga::{Act, Call, Undo, offered, settled, undone},
    },
    orchestration::orders::peers::Product,
    planted_bug::Bug,
    ports::Platform,
};

/// A coupon as its service knows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Coupon {
    pub user: String,
    /// Won.
    pub discount: u64,
}

pub(super) struct Peers {
    catalog: Peer,
    inventory: Peer,
    user: Peer,
    coupon: Peer,
    locks: Box<dyn UserLocks>,
    rollback: Rollback,
    /// The amount is the order's, fixed when that was made.
    price_is_fixed: bool,
}

impl Peers {
    pub fn new(platform: &Platform, config: &Config, locks: Box<dyn UserLocks>) -> Self {
        let mut calls = config.calls.clone();
        if config.bugs.has(Bug::RollbackOvertakesLateSuccess) {
            calls.attempts = 1;
        }
        calls.breaker_lets_all_through = config.bugs.has(Bug::BreakerLetsAllThrough);
        let peer = |name| Peer::new(platform, name, calls.clone());
        Peers {
            catalog: peer("catalog"),
            inventory: peer("inventory"),
            user: peer("user"),
            coupon: peer("coupon"),
            locks,
            rollback: config.rollback,
            price_is_fixed: !config.bugs.has(Bug::PriceNotSnapshotted),
        }
    }

    /// What the product costs now.
    pub async fn product(&self, context: &Context, sku: &str) -> Result<Product, Problem> {
        Product::find(&self.catalog, context, sku, true).await
    }

    /// What a coupon is worth. Whether it is still free is known only once it is reserved.
    pub async fn coupon(&self, context: &Context, id: &str) -> Result<Coupon, Problem> {
        let context = context.step("coupon-read");
        let path = format!("/coupons/{id}");
        let reply = self.coupon.call(&context, "GET", &path, None, &()).await?;
        reply.ok()
    }

    pub async fn reserve_stock(&self, data: &CheckoutData, call: Call<'_>) -> Act {
        let body = json!({
            "saga_id": call.saga_id,
            "order_id": data.order_id,
            "sku": data.sku,
            "quantity": data.quantity,
        });
        offered(post(&self.inventory, "/reservations", call, &body).await)
    }

    pub async fn confirm_stock(&self, call: Call<'_>) -> Act {
        let path = format!("/reservations/{}/confirm", call.saga_id);
        insisted(post(&self.inventory, &path, call, &json!({})).await)
    }

    pub async fn release_stock(&self, data: &CheckoutData, call: Call<'_>) -> Undo {
        let path = format!("/reservations/{}/cancel", call.saga_id);
        let body = json!({ "sku": data.sku });
        undone(post(&self.inventory, &path, call, &body).await)
    }

    pub async fn reserve_balance(&self, data: &CheckoutData, call: Call<'_>) -> Act {
        let amount = match self.price_is_fixed {
            true => data.total,
            false => match self.product(call.context, &data.sku).await {
                Ok(product) => (product.price * data.quantity).saturating_sub(data.discount),
                Err(why) => return Act::Unknown(why.to_string()),
            },
        };
        let mut body = json!({
            "saga_id": call.saga_id,
            "order_id": data.order_id,
            "user": data.user,
            "amount": amount,
        });
        data.more.join(&mut body);
        offered(post(&self.user, "/balance-reservations", call, &body).await)
    }

    pub async fn confirm_balance(&self, call: Call<'_>) -> Act {
        let path = format!("/balance-reservations/{}/confirm", call.saga_id);
        insisted(post(&self.user, &path, call, &json!({})).await)
    }

    pub async fn release_balance(&self, data: &CheckoutData, call: Call<'_>) -> Undo {
        let path = format!("/balance-reservations/{}/release", call.saga_id);
        let body = json!({ "user": data.user });
        undone(post(&self.user, &path, call, &body).await)
    }

    pub async fn reserve_coupon(&self, data: &CheckoutData, call: Call<'_>) -> Act {
        let body = json!({
            "saga_id": call.saga_id,
            "order_id": data.order_id,
            "coupon": data.coupon,
            "user": data.user,
        });
        offered(post(&self.coupon, "/coupon-reservations", call, &body).await)
    }

    pub async fn use_coupon(&self, call: Call<'_>) -> Act {
        let path = format!("/coupon-reservations/{}/use", call.saga_id);
        insisted(post(&self.coupon, &path, call, &json!({})).await)
    }

    pub async fn release_coupon(&self, data: &CheckoutData, call: Call<'_>) -> Undo {
        let path = format!("/coupon-reservations/{}/release", call.saga_id);
        let body = json!({ "coupon": data.coupon });
        undone(post(&self.coupon, &path, call, &body).await)
    }

    /// Stock and balance at once, one checkout of a user at a time.
    pub async fn reserve_both(&self, data: &mut CheckoutData, call: Call<'_>) -> Act {
        let _lock = match self.locks.acquire(call.context, &data.user).await {
            Ok(guard) => guard,
            Err(why) => return Act::Busy(why),
        };
        let (stock_key, balance_key) = (half_key(call, Half::Stock), half_key(call, Half::Balance));
        let keyed = |key| Call { key, ..call };
        let known: &CheckoutData = data;
        let both = join(
            self.reserve_stock(known, keyed(&stock_key)),
            self.reserve_balance(known, keyed(&balance_key)),
        );
        let (stock, balance) = both.await;
        let (act, refused) = together(stock, balance);
        data.refused = refused;
        act
    }

    /// Undoes both halves, or only what needs it.
    pub async fn release_both(&self, data: &CheckoutData, call: Call<'_>) -> Undo {
        let needs = |half| self.rollback == Rollback::All || data.refused != Some(half);
        let key = |half| format!("{}-undo", half_key(call, half));
        let (stock_key, balance_key) = (key(Half::Stock), key(Half::Balance));
        let keyed = |key| Call { key, ..call };
        let stock = async {
            match needs(Half::Stock) {
                true => self.release_stock(data, keyed(&stock_key)).await,
                false => Undo::Done,
            }
        };
        let balance = async {
            match needs(Half::Balance) {
                true => self.release_balance(data, keyed(&balance_key)).await,
                false => Undo::Done,
            }
        };
        match join(stock, balance).await {
            (Undo::Done, Undo::Done) => Undo::Done,
            (Undo::Done, other) | (other, _) => other,
        }
    }
}

/// What two halves come to as one step, and the half that was refused for good if only one was.
fn together(stock: Act, balance: Act) -> (Act, Option<Half>) {
    match (stock, balance) {
        (Act::Done, Act::Done) => (Act::Done, None),
        (Act::Refused(why), Act::Refused(_)) => (Act::Refused(why), None),
        (Act::Refused(why), _) => (Act::Partly(why), Some(Half::Stock)),
        (_, Act::Refused(why)) => (Act::Partly(why), Some(Half::Balance)),
        (Act::Done, other) | (other, _) => (other, None),
    }
}

fn half_key(call: Call<'_>, half: Half) -> String {
    let name = match half {
        Half::Stock => "inventory-reserve",
        Half::Balance => "user-reserve",
    };
    format!("{}-{name}", call.saga_id)
}

/// The answer to something that comes after the pivot, and cannot be refused.
fn insisted(reply: Result<Reply, CallError>) -> Act {
    match settled(reply) {
        Ok(()) => Act::Done,
        Err(reason) => Act::Unknown(reason),
    }
}

async fn post(
    peer: &Peer,
    path: &str,
    call: Call<'_>,
    body: &(impl Serialize + Sync),
) -> Result<Reply, CallError> {
    peer.call(call.context, "POST", path, Some(call.key), body)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::Code;

    fn why() -> Problem {
        Code::OutOfStock.because("none left")
    }

    #[test]
    fn a_step_of_two_halves_is_refused_as_a_whole_only_if_nothing_of_it_can_have_been_done() {
        let unknown = || Act::Unknown("no answer".to_owned());
        let refused = || Act::Refused(why());
        let cases = [
            (Act::Done, Act::Done, "Done", None),
            (refused(), refused(), "Refused", None),
            (refused(), Act::Done, "Partly", Some(Half::Stock)),
            (unknown(), refused(), "Partly", Some(Half::Balance)),
            (Act::Done, unknown(), "Unknown", None),
            (Act::Busy(why()), Act::Done, "Busy", None),
        ];
        for (stock, balance, expected, half) in cases {
            let text = format!("{stock:?} and {balance:?}");
            let (act, refused) = together(stock, balance);
            assert!(format!("{act:?}").starts_with(expected), "{text}: {act:?}");
            assert_eq!(refused, half, "{text}");
        }
    }
}
