//! System D: orders choreographed over a durable log by eight services, beside the bus and the payment gateway.

mod buyer;
pub mod nodes;

use std::time::Duration;

use serde_json::json;
use squall::{
    Sim,
    net::Latency,
    scenario::{Scenario, Setup},
    storm::Profile,
};
use squall_services::{
    choreography::{self as flow, stock::LEASE},
    kit::{
        lease::LeasePolicy,
        outbox::{Mode, Policy},
    },
    planted_bug::Bug,
};

use self::{
    buyer::Wish,
    nodes::{MEMBERS, NODES, STOCK_PAUSE, Shop},
};
use crate::{
    invariants::{choreographed_orders, leases, outbox, receipts, recoveries, sagas},
    person::{Asked, Person, keyed},
    planted_bug, reachability_goals,
    scenarios::item_purchase::{HASTY_CHANCES, bus_faults, buyer::come_late, patience},
    workloads::{
        operator,
        shop::{Shelf, pg_faults},
    },
};

/// The scenario `order-choreography`.
pub struct OrderChoreography;

/// Events are sent after the commit, handlers are not idempotent, whoever cannot be asked for is a default user, and who
/// has lost a lease in a pause writes all the same.
const DOCUMENTED: &[Bug] = &[
    Bug::DualWrite,
    Bug::NoInbox,
    Bug::FallbackDefaultUser,
    Bug::LeaseWithoutFencing,
];

crate::planted_bugs! {
    /// The bugs that can be planted alone.
    FallbackDefaultUser at 130 => "only users order";
    PaymentFailedKeepsOrder at 6 => "every order ends";
    DeliveryFailureKeepsMoney => "no lost refund";
    ClientPriceTrusted => "price charged = unit price × quantity";
    CheckThenActStock at 12 => "stock adds up";
    NoInbox at 6 => "an order is everything or nothing" | "every consumer's effect happens once per event";
    DualWrite at 26 => "every order ends" | "every consumer's effect happens once per event"
        | "an order is everything or nothing" | "no lost refund";
    LeaseWithoutFencing at 364 => "two holders of a lease never both write" | "stock adds up";
    PublishBeforeCommit at 9 => "an order is everything or nothing" | "every order ends" | "no lost refund"
        | "every consumer's effect happens once per event";
    AckBeforeHandled => "inside the inbox: every event is noted or dead-lettered" | "every order ends"
        | "an order is everything or nothing" | "no lost refund" | "every consumer's effect happens once per event";
    InboxPrunedTooSoon at 6 => "an order is everything or nothing" | "every consumer's effect happens once per event";
    EventsOnlyInMemory at 214 => "every order ends" | "every consumer's effect happens once per event"
        | "an order is everything or nothing" | "no lost refund";
    PubsubOnly => "every order ends" | "every consumer's effect happens once per event"
        | "an order is everything or nothing" | "no lost refund";
    OutboxStuckProcessing at 4 => "every order ends"
        | "inside the outbox: every committed row is sent or dead-lettered";
    OutboxPendingForgotten at 9 => "inside the outbox: every committed row is sent or dead-lettered";
    OutboxClaimedTwice => "inside the outbox: every committed row is sent or dead-lettered"
        | "inside the outbox: events of a key are told in their order"
        | "inside the outbox: rows of a key leave in their order";
    OutboxPoisonBlocks at 26 => "inside the outbox: every committed row is sent or dead-lettered";
    OutboxReordersAKey at 9 => "inside the outbox: events of a key are told in their order"
        | "inside the outbox: rows of a key leave in their order";
    DeadLetterDropped at 26 => "every order ends" | "inside the outbox: every committed row is sent or dead-lettered";
    TraceIdLeaks => "one trace id per saga";
    RowMarkedBeforeSent => "inside the outbox: what is marked published is on the stream";
    RetrySchedulePerPoller at 26 => "a dead letter comes no sooner than its schedule";
    RedeliveredAtOnce at 2 => "a dead letter comes no sooner than its schedule";
    LeaseFromAStaleClock at 364 => "stock adds up";
    LostUpdateIgnored at 364 => "every order ends";
    UnknownFieldsDropped => "an order costs what was promised" | "no lost refund";
    OldReaderTakesDefault => "an order costs what was promised" | "no lost refund";
}

/// Who has to handle what.
const INTERESTS: outbox::Interests = &[
    (
        "order",
        &[
            flow::INVENTORY_FAILED,
            flow::PAYMENT_FAILED,
            flow::DELIVERY_FAILED,
            flow::DELIVERY_COMPLETED,
        ],
    ),
    (
        "inventory",
        &[
            flow::ORDER_CREATED,
            flow::PAYMENT_FAILED,
            flow::DELIVERY_FAILED,
            flow::DELIVERY_COMPLETED,
        ],
    ),
    (
        "payment",
        &[flow::INVENTORY_RESERVED, flow::DELIVERY_FAILED],
    ),
    ("delivery", &[flow::PAYMENT_COMPLETED]),
    (
        "notification",
        &[
            flow::ORDER_CREATED,
            flow::DELIVERY_STARTED,
            flow::DELIVERY_COMPLETED,
        ],
    ),
];

/// Users with an account. The last one's card is declined.
const USERS: [&str; 3] = ["kim", "lee", "declined-max"];
/// Somebody without one.
const STRANGER: &str = "stranger";
/// Who orders in a storm, once each: two users, and somebody drawn from all of them and the stranger.
const BUYERS: [&str; 3] = ["kim", "lee", "passer-by"];

/// How often an operator replays an event that is refused: past every breaker that is open still.
const CHANCES: u32 = 6;

/// What there is. One product is rare.
const SHELVES: [Shelf; 2] = [
    Shelf {
        sku: "lamp",
        stock: 2,
        price: 12_000,
    },
    Shelf {
        sku: "chair",
        stock: 5,
        price: 45_000,
    },
];

impl Scenario for OrderChoreography {
    planted_bug::described! {
        "order-choreography": "orders choreographed over a durable log: stock, payment, delivery, notification",
        documented: "no outbox, no inbox, no fencing, a default user while nobody can be asked: expected to fail",
    }

    fn profile(&self) -> Profile {
        let mut links: Vec<_> = MEMBERS.map(|member| (member, "bus")).into();
        links.extend([
            ("gateway", "order"),
            ("order", "user"),
            ("order", "catalog"),
            ("payment", "pg"),
            ("inventory", "lock"),
        ]);
        links.extend(BUYERS.map(|buyer| (buyer, "gateway")));
        let mut events: Vec<_> = MEMBERS.map(|member| (member, "says")).into();
        events.extend([
            ("payment", "payment charging"),
            ("payment", "payment charged"),
            ("payment", "payment refunding"),
            ("delivery", "delivery given up"),
            ("lock", "lease granted"),
            ("inventory", "lease held"),
        ]);
        Profile {
            custom: [bus_faults(), pg_faults(), vec![STOCK_PAUSE]].concat(),
            events,
            held: vec![
                ("lock", "lease granted"),
                ("inventory", "lease held"),
                ("payment", "payment charging"),
            ],
            horizon_ms: 2_500,
            upgrades: vec!["order", "inventory"],
            bursts: 20,
            ..Profile::new(&NODES, &links)
        }
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        let bugs = planted_bug::bugs(setup, DOCUMENTED);
        let mut workload = sim.seed().stream("workload");
        let mode = match workload.chance(0.7) {
            true => Mode::Polling,
            false => Mode::Cdc,
        };
        let mut settings = sim.seed().stream("settings");
        // From shorter than a slow commit to as long as published.
        let lease = match settings.chance(0.8) {
            true => Duration::from_millis(settings.between(100, 400)),
            false => LEASE.lease,
        };
        let (patient, hasty) = patience(sim, Shop::new(bugs, mode).settings);
        let mut shop = Shop {
            settings: patient,
            lease: Some(LeasePolicy { lease, ..LEASE }),
            ..Shop::new(bugs, mode)
        };
        // Sometimes everybody comes at once, and stock is wanted by several at a time.
        let within = Duration::from_millis(match settings.chance(0.4) {
            true => 30,
            false => 1_500,
        });
        // Sometimes an outbox gives up after a second of a bus that refuses, and what it had to tell waits for a person.
        if settings.chance(0.2) && !hasty {
            shop.settings.policy = Policy {
                backoff: Duration::from_millis(50),
                growth: 2,
                ..shop.settings.policy
            };
        }
        let counters = nodes::open(sim, &shop);

        let inboxes = ![Bug::NoInbox, Bug::InboxPrunedTooSoon]
            .into_iter()
            .any(|bug| bugs.has(bug));
        // Whoever is deaf to an event on purpose is caught by what does not happen then.
        let deaf = [Bug::PaymentFailedKeepsOrder, Bug::DeliveryFailureKeepsMoney]
            .into_iter()
            .any(|bug| bugs.has(bug));
        let policy = &shop.settings.policy;
        outbox::watch(sim, &MEMBERS, policy, INTERESTS, inboxes && !deaf);
        leases::watch(sim, &counters.leases);
        let asked = Asked::default();
        let told = choreographed_orders::watch(sim, &counters.permits, &asked);
        sagas::watch_traces(sim);
        aim(sim);
        reachability_goals::builds_of_events(sim, &["inventory"]);

        sim.prepare(|client| async move { nodes::fill(&client, &USERS, &SHELVES).await });
        let mut twins = sim.seed().stream("twins");
        for name in BUYERS {
            let user = match name {
                "passer-by" => *workload.pick(&["kim", "lee", "declined-max", STRANGER]),
                user => user,
            };
            let wish = Wish::draw(&mut workload, user, &SHELVES, within).perhaps_twice(&mut twins);
            let (told, asked) = (told.clone(), asked.clone());
            sim.client(name, move |client| async move {
                let shop = Person::new(&client, "gateway").noting(&asked);
                buyer::order(&client, &shop, &told, &wish).await;
            });
            sim.link(name, "gateway", Latency::INTERNET);
        }
        let price = workload.between(1, 50) * 1_000;
        let after_ms = workload.below(1_500);
        let changes: Vec<_> = (0..twins.below(3))
            .map(|_| (twins.between(1, 50) * 1_000, twins.below(500)))
            .collect();
        sim.client("clerk", move |client| async move {
            buyer::reprice(&client, "clerk-1", SHELVES[0].sku, price, after_ms).await;
            for (n, (price, after_ms)) in changes.into_iter().enumerate() {
                let op = format!("clerk-{}", n + 2);
                buyer::reprice(&client, &op, SHELVES[0].sku, price, after_ms).await;
            }
        });
        let chances = if hasty {
            CHANCES + HASTY_CHANCES
        } else {
            CHANCES
        };
        sim.after_storm("operator", move |client| async move {
            operator::tend(&client, &MEMBERS, chances).await;
        });
        operator::shifts(sim, &MEMBERS);
        if receipts::comes(&mut twins) {
            let pause = receipts::pause(&mut twins);
            sim.late_client("latecomer", move |client| async move {
                client.node().sleep(pause).await;
                let body = json!({
                    "userId": USERS[0], "productId": SHELVES[1].sku, "quantity": 1,
                });
                let once_more = keyed("latecomer-1", "POST", "/orders", body);
                let shop = Person::new(&client, "gateway").noting(&asked);
                come_late(&client, &told, "gateway", &shop, &once_more).await;
            });
        }
        sim.at_end(choreographed_orders::counts);
    }
}

/// What a campaign should have met before its silence counts.
fn aim(sim: &Sim) {
    reachability_goals::deaths(sim);
    recoveries::events(sim, &MEMBERS);
    recoveries::deliveries(sim, &MEMBERS);
    for (name, node, message) in [
        (
            "somebody came for the last unit too late",
            "inventory",
            "stock refused",
        ),
        (
            "goods went back on the shelf",
            "inventory",
            "stock released",
        ),
        ("a card was declined", "payment", "payment declined"),
        ("a charge was paid back", "payment", "payment refunded"),
        (
            "a payment could not be settled at once",
            "payment",
            "payment not settled yet",
        ),
        ("a delivery was given up", "delivery", "delivery given up"),
        (
            "an order was refused because nobody could say who ordered",
            "order",
            "order refused: the user is not known yet",
        ),
    ] {
        sim.sometimes_logged(name, node, message);
    }
}
