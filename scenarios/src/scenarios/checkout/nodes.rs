//! The nodes of the checkout, the faults of those who hear of it, and the hand that sets the scene.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use squall::{Client, Sim, net::Latency, storm::CustomFault};
use squall_services::{
    checkout::{
        coupon, data_platform,
        orders::{self, lock::Kept},
        ranking,
    },
    infrastructure::lock,
    kit::{
        Context, Peer, Reply,
        executor::{Load, Size},
        stub_faults::StubFaults,
    },
    planted_bug::Bugs,
    shared::{catalog, inventory, notification, user},
};

use crate::{
    invariants::checkouts::Lives,
    person::browser,
    platform::platform,
    reachability_goals,
    scenarios::checkout::{BALANCE, CUSTOMERS, DISCOUNT, RUSHED, people},
    topology::{self, member, with},
    workloads::{operator, shop::Shelf},
};

/// Who takes part, the keeper of users' locks excepted.
pub const NODES: [&str; 8] = [
    "checkout",
    "inventory",
    "catalog",
    "user",
    "coupon",
    "dataplatform",
    "notification",
    "ranking",
];

/// Who calls whom.
pub const LINKS: [(&str, &str); 7] = [
    ("checkout", "inventory"),
    ("checkout", "catalog"),
    ("checkout", "user"),
    ("checkout", "coupon"),
    ("checkout", "dataplatform"),
    ("checkout", "notification"),
    ("checkout", "ranking"),
];

/// Those who are told after the commit.
pub const SUBSCRIBERS: [&str; 3] = ["dataplatform", "notification", "ranking"];

/// The subscribers' own faults.
pub fn faults() -> Vec<CustomFault> {
    let fault = |name, node, amount| CustomFault { name, node, amount };
    vec![
        fault("dataplatform-slow", "dataplatform", (200, 15_000)),
        fault("dataplatform-error", "dataplatform", (1, 8)),
        fault("notification-slow", "notification", (200, 15_000)),
        fault("ranking-error", "ranking", (1, 8)),
    ]
}

/// How the subscribers behave, in the order of [`SUBSCRIBERS`].
pub type SubscriberFaults = Arc<[StubFaults; 3]>;

/// What is known of the system beside its databases.
#[derive(Clone, Default)]
pub struct Knobs {
    /// How the subscribers behave.
    pub faults: SubscriberFaults,
    /// How often the checkout service has been started.
    pub lives: Lives,
    /// What the executors come to.
    pub load: Load,
    /// Locks of users.
    pub leases: lock::Shelf,
}

/// Adds the nodes. `issue` is the size of the executor that issues coupons.
pub fn open(sim: &Sim, bugs: Bugs, config: orders::Config, issue: Size) -> Knobs {
    let knobs = Knobs {
        load: config.load.clone(),
        ..Knobs::default()
    };
    let inventory = inventory::Config {
        bugs,
        orchestrator: "checkout".to_owned(),
        ..Default::default()
    };
    let coupon = coupon::Config {
        bugs,
        issue,
        load: knobs.load.clone(),
    };
    let lives = knobs.lives.clone();
    let lock = match config.user_locks {
        Kept::InProcess => None,
        Kept::Service(_) => {
            let lock = lock::Config {
                bugs,
                leases: knobs.leases.clone(),
            };
            Some(with(lock::SERVICE, lock, lock::run))
        }
    };
    let user = user::Config { bugs };
    let faults = knobs.faults.each_ref();
    let [dataplatform, notification, ranking] = faults.map(StubFaults::clone);
    let notification = notification::Config {
        faults: notification,
        listens: None,
    };
    topology::open(
        sim,
        [
            member(orders::SERVICE, move |p| {
                lives.begin();
                orders::run(p, config.clone())
            }),
            with(inventory::SERVICE, inventory, inventory::run),
            catalog::SERVICE.into(),
            with(user::SERVICE, user, user::run),
            with(coupon::SERVICE, coupon, coupon::run),
            with(data_platform::SERVICE, dataplatform, data_platform::run),
            with(notification::SERVICE, notification, notification::run),
            with(ranking::SERVICE, ranking, ranking::run),
        ],
    );
    topology::open(sim, lock);
    obey_faults(sim, &knobs.faults);
    knobs
}

fn obey_faults(sim: &Sim, faults: &SubscriberFaults) {
    for (subscriber, stub) in SUBSCRIBERS.into_iter().zip(faults.iter()) {
        for own in self::faults() {
            if own.node != subscriber {
                continue;
            }
            let (turned, felt) = (stub.clone(), stub.clone());
            let is_slow = own.name.ends_with("-slow");
            sim.own_fault(
                own,
                move |amount, begins| match if begins { amount } else { 0 } {
                    ms if is_slow => turned.slow(Duration::from_millis(ms)),
                    times => turned.fail(times),
                },
                move || felt.felt(),
            );
        }
    }
}

/// Puts people's machines as far away as people are. To be called once the clients are there.
pub fn distance(sim: &Sim) {
    for name in CUSTOMERS {
        sim.link(name, "checkout", Latency::INTERNET);
    }
    for name in SUBSCRIBERS {
        sim.link("checkout", name, Latency::INTERNET);
    }
}

/// Fills shelves, purses and pockets.
///
/// # Panics
///
/// If a service refuses: then the scenario is wrong.
pub async fn set_the_scene(client: Client, shelves: &[Shelf]) {
    let platform = platform(client.node());
    let context = Context::fresh(&platform, "setup");
    let peer = |name| Peer::new(&platform, name, browser());
    let (catalog, inventory) = (peer("catalog"), peer("inventory"));
    let (user, coupon) = (peer("user"), peer("coupon"));
    let must = async |peer: &Peer, method, path: String, key: Option<&str>, body: Value| {
        let reply = peer.call(&context, method, &path, key, &body).await;
        let done = reply.as_ref().is_ok_and(Reply::is_success);
        assert!(done, "{method} {path} was refused: {reply:?}");
    };
    for shelf in shelves {
        let product = json!({ "name": shelf.sku, "category": "things", "price": shelf.price });
        let path = format!("/products/{}", shelf.sku);
        must(&catalog, "PUT", path, None, product).await;
        let path = format!("/inventory/{}", shelf.sku);
        let stock = json!({ "stock": shelf.stock });
        must(&inventory, "PUT", path, None, stock).await;
    }
    let terms = |limit| json!({ "discount": DISCOUNT, "limit": limit });
    let welcome = format!("/campaigns/{}", people::WELCOME);
    must(&coupon, "PUT", welcome.clone(), None, terms(100)).await;
    let rush = format!("/campaigns/{}", people::RUSH);
    must(&coupon, "PUT", rush, None, terms(RUSHED)).await;
    for name in CUSTOMERS {
        let body = json!({ "name": name, "balance": BALANCE });
        must(&user, "PUT", format!("/users/{name}"), None, body).await;
        let (path, key) = (format!("{welcome}/coupons"), format!("welcome-{name}"));
        let body = json!({ "user": name });
        must(&coupon, "POST", path, Some(&key), body).await;
    }
}

/// An operator who redrives dead letters of sagas and events, in `rounds`, one `every` so often; one who `rebuilds` also
/// rebuilds the read side each time.
pub async fn tend(client: Client, (every, rounds): (Duration, u64), rebuilds: bool) {
    let platform = platform(client.node());
    let context = Context::fresh(&platform, client.name());
    let checkout = Peer::new(&platform, "checkout", browser());
    for _ in 0..rounds {
        if rebuilds {
            let path = "/projections/orders/rebuild";
            let rebuilt = checkout
                .call(&context, "POST", path, None, &json!({}))
                .await;
            if rebuilt.is_ok_and(|reply| reply.is_success()) {
                client.reached(reachability_goals::REBUILT);
            }
        }
        for (list, id) in [("/dead-letters", "id"), ("/outbox/dead-letters", "key")] {
            let letters = operator::rows(&context, &checkout, list).await;
            for letter in letters.iter().filter(|l| l["redriven_ms"].is_null()) {
                let id = letter[id].as_str().unwrap_or_default();
                let path = format!("{list}/{id}/redrive");
                let _ = checkout
                    .call(&context, "POST", &path, None, &json!({}))
                    .await;
            }
        }
        client.node().sleep(every).await;
    }
}
