//! System E: item purchase, choreographed by events. Documented over publish/subscribe, hardened over a stream.

pub(crate) mod buyer;

use std::{sync::Arc, time::Duration};

use serde_json::json;
use squall::{
    Sim,
    net::Latency,
    scenario::{Scenario, Setup},
    storm::{CustomFault, Profile},
};
use squall_services::{
    infrastructure::bus::{self, Behaviour, Fault},
    kit::{
        member::Settings,
        outbox::{Mode, Policy},
    },
    planted_bug::Bug,
    purchase::{self, bag, payments},
    shared::notification,
};

use self::buyer::Deed;
use crate::{
    invariants::{healers, outbox, purchases, receipts, recoveries, sagas, schedule},
    person::{Person, keyed},
    planted_bug, reachability_goals,
    topology::{self, with},
    workloads::operator,
};

/// The scenario `item-purchase`.
pub struct ItemPurchase;

/// Events over publish/subscribe, sent after the commit; what a rollback needs in the bus's memory; no deadline, no dead
/// letters, no memory of what was handled; and a rollback that restores what it remembers.
const DOCUMENTED: &[Bug] = &[
    Bug::PubsubOnly,
    Bug::DualWrite,
    Bug::RollbackDataInBusMemory,
    Bug::NoPurchaseTimeout,
    Bug::DeadLetterDropped,
    Bug::NoInbox,
    Bug::RestoreRememberedBalance,
];

crate::planted_bugs! {
    /// The bugs that can be planted alone.
    AckBeforeHandled at 27 => "inside the inbox: every event is noted or dead-lettered"
        | "a purchase is everything or nothing" | "every consumer's effect happens once per event";
    NoInbox => "every consumer's effect happens once per event";
    InboxPrunedTooSoon at 123 => "every consumer's effect happens once per event";
    EventsOnlyInMemory => "a purchase is everything or nothing" | "every consumer's effect happens once per event";
    OutboxStuckProcessing => "inside the outbox: every committed row is sent or dead-lettered";
    OutboxPendingForgotten at 4 => "every consumer's effect happens once per event"
        | "inside the outbox: every committed row is sent or dead-lettered";
    OutboxClaimedTwice => "inside the outbox: every committed row is sent or dead-lettered"
        | "inside the outbox: events of a key are told in their order"
        | "inside the outbox: rows of a key leave in their order";
    OutboxPoisonBlocks => "a purchase is everything or nothing"
        | "inside the outbox: every committed row is sent or dead-lettered";
    OutboxReordersAKey at 4 => "inside the outbox: events of a key are told in their order"
        | "inside the outbox: rows of a key leave in their order";
    DeadLetterDropped => "inside the outbox: every committed row is sent or dead-lettered";
    PubsubOnly => "a purchase is everything or nothing" | "every consumer's effect happens once per event";
    DualWrite at 4 => "a purchase is everything or nothing" | "every consumer's effect happens once per event";
    PublishBeforeCommit => "a purchase is everything or nothing" | "every consumer's effect happens once per event";
    RestoreRememberedBalance => "balances, slots and stock add up";
    RollbackDataInBusMemory => "a purchase is everything or nothing"
        | "every consumer's effect happens once per event";
    NoPurchaseTimeout => "every purchase ends";
    TraceIdLeaks => "one trace id per saga";
    RowMarkedBeforeSent => "inside the outbox: what is marked published is on the stream";
    RetrySchedulePerPoller at 4 => "a dead letter comes no sooner than its schedule";
    RedeliveredAtOnce at 110 => "a dead letter comes no sooner than its schedule";
    LateTimerActs at 32 => "a purchase is everything or nothing";
    UnknownFieldsDropped => "an order costs what was promised" | "a purchase is everything or nothing";
    OldReaderTakesDefault => "an order costs what was promised" | "a purchase is everything or nothing";
}

/// The services that speak, beside the bus.
pub(crate) const MEMBERS: [&str; 6] = ["order", "user", "bag", "item", "payment", "notification"];

/// Who has to handle what.
const INTERESTS: outbox::Interests = &[
    (
        "order",
        &[
            purchase::USER_FAILED,
            purchase::INVENTORY_FAILED,
            purchase::ITEM_FAILED,
            purchase::PAYMENT_FAILED,
            purchase::PAYMENT_PROCESSED,
        ],
    ),
    (
        "user",
        &[
            purchase::ORDER_CREATED,
            purchase::ORDER_COMPLETED,
            purchase::ORDER_CANCELLED,
        ],
    ),
    (
        "bag",
        &[
            purchase::USER_VALIDATED,
            purchase::ORDER_COMPLETED,
            purchase::ORDER_CANCELLED,
        ],
    ),
    (
        "item",
        &[
            purchase::INVENTORY_RESERVED,
            purchase::ORDER_COMPLETED,
            purchase::ORDER_CANCELLED,
        ],
    ),
    (
        "payment",
        &[purchase::ITEM_RESERVED, purchase::ORDER_CANCELLED],
    ),
    (
        "notification",
        &[purchase::ORDER_COMPLETED, purchase::ORDER_CANCELLED],
    ),
];

/// User, won, slots. One is short of money, one of room.
const USERS: [(&str, u64, u64); 3] = [("kim", 120_000, 8), ("lee", 25_000, 8), ("max", 90_000, 2)];
/// Item, won, units. One is rare.
const ITEMS: [(&str, u64, u64); 3] = [
    ("potion", 5_000, 30),
    ("sword", 30_000, 3),
    ("ring", 9_000, 1),
];

impl Scenario for ItemPurchase {
    planted_bug::described! {
        "item-purchase": "items bought with a balance, choreographed by events: documented over pub/sub, hardened over a stream",
        documented: "pub/sub, no outbox, no deadline, rollback from memory: expected to fail",
    }

    fn profile(&self) -> Profile {
        let mut nodes = vec!["bus"];
        nodes.extend(MEMBERS);
        let mut links: Vec<_> = MEMBERS.map(|member| (member, "bus")).into();
        links.extend(USERS.map(|(user, ..)| (user, "order")));
        Profile {
            custom: bus_faults(),
            events: MEMBERS.map(|member| (member, "says")).into(),
            held: MEMBERS.map(|member| (member, "says")).into(),
            horizon_ms: 2_000,
            bursts: 30,
            upgrades: vec!["order", "bag", "item"],
            ..Profile::new(&nodes, &links)
        }
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        let bugs = planted_bug::bugs(setup, DOCUMENTED);
        let mut workload = sim.seed().stream("workload");
        let mode = match workload.chance(0.7) {
            true => Mode::Polling,
            false => Mode::Cdc,
        };
        let (settings, hasty) = patience(
            sim,
            Settings {
                bugs,
                mode,
                ..Default::default()
            },
        );
        let policy = settings.policy.clone();
        open(sim, settings, payments::Config::default().refused_one_in);

        let inboxes = ![Bug::NoInbox, Bug::InboxPrunedTooSoon, Bug::PubsubOnly]
            .into_iter()
            .any(|bug| bugs.has(bug));
        outbox::watch(sim, &MEMBERS, &policy, INTERESTS, inboxes);
        let told = purchases::watch(sim);
        sagas::watch_traces(sim);
        reachability_goals::deaths(sim);
        recoveries::events(sim, &MEMBERS);
        reachability_goals::builds_of_events(sim, &["bag", "item"]);

        sim.prepare(|client| async move { buyer::set_up(&client, &test_data()).await });
        let mut twins = sim.seed().stream("twins");
        let mut credits = Vec::new();
        for (name, balance, _) in USERS {
            let deeds: Vec<Deed> = (0..workload.between(1, 3))
                .map(|_| Deed::draw(&mut workload, &ITEMS.map(|(item, ..)| item)))
                .map(|deed| deed.perhaps_twice(&mut twins))
                .collect();
            let ops = deeds.iter().enumerate();
            let top_ups = ops.filter_map(|(n, deed)| deed.top_up(&format!("{name}-{}", n + 1)));
            credits.push((name, balance, top_ups.collect::<Vec<_>>()));
            let told = told.clone();
            sim.client(name, move |client| async move {
                buyer::buy(&client, &told, &deeds).await;
            });
            sim.link(name, "order", Latency::INTERNET);
        }
        let chances = if hasty { HASTY_CHANCES } else { 1 };
        sim.after_storm("operator", move |client| async move {
            operator::tend(&client, &MEMBERS, chances).await;
        });
        operator::shifts(sim, &MEMBERS);
        if receipts::comes(&mut twins) {
            let pause = receipts::pause(&mut twins);
            sim.late_client("latecomer", move |client| async move {
                client.node().sleep(pause).await;
                let body = json!({ "userId": USERS[0].0, "itemId": ITEMS[0].0, "quantity": 1 });
                let once_more = keyed("latecomer-1", "POST", "/orders", body);
                let shop = Person::new(&client, "order");
                buyer::come_late(&client, &told, "order", &shop, &once_more).await;
                for (user, balance, top_ups) in credits {
                    let all = top_ups.iter().map(|(op, won)| (op.as_str(), *won));
                    if let Some(credited) = told.receipts().credited(all) {
                        receipts::find_credited(&client, user, balance + credited).await;
                    }
                }
            });
        }
        sim.at_end(purchases::counts);
    }
}

/// How often an operator gives a dead letter another chance where outboxes and consumers try few times.
pub(crate) const HASTY_CHANCES: u32 = 6;

/// How patient outboxes and consumers are, and how many pollers there are. In some worlds a few tries are all: whether
/// this is one.
pub(crate) fn patience(sim: &Sim, settings: Settings) -> (Settings, bool) {
    let mut rng = sim.seed().stream("patience");
    let look_every = healers::looked_at_every(sim, settings.mode, settings.policy.look_every);
    let settings = Settings {
        pollers: rng.between(1, 3) as usize,
        policy: Policy {
            look_every,
            ..settings.policy
        },
        ..settings
    };
    let hasty = rng.chance(0.25);
    let policy = Policy {
        attempts_max: rng.between(1, 3) as u32,
        backoff: Duration::from_millis(rng.between(50, 500)),
        ..settings.policy.clone()
    };
    match hasty {
        true => {
            let deliveries_max = rng.between(1, 3) as u32;
            let settings = Settings {
                policy,
                deliveries_max,
                ..settings
            };
            (settings, true)
        }
        false => (settings, false),
    }
}

fn test_data() -> serde_json::Value {
    let users =
        USERS.map(|(id, balance, slots)| json!({ "id": id, "balance": balance, "slots": slots }));
    let items = ITEMS.map(|(id, price, stock)| json!({ "id": id, "price": price, "stock": stock }));
    json!({ "users": users, "items": items })
}

/// Adds the nodes. One payment in `refused_one_in` is refused.
pub(crate) fn open(sim: &Sim, settings: Settings, refused_one_in: u64) {
    let behaviour = Arc::new(Behaviour::default());
    let knob = behaviour.clone();
    let bus = bus::Config {
        behaviour: knob,
        ..Default::default()
    };
    let order = purchase::orders::Config {
        settings: settings.clone(),
        ..Default::default()
    };
    let user = settings.clone();
    let notification = notification::Config {
        listens: Some(purchase::notices(settings.clone())),
        ..Default::default()
    };
    let (bag, item) = (settings.clone(), settings.clone());
    let payment = payments::Config {
        settings,
        refused_one_in,
    };
    topology::open(
        sim,
        [
            with(bus::SERVICE, bus, bus::run),
            with(purchase::orders::SERVICE, order, purchase::orders::run),
            with(purchase::users::SERVICE, user, purchase::users::run),
            with(bag::SERVICE, bag, bag::run),
            with(purchase::items::SERVICE, item, purchase::items::run),
            with(payments::SERVICE, payment, payments::run),
            with(notification::SERVICE, notification, notification::run),
        ],
    );

    bring_bus_faults(sim, &behaviour);
    schedule::watch_consumers(sim, &MEMBERS, move || behaviour.struck_in_all());
}

/// The faults of the bus.
pub(crate) fn bus_faults() -> Vec<CustomFault> {
    let fault = |fault: Fault| CustomFault {
        name: fault.name(),
        node: "bus",
        amount: fault.amount(),
    };
    Fault::ALL.map(fault).into()
}

/// They are the faults of this bus.
pub(crate) fn bring_bus_faults(sim: &Sim, bus: &Arc<Behaviour>) {
    for (fault, own) in Fault::ALL.into_iter().zip(bus_faults()) {
        let (bus, counts) = (bus.clone(), bus.clone());
        sim.own_fault(
            own,
            move |amount, begins| match begins {
                true => bus.begin(fault, amount),
                false => bus.end(fault),
            },
            move || counts.struck(fault),
        );
    }
}
