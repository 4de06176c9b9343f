//! The nodes of choreographed orders, the faults that they bring, and what is on the shelves.

use std::sync::Arc;

use serde_json::{Value, json};
use squall::{Client, Sim, net::Latency};
use squall_services::{
    bus, catalog, choreography, delivery,
    gap::Gaps,
    gateway,
    kit::{Context, Peer, Reply, bulkhead::Permits, bus::Settings, outbox::Mode},
    notification, payment, pg,
    system::System,
    user,
};

use crate::{
    customer::browser,
    item_purchase::bus_fault,
    platform::platform,
    shop::{Shelf, pg_effects, switch_pg},
    topology::{self, member},
};

/// The services that speak.
pub const MEMBERS: [&str; 5] = ["order", "inventory", "payment", "delivery", "notification"];

/// All nodes.
pub const NODES: [&str; 10] = [
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
];

/// How the nodes are set up.
#[derive(Clone, Debug)]
pub struct Shop {
    /// How each takes part.
    pub settings: Settings,
    /// One try of a delivery in so many finds nobody.
    pub misses_one_in: u64,
}

impl Shop {
    /// A shop whose couriers find nobody one time in three.
    pub fn new(gaps: Gaps, mode: Mode) -> Self {
        Shop {
            settings: Settings {
                gaps,
                mode,
                ..Default::default()
            },
            misses_one_in: 3,
        }
    }
}

/// Adds the nodes and their faults; the permits to call the payment gateway.
pub fn open(sim: &Sim, shop: &Shop) -> Permits {
    let settings = shop.settings.clone();
    let gaps = settings.gaps;
    let permits = Permits::new(payment::CALLS_MAX);
    let log = Arc::new(bus::Behaviour::default());
    let bank = Arc::new(pg::Behaviour::default());
    let bus = bus::Config {
        behaviour: log.clone(),
        ..Default::default()
    };
    let pg = pg::Config {
        webhooks: Some("payment".to_owned()),
        behaviour: bank.clone(),
        ..Default::default()
    };
    let payment = payment::Config {
        gaps,
        permits: permits.clone(),
        choreography: Some(settings.clone()),
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
    let user = user::Config {
        gaps,
        ..Default::default()
    };
    let stock = settings.clone();
    topology::open(
        sim,
        [
            member(bus::SERVICE, move |p| bus::run(p, bus.clone())),
            member(choreography::orders::SERVICE, move |p| {
                choreography::orders::run(p, settings.clone())
            }),
            member(choreography::stock::SERVICE, move |p| {
                choreography::stock::run(p, stock.clone())
            }),
            member(payment::SERVICE, move |p| payment::run(p, payment.clone())),
            member(pg::SERVICE, move |p| pg::run(p, pg.clone())),
            member(delivery::SERVICE, move |p| {
                delivery::run(p, delivery.clone())
            }),
            member(notification::SERVICE, move |p| {
                notification::run(p, notification.clone())
            }),
            member(user::SERVICE, move |p| user::run(p, user.clone())),
            catalog::SERVICE.into(),
            member(gateway::SERVICE, |p| {
                let system = System::named("choreography").expect("the services declare it");
                gateway::run(p, gateway::Config::over(system.services))
            }),
        ],
    );
    sim.link("payment", "pg", Latency::INTERNET);

    let (log_counts, bank_counts) = (log.clone(), bank.clone());
    sim.custom_faults(
        move |name, amount, begins| match (bus_fault(name), begins) {
            (Some(fault), true) => log.begin(fault, amount),
            (Some(fault), false) => log.end(fault),
            (None, _) => switch_pg(&bank, name, amount, begins),
        },
        move |name| match bus_fault(name) {
            Some(fault) => log_counts.struck(fault),
            None => pg_effects(&bank_counts, name),
        },
    );
    permits
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
