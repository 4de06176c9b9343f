//! The scenario `product-sync`: a catalog whose products change, and a challenge service that shows them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use squall::{
    Client, Sim,
    net::Latency,
    scenario::{Scenario, Setup},
    seed::Stream,
    storm::Profile,
};
use squall_services::{
    infrastructure::bus::{self, Behaviour},
    planted_bug::{Bug, Bugs},
    rewards::challenge::{self, sync::Mode},
    shared::catalog,
};

use crate::{
    invariants::sync_windows::{Measured, Way, Windows, watch},
    lock,
    person::{Person, unkeyed},
    planted_bug, reachability_goals,
    scenarios::item_purchase::{bring_bus_faults, bus_faults},
    topology::{self, with},
    workloads::operator,
};

/// A channel that forgets what nobody hears, notices without versions, gaps that nobody sees, copies that never expire.
const DOCUMENTED: &[Bug] = &[
    Bug::PubsubOnly,
    Bug::EventsWithoutVersion,
    Bug::EventsWithoutResync,
    Bug::CacheNeverExpires,
];

crate::planted_bugs! {
    CacheNeverExpires at 4 => "inconsistency windows stay within the mode's bound";
    EventsWithoutVersion at 5 => "inconsistency windows stay within the mode's bound"
        | "copies are never older than before";
    EventsWithoutResync => "inconsistency windows stay within the mode's bound";
    PubsubOnly at 72 => "inconsistency windows stay within the mode's bound";
}

/// The nodes of the scenario.
pub(super) const NODES: [&str; 3] = ["catalog", "challenge", "bus"];
const LINKS: [(&str, &str); 4] = [
    ("challenge", "catalog"),
    ("catalog", "challenge"),
    ("catalog", "bus"),
    ("challenge", "bus"),
];
const PRODUCTS: [&str; 2] = ["mug", "cap"];
const READERS: [&str; 2] = ["ann", "ben"];
/// What a copy's life is where nobody draws another.
const TTL: Duration = Duration::from_secs(5 * 60);
/// How often the referee reads once the storm is over: more than the quiet that ends a run.
const REFEREE_EVERY: Duration = Duration::from_secs(7);

/// How much happens, and how quickly.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Changes are made, and products read, for so long.
    pub span: Duration,
    /// Changes.
    pub changes: u64,
    /// The pause between two reads of a product.
    pub reads_every: Duration,
}

const QUICK: Pace = Pace {
    span: Duration::from_secs(3),
    changes: 8,
    reads_every: Duration::from_millis(300),
};

/// One way, at one pace, and where what was measured goes.
#[derive(Clone)]
pub struct Course {
    /// The way of learning of changes.
    pub way: Way,
    /// The pace.
    pub pace: Pace,
    /// Filled when the run ends.
    pub report: Arc<Mutex<Measured>>,
}

/// The scenario `product-sync`.
#[derive(Clone, Default)]
pub struct ProductSync {
    /// What is fixed; drawn by each seed if nothing is.
    pub course: Option<Course>,
}

/// What a seed draws.
struct Drawn {
    way: Way,
    ttl: Duration,
    pace: Pace,
    configured: bool,
    switch: Option<(Duration, Way)>,
}

impl Drawn {
    fn of(course: Option<&Course>, bugs: Bugs, rng: &mut Stream) -> Self {
        if let Some(Course { way, pace, .. }) = course {
            return Drawn {
                way: *way,
                ttl: TTL,
                pace: *pace,
                configured: true,
                switch: None,
            };
        }
        let over_a_bus = match bugs.has(Bug::PubsubOnly) {
            true => Way::PubSub,
            false => Way::Stream,
        };
        let ways = [Way::Live, Way::Cache, Way::Webhook, over_a_bus];
        let way = *rng.pick(&ways);
        let ttl = match rng.chance(0.5) {
            true => Duration::from_millis(rng.between(200, 20_000)),
            false => TTL,
        };
        let at = Duration::from_millis(rng.below(QUICK.span.as_millis() as u64));
        let to = *rng.pick(&ways);
        Drawn {
            way,
            ttl,
            pace: QUICK,
            configured: rng.chance(0.5),
            switch: rng.chance(0.3).then_some((at, to)),
        }
    }
}

impl Scenario for ProductSync {
    planted_bug::described! {
        "product-sync": "how a service learns of another's changes: live, cached, or told by webhook, pub/sub and stream",
        documented: "pub/sub without versions, copies that never expire: expected to fail",
    }

    fn profile(&self) -> Profile {
        let mut links = LINKS.to_vec();
        links.extend(READERS.map(|reader| (reader, "challenge")));
        let pace = self.course.as_ref().map_or(QUICK, |course| course.pace);
        Profile {
            custom: bus_faults(),
            events: vec![("catalog", "product changed"), ("challenge", "sync mode")],
            held: vec![("catalog", "product changed")],
            horizon_ms: (pace.span.as_millis() as u64).min(250_000),
            bursts: 30,
            ..Profile::new(&NODES, &links)
        }
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        let bugs = planted_bug::bugs(setup, DOCUMENTED);
        let mut workload = sim.seed().stream("workload");
        let drawn = Drawn::of(self.course.as_ref(), bugs, &mut workload);
        open(sim, bugs, &drawn);
        let Drawn { way, ttl, pace, .. } = drawn;
        let begins = if drawn.configured { way } else { Way::Cache };
        let forgets = self.course.is_some() && way == Way::PubSub;
        let windows = watch(sim, ttl, begins, pace.span, !forgets);
        reachability_goals::deaths(sim);
        sim.sometimes_logged("a notice was sent again", "catalog", "outbox row failed");

        sim.prepare(move |client| async move { set_up(&client, way).await });
        let span = pace.span.as_millis() as u64;
        let mut changes: Vec<Change> = (0..pace.changes)
            .map(|_| Change {
                at: Duration::from_millis(workload.below(span)),
                sku: workload.pick::<&str>(&PRODUCTS),
                price: 1_000 * workload.between(1, 99),
            })
            .collect();
        changes.sort_by_key(|change| change.at);
        sim.client(
            "keeper",
            |client| async move { keep(&client, changes).await },
        );
        if let Some((at, to)) = drawn.switch {
            sim.client("operator", move |client| async move {
                client.node().sleep(at).await;
                switch(&client, "switch", to).await;
            });
        }
        for reader in READERS {
            let windows = windows.clone();
            sim.client(reader, move |client| async move {
                let person = Person::new(&client, "challenge");
                while client.now().since_start() < pace.span + pace.reads_every {
                    let most = 2 * pace.reads_every.as_millis() as u64;
                    let wait = client.draw(|rng| rng.below(most));
                    client.node().sleep(Duration::from_millis(wait)).await;
                    for sku in PRODUCTS {
                        read(&client, &person, &windows, sku).await;
                    }
                }
            });
        }
        for reader in READERS {
            sim.link(reader, "challenge", Latency::DATA_CENTRE);
        }
        // The bus stands beside the catalog.
        sim.link("challenge", "catalog", Latency::INTERNET);
        sim.link("challenge", "bus", Latency::INTERNET);
        let referee = windows.clone();
        sim.after_storm("referee", |client| async move {
            lock(&referee).healed(client.now());
            let person = Person::new(&client, "challenge");
            loop {
                for sku in PRODUCTS {
                    read(&client, &person, &referee, sku).await;
                }
                client.node().sleep(REFEREE_EVERY).await;
            }
        });
        if self.course.is_none() {
            // A notice that nobody took for as long as it was sent is a dead letter.
            sim.after_storm("postmaster", |client| async move {
                operator::tend(&client, &["catalog"], 1).await;
            });
        }
        let report = self.course.as_ref().map(|course| course.report.clone());
        sim.at_end(move |_| {
            let measured = lock(&windows).measured();
            let counts = vec![
                ("windows", measured.windows.len() as u64),
                ("never shown", measured.never),
                ("reads", measured.reads),
                ("reads refused", measured.refused),
            ];
            if let Some(report) = report {
                *lock(&report) = measured;
            }
            counts
        });
    }
}

/// Adds the nodes.
fn open(sim: &Sim, bugs: Bugs, drawn: &Drawn) {
    let behaviour = Arc::new(Behaviour::default());
    let bus = bus::Config {
        behaviour: behaviour.clone(),
        ..Default::default()
    };
    let told = catalog::Config::webhooks(&["challenge"]).and_bus();
    let (sync, transport) = match drawn.configured {
        true => drawn.way.setting(),
        false => (Mode::Cache, Default::default()),
    };
    let challenge = challenge::Config {
        // Which transport is heard is switched; what the bug changes is which one is chosen.
        bugs: bugs.without(Bug::PubsubOnly),
        sync,
        transport,
        ttl: drawn.ttl,
        bus: Some("bus".to_owned()),
        ..Default::default()
    };
    topology::open(
        sim,
        [
            with(catalog::SERVICE, told, catalog::run),
            with(challenge::SERVICE, challenge, challenge::run),
            with(bus::SERVICE, bus, bus::run),
        ],
    );
    bring_bus_faults(sim, &behaviour);
}

async fn set_up(client: &Client, way: Way) {
    let (shop, challenges) = (
        Person::new(client, "catalog"),
        Person::new(client, "challenge"),
    );
    for sku in PRODUCTS {
        let product = json!({ "name": sku, "category": "things", "price": 500, "on_sale": true });
        let put = unkeyed("setup", "PUT", &format!("/products/{sku}"), product);
        let made = shop.insist(&put).await;
        assert!(made.is_some_and(|reply| reply.is_success()));
        let challenge = json!({ "title": "a challenge", "sku": sku, "quantity": 1 });
        let put = unkeyed("setup", "PUT", &format!("/challenges/{sku}"), challenge);
        let made = challenges.insist(&put).await;
        assert!(made.is_some_and(|reply| reply.is_success()));
    }
    switch(client, "setup", way).await;
    // A first look, so that there are copies to grow old.
    for sku in PRODUCTS {
        let look = unkeyed("setup", "GET", &format!("/challenges/{sku}"), ());
        let _ = challenges.ask(&look).await;
    }
}

async fn switch(client: &Client, op: &str, way: Way) {
    let (mode, transport) = way.setting();
    let body = json!({ "mode": mode, "transport": transport });
    let put = unkeyed(op, "PUT", "/sync", body);
    Person::new(client, "challenge").insist(&put).await;
}

/// What the shopkeeper changes.
struct Change {
    at: Duration,
    sku: &'static str,
    price: u64,
}

async fn keep(client: &Client, changes: Vec<Change>) {
    let shop = Person::new(client, "catalog");
    let began = client.now();
    for (n, change) in changes.iter().enumerate() {
        let wait = change.at.saturating_sub(client.now().since(began));
        client.node().sleep(wait).await;
        let op = format!("keeper-{}", n + 1);
        if client.does(&op) {
            let path = format!("/products/{}", change.sku);
            let patch = unkeyed(&op, "PATCH", &path, json!({ "price": change.price }));
            shop.insist(&patch).await;
        }
    }
}

async fn read(client: &Client, person: &Person, windows: &Mutex<Windows>, sku: &str) {
    let look = unkeyed(
        &format!("{}-looks", person.name()),
        "GET",
        &format!("/challenges/{sku}"),
        (),
    );
    lock(windows).read_begins(sku, client.now());
    let shown = person.ask(&look).await;
    let mut windows = lock(windows);
    match shown {
        Ok(reply) if reply.is_success() => {
            let version = reply.body["product"]["version"].as_u64().unwrap_or(0);
            windows.answered(sku, version, client.now());
        }
        _ => windows.refused(),
    }
}
