//! System C with its lease locks: inventory runs in two replicas behind the gateway, over one database that fails on
//! its own, and every operation on a product reads and writes under a lease of the lock service.

use std::time::Duration;

use squall::{
    Client, Sim,
    net::Latency,
    scenario::{Scenario, Setup},
    seed::Stream,
    storm::Profile,
};
use squall_services::{
    infrastructure::{gateway, lock},
    kit::{PeerPolicy, lease::LeasePolicy},
    orchestration,
    planted_bug::{Bug, Bugs},
    shared::{
        catalog,
        inventory::{self, Locking},
    },
};

use crate::{
    invariants::{
        healers, leases, money, orders,
        promises::Promises,
        races, recoveries,
        sagas::{self, saga_counts},
        stock,
    },
    person::{Person, unkeyed},
    planted_bug, reachability_goals,
    scenarios::order_saga,
    topology::{self, replicas, with},
    workloads::{
        shop::{self, Hand},
        trade::{CUSTOMERS, SHELVES, Trade},
    },
};

/// The scenario `order-replicas`.
pub struct OrderReplicas;

/// Those of `order-saga`, and what is documented of the lease locks.
const LEASES_DOCUMENTED: [Bug; 3] = [
    Bug::LeaseWithoutFencing,
    Bug::ReleaseBeforeCommit,
    Bug::LockFailureInCompensationGivesUp,
];

crate::planted_bugs! {
    /// The bugs that need leases, replicas, prices that change, or customers who are careless with their keys.
    LeaseWithoutFencing => "two holders of a lease never both write" | "stock adds up"
        | "a semantic lock has one owner" | "no oversell";
    ReleaseNotOwner => "a lock is promised to one owner at a time" | "a lease is released by its owner only";
    ReleaseBeforeCommit => "stock adds up" | "a semantic lock has one owner";
    LockFailureInCompensationGivesUp at 170 => "no leaked reservation" | "no leaked semantic lock" | "no oversell";
    NoWatchdog => "stock adds up" | "two holders of a lease never both write" | "a semantic lock has one owner";
    WatchdogWithoutLimit at 179 => "no leaked lease lock" | "every saga ends" | "no lost refund";
    SweeperFreesTheLiving at 8 => "no lost refund" | "every saga ends" | "a semantic lock has one owner"
        | "no oversell";
    KeyIgnoresBody => "one key, one effect";
    KeySharedAcrossUsers => "one key, one effect";
    RefundAtCurrentPrice at 35 => "no lost refund" | "every saga ends" | "no double charge, no double refund"
        | "ledger and payment records agree";
    LeaseEndsByWallClock at 472 => "a lock is promised to one owner at a time";
    LeaseFromAStaleClock => "stock adds up";
    RenewalStopsAtFirstError => "stock adds up";
    LostUpdateIgnored => "stock adds up";
    BreakerLetsAllThrough at 9 => "in the calm nothing is refused but for business reasons";
    IntentByKeyOnly => "one intent, one effect";
    UnknownFieldsDropped => "an order costs what was promised" | "no lost refund";
    OldReaderTakesDefault => "an order costs what was promised" | "no lost refund";
}

const REPLICAS: [&str; 2] = ["inventory-1", "inventory-2"];

const NODES: [&str; 9] = [
    "order",
    "gateway",
    "inventory-1",
    "inventory-2",
    "inventory-db",
    "lock",
    "payment",
    "pg",
    "catalog",
];

const LINKS: [(&str, &str); 10] = [
    ("order", "gateway"),
    ("gateway", "inventory-1"),
    ("gateway", "inventory-2"),
    ("inventory-1", "inventory-db"),
    ("inventory-2", "inventory-db"),
    ("inventory-1", "lock"),
    ("inventory-2", "lock"),
    ("order", "payment"),
    ("payment", "pg"),
    ("order", "catalog"),
];

impl Scenario for OrderReplicas {
    planted_bug::described! {
        "order-replicas": "order-saga with lease locks, and two replicas of inventory over one database, behind the gateway",
        documented: "leases without fencing, released before the commit, and the bugs of order-saga: expected to fail",
    }

    fn profile(&self) -> Profile {
        let mut links = LINKS.to_vec();
        links.extend(CUSTOMERS.map(|name| (name, "order")));
        Profile {
            custom: shop::pg_faults(),
            events: vec![
                ("order", "saga starts"),
                ("order", "step done"),
                ("order", "compensating"),
                ("order", "step undone"),
                ("lock", "lease granted"),
                ("inventory-1", "lease held"),
                ("inventory-2", "lease held"),
                ("payment", "payment authorized"),
            ],
            held: vec![
                ("lock", "lease granted"),
                ("lock", "lease granted"),
                ("inventory-1", "lease held"),
                ("inventory-2", "lease held"),
                ("payment", "payment authorized"),
                ("order", "step intended"),
            ],
            overlaps: vec!["inventory-1", "inventory-2", "gateway"],
            horizon_ms: 1_500,
            upgrades: vec!["order"],
            ..Profile::new(&NODES, &links)
        }
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        // Two sagas that share a semantic lock, or one that reserves twice, would speak before any lease could; and who
        // takes that lock in a commit of its own keeps others away from the lease. `order-saga` shows all three.
        let louder = [
            Bug::SemanticLockReservingOnly,
            Bug::NoKey,
            Bug::SemanticLockNeverSwept,
        ];
        let of_sagas = order_saga::DOCUMENTED.iter();
        let of_sagas = of_sagas.filter(|bug| !louder.contains(bug));
        let documented: Vec<Bug> = of_sagas.chain(&LEASES_DOCUMENTED).copied().collect();
        let bugs = planted_bug::bugs(setup, &documented);
        let mut settings = sim.seed().stream("settings");
        let shelf = lock::Shelf::default();
        let mut trade = Trade::draw(sim);
        open_counter(sim, bugs, &shelf, &trade, &mut settings);
        let permits = shop::open_till(sim, bugs, settings.between(1, 10) as usize);

        let stock = stock::watch_at(sim, "inventory-db");
        let money = money::watch(sim, &permits, sagas::JOURNAL_ENDS);
        let orders = orders::watch(sim);
        orders::watch_money(sim, &orders, &money);
        orders::watch_stock(sim, &orders, &stock);
        leases::watch(sim, &shelf);
        let promises = Promises::watch(sim, &orders);
        recoveries::sagas(sim, "order");
        reachability_goals::builds(sim, &["order"]);
        reachability_goals::services(sim, &["order", "payment"]);
        reachability_goals::stock(sim, &REPLICAS);
        healers::watch_sweeper(sim, &stock, stock::SWEPT);
        reachability_goals::late_reserves(sim, &REPLICAS);
        races::money(sim, &orders, &money);
        reachability_goals::leases(sim, &REPLICAS);
        recoveries::fences(sim, &["inventory-db"]);
        reachability_goals::outlived(sim, &REPLICAS, "inventory-db", &["lock"]);

        let has_rush = trade.has_rush();
        sim.prepare(move |client| async move {
            Trade::fill(has_rush, &Hand::through(&client, "gateway")).await;
        });
        let mut workload = sim.seed().stream("workload");
        trade.open_doors(sim, &mut workload, "order", true, &promises);
        trade.staff(sim, ("order", "gateway"), false, &promises);
        let prices: Vec<Price> = (0..workload.between(0, 4))
            .map(|_| Price::draw(&mut workload))
            .collect();
        sim.client("keeper", move |client| async move {
            let catalog = Person::new(&client, "catalog");
            for (n, price) in prices.iter().enumerate() {
                price
                    .set(&client, &catalog, &format!("keeper-{}", n + 1))
                    .await;
            }
        });
        // In half of the worlds the database is far away, and a transaction takes as long as a short lease.
        if settings.chance(0.5) {
            for replica in REPLICAS {
                sim.link(replica, "inventory-db", Latency::INTERNET);
            }
        }
        sim.after_storm("operator", |client| async move {
            Hand::new(&client).tend_orders().await
        });
        sim.at_end(|truth| saga_counts(truth, "order"));
    }
}

/// Adds the nodes that sell: order, the gateway, inventory twice with its database, the lock service, catalog.
fn open_counter(sim: &Sim, bugs: Bugs, shelf: &lock::Shelf, trade: &Trade, settings: &mut Stream) {
    let mut order = orchestration::orders::Config {
        bugs,
        payment: match settings.chance(0.5) {
            true => orchestration::orders::PaymentMode::OneStep,
            false => orchestration::orders::PaymentMode::TwoStep,
        },
        recover_every: healers::recovered_every(sim, Duration::from_secs(settings.between(2, 20))),
        inventory: "gateway".to_owned(),
        // Longer than a wait for a lease.
        inventory_calls: PeerPolicy {
            timeout: Duration::from_secs(8),
            ..PeerPolicy::internal()
        },
        ..Default::default()
    };
    trade.arrange(&mut order);
    sagas::watch_drivers(sim, &["order"], "order", &order.sagas());
    // From shorter than a pause to as long as published: 30 s.
    let lease = Duration::from_millis(match settings.chance(0.8) {
        true => settings.between(100, 400),
        false => 30_000,
    });
    let inventory = inventory::Config {
        bugs,
        // Younger than the sagas that the storm holds up.
        lock_age: Duration::from_secs(settings.between(1, 20)),
        sweep_every: match trade.sweeps() {
            true => Duration::from_secs(1),
            false => trade.swept_every(),
        },
        locking: Locking::Leases {
            service: lock::SERVICE.name.to_owned(),
            policy: LeasePolicy {
                lease,
                renew_every: lease / 3,
                ..LeasePolicy::default()
            },
        },
        ..Default::default()
    };
    let patience = match bugs.has(Bug::WatchdogWithoutLimit) {
        true => Duration::from_secs(24 * 60 * 60),
        false => Duration::from_secs(5),
    };
    let gateway = gateway::Config {
        routes: ["/inventory", "/reservations"]
            .map(|path| {
                let replicas = REPLICAS.map(str::to_owned);
                (path.to_owned(), replicas.to_vec())
            })
            .to_vec(),
    };
    let lock = lock::Config {
        bugs,
        leases: shelf.clone(),
    };
    topology::open(
        sim,
        [
            with(
                orchestration::orders::SERVICE,
                order,
                orchestration::orders::run,
            ),
            with(gateway::SERVICE, gateway, gateway::run),
            with(lock::SERVICE, lock, lock::run),
            catalog::SERVICE.into(),
        ],
    );
    let inventory = with(inventory::SERVICE, inventory, inventory::run);
    topology::open(sim, replicas(inventory, inventory::store::FILE, patience));
}

/// What the shopkeeper changes.
struct Price {
    wait: Duration,
    sku: &'static str,
    price: u64,
}

impl Price {
    fn draw(rng: &mut Stream) -> Self {
        Price {
            wait: Duration::from_millis(rng.below(500)),
            sku: rng.pick(&SHELVES).sku,
            price: 1_000 * rng.between(5, 60),
        }
    }

    async fn set(&self, client: &Client, catalog: &Person, op: &str) {
        client.node().sleep(self.wait).await;
        let body = serde_json::json!({ "price": self.price });
        let path = format!("/products/{}", self.sku);
        catalog.insist(&unkeyed(op, "PATCH", &path, body)).await;
    }
}
