//! What subscribers cost an order: the same checkouts with subscribers that are prompt, slow or down, told inside the
//! transaction or after the commit. Two runs that differ in the subscribers only must sell the same in the same time.

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use squall::{
    Sim,
    fault::PowerLoss,
    net::Latency,
    scenario::{Scenario, Setup},
    seed::Seed,
    storm::{Fault, Profile},
};
use squall_services::{
    checkout::orders,
    kit::executor::Size,
    planted_bug::{Bug, Bugs},
};
use tokio::time::Instant;

use crate::{
    experiments::survived,
    lock,
    person::{Person, keyed},
    planted_bug::described,
    scenarios::checkout::{CUSTOMERS, nodes},
    workloads::{operator, shop::Shelf},
};

/// How the subscribers behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribers {
    /// Each takes half a second.
    Prompt,
    /// The data platform takes five seconds, longer than anybody waits for it.
    OneSlow,
    /// The data platform's machine has no power.
    OneDown,
}

/// When they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// While the order waits.
    Inside,
    /// Once it is committed.
    AfterCommit,
}

/// What a subscriber takes to handle an event.
const HANDLING: Duration = Duration::from_millis(500);
/// One way between the shop's services: five calls in a row make an order take a quarter of a second by itself.
const WAY: Duration = Duration::from_millis(25);

const SHELVES: [Shelf; 3] = [shelf("lamp"), shelf("mug"), shelf("cap")];

const fn shelf(sku: &'static str) -> Shelf {
    Shelf {
        sku,
        stock: 5,
        price: 12_000,
    }
}

/// One checkout as its customer saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// The operation.
    pub op: String,
    /// `COMPLETED`, or why not.
    pub result: String,
    /// From the click to the answer.
    pub took: Duration,
}

/// Customers who buy, and what they saw.
struct Isolation {
    subscribers: Subscribers,
    told: Told,
    sales: Arc<Mutex<Vec<Sale>>>,
}

impl Scenario for Isolation {
    described! { "checkout-isolation": "the same checkouts, whatever the subscribers do" }

    fn profile(&self) -> Profile {
        Profile::new(&nodes::NODES, &nodes::LINKS)
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        let bugs = match self.told {
            Told::Inside => Bugs::NONE.with(Bug::SubscriberInsideTransaction),
            Told::AfterCommit => Bugs::NONE,
        };
        let config = orders::Config {
            bugs,
            saga_deadline: Duration::from_secs(6),
            ..Default::default()
        };
        let knobs = nodes::open(sim, bugs, config, Size::COUPON_ISSUE);
        for faults in knobs.faults.iter() {
            faults.slow(HANDLING);
        }
        if self.subscribers == Subscribers::OneSlow {
            knobs.faults[0].slow(10 * HANDLING);
        }
        for (from, to) in nodes::LINKS {
            sim.link(from, to, Latency::fixed(WAY));
        }
        sim.prepare(|client| nodes::set_the_scene(client, &SHELVES));
        for (name, shelf) in CUSTOMERS.into_iter().zip(SHELVES) {
            let sales = self.sales.clone();
            sim.client(name, move |client| async move {
                let person = Person::new(&client, "checkout");
                for nth in 1..=3 {
                    client.node().sleep(Duration::from_millis(100)).await;
                    let op = format!("{name}-{nth}");
                    let body = json!({ "user": name, "sku": shelf.sku, "quantity": 1 });
                    let asked = Instant::now();
                    let reply = person.ask(&keyed(&op, "POST", "/checkouts", body)).await;
                    let result = match reply {
                        Ok(reply) => reply.body["status"].to_string(),
                        Err(reason) => reason.to_owned(),
                    };
                    lock(&sales).push(Sale {
                        op,
                        result,
                        took: asked.elapsed(),
                    });
                }
            });
        }
        sim.after_storm("operator", |client| {
            nodes::tend(client, (operator::LOOK_EVERY, u64::MAX), false)
        });
    }
}

/// What the customers saw, by operation.
///
/// # Panics
///
/// If the run itself went wrong.
pub fn sales(seed: Seed, subscribers: Subscribers, told: Told) -> Vec<Sale> {
    let isolation = Isolation {
        subscribers,
        told,
        sales: Arc::default(),
    };
    let down = Fault::at_ms(
        0,
        PowerLoss {
            node: "dataplatform".to_owned(),
            down_ms: 60_000,
        },
    );
    let faults = match subscribers {
        Subscribers::OneDown => vec![down],
        _ => Vec::new(),
    };
    survived(&isolation, seed, faults);
    let mut sales = lock(&isolation.sales).clone();
    sales.sort_by(|a, b| a.op.cmp(&b.op));
    sales
}

/// The published comparison, measured: a line for each behaviour of the subscribers and each way of telling them.
pub fn table(seed: Seed) -> String {
    let mut text = String::from("subscribers  told          completed  median      longest\n");
    for (subscribers, name) in [
        (Subscribers::Prompt, "prompt"),
        (Subscribers::OneSlow, "one slow"),
        (Subscribers::OneDown, "one down"),
    ] {
        for (told, when) in [
            (Told::Inside, "inside"),
            (Told::AfterCommit, "after commit"),
        ] {
            let sales = sales(seed, subscribers, told);
            let mut times: Vec<u128> = sales.iter().map(|sale| sale.took.as_millis()).collect();
            times.sort_unstable();
            let completed = sales
                .iter()
                .filter(|sale| sale.result.contains("COMPLETED"));
            let completed = format!("{} of {}", completed.count(), sales.len());
            // To the next ten milliseconds: what a disk takes is not the point.
            let round = |ms: u128| format!("{} ms", (ms + 5) / 10 * 10);
            let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
            writeln!(
                text,
                "{name:<11}  {when:<12}  {completed:<9}  {:<10}  {}",
                round(median),
                round(longest)
            )
            .expect("a string takes any text");
        }
    }
    text
}
