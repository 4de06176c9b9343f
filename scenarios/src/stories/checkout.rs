//! Single checkouts, to be [told](crate::stories): one user buys.

use std::time::Duration;

use serde_json::json;
use squall::{
    Client, Sim,
    fault::LoseBurst,
    scenario::{Scenario, Setup},
    storm::{Fault, Profile},
    trace::story::Untold,
};
use squall_services::{
    checkout::orders::{self, SUBSCRIPTIONS, Variant, lock::Kept},
    infrastructure::lock,
    kit::{PeerPolicy, executor::Size},
    planted_bug::Bugs,
};

use crate::{
    invariants::stock,
    invariants::{balances, checkouts},
    person::{Person, keyed, unkeyed},
    scenarios::checkout::{
        SHELVES,
        nodes::{self, LINKS, NODES},
    },
    stories::{flows::at_send, named, told},
};

/// Who buys.
const USER: &str = "ann";

/// A checkout and what goes wrong meanwhile.
#[derive(Clone, Debug)]
pub struct Checkout {
    /// Its name, in kebab case.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// What is remembered of the checkout.
    pub variant: Variant,
    /// Checkouts one after another with the same coupon, the last of which is told.
    pub checkouts: usize,
    /// What goes wrong, and where.
    pub storm: Vec<Fault>,
}

/// Bookkeeping of sagas and their keys, and how subscribers are told.
const UNTOLD: Untold<'static> = Untold {
    tables: &[
        "idempotency",
        "keys",
        "open_dead_letters",
        "open_sagas",
        "orders_of_user",
        "outbox",
        "outbox_published",
        "outbox_sequence",
    ],
    fields: &[
        "attempts",
        "context",
        "data",
        "id",
        "price_version",
        "refusal",
        "version",
    ],
    logs: &[
        "balance refused",
        "balance released",
        "balance reserved",
        "balance spent",
        "calling again",
        "compensating",
        "coupon released",
        "coupon reserved",
        "coupon used",
        "saga compensated",
        "saga completed",
        "step done",
        "step intended",
        "step refused",
        "step undone",
        "stock confirmed",
        "stock refused",
        "stock released",
        "stock reserved",
    ],
};

/// Nothing goes wrong.
pub fn completed() -> Checkout {
    Checkout {
        name: "checkout-completed",
        about: "Stock, balance and coupon are reserved one after another, the order is confirmed, each is taken for good, and \
                a subscriber is told after the commit.",
        variant: Variant::Journal,
        checkouts: 1,
        storm: Vec::new(),
    }
}

/// The last thing that is reserved is refused.
pub fn compensated() -> Checkout {
    Checkout {
        name: "checkout-compensated",
        about: "The coupon was used a moment ago: the balance is given back, then the stock, then the order is cancelled.",
        checkouts: 2,
        ..completed()
    }
}

/// The answer to the balance call is lost, and nothing was written down.
pub fn unanswered() -> Checkout {
    Checkout {
        name: "checkout-balance-unanswered",
        about: "As documented, steps are undone only when a call answers \"no\": the answer of the user service is lost, and \
                the lamp and the money stay reserved for good.",
        variant: Variant::Naive,
        storm: vec![at_send(
            "user",
            "checkout",
            "ann-1/user-reserve",
            1,
            LoseBurst {},
        )],
        ..completed()
    }
}

/// Stock and balance at once.
pub fn parallel() -> Checkout {
    Checkout {
        name: "checkout-parallel",
        about: "Stock and balance are reserved at once, under a lease of the user's that the lock service keeps.",
        variant: Variant::Parallel,
        ..completed()
    }
}

/// Those in which nothing happens at once.
pub fn sequential() -> Vec<Checkout> {
    vec![completed(), compensated(), unanswered()]
}

told!(Checkout, |it| vec![op(it.checkouts)]);

fn op(n: usize) -> String {
    format!("{USER}-{n}")
}

impl Scenario for Checkout {
    named!();

    fn profile(&self) -> Profile {
        Profile::new(&NODES, &LINKS)
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        let config = orders::Config {
            variant: self.variant,
            user_locks: match self.variant {
                Variant::Parallel => Kept::Service(lock::SERVICE.name.to_owned()),
                _ => Kept::InProcess,
            },
            // Several answers that race home would be told in the order of their race.
            subscriptions: vec![SUBSCRIPTIONS[1]],
            // One try a call: what the saga does about a lost answer is what the stories are about.
            calls: PeerPolicy {
                attempts: 1,
                ..PeerPolicy::internal()
            },
            ..Default::default()
        };
        let deadline = config.saga_deadline;
        let knobs = nodes::open(sim, Bugs::NONE, config, Size::COUPON_ISSUE);
        let stock = stock::watch(sim);
        let books = balances::watch(sim);
        let orders = checkouts::watch(sim, deadline, &knobs.lives);
        checkouts::watch_books(sim, &orders, &stock, &books);

        sim.prepare(|client| nodes::set_the_scene(client, &SHELVES));
        let checkouts = self.checkouts;
        sim.client(USER, move |client| async move {
            client.node().sleep(Duration::from_millis(50)).await;
            let coupon = coupon(&client).await;
            for n in 1..=checkouts {
                check_out(&client, &op(n), coupon.as_deref()).await;
            }
        });
    }
}

/// The user's coupon.
async fn coupon(client: &Client) -> Option<String> {
    let path = format!("/coupons?user={USER}");
    let list = unkeyed("coupons", "GET", &path, ());
    let coupons = Person::new(client, "coupon").ask(&list).await.ok()?;
    let first = coupons.body.as_array()?.first()?;
    Some(first["id"].as_str()?.to_owned())
}

async fn check_out(client: &Client, op: &str, coupon: Option<&str>) {
    let body = json!({ "user": USER, "sku": "lamp", "quantity": 1, "coupon": coupon });
    let order = keyed(op, "POST", "/checkouts", body);
    client.invoked(op, "1 × lamp with a coupon");
    match Person::new(client, "checkout").ask(&order).await {
        Ok(reply) if reply.is_success() => client.ok(op, &reply.status.to_string()),
        Ok(reply) => client.failed(op, &format!("{:?}", reply.problem().code)),
        Err(reason) => client.unknown(op, reason),
    }
}
