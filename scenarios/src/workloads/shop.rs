//! The shop: the services' nodes, filled shelves, an operator, and the payment gateway's own faults.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use squall::{Client, Sim, net::Latency, storm::CustomFault};
use squall_services::{
    kit::{Context, Peer, bulkhead::Permits},
    orchestration::orders,
    planted_bug::Bugs,
    rewards::challenge,
    shared::{
        catalog, inventory,
        payment::{self, Beyond},
        payment_provider::{self, Behaviour, Fault, Rule},
    },
};

use crate::{
    live_storm,
    person::browser,
    platform::platform,
    topology::{self, Member, with},
    workloads::operator,
};

/// A product on the shelves.
#[derive(Clone, Copy, Debug)]
pub struct Shelf {
    /// Stock keeping unit.
    pub sku: &'static str,
    /// Units.
    pub stock: u64,
    /// Won.
    pub price: u64,
}

/// The shop's nodes.
pub const NODES: [&str; 5] = ["order", "inventory", "payment", "pg", "catalog"];
/// Who calls whom in it.
pub const LINKS: [(&str, &str); 4] = [
    ("order", "inventory"),
    ("order", "payment"),
    ("payment", "pg"),
    ("order", "catalog"),
];

/// The faults of the payment gateway.
pub fn pg_faults() -> Vec<CustomFault> {
    let fault = |name, amount| CustomFault {
        name,
        node: "pg",
        amount,
    };
    vec![
        fault("pg-slow", (200, 15_000)),
        fault("pg-error", (1, 6)),
        fault("pg-throttle", (1, 12)),
        fault("pg-timeout-before", (1, 4)),
        fault("pg-timeout-after", (1, 4)),
        fault("pg-late-webhook", (100, 30_000)),
    ]
}

/// What a fault of the gateway does, and the name under which it counts its effects.
fn pg_rule(name: &str, amount: u64) -> Option<(Rule, &'static str)> {
    let times = amount as u32;
    let fault = match name {
        "pg-slow" => {
            return Some((
                Rule::always(Fault::Slow(Duration::from_millis(amount))),
                "slow",
            ));
        }
        "pg-error" => Fault::Error,
        "pg-throttle" => Fault::Throttle,
        "pg-timeout-before" => Fault::TimeoutBefore,
        "pg-timeout-after" => Fault::TimeoutAfter,
        "pg-late-webhook" => {
            let fault = Fault::LateDuplicateWebhook(Duration::from_millis(amount));
            return Some((Rule::always(fault), "late-duplicate-webhook"));
        }
        _ => return None,
    };
    Some((Rule::next(fault, times), fault.kind()))
}

/// Switches a fault of the gateway on or off; no other.
fn switch_pg(behaviour: &Behaviour, name: &str, amount: u64, begins: bool) {
    let Some((rule, kind)) = pg_rule(name, amount) else {
        return;
    };
    let mut rules = behaviour.rules();
    rules.retain(|r| r.fault.kind() != kind);
    rules.extend(begins.then_some(rule));
    behaviour.replace(rules);
}

/// How often a fault of the gateway has touched a call.
fn pg_effects(behaviour: &Behaviour, name: &str) -> u64 {
    let kind = pg_rule(name, 1).map_or("", |(_, kind)| kind);
    behaviour.applied().get(kind).copied().unwrap_or(0)
}

/// They are the faults of this gateway.
pub fn bring_pg_faults(sim: &Sim, gateway: &Arc<Behaviour>) {
    for own in pg_faults() {
        let (turned, counts, name) = (gateway.clone(), gateway.clone(), own.name);
        sim.own_fault(
            own,
            move |amount, begins| {
                switch_pg(&turned, name, amount, begins);
                live_storm::behaves(&turned);
            },
            move || pg_effects(&counts, name),
        );
    }
}

/// The nodes that sell: order, inventory, catalog.
pub fn counter(bugs: Bugs, order: orders::Config, catalog: catalog::Config) -> [Member; 3] {
    let swept = inventory::Config::default().sweep_every;
    counter_swept(bugs, order, catalog, swept)
}

/// The same, where it is said how often the inventory's sweeper looks.
pub fn counter_swept(
    bugs: Bugs,
    order: orders::Config,
    catalog: catalog::Config,
    sweep_every: Duration,
) -> [Member; 3] {
    let inventory = inventory::Config {
        bugs,
        sweep_every,
        ..Default::default()
    };
    [
        with(orders::SERVICE, order, orders::run),
        with(inventory::SERVICE, inventory, inventory::run),
        with(catalog::SERVICE, catalog, catalog::run),
    ]
}

/// Adds the nodes that take money: payment and the gateway. The `permits` to call the gateway are returned.
pub fn open_till(sim: &Sim, bugs: Bugs, permits: usize) -> Permits {
    open_till_that(sim, bugs, permits, Beyond::default())
}

/// The same, where it is said what becomes of a call while all permits are lent.
pub fn open_till_that(sim: &Sim, bugs: Bugs, permits: usize, beyond: Beyond) -> Permits {
    let permits = Permits::new(permits);
    let behaviour = Arc::new(Behaviour::default());
    let payment = payment::Config {
        bugs,
        permits: permits.clone(),
        beyond,
        ..Default::default()
    };
    let provider = payment_provider::Config {
        webhooks: Some("payment".to_owned()),
        behaviour: behaviour.clone(),
        ..Default::default()
    };
    topology::open(
        sim,
        [
            with(payment::SERVICE, payment, payment::run),
            with(payment_provider::SERVICE, provider, payment_provider::run),
        ],
    );

    sim.link("payment", "pg", Latency::INTERNET);

    bring_pg_faults(sim, &behaviour);
    permits
}

/// How long a cached copy of a product is fresh, as published.
pub const TTL: Duration = Duration::from_secs(5 * 60);

/// The node that rewards: copies of products are fresh for `ttl`; users whose name begins with "unlucky" are refused at the very last step.
pub fn challenges(bugs: Bugs, ttl: Duration) -> Member {
    let config = challenge::Config {
        bugs,
        ttl,
        barred: Some("unlucky".to_owned()),
        ..Default::default()
    };
    with(challenge::SERVICE, config, challenge::run)
}

/// A hand on the shop's own interfaces: to fill shelves, and to look after what needs attention.
pub struct Hand {
    client: Client,
    context: Context,
    catalog: Peer,
    inventory: Peer,
    order: Peer,
    challenge: Peer,
}

impl Hand {
    /// The hand of this client.
    pub fn new(client: &Client) -> Self {
        Hand::over(client, "inventory", "order")
    }

    /// The same, where inventory and order are reached through a gateway.
    pub fn through(client: &Client, gateway: &str) -> Self {
        Hand::over(client, gateway, gateway)
    }

    /// The same, where they are reached at other names.
    pub fn over(client: &Client, inventory: &str, order: &str) -> Self {
        let platform = platform(client.node());
        let peer = |name| Peer::new(&platform, name, browser());
        Hand {
            client: client.clone(),
            context: Context::fresh(&platform, client.name()),
            catalog: peer("catalog"),
            inventory: peer(inventory),
            order: peer(order),
            challenge: peer("challenge"),
        }
    }

    /// Puts a product on the shelves.
    ///
    /// # Panics
    ///
    /// If the shop refuses: then the scenario is wrong.
    pub async fn fill(&self, shelf: Shelf) {
        let product = json!({
            "name": shelf.sku, "category": "things", "price": shelf.price, "on_sale": true,
        });
        let path = format!("/products/{}", shelf.sku);
        self.must(&self.catalog, "PUT", &path, &product).await;
        self.stock(shelf).await;
    }

    /// Creates a product's units in the inventory only.
    ///
    /// # Panics
    ///
    /// If it refuses: then the scenario is wrong.
    pub async fn stock(&self, shelf: Shelf) {
        let path = format!("/inventory/{}", shelf.sku);
        self.must(
            &self.inventory,
            "PUT",
            &path,
            &json!({ "stock": shelf.stock }),
        )
        .await;
    }

    /// Opens challenges, each with its reward, and chooses how the challenge service learns of products.
    ///
    /// # Panics
    ///
    /// If it refuses: then the scenario is wrong.
    pub async fn open_challenges(&self, mode: &str, challenges: &[(&str, &str)]) {
        self.must(&self.challenge, "PUT", "/sync", &json!({ "mode": mode }))
            .await;
        for (id, sku) in challenges {
            let body = json!({ "title": format!("{id} for a {sku}"), "sku": sku, "quantity": 1 });
            self.must(&self.challenge, "PUT", &format!("/challenges/{id}"), &body)
                .await;
        }
    }

    async fn must(&self, peer: &Peer, method: &str, path: &str, body: &Value) {
        let reply = peer.call(&self.context, method, path, None, body).await;
        assert!(
            reply
                .as_ref()
                .is_ok_and(squall_services::kit::Reply::is_success),
            "{method} {path} was refused: {reply:?}"
        );
    }

    /// Redrives the orders' dead letters for as long as there are any, looking every ten seconds.
    pub async fn tend_orders(&self) {
        self.tend(&self.order).await;
    }

    /// The same for rewards.
    pub async fn tend_rewards(&self) {
        self.tend(&self.challenge).await;
    }

    async fn tend(&self, owner: &Peer) {
        loop {
            let letters = operator::rows(&self.context, owner, "/dead-letters").await;
            for letter in letters.iter().filter(|l| l["redriven_ms"].is_null()) {
                let id = letter["id"].as_str().unwrap_or_default();
                let path = format!("/dead-letters/{id}/redrive");
                let _ = owner
                    .call(&self.context, "POST", &path, None, &json!({}))
                    .await;
            }
            self.client.node().sleep(operator::LOOK_EVERY).await;
        }
    }
}
