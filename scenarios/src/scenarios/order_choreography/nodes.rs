//! The nodes of choreographed orders, the faults that they bring, and what is on the shelves.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use squall::{Client, Sim, net::Latency, storm::CustomFault};
use squall_services::{
    choreography::{self, delivery},
    infrastructure::{bus, gateway, lock},
    kit::{
        Context, Peer, Reply,
        bulkhead::Permits,
        lease::{LeasePolicy, Locking},
        member::Settings,
        outbox::Mode,
        stub_faults::StubFaults,
    },
    planted_bug::Bugs,
    shared::{catalog, notification, payment, payment_provider, user},
    systems::System,
};

use crate::{
    invariants::schedule,
    person::browser,
    platform::platform,
    scenarios::item_purchase::bring_bus_faults,
    topology::{self, member, with},
    workloads::shop::{Shelf, bring_pg_faults},
};

/// The services that speak.
pub const MEMBERS: [&str; 5] = ["order", "inventory", "payment", "delivery", "notification"];

/// All nodes. The last is there only if stock is kept under leases.
pub const NODES: [&str; 11] = [
    "gateway",
    "order",
    "inventory",
    "payment",
    "delivery",
    "notification",
    "user",
    "catalog",
    "bus",
    "pg",
    "lock",
];

/// Inventory stands still between its look at a product and its writing; amounts in milliseconds.
pub const STOCK_PAUSE: CustomFault = CustomFault {
    name: "stock-pause",
    node: "inventory",
    amount: (50, 5_000),
};

/// How the nodes are set up.
#[derive(Clone, Debug)]
pub struct Shop {
    /// How each takes part.
    pub settings: Settings,
    /// One delivery attempt in this many finds no one at home.
    pub misses_one_in: u64,
    /// How leases of products are held, if stock is kept under leases.
    pub lease: Option<LeasePolicy>,
}

impl Shop {
    /// A shop whose couriers find no one at home one time in three.
    pub fn new(bugs: Bugs, mode: Mode) -> Self {
        Shop {
            settings: Settings {
                bugs,
                mode,
                ..Default::default()
            },
            misses_one_in: 3,
            lease: None,
        }
    }
}

/// What is known of the nodes beside their databases.
pub struct Counters {
    /// To call the payment gateway.
    pub permits: Permits,
    /// Leases of products.
    pub leases: lock::Shelf,
}

/// Adds the nodes and their faults.
pub fn open(sim: &Sim, shop: &Shop) -> Counters {
    let settings = shop.settings.clone();
    let bugs = settings.bugs;
    let permits = Permits::new(payment::CALLS_MAX);
    let log = Arc::new(bus::Behaviour::default());
    let bank = Arc::new(payment_provider::Behaviour::default());
    let bus = bus::Config {
        behaviour: log.clone(),
        ..Default::default()
    };
    let provider = payment_provider::Config {
        webhooks: Some("payment".to_owned()),
        behaviour: bank.clone(),
        ..Default::default()
    };
    let charging = settings.clone();
    let payment = payment::Config {
        bugs,
        permits: permits.clone(),
        ..Default::default()
    };
    let delivery = delivery::Config {
        settings: settings.clone(),
        misses_one_in: shop.misses_one_in,
        ..Default::default()
    };
    let notification = notification::Config {
        listens: Some(choreography::notices(settings.clone())),
        ..Default::default()
    };
    let user = user::Config { bugs };
    let (leases, faults) = (lock::Shelf::default(), StubFaults::default());
    let stock = choreography::stock::Config {
        settings: settings.clone(),
        locking: shop
            .lease
            .map_or(Locking::Transactions, |policy| Locking::Leases {
                service: lock::SERVICE.name.to_owned(),
                policy,
            }),
        faults: faults.clone(),
    };
    if shop.lease.is_some() {
        let lock = lock::Config {
            bugs,
            leases: leases.clone(),
        };
        topology::open(sim, [with(lock::SERVICE, lock, lock::run)]);
    }
    topology::open(
        sim,
        [
            with(bus::SERVICE, bus, bus::run),
            with(
                choreography::orders::SERVICE,
                settings,
                choreography::orders::run,
            ),
            with(
                choreography::stock::SERVICE,
                stock,
                choreography::stock::run,
            ),
            member(choreography::payments::SERVICE, move |p| {
                choreography::payments::run(p, payment.clone(), charging.clone())
            }),
            with(payment_provider::SERVICE, provider, payment_provider::run),
            with(delivery::SERVICE, delivery, delivery::run),
            with(notification::SERVICE, notification, notification::run),
            with(user::SERVICE, user, user::run),
            catalog::SERVICE.into(),
            member(gateway::SERVICE, |p| {
                let system = System::named("choreography").expect("the services declare it");
                gateway::run(p, gateway::Config::over(system.services))
            }),
        ],
    );
    sim.link("payment", "pg", Latency::INTERNET);

    let forgets = log.clone();
    schedule::watch_consumers(sim, &MEMBERS, move || forgets.struck_in_all());
    bring_bus_faults(sim, &log);
    bring_pg_faults(sim, &bank);
    let felt = faults.clone();
    sim.own_fault(
        STOCK_PAUSE,
        move |amount, begins| {
            faults.slow(Duration::from_millis(if begins { amount } else { 0 }));
        },
        move || felt.felt(),
    );
    Counters { permits, leases }
}

/// Makes accounts and fills the shelves.
///
/// # Panics
///
/// If a service refuses: then the scenario is wrong.
pub async fn fill(client: &Client, users: &[&str], shelves: &[Shelf]) {
    let platform = platform(client.node());
    let gateway = Peer::new(&platform, "gateway", browser());
    let context = Context::fresh(&platform, "setup");
    let put = async |path: String, body: Value| {
        let reply = gateway.call(&context, "PUT", &path, None, &body).await;
        assert!(
            reply.as_ref().is_ok_and(Reply::is_success),
            "PUT {path} was refused: {reply:?}"
        );
    };
    for user in users {
        let body = json!({ "name": user, "balance": 0 });
        put(format!("/users/{user}"), body).await;
    }
    for Shelf { sku, stock, price } in shelves {
        let body = json!({ "name": sku, "category": "things", "price": price });
        put(format!("/products/{sku}"), body).await;
        put(format!("/inventory/{sku}"), json!({ "stock": stock })).await;
    }
}
