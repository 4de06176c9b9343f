//! System C with an orchestrator that is no single point of failure: order runs in two replicas behind the gateway, over
//! one database that fails on its own. A saga has one owner, and another replica takes it over once that one is silent.

use std::time::Duration;

use squall::{
    Sim,
    net::Latency,
    scenario::{Scenario, Setup},
    storm::Profile,
};
use squall_services::{
    infrastructure::{gateway, lock},
    kit::lease::LeasePolicy,
    orchestration::{self, orders::LockScope},
    planted_bug::Bug,
    shared::{catalog, inventory},
};

use crate::{
    invariants::{
        healers, leases, money, orders,
        promises::Promises,
        recoveries,
        sagas::{self, saga_counts},
        stock,
    },
    planted_bug, reachability_goals,
    scenarios::order_saga,
    topology::{self, replicas, with},
    workloads::{
        shop::{self, Hand},
        trade::{CUSTOMERS, Trade},
    },
};

/// The scenario `order-cluster`.
pub struct OrderCluster;

/// What a replica remembers for itself, the other one does not know: the bugs of a design for one process.
const DOCUMENTED: &[Bug] = &[
    Bug::RecoveryRacesOwner,
    Bug::RecoveryOnlyFailed,
    Bug::RecoveryForgetsCompensating,
    Bug::InFlightNotRefused,
    Bug::CompensateAfterPivot,
    Bug::LockFailsOpen,
];

crate::planted_bugs! {
    /// Whatever a replica remembers for itself, the other one does not know.
    RecoveryRacesOwner at 5 => "what was refused for good never happens" | "no oversell" | "no lost refund"
        | "every saga ends" | "an order goes its way" | "stock adds up" | "a saga takes its steps in order"
        | "compensation runs in reverse" | "acknowledged is durable" | "no leaked reservation"
        | "one key, one effect";
    RecoveryOnlyFailed at 6 => "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation";
    RecoveryForgetsCompensating => "every order ends" | "every saga ends" | "no lost refund"
        | "no leaked reservation";
    InFlightNotRefused at 4 => "one key, one effect";
    CompensateAfterPivot at 16 => "a saga turns back before its pivot only" | "an order goes its way"
        | "acknowledged is durable";
    LockFailsOpen at 8 => "a saga reserves only what it was granted the lock of";
    UnknownCommitToldAsNo at 27 => "what was refused for good never happens";
    AcceptedToldAsRefused at 5 => "what was refused for good never happens";
    KeySettledAfterTheEnd at 4 => "whoever asks again is answered, promptly and alike";
    ReplicaSaysNotThere at 233 => "what was refused for good never happens" | "a refusal is true when it is said";
    OwnerNotChecked at 432 => "no lost refund" | "no oversell" | "what was refused for good never happens"
        | "whoever asks again is answered, promptly and alike";
    IdsCountedByName at 35 => "one key, one effect" | "every order ends" | "no lost refund" | "no oversell"
        | "stock adds up" | "acknowledged is durable" | "no leaked reservation"
        | "what was refused for good never happens";
    LetterRedrivenTwice at 574 => "a dead letter is sent on its way once";
    TriesAddedUp at 120 => "a dead letter comes no sooner than its schedule";
    SagaIdsCollide at 11 => "in the calm nothing is refused but for business reasons";
    LeaseEndsByWallClock at 694 => "a lock is promised to one owner at a time";
    LeaseFromAStaleClock at 20 => "a lock is promised to one owner at a time";
    RenewalStopsAtFirstError at 1813 => "whoever works under a lease holds it then";
    IntentByKeyOnly => "one intent, one effect";
    UnknownFieldsDropped => "an order costs what was promised" | "no lost refund";
    OldReaderTakesDefault => "an order costs what was promised" | "no lost refund";
}

const REPLICAS: [&str; 2] = ["order-1", "order-2"];

const NODES: [&str; 9] = [
    "gateway",
    "order-1",
    "order-2",
    "order-db",
    "inventory",
    "lock",
    "payment",
    "pg",
    "catalog",
];

/// How long a transaction of a replica may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a saga holds the lease of its product: that of a dead one ends before another one's wait does.
const WHOLE_SAGA: LeasePolicy = LeasePolicy {
    wait: Duration::from_secs(5),
    lease: Duration::from_secs(3),
    renew_every: Duration::from_secs(1),
    limit: Duration::from_secs(30),
};

impl Scenario for OrderCluster {
    planted_bug::described! {
        "order-cluster": "order-saga with two replicas of order over one database: sagas change hands, and in some worlds hold a lock throughout",
        documented: "two replicas of a design that knows of one: expected to fail",
    }

    fn profile(&self) -> Profile {
        let mut links = vec![("payment", "pg")];
        for replica in REPLICAS {
            links.push(("gateway", replica));
            links.extend(
                ["order-db", "inventory", "lock", "payment", "catalog"].map(|to| (replica, to)),
            );
        }
        links.extend(CUSTOMERS.map(|name| (name, "gateway")));
        let said = [
            "saga starts",
            "step intended",
            "step done",
            "compensating",
            "step undone",
            "saga resumed",
        ];
        let events = REPLICAS.map(|replica| said.map(|event| (replica, event)));
        // A lease is what is timed most.
        let held = [
            ("lock", "lease granted"),
            ("lock", "lease granted"),
            ("lock", "lease granted"),
            ("inventory", "stock reserved"),
            ("payment", "payment authorized"),
        ];
        let owned = REPLICAS.map(|replica| (replica, "step intended"));
        let leases = REPLICAS.map(|replica| (replica, "lease held"));
        Profile {
            custom: shop::pg_faults(),
            events: events.into_iter().flatten().collect(),
            held: held.into_iter().chain(leases).chain(owned).collect(),
            overlaps: vec!["order-1", "order-2", "gateway"],
            horizon_ms: 1_500,
            upgrades: REPLICAS.into(),
            ..Profile::new(&NODES, &links)
        }
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        let documented = order_saga::DOCUMENTED.iter().chain(DOCUMENTED);
        let documented: Vec<Bug> = documented.copied().collect();
        let bugs = planted_bug::bugs(setup, &documented);
        let mut settings = sim.seed().stream("settings");
        // In a quarter of the worlds sagas keep each other off a product as a whole, and need no semantic lock.
        let whole = settings.chance(0.25);
        let mut order = orchestration::orders::Config {
            bugs,
            lock_scope: match whole {
                true => LockScope::Saga {
                    service: lock::SERVICE.name.to_owned(),
                    policy: WHOLE_SAGA,
                },
                false => LockScope::Step,
            },
            payment: match settings.chance(0.4) {
                true => orchestration::orders::PaymentMode::OneStep,
                false => orchestration::orders::PaymentMode::TwoStep,
            },
            recover_every: Duration::from_secs(settings.between(2, 20)),
            // From shorter than a pause to longer than most.
            lease: Duration::from_millis(settings.between(400, 3_000)),
            ..Default::default()
        };
        let mut trade = Trade::draw(sim);
        trade.arrange(&mut order);
        let mut sweeping = sim.seed().stream("sweeping");
        // In half of the worlds a lock is soon old enough that the orchestrator is asked about its saga.
        let soon = sweeping.chance(0.5) && trade.sweeps();
        let (lock_age, sweep_every) = match soon {
            true => (
                Duration::from_millis(sweeping.between(100, 3_000)),
                Duration::from_secs(1),
            ),
            false => (inventory::Config::default().lock_age, trade.swept_every()),
        };
        let inventory = inventory::Config {
            bugs,
            lock_age,
            sweep_every,
            semantic_lock: !whole,
            orchestrator: "gateway".to_owned(),
            ..Default::default()
        };
        let gateway = gateway::Config {
            routes: ["/orders", "/sagas", "/dead-letters"]
                .map(|path| (path.to_owned(), REPLICAS.map(str::to_owned).to_vec()))
                .to_vec(),
        };
        let shelf = lock::Shelf::default();
        let locks = lock::Config {
            bugs,
            leases: shelf.clone(),
        };
        topology::open(
            sim,
            [
                with(gateway::SERVICE, gateway, gateway::run),
                with(lock::SERVICE, locks, lock::run),
                catalog::SERVICE.into(),
                with(inventory::SERVICE, inventory, inventory::run),
            ],
        );
        sagas::watch_drivers(sim, &REPLICAS, "order-db", &order.sagas());
        let order = with(
            orchestration::orders::SERVICE,
            order,
            orchestration::orders::run,
        );
        topology::open(
            sim,
            replicas(order, orchestration::orders::store::FILE, PATIENCE),
        );
        let permits = shop::open_till(sim, bugs, settings.between(1, 10) as usize);

        let stock = stock::watch(sim);
        let money = money::watch(sim, &permits, sagas::JOURNAL_ENDS);
        let orders = orders::watch_at(sim, "order-db");
        orders::watch_money(sim, &orders, &money);
        orders::watch_stock(sim, &orders, &stock);
        leases::watch(sim, &shelf);
        if whole {
            reachability_goals::leases(sim, &[]);
            leases::watch_holders(sim, &shelf, &REPLICAS);
            leases::watch_sagas(sim);
        }
        let promises = Promises::watch(sim, &orders);
        recoveries::replicas(sim, &REPLICAS);
        reachability_goals::builds(sim, &REPLICAS);
        let others = ["inventory", "lock", "payment", "catalog"];
        reachability_goals::outlived(sim, &REPLICAS, "order-db", &others);
        reachability_goals::services(sim, &["order-1", "order-2", "payment"]);
        reachability_goals::stock(sim, &["inventory"]);
        healers::watch_sweeper(sim, &stock, stock::SWEPT);

        let has_rush = trade.has_rush();
        sim.prepare(move |client| async move {
            Trade::fill(has_rush, &Hand::over(&client, "inventory", "gateway")).await;
        });
        let mut workload = sim.seed().stream("workload");
        trade.open_doors(sim, &mut workload, "gateway", false, &promises);
        trade.staff(sim, ("gateway", "inventory"), false, &promises);
        // In some worlds the replicas are far from their database, so that a claim and a commit cross each other.
        if settings.chance(0.25) {
            for replica in REPLICAS {
                sim.link(replica, "order-db", Latency::INTERNET);
            }
        }
        sim.after_storm("operator", |client| async move {
            Hand::over(&client, "inventory", "gateway")
                .tend_orders()
                .await
        });
        sim.at_end(|truth| saga_counts(truth, "order-db"));
    }
}
