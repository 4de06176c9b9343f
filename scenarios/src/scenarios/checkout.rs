//! System B: checkout with balance and coupon, and after-commit events.

mod late;
pub mod nodes;
pub mod people;

use std::time::Duration;

use futures_util::future::join_all;
use squall::{
    Sim,
    scenario::{Scenario, Setup},
    seed::Stream,
    storm::Profile,
};
use squall_services::{
    checkout::orders::{self, Rollback, SUBSCRIPTIONS, Variant, lock::Kept},
    infrastructure::lock,
    kit::{
        PeerPolicy,
        events::Subscription,
        executor::{Load, Size},
        outbox::Policy,
    },
    planted_bug::Bug,
};

use self::{
    nodes::{LINKS, NODES},
    people::{Files, Purchase},
};
use crate::{
    invariants::{
        balances, checkouts, healers, leases,
        receipts::{self, Receipts},
        recoveries,
        sagas::{self, SAGAS_END},
        schedule, stock, subscribers,
    },
    planted_bug, reachability_goals,
    workloads::{operator, shop::Shelf},
};

/// The scenario `checkout`.
pub struct Checkout;

/// What the design lacks in every variant of it.
const DOCUMENTED: &[Bug] = &[
    Bug::EventsOnlyInMemory,
    Bug::SharedExecutor,
    Bug::RecoveryOnlyFailed,
    Bug::LateReserveAfterCancel,
];

crate::planted_bugs! {
    /// The bugs that concern this system.
    NoJournal at 29 => "every order ends" | "every saga ends" | "completed or fully undone"
        | "no leaked semantic lock" | "acknowledged is durable";
    TimeoutMeansNo => "completed or fully undone" | "no leaked reservation" | "no leaked semantic lock";
    CompensationNotRetried => "every order ends" | "every saga ends" | "completed or fully undone";
    AckBeforeCommit at 28 => "acknowledged is durable";
    UndoOnlyOnAnsweredNo => "completed or fully undone" | "compensation runs in reverse";
    RecoveryOnlyFailed at 29 => "every order ends" | "every saga ends" | "completed or fully undone";
    RecoveryForgetsCompensating at 440 => "every order ends" | "every saga ends" | "completed or fully undone";
    NoSagaDeadline => "a saga that is late turns back";
    JournalAfterCall at 56 => "completed or fully undone";
    CompensateInOrder => "compensation runs in reverse";
    StopAtFirstCompensationError at 34 => "completed or fully undone";
    ConflictInCompensationGivesUp at 90 => "completed or fully undone";
    RollbackOvertakesLateSuccess at 64 => "completed or fully undone";
    RestoreRememberedBalance => "balances add up";
    CouponCheckThenUse at 301 => "coupons are issued and used at most once";
    CouponOverIssued at 16 => "coupons are issued and used at most once";
    SubscriberInsideTransaction => "subscribers hear of what is committed";
    EventsOnlyInMemory at 20 => "subscribers hear of what is committed";
    NoBulkhead at 5 => "queues are bounded";
    SharedExecutor => "a slow subscriber starves no other";
    QueueUnbounded at 1407 => "queues are bounded";
    ClientPriceTrusted => "price charged = unit price × quantity − discount";
    PriceNotSnapshotted => "price charged = unit price × quantity − discount";
    AcceptedToldAsRefused at 25 => "a refusal is final";
    KeySettledAfterTheEnd at 802 => "who asks in the calm is answered";
    RebuildInTwoCommits at 21 => "an order goes its way";
    TriesAddedUp at 91 => "a dead letter comes no sooner than its schedule";
    SagaIdsCollide at 32 => "a saga takes its steps in order";
    CouponOwnedIsEnough at 27 => "coupons are issued and used at most once";
    RowMarkedBeforeSent at 109 => "subscribers hear of what is committed";
    UnreadableIsAbsent at 8 => "acknowledged is durable";
    UnknownFieldsDropped => "an order costs what was promised" | "price charged = unit price × quantity − discount"
        | "completed or fully undone";
    OldReaderTakesDefault => "an order costs what was promised" | "price charged = unit price × quantity − discount"
        | "completed or fully undone";
}

/// People who buy.
pub const CUSTOMERS: [&str; 3] = ["ann", "ben", "cho"];

/// Checkouts in a storm.
const CHECKOUTS: u64 = 6;

/// What each of them has at first, in won.
pub const BALANCE: u64 = 70_000;
/// What a coupon takes off, in won.
pub const DISCOUNT: u64 = 2_000;
/// Coupons that the crowd rushes for.
pub const RUSHED: u64 = 3;

/// What there is to buy.
pub const SHELVES: [Shelf; 2] = crate::workloads::trade::SHELVES;

impl Scenario for Checkout {
    planted_bug::described! {
        "checkout": "checkout with balance and coupon in five variants, and subscribers that are told after the commit",
        documented: "compensation in memory, recovery of what has failed only: expected to fail",
    }

    fn profile(&self) -> Profile {
        let nodes = [&NODES[..], &[lock::SERVICE.name]].concat();
        let mut links = LINKS.to_vec();
        links.push(("checkout", lock::SERVICE.name));
        links.extend(CUSTOMERS.map(|name| (name, "checkout")));
        links.push(("crowd", "coupon"));
        Profile {
            custom: nodes::faults(),
            events: vec![
                ("checkout", "saga starts"),
                ("checkout", "step intended"),
                ("checkout", "step done"),
                ("checkout", "step unknown"),
                ("checkout", "compensating"),
                ("checkout", "step undone"),
                ("checkout", "saga resumed"),
                ("checkout", "saga completed"),
                ("inventory", "stock reserved"),
                ("user", "balance reserved"),
                ("user", "balance released"),
                ("coupon", "coupon issued"),
                ("coupon", "coupon reserved"),
                ("lock", "lease granted"),
                ("checkout", "lease held"),
            ],
            held: vec![
                ("lock", "lease granted"),
                ("lock", "lease granted"),
                ("checkout", "lease held"),
                ("checkout", "step intended"),
                ("inventory", "stock reserved"),
                ("user", "balance reserved"),
                ("coupon", "coupon reserved"),
            ],
            horizon_ms: 1_500,
            upgrades: vec!["checkout"],
            ..Profile::new(&nodes, &links)
        }
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        let mut settings = sim.seed().stream("settings");
        let documented = setup.shape == "documented";
        let variants = match documented {
            true => &Variant::ALL[..],
            false => &Variant::ALL[2..],
        };
        let variant = *settings.pick(variants);
        let mut bugs = planted_bug::bugs(setup, DOCUMENTED);
        if documented && variant == Variant::Parallel {
            bugs = bugs.with(Bug::RollbackOvertakesLateSuccess);
        }
        let load = Load::default();
        let small = |rng: &mut Stream| {
            let core = rng.between(1, 2) as usize;
            Size::new(
                core,
                core + rng.below(3) as usize,
                rng.between(1, 4) as usize,
            )
        };
        let deadline = Duration::from_secs(settings.between(2, 6));
        let calls = PeerPolicy {
            timeout: Duration::from_secs(settings.between(1, 5)),
            ..PeerPolicy::internal()
        };
        let (tries, outbox) = patience(sim);
        let config = orders::Config {
            bugs,
            variant,
            tries,
            outbox: outbox.clone(),
            rollback: match settings.chance(0.5) {
                true => Rollback::All,
                false => Rollback::Needed,
            },
            saga_deadline: deadline,
            user_locks: Kept::Service(lock::SERVICE.name.to_owned()),
            calls,
            recover_every: healers::recovered_every(
                sim,
                Duration::from_secs(settings.between(2, 20)),
            ),
            subscriptions: SUBSCRIPTIONS
                .map(|subscription| Subscription {
                    size: small(&mut settings),
                    ..subscription
                })
                .to_vec(),
            load: load.clone(),
            ..Default::default()
        };
        let issue = small(&mut settings);
        sagas::watch_drivers(sim, &["checkout"], "checkout", &config.sagas());
        let knobs = nodes::open(sim, bugs, config, issue);

        let stock = stock::watch(sim);
        let books = balances::watch(sim);
        let orders = checkouts::watch(sim, deadline, &knobs.lives);
        checkouts::watch_books(sim, &orders, &stock, &books);
        subscribers::watch(sim, &orders);
        schedule::watch_outboxes(sim, &["checkout"], &outbox);
        subscribers::watch_load(sim, &knobs.load);
        leases::watch(sim, &knobs.leases);
        if variant == Variant::Parallel {
            leases::watch_holders(sim, &knobs.leases, &["checkout"]);
        }
        recoveries::sagas(sim, "checkout");
        reachability_goals::builds(sim, &["checkout"]);
        reachability_goals::services(sim, &["checkout"]);
        reachability_goals::stock(sim, &["inventory"]);
        reachability_goals::leases(sim, &[]);

        sim.prepare(|client| nodes::set_the_scene(client, &SHELVES));
        let kept = {
            let orders = orders.clone();
            Receipts::watch(sim, SAGAS_END, false, move |request| {
                let buys = request.path == "/checkouts";
                buys.then(|| checkouts::alive(&orders, &request.op))
            })
        };
        let files = Files {
            orders: orders.clone(),
            receipts: kept.clone(),
        };
        let mut workload = sim.seed().stream("workload");
        let mut twins = sim.seed().stream("twins");
        for name in CUSTOMERS {
            let mut purchases: Vec<Purchase> = (0..CHECKOUTS / 3)
                .map(|_| Purchase::draw(&mut workload, name))
                .collect();
            let has_twin = workload.chance(0.5);
            if has_twin && twins.chance(0.7) {
                purchases[0] = purchases[0].clone().with_coupon();
            }
            if has_twin {
                let twin = match twins.chance(0.3) {
                    true => purchases[0].on_another_device(),
                    false => purchases[0].twin(),
                };
                purchases.push(twin);
            }
            let away = away(&mut twins);
            let purchases: Vec<Purchase> = purchases
                .into_iter()
                .map(|purchase| purchase.looking_after(away))
                .collect();
            let files = files.clone();
            sim.client(name, move |client| async move {
                let (client, files) = (&client, &files);
                let buying = purchases
                    .iter()
                    .enumerate()
                    .map(|(n, purchase)| async move {
                        let op = format!("{name}-{}", n + 1);
                        purchase.carry_out(client, files, &op).await;
                    });
                join_all(buying).await;
            });
        }
        let crowd = workload.between(4, 10);
        let noted = kept.clone();
        sim.client("crowd", move |client| people::rush(client, crowd, noted));
        let soon = |rng: &mut Stream| Duration::from_millis(rng.below(400));
        let credits: Vec<_> = (0..2)
            .map(|_| {
                let user = *workload.pick::<&str>(&CUSTOMERS);
                (soon(&mut workload), user, 1_000 * workload.between(1, 20))
            })
            .collect();
        let credited = credits.iter().enumerate();
        let credited = credited.map(|(n, (_, user, won))| (format!("credit-{n}"), *user, *won));
        let credited: Vec<_> = credited.collect();
        sim.client("bank", move |client| people::credit(client, credits, kept));
        let changes: Vec<_> = (0..workload.between(0, 3))
            .map(|_| {
                let sku = workload.pick(&SHELVES).sku;
                (soon(&mut workload), sku, 1_000 * workload.between(5, 50))
            })
            .collect();
        sim.client("clerk", move |client| people::reprice(client, changes));
        nodes::distance(sim);
        sim.after_storm("operator", |client| {
            nodes::tend(client, (operator::LOOK_EVERY, u64::MAX), false)
        });
        let mut shifts = sim.seed().stream("shifts");
        for name in operator::on_duty(&mut shifts) {
            let every = Duration::from_millis(shifts.between(300, 3_000));
            let looks = (every, operator::ROUNDS);
            let rebuilds = variant == Variant::EventSourced;
            sim.operator(name, move |client| nodes::tend(client, looks, rebuilds));
        }
        if receipts::comes(&mut twins) {
            let pause = receipts::pause(&mut twins);
            sim.late_client("latecomer", move |client| async move {
                client.node().sleep(pause).await;
                late::come(client, files, credited).await;
            });
        }
        sim.at_end(checkouts::counts);
    }
}

/// How often a saga insists before it needs attention, and how patient the outbox is. In some worlds a few tries are all.
fn patience(sim: &Sim) -> (u32, Policy) {
    let (patient, mut rng) = (Policy::default(), sim.seed().stream("patience"));
    match rng.chance(0.25) {
        true => {
            let policy = Policy {
                attempts_max: rng.between(1, 3) as u32,
                backoff: Duration::from_millis(rng.between(50, 500)),
                ..patient
            };
            (rng.between(1, 3) as u32, policy)
        }
        false => (orders::Config::default().tries, patient),
    }
}

/// How long a customer is away before they look again: most hardly at all, some for minutes.
fn away(rng: &mut Stream) -> Duration {
    match rng.chance(0.1) {
        true => Duration::from_secs(rng.between(60, 600)),
        false => Duration::from_millis(rng.below(2_000)),
    }
}
